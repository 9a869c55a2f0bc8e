//! Sources as other programs write them: with a byte order mark, in UTF-16, packed otherwise; exports; times that cannot be recorded. And
//! what the exit code says of lines that were refused.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;

use super::{SAMPLE, content, import, refused};
use crate::export::export;
use crate::harness::{Ended, Run, TestDb, folder};

const MARK: &str = "\u{feff}";

fn line(at: &str, room: &str, command: &str, data: &str) -> String {
    format!("{{\"occurred_at\":\"{at}\",\"room\":\"{room}\",\"command\":\"{command}\",\"data\":{data}}}\n")
}

fn utf_16(text: &str, mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = if mark { MARK } else { "" };
    mark.encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
}

async fn from_stream(run: Run, text: &[u8]) -> Ended {
    let mut command = tokio::process::Command::from(run.command());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(text).await;
    let ended = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: ended.status.code().unwrap_or(-1), stdout: text(ended.stdout), stderr: text(ended.stderr) }
}

#[tokio::test]
async fn with_a_byte_order_mark_and_without_a_file_is_one_import() {
    let (db, folder) = (TestDb::new().await, folder());
    let (marked, packed, plain) = (folder.join("marked"), folder.join("marked.zst"), folder.join("plain"));
    std::fs::write(&marked, format!("{MARK}{SAMPLE}")).unwrap();
    std::fs::write(&packed, zstd::encode_all(format!("{MARK}{SAMPLE}").as_bytes(), 1).unwrap()).unwrap();
    std::fs::write(&plain, SAMPLE).unwrap();
    let first = import(&db, &marked).json().await;
    assert_eq!(refused(&first), [("not-present", 43), ("room-ended", 2)], "no line is lost: {first}");
    let written = content(&db).await;
    for file in [&plain, &packed] {
        let again = import(&db, file).json().await;
        assert_eq!((&again["this_run"]["lines"], &again["events"]), (&0.into(), &first["events"]), "{again}");
    }
    assert_eq!(content(&db).await, written, "nothing is doubled");
}

#[tokio::test]
async fn files_with_marks_may_be_laid_end_to_end() {
    let db = TestDb::new().await;
    let at = "2024-01-01T00:00:00Z";
    let both = format!("{MARK}{}{MARK}{}", line(at, "a", "create-room", "{}"), line(at, "b", "create-room", "{}"));
    let stream = Run::on(&db).args(["import", "--tenant", "acme", "--json", "--name", "both", "-"]);
    let ended = from_stream(stream, both.as_bytes()).await;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(content(&db).await.0, 2, "{ended:?}");
}

#[tokio::test]
async fn what_cannot_be_lines_of_commands_is_refused_before_any_is_taken() {
    let (db, folder) = (TestDb::new().await, folder());
    let exported = {
        let other = TestDb::new().await;
        let file = folder.join("commands");
        std::fs::write(&file, SAMPLE).unwrap();
        import(&other, &file).json().await;
        [export(&other, &[]).run().await.stdout, export(&other, &["--tenant", "acme"]).run().await.stdout]
    };
    let [all, of_tenant] = exported.map(String::into_bytes);
    for (bytes, named) in [
        (utf_16(SAMPLE, true, u16::to_le_bytes), "UTF-16"),
        (utf_16(SAMPLE, true, u16::to_be_bytes), "UTF-16"),
        (utf_16(SAMPLE, false, u16::to_le_bytes), "UTF-16"),
        (zstd::encode_all(&*utf_16(SAMPLE, true, u16::to_le_bytes), 1).unwrap(), "UTF-16"),
        (b"BZh91AY&SY and more".to_vec(), "bzip2"),
        (b"\xfd7zXZ\x00 and more".to_vec(), "xz"),
        (all, "`convoke export` writes them, and an import takes commands"),
        (of_tenant, "`convoke export` writes them, and an import takes commands"),
    ] {
        let file = folder.join("refused");
        std::fs::write(&file, &bytes).unwrap();
        let ended = import(&db, &file).run().await;
        assert!(ended.status == 1 && ended.stderr.contains(named) && ended.stdout.is_empty(), "{ended:?}");
        let stream = import(&db, Path::new("-")).args(["--name", "stream"]);
        let ended = from_stream(stream, &bytes).await;
        assert!(ended.status == 1 && ended.stderr.contains(named), "{ended:?}");
    }
    assert_eq!(content(&db).await.0, 0);
}

#[tokio::test]
async fn times_before_1970_are_kept_as_occurred_and_refused_as_recorded() {
    let (db, folder) = (TestDb::new().await, folder());
    let file = folder.join("lines");
    let lines = [
        line("1899-12-31T00:00:00Z", "old", "create-room", "{}"),
        line("1969-12-31T23:59:59.999999Z", "older", "create-room", "{}"),
        line("1970-01-01T00:00:00Z", "first", "create-room", "{}"),
    ];
    std::fs::write(&file, lines.concat()).unwrap();
    let recorded = import(&db, &file).args(["--recorded-as-occurred", "--allow-refused", "2"]).json().await;
    assert_eq!(refused(&recorded), [("occurred-before-1970", 2)], "{recorded}");
    let times = "SELECT recorded_at::text, occurred_at::text FROM convoke.log ORDER BY position";
    let times =
        async |db: &TestDb| sqlx::query_as::<_, (String, Option<String>)>(times).fetch_all(&db.system).await.unwrap();
    assert!(times(&db).await.iter().all(|(recorded, _)| recorded.starts_with("1970-01-01 00:00:00")));
    let other = TestDb::new().await;
    let report = import(&other, &file).json().await;
    assert_eq!(report["applied"], 3, "{report}");
    assert_eq!(times(&other).await[0].1.as_deref(), Some("1899-12-31 00:00:00+00"));
}

#[tokio::test]
async fn an_import_that_refuses_every_line_of_a_kind_has_an_exit_code_of_its_own() {
    let (db, folder) = (TestDb::new().await, folder());
    let at = "2024-01-01T00:00:00Z";
    let join = |identity: &str| line(at, "a", "join", &format!("{{\"identity\":\"{identity}\"}}"));
    let room = line(at, "a", "create-room", "{}");
    let leave = line(at, "a", "leave", "{\"identity\":\"nobody\"}");
    // (what is in the file, lines refused, kinds wholly refused, exit code)
    let cases = [
        (vec![room.clone(), join("ann"), join("")], 1, vec![], 0),
        (vec![room.clone(), join("ann"), "nonsense\n".into()], 1, vec!["lines that are no commands"], 3),
        (vec![room.clone(), join("ann"), line(at, "a", "fly", "{}")], 1, vec!["lines that are no commands"], 3),
        (vec![room.clone(), join(""), join("")], 2, vec!["join"], 3),
        (vec![room.clone(), join("ann"), leave.clone(), leave.clone()], 2, vec![], 0),
        (vec![leave], 1, vec!["leave"], 3),
    ];
    for (number, (lines, count, kinds, code)) in cases.into_iter().enumerate() {
        let file = folder.join(format!("lines-{number}"));
        std::fs::write(&file, lines.concat().replace("\"a\"", &format!("\"room {number}\""))).unwrap();
        let import = |more: &[&str]| import(&db, &file).args(more.iter().copied()).run();
        let done = import(&[]).await;
        assert_eq!(done.status, code, "{done:?}");
        let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!((&report["done"], &report["refused_lines"]), (&true.into(), &count.into()));
        assert_eq!(report["wholly_refused"], serde_json::json!(kinds));
        assert!(kinds.iter().all(|kind| done.stderr.contains(kind)), "{done:?}");
        // Done, it does nothing more and says the same; unless that is expected.
        assert_eq!(import(&[]).await.status, code);
        assert_eq!(import(&["--allow-refused", &count.to_string()]).await.status, 0);
        let more = import(&["--allow-refused", &(count - 1).to_string()]).await;
        assert!(more.status == 3 && more.stderr.contains(&format!("{count} lines were refused")), "{more:?}");
    }
}
