//! A disk without room: commands are answered 503 and nothing acknowledged is lost; with room again, all goes on by itself.

use std::io::Write as _;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use convoke::security::grants::Grants;
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{Folder, Run, Server, eventually, folder, tokens};

/// Room for a new database and some WAL.
const DISK: &str = "size=160m,mode=755";
/// Set by whoever cannot mount and wants the other tests.
const WITHOUT_MOUNT: &str = "CONVOKE_TEST_WITHOUT_MOUNT";
const SOON: Duration = Duration::from_secs(60);
/// By then what was free within PostgreSQL's own files is used up.
const MANY_COMMANDS: usize = 20_000;

/// A file system of its own, in memory. Goes with the value, and with the process.
struct Disk {
    mount: PathBuf,
    guard: Child,
    _folder: Folder,
}

impl Disk {
    /// None where this process may not mount.
    fn mount() -> Option<Self> {
        let folder = folder();
        let mount = folder.join("disk");
        std::fs::create_dir(&mount).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", DISK, "convoke-test"]).arg(&mount).stderr(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            return None;
        }
        let mut guard = Command::new("/bin/sh");
        guard.arg("-c").arg(r#"read -r _; umount -l "$0""#).arg(&mount).stdin(Stdio::piped());
        Some(Self { guard: guard.spawn().unwrap(), mount, _folder: folder })
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.mount.join("filler")).unwrap();
        let block = vec![0; 64 * 1024];
        while file.write_all(&block).is_ok() {}
        let block = [0; 512];
        while file.write_all(&block).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.mount.join("filler")).unwrap();
    }
}

impl Deref for Disk {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.mount
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The room that was created, or the answer that refused it.
async fn create_room(server: &Server, token: &str) -> Result<String, reqwest::Response> {
    let request = server.client.post(format!("{}/v1/rooms", server.url)).bearer_auth(token).json(&json!({}));
    let response = request.send().await.unwrap();
    if response.status() != StatusCode::CREATED {
        return Err(response);
    }
    let body: Value = response.json().await.unwrap();
    Ok(body["room"].as_str().unwrap().to_owned())
}

async fn until_refused(server: &Server, token: &str, rooms: &mut Vec<String>) -> reqwest::Response {
    for _ in 0..MANY_COMMANDS {
        match create_room(server, token).await {
            Ok(room) => rooms.push(room),
            Err(refused) => return refused,
        }
    }
    panic!("a full disk took {MANY_COMMANDS} commands");
}

#[tokio::test]
async fn a_full_disk_is_answered_503_loses_nothing_and_is_got_over() {
    let Some(disk) = Disk::mount() else {
        let agreed = std::env::var_os(WITHOUT_MOUNT).is_some();
        assert!(agreed, "this test mounts 160 MB of memory: run it as root, or set {WITHOUT_MOUNT}=1 to go without it");
        return;
    };
    let token = tokens::of("acme", None, Grants::everything());
    let mut server = tokens::accepted_by(Run::in_folder(&disk)).serve().await;
    let mut rooms = vec![create_room(&server, &token).await.unwrap()];

    for kill in [false, true] {
        disk.fill();
        let refused = until_refused(&server, &token, &mut rooms).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key("retry-after"));
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["code"], "log-unavailable", "{problem}");
        if kill {
            // Recovery wants to write, too.
            let text = std::fs::read_to_string(disk.join(".convoke/postgres/data/postmaster.pid")).unwrap();
            let postgres: i32 = text.lines().next().unwrap().parse().unwrap();
            kill_process(Pid::from_raw(postgres).unwrap(), Signal::KILL).unwrap();
        }
        disk.make_room();
        let room = eventually("commands are taken again", SOON, async || create_room(&server, &token).await.ok()).await;
        rooms.push(room);
    }
    for room in rooms {
        let url = format!("{}/v1/rooms/{room}/events", server.url);
        // A read may meet a connection that the killed server left, and is told to come again.
        let found = eventually("the room is read", SOON, async || {
            let found = server.client.get(&url).bearer_auth(&token).send().await.unwrap().status();
            (found != StatusCode::SERVICE_UNAVAILABLE).then_some(found)
        });
        assert_eq!(found.await, StatusCode::OK, "{room} was acknowledged");
    }
    assert!(server.terminate().await.success());
}
