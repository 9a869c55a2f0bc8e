//! Sends commands to a running server and tells rate and latencies:
//!
//! ```text
//! cargo run --release --example load -- --token "$TOKEN" --connections 256 --seconds 10
//! ```

#[path = "../benches/load/mod.rs"]
mod load;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use load::{Failure, Load, Until, Work, make_room};

#[derive(Debug, Parser)]
#[command(about = "Sends commands to a running server and tells rate and latencies")]
struct Arguments {
    /// Of the server.
    #[arg(long, default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// With the grants room_create and room_admin.
    #[arg(long)]
    token: String,
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Rooms of each connection.
    #[arg(long, default_value_t = 8)]
    rooms: usize,
    /// All connections share one room.
    #[arg(long)]
    hot: bool,
    /// Reads this path instead of sending commands.
    #[arg(long, value_name = "PATH")]
    get: Option<String>,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value_t = 2)]
    warm_up_seconds: u64,
    /// For programs.
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let work = match arguments.get {
        Some(path) => Work::Get(Arc::new(vec![path])),
        None if arguments.hot => Work::HotRoom(make_room(arguments.address, &arguments.token).await?),
        None => Work::RoomsEach(arguments.rooms),
    };
    let load = Load {
        address: arguments.address,
        token: arguments.token,
        connections: arguments.connections,
        work,
        until: Until::Time {
            warm_up: Duration::from_secs(arguments.warm_up_seconds),
            measure: Duration::from_secs(arguments.seconds),
        },
    };
    let report = load.run().await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("connections  requests/s   p50 ms   p90 ms   p99 ms   max ms");
        println!(
            "{:>11}  {:>10.0}  {:>7.2}  {:>7.2}  {:>7.2}  {:>7.2}",
            report.connections, report.rate, report.p50_ms, report.p90_ms, report.p99_ms, report.max_ms
        );
    }
    report.clean()?;
    Ok(())
}
