//! A history through everything: imported, in the topic, folded out of both, half archived, and all of it again through the archives.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Guarded, eventually, folder};

/// A broker and a database are made for it, on a machine that runs other tests too.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_goes_the_whole_way_and_is_the_same_everywhere() {
    let (root, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), folder());
    let output = folder.join("told");
    let told = std::fs::File::create(&output).unwrap();
    let mut command = Command::new(root.join("scripts/whole_way.py"));
    command.arg(root.join("tests/data/commands-of-2012.ndjson")).arg(folder.join("way"));
    command.env("CONVOKE", env!("CARGO_BIN_EXE_convoke")).env("CONVOKE_LOG_PARTITION_UNIT", "day");
    command.stdin(Stdio::null()).stdout(told.try_clone().unwrap()).stderr(told);
    let mut script = Guarded::spawn(&mut command);
    let ended = eventually("the script ends", PATIENCE, async || script.child.try_wait().unwrap()).await;
    let told = std::fs::read_to_string(&output).unwrap();
    assert!(ended.success(), "{told}");
    assert!(told.contains("316 lines, 294 events"), "{told}");
    assert!(told.contains("archiving 3 of 6 partitions"), "{told}");
    assert_eq!(told.matches("missing 0, doubled 0, out_of_order 0, different 0").count(), 2, "{told}");
    assert_eq!(told.lines().filter(|line| line.contains("  rooms ")).count(), 4, "{told}");
    assert!(told.ends_with("all of it holds\n"), "{told}");
}
