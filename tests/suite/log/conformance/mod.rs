//! Conformance tests of a log, written against the trait [`Log`] alone. The last line runs them on PostgreSQL.

mod crash;
mod keys;
mod order;
pub mod port;
mod tail;

use convoke::database::pool;
use convoke::events::log::EventLog;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::keys::keyed;
use self::port::Log;
use crate::harness::{TestDb, database_config, follow_head};

/// An engine with an empty log of its own, which goes with it.
pub trait Engine: Sized + Send + Sync {
    type Log: Log;

    async fn start() -> Self;

    /// The log as a process of its own has it: shares no memory with the others.
    async fn process(&self) -> Self::Log;
}

struct Postgres {
    db: TestDb,
    listening: CancellationToken,
    _stopped_in_the_end: DropGuard,
}

impl Engine for Postgres {
    type Log = EventLog;

    async fn start() -> Self {
        let listening = CancellationToken::new();
        Self { db: TestDb::new().await, _stopped_in_the_end: listening.clone().drop_guard(), listening }
    }

    async fn process(&self) -> EventLog {
        let log = EventLog::new(pool::system(self.db.options.clone(), &database_config()));
        tokio::spawn(follow_head(log.clone(), self.listening.clone()));
        log
    }
}

/// A module of tests for an engine.
macro_rules! conforms {
    ($name:ident, $engine:ty: $($topic:ident::$promise:ident,)*) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $promise() {
                    super::$topic::$promise(<$engine as super::Engine>::start().await).await;
                }
            )*
        }
    };
}

macro_rules! conformance {
    ($name:ident, $engine:ty) => {
        conforms! { $name, $engine:
            order::positions_and_versions_begin_at_one_and_follow,
            order::a_stale_room_is_left_out_and_holds_up_no_other,
            order::rooms_of_one_unit_are_written_together_or_not_at_all,
            order::a_batch_of_more_events_than_a_page_is_one_batch,
            order::thirty_two_writers_leave_no_gap_and_lose_nothing,
            order::versions_of_rooms_are_compared_without_writing,
            keys::a_key_gives_its_outcome_again_and_writes_nothing,
            keys::an_outcome_of_nothing_written_is_kept_at_the_place_it_is_true_at,
            keys::one_key_used_by_many_at_once_gives_one_outcome,
            keys::a_name_wanted_by_many_at_once_is_one_rooms,
            keys::a_name_that_was_let_go_can_be_taken,
            tail::an_append_wakes_its_own_process_at_once_and_others_soon,
            tail::a_tail_sees_everything_once_and_in_order,
            tail::a_time_finds_its_position_and_its_version,
            tail::a_tenant_is_given_its_own_events_only,
            crash::a_writer_that_is_gone_before_its_answer_has_written_once_or_not_at_all,
            crash::a_group_of_rooms_survives_its_writer_whole_or_not_at_all,
        }
    };
}

conformance!(postgres, super::Postgres);
