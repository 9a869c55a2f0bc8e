//! `convoke erase verify` looks into archives.

use convoke::events::sealed::PersonalFields;
use serde_json::Value;

use super::{OLD, Past, past};
use crate::harness::Run;

/// Of the first name that the log has, which the stories of tests do not seal: its position, and the name.
async fn a_name_in_the_clear(past: &Past) -> (u64, String) {
    let events = past.log().read(0, 500).await.unwrap();
    let name = |sealed: &[u8]| serde_json::from_slice::<PersonalFields>(sealed).ok()?.display_name;
    let named = events.iter().find_map(|event| Some((event.position, name(&event.sealed.as_ref()?.0)?)));
    named.expect("somebody joined by a name")
}

/// Where the name was found, in the places whose name begins so.
async fn found(past: &Past, name: &str, place: &str) -> Vec<String> {
    let verify = ["erase", "verify", "--tenant", "acme", "--identity", "nobody", "--json", name];
    let ended = past.run().args(verify).run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let places = report["places"].as_array().unwrap().iter();
    let there = places.filter(|one| one["place"].as_str().unwrap().starts_with(place));
    let findings = there.flat_map(|one| one["findings"].as_array().unwrap());
    findings.map(|finding| finding["at"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_in_an_archive_is_found_there() {
    let past = past(61, 2, 100).await;
    past.fold().await;
    let (position, name) = a_name_in_the_clear(&past).await;
    assert!(!found(&past, &name, "table log_20240101").await.is_empty());
    assert!(found(&past, &name, "archives").await.is_empty());
    past.archive(OLD).await;
    assert!(found(&past, &name, "table log_20240101").await.is_empty(), "the partition is gone");
    let archived = found(&past, &name, "archives").await;
    assert!(archived.contains(&format!("position {position}, sealed")), "{archived:?}");

    let verify = ["erase", "verify", "--tenant", "acme", "--identity", "nobody", "no such text anywhere"];
    let clean = past.run().args(verify).run().await;
    assert_eq!(clean.status, 0, "{clean:?}");
    let nowhere = Run::on(&past.db).args(verify).run().await;
    assert!(
        nowhere.status == 1 && nowhere.stderr.contains("CONVOKE_ARCHIVE_URL"),
        "archives are not left out: {nowhere:?}"
    );
}
