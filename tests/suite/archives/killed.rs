//! A run that is killed anywhere is gone on with by the next one, and nobody who reads notices.

use convoke::config::FaultPoint;
use convoke::events::log::verify::VerifyResult;

use super::{OLD, past};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point_of_its_way_it_goes_on_where_it_was() {
    let past = past(51, 11, 60).await;
    past.fold().await;
    let log = past.log();
    let before = format!("{:?}", log.read(0, 100_000).await.unwrap());
    for (point, _) in FaultPoint::ARCHIVE {
        // On the first partition of this run, then on its second.
        for pass in [1, 2] {
            let fault = format!("{point}:{pass}:kill");
            let run = past.run().args(["archive", "run", "--older-than", OLD]).with("CONVOKE_FAULT", &fault);
            let ended = run.run().await;
            assert_eq!(ended.status, -1, "{fault}: {ended:?}");
            assert_eq!(format!("{:?}", log.read(0, 100_000).await.unwrap()), before, "after {fault}");
            assert_eq!(format!("{:?}", past.log().read(0, 100_000).await.unwrap()), before, "after {fault}");
        }
    }
    past.archive(OLD).await;
    assert_eq!(format!("{:?}", past.log().read(0, 100_000).await.unwrap()), before);
    assert!(matches!(past.log().verify(|_, _| true).await.unwrap(), VerifyResult::Whole { .. }));
    assert_eq!(past.files().len(), 22, "no file is left of what was cut off: {:?}", past.files());
    let apart = "SELECT count(*) FROM pg_tables WHERE schemaname = 'convoke' AND tablename LIKE 'log_2024%'";
    let left: i64 = sqlx::query_scalar(apart).fetch_one(&past.db.owner).await.unwrap();
    assert_eq!(left, 0, "no table is left of what was cut off");
}
