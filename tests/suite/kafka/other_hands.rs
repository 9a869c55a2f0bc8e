//! The topic read by programs that know it from its description only: a consumer in Python, and a line of kcat.

use std::path::Path;

use tokio::process::Command;

use super::records::story;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_in_python_prints_the_story_of_a_room() {
    let (_db, broker, prefix, records) = story("sealed").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/consumers/room_story.py");
    let mut python = Command::new("/usr/bin/python3");
    python.arg(script).arg(&broker.address).arg(format!("{prefix}.events")).arg(&records[0].key);
    let ended = python.output().await.unwrap();
    let told = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    let lines: Vec<Vec<&str>> = told.lines().map(|line| line.split_whitespace().collect()).collect();
    let names: Vec<_> = lines.iter().map(|words| words[4]).collect();
    let expected: Vec<_> =
        records.iter().map(|record| record.headers["ce_type"].strip_prefix("room.").unwrap()).collect();
    assert_eq!(names, expected, "{told}");
    assert!(told.contains("identity \"ann\""), "{told}");
    assert!(!told.contains("hello there") && !told.contains("Ann"), "personal fields are sealed: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_kcat_shows_headers_and_data() {
    let (_db, broker, prefix, records) = story("sealed").await;
    let mut kcat = Command::new("kcat");
    kcat.args(["-C", "-q", "-b", &broker.address, "-t", &format!("{prefix}.events"), "-o", "beginning", "-e"]);
    kcat.args(["-X", "isolation.level=read_committed", "-f", "%k %h %s\\n"]);
    let ended = kcat.output().await.unwrap();
    let told = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(told.lines().count(), records.len(), "{told}");
    for (line, record) in told.lines().zip(&records) {
        assert!(line.starts_with(&record.key), "{line}");
        assert!(line.contains(&format!("ce_type={}", record.headers["ce_type"])), "{line}");
        assert!(line.contains(&format!("ce_position={}", record.headers["ce_position"])), "{line}");
    }
}
