//! A file that is missing, cut off or changed is an error that names it, and no answer.

use std::path::PathBuf;

use convoke::security::grants::Grants;

use super::{OLD, Past, past};
use crate::harness::tokens;

fn file(past: &Past, ending: &str) -> PathBuf {
    let name = past.files().into_iter().find(|name| name.ends_with(ending)).unwrap();
    past.folder.join(name)
}

async fn archived(seed: u64) -> Past {
    let past = past(seed, 1, 200).await;
    past.fold().await;
    past.archive(OLD).await;
    past
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_that_is_changed_is_noticed() {
    let past = archived(61).await;
    let path = file(&past, ".events.parquet");
    let whole = std::fs::read(&path).unwrap();
    assert!(!past.log().read(0, 10).await.unwrap().is_empty());
    // The first four say what kind of file it is, and nothing of ours reads them.
    for at in (4..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = past.log().read(0, 10).await.expect_err("a changed byte").to_string();
        assert!(error.contains("is damaged") && error.contains(path.to_str().unwrap()), "byte {at}: {error}");
    }
    for length in [0, 4, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = past.log().read(0, 10).await.expect_err("a file cut off").to_string();
        assert!(error.contains("is damaged") && error.contains(path.to_str().unwrap()), "{length} bytes: {error}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(!past.log().read(0, 10).await.unwrap().is_empty(), "whole again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_file_is_named_to_callers_to_operators_and_in_proofs_and_newer_events_are_answered() {
    let past = archived(62).await;
    let path = file(&past, ".events.parquet");
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let aside = past.folder.join("aside");
    std::fs::rename(&path, &aside).unwrap();
    for args in [&["log", "verify"][..], &["log", "read", "--from", "1"], &["projection", "verify"]] {
        let ended = past.run().args(args).run().await;
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.stderr.contains(&name) && ended.stderr.contains("is not there"), "{ended:?}");
    }
    let mut server = tokens::accepted_by(past.run()).with("CONVOKE_ROLES", "api").serve().await;
    let token = tokens::of("acme", None, Grants::everything());
    let ask = async |path: &str| {
        let answer = server.client.get(format!("{}{path}", server.url)).bearer_auth(&token).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let (status, problem) = ask("/v1/events?limit=10").await;
    assert_eq!(status, 503, "{problem}");
    assert!(problem["type"].as_str().unwrap().ends_with("archive-unavailable"), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(&name), "{problem}");
    assert!(!problem["detail"].as_str().unwrap().contains(past.folder.to_str().unwrap()), "the path is the operator's");
    assert_eq!(ask("/v1/rooms?limit=10").await.0, 200);
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(ask("/v1/events?limit=10").await.0, 200, "it is back, and read without a restart");
    assert!(server.terminate().await.success(), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_index_of_rooms_is_named() {
    let past = archived(63).await;
    let path = file(&past, ".rooms.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let key = past.log().read(0, 1).await.unwrap().first().map(|event| (event.tenant.clone(), event.room)).unwrap();
    let key = convoke::ids::RoomKey { tenant: key.0, room: key.1 };
    let error = past.log().read_room(&key, 0, None, 10).await.unwrap_err().to_string();
    assert!(error.contains("is damaged") && error.contains(path.to_str().unwrap()), "{error}");
}
