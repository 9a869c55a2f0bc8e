//! Old partitions leave the database and read as before, whatever is killed, slow, missing or damaged.

mod damage;
mod groups;
mod killed;
mod other_tools;
mod runs;
mod seam;
mod searched;

use std::path::Path;
use std::time::Duration;

use convoke::config::{ArchiveConfig, ArchivePlace};
use convoke::events::archive::ArchiveReader;
use convoke::events::archive::store::ArchiveStore;
use convoke::events::log::EventLog;
use convoke::events::time::Timestamp;
use serde_json::Value;
use sqlx::Executor as _;

use crate::harness::{Folder, Run, TestDb, folder};
use crate::projections::live::Workers;
use crate::projections::story::Story;

const PATIENCE: Duration = Duration::from_secs(60);

/// All months of a [`Past`] are older.
const OLD: &str = "60d";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A log that has been written for months, and a folder for its archives.
struct Past {
    db: TestDb,
    story: Story,
    folder: Folder,
}

/// Rooms live on from month to month; the last partition is this month's.
async fn past(seed: u64, months: u32, commands: usize) -> Past {
    let mut past = early_past(seed, months, commands).await;
    let log = past.log();
    past.story.go_on(commands).write(&log).await;
    past
}

/// The same, to which nothing happened since.
async fn early_past(seed: u64, months: u32, commands: usize) -> Past {
    let db = TestDb::new().await;
    db.owner.execute("SELECT convoke.ensure_partitions('month', '2024-01-01Z', '2024-12-31Z')").await.unwrap();
    let (mut story, log) = (Story::new(seed), EventLog::new(db.system.clone()));
    for month in 1..=months {
        for day in [3, 17] {
            let at = at(&format!("2024-{month:02}-{day:02}T10:00:00Z"));
            story.go_on(commands / 2).write_at(&log, at).await;
        }
    }
    Past { db, story, folder: folder() }
}

impl Past {
    fn place(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// The log as a process has it that knows where archives are, and has read nothing yet.
    fn log(&self) -> EventLog {
        EventLog::new(self.db.system.clone()).with_archive(Some(archive(&self.folder)))
    }

    fn run(&self) -> Run {
        Run::on(&self.db).with("CONVOKE_ARCHIVE_URL", &self.place())
    }

    /// Read models come up to the end of the log.
    async fn fold(&self) {
        let workers = Workers::on(self.log());
        workers.reach(self.log().head().await.unwrap().position).await;
        workers.stop().await;
    }

    async fn archive(&self, older_than: &str) -> Value {
        self.run().args(["archive", "run", "--json", "--older-than", older_than]).json().await
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&*self.folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn archive(folder: &Path) -> ArchiveReader {
    let config = ArchiveConfig {
        place: Some(ArchivePlace::Folder(folder.into())),
        options: Default::default(),
        retention: Duration::ZERO,
    };
    ArchiveReader::new(ArchiveStore::configured(&config).unwrap().unwrap())
}

/// Partitions that are still tables.
async fn attached(db: &TestDb) -> Vec<String> {
    let statement = "SELECT relid::regclass::text FROM pg_partition_tree('convoke.log') WHERE isleaf ORDER BY 1";
    let names: Vec<String> = sqlx::query_scalar(statement).fetch_all(&db.owner).await.unwrap();
    names.into_iter().map(|name| name.replace("convoke.", "")).collect()
}
