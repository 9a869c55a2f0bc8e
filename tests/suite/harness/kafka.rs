//! A real Apache Kafka, fetched and run by the script that serves people too.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use convoke::config::{Config, KafkaConfig};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::{Certificate, Run, Wire, eventually};

/// The first start on a machine fetches what is missing.
const START: Duration = Duration::from_secs(300);
const ANSWER: Duration = Duration::from_secs(5);

/// Ends the broker when this process has ended, and removes its folder either way.
const GUARD: &str = r#"read -r word; [ "$word" = done ] || kill -KILL "$0"; sleep 0.2; rm -rf "$1""#;

/// One broker with its data in a folder of its own.
pub struct Broker {
    /// `127.0.0.1:PORT`
    pub address: String,
    /// Of its clients, in librdkafka's names: `KAFKA_PROPERTIES`.
    pub properties: Vec<(&'static str, String)>,
    /// Its own, its controller's, and the one that clients are told of.
    ports: [u16; 3],
    folder: PathBuf,
    child: Child,
    guard: Child,
}

impl Broker {
    /// The broker of all tests that do it no harm. Each keeps to a prefix of its own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one = STARTING.lock().await;
        if let Some(broker) = SHARED.get() {
            return broker;
        }
        let broker = Self::start().await;
        SHARED.get_or_init(|| broker)
    }

    pub async fn start() -> Self {
        let [port, controller] = free_ports();
        Self::start_on([port, controller, port], None).await
    }

    /// It speaks TLS only, and asks for a password.
    pub async fn secured(certificate: &Certificate) -> Self {
        let [port, controller] = free_ports();
        Self::start_on([port, controller, port], Some(certificate)).await
    }

    /// All who speak to it do so over the wire.
    pub async fn behind_a_wire() -> (Self, Wire) {
        let [port, controller] = free_ports();
        let wire = Wire::to_port(port).await;
        (Self::start_on([port, controller, wire.address.port()], None).await, wire)
    }

    async fn start_on(ports: [u16; 3], certificate: Option<&Certificate>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("convoke-kafka-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(certificate) = certificate {
            std::fs::write(folder.join("more.properties"), secured(certificate)).unwrap();
        }
        let properties = certificate.map(properties).unwrap_or_default();
        let (child, guard) = spawn(&folder, ports);
        let address = format!("127.0.0.1:{}", ports[2]);
        let mut broker = Self { address, properties, ports, folder, child, guard };
        broker.answers().await;
        broker
    }

    async fn answers(&mut self) {
        eventually("Kafka answers", START, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("Kafka ended with {status}:\n{}", self.log());
            }
            self.asked().await
        })
        .await;
    }

    async fn asked(&self) -> Option<()> {
        let client = self.client();
        let asking = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = client.create().unwrap();
            consumer.fetch_metadata(None, ANSWER).is_ok()
        });
        asking.await.unwrap().then_some(())
    }

    /// For a client of the test's own.
    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.address).set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        for (name, value) in &self.properties {
            client.set(*name, value);
        }
        client
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("broker.log")).unwrap_or_default()
    }

    /// SIGKILL, and gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again, on the same ports and data.
    pub async fn restart(&mut self) {
        disarm(&mut self.guard, "kept");
        let (child, guard) = spawn(&self.folder, self.ports);
        (self.child, self.guard) = (child, guard);
        self.answers().await;
    }

    /// The configuration of a process that copies to this broker.
    pub fn config(&self, prefix: &str) -> KafkaConfig {
        let settings =
            [("KAFKA_BROKERS", self.address.as_str()), ("CONVOKE_KAFKA_PREFIX", prefix), ("CONVOKE_RELAY_LEASE", "1s")];
        let environment = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Config::from_environment(&environment).expect("these settings are a configuration").kafka
    }

    /// A run of the program that copies to this broker, under the prefix.
    pub fn under(&self, run: Run, prefix: &str) -> Run {
        run.with("KAFKA_BROKERS", &self.address)
            .with("CONVOKE_KAFKA_PREFIX", prefix)
            .with("CONVOKE_RELAY_LEASE", "1s")
            .with("HOME", &std::env::var("HOME").unwrap_or_default())
            .with("KAFKA_PROPERTIES", &kafka_properties(&self.properties))
    }
}

/// As `KAFKA_PROPERTIES` has them.
pub fn kafka_properties(properties: &[(&str, String)]) -> String {
    properties.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";")
}

/// What makes a broker speak TLS and ask for a password.
fn secured(certificate: &Certificate) -> String {
    let (both, one) = (certificate.both(), certificate.certificate());
    format!(
        "listener.security.protocol.map=CLIENTS:SASL_SSL,CONTROLLER:PLAINTEXT\n\
         listener.name.clients.sasl.enabled.mechanisms=PLAIN\n\
         listener.name.clients.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         username=\"broker\" password=\"of-the-broker\" user_broker=\"of-the-broker\" user_convoke=\"of-convoke\";\n\
         sasl.mechanism.inter.broker.protocol=PLAIN\n\
         ssl.keystore.type=PEM\nssl.keystore.location={}\nssl.truststore.type=PEM\nssl.truststore.location={}\n",
        both.display(),
        one.display(),
    )
}

/// Of a client of such a broker.
fn properties(certificate: &Certificate) -> Vec<(&'static str, String)> {
    vec![
        ("security.protocol", "SASL_SSL".into()),
        ("sasl.mechanism", "PLAIN".into()),
        ("sasl.username", "convoke".into()),
        ("sasl.password", "of-convoke".into()),
        ("ssl.ca.location", certificate.certificate().display().to_string()),
    ]
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the broker's log ---\n{}", self.log());
        }
        disarm(&mut self.guard, "done");
    }
}

/// The guard removes the folder, unless it is ended before.
fn disarm(guard: &mut Child, word: &str) {
    if word == "done" {
        let _ = guard.stdin.as_mut().map(|pipe| pipe.write_all(b"done\n"));
    } else {
        let _ = guard.kill();
    }
    let _ = guard.wait();
}

fn spawn(folder: &Path, ports: [u16; 3]) -> (Child, Child) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka.sh");
    let log = File::create(folder.join("broker.log")).unwrap();
    let mut command = Command::new(script);
    command.arg("run").arg(folder).args(ports.map(|port| port.to_string())).stdin(Stdio::null());
    let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let mut guard = Command::new("/bin/sh");
    guard.arg("-c").arg(GUARD).arg(child.id().to_string()).arg(folder).stdin(Stdio::piped());
    (child, guard.spawn().unwrap())
}

/// Both are held until both are known.
fn free_ports() -> [u16; 2] {
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let both = [listen(), listen()];
    both.map(|listener| listener.local_addr().unwrap().port())
}

/// A prefix that no other test has.
pub fn prefix() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}
