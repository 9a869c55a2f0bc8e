//! What a file's ending promises.

use super::{export, text};
use crate::harness::{TestDb, folder};
use crate::log::{log_of, room, write};

#[tokio::test]
async fn a_file_whose_ending_promises_what_is_not_written_is_refused() {
    let (db, folder) = (TestDb::new().await, folder());
    write(&log_of(&db), &room(), 2).await;
    for name in ["log.ndjson.bz2", "log.xz", "log.parquet"] {
        for more in [&[][..], &["--append"], &["--force"]] {
            let file = folder.join(name);
            let refused = export(&db, &[more, &[file.to_str().unwrap()]].concat()).run().await;
            assert!(
                refused.status == 1 && refused.stderr.contains(".gz") && refused.stderr.contains(".zst"),
                "{refused:?}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(&*folder).unwrap().count(), 0, "nothing was made");
    let file = folder.join("log.zst");
    assert_eq!(export(&db, &[file.to_str().unwrap()]).run().await.status, 0);
    assert_eq!(text(&file).lines().count(), 2);
}
