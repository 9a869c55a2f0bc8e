//! An Apache Kafka of the benchmark's own, as scripts/kafka.sh runs it. Its data lies under `target/`.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::Failure;

const START_PATIENCE: Duration = Duration::from_secs(300);

pub struct Kafka {
    process: Child,
    pub brokers: String,
}

impl Kafka {
    pub async fn fresh(name: &str) -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("target/bench").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let ports = free_ports()?;
        let log = File::create(folder.join("broker.log"))?;
        let mut command = Command::new(root.join("scripts/kafka.sh"));
        command.arg("run").arg(&folder).args(ports.map(|port| port.to_string())).stdin(Stdio::null());
        let process = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut kafka = Self { process, brokers: format!("127.0.0.1:{}", ports[0]) };
        kafka.until_it_answers().await?;
        Ok(kafka)
    }

    async fn until_it_answers(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < START_PATIENCE {
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("Kafka ended with {status}; see broker.log").into());
            }
            let consumer: BaseConsumer = self.client().create()?;
            if consumer.fetch_metadata(None, Duration::from_secs(2)).is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err("Kafka does not answer; see broker.log".into())
    }

    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers).set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        client
    }
}

/// Free until somebody else takes them.
fn free_ports() -> Result<[u16; 2], Failure> {
    let both = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([both[0].local_addr()?.port(), both[1].local_addr()?.port()])
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
