//! A command beside a server that is stopping: it takes the folder over as soon as it is free.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Run, eventually};

const SOON: Duration = Duration::from_secs(60);

fn data(run: &Run) -> PathBuf {
    run.folder.join(".convoke/postgres")
}

/// Sockets of a process: two that its signals come by, and its connections.
fn sockets(pid: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let leads_to = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    leads_to.filter(|path| path.to_string_lossy().starts_with("socket:")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_takes_over_the_folder_of_a_server_that_stops_slowly() {
    let run = Run::new();
    let mut server = run.clone().serve().await;
    let pid = fs::read_to_string(data(&run).join("data/postmaster.pid")).unwrap();
    let postgres = Pid::from_raw(pid.lines().next().unwrap().trim().parse().unwrap()).unwrap();
    // It takes connections, since the kernel does, and says nothing on them; and it does not hear that it is to stop.
    kill_process(postgres, Signal::STOP).unwrap();
    server.signal(Signal::TERM);
    let mut stat = tokio::process::Command::from(run.clone().args(["log", "stat"]).command());
    stat.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let begun = Instant::now();
    let stat = stat.spawn().unwrap();
    eventually("the command asks the server", SOON, async || (sockets(stat.id().unwrap()) > 2).then_some(())).await;
    kill_process(postgres, Signal::CONT).unwrap();
    assert!(server.ended().await.success());
    let ended = tokio::time::timeout(SOON, stat.wait_with_output()).await.expect("it does not wait in vain").unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("position"), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
}
