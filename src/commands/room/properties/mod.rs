//! Property tests of a room: random sequences of all commands, with bodies generated from their schemas ([`bodies`]). [`ledger`]
//! records every event independently, and [`invariants`] compares it with the state. New commands take part
//! automatically.

mod bodies;
mod dice;
mod invariants;
mod ledger;
mod random_walk;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::commands::room::RoomCommand;
use crate::events::room::{EventKind, RoomEvent};
use random_walk::{RandomWalk, WalkStep};

/// Commands in one sequence.
const STEPS: usize = 120;

fn steps() -> impl Strategy<Value = Vec<WalkStep>> {
    let step = (any::<u16>(), any::<u16>(), any::<u64>(), any::<u8>());
    let step = step.prop_map(|(command, caller, dice, wait)| WalkStep { command, caller, dice, wait });
    prop::collection::vec(step, 1..STEPS)
}

proptest! {
    #![proptest_config(Config { cases: 600, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_sequence_of_commands_breaks_a_promise(steps in steps()) {
        let mut walk = RandomWalk::new();
        steps.iter().for_each(|step| walk.take(step));
        walk.end();
    }
}

#[test]
fn the_walks_come_to_every_command_and_every_event() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut commands, mut events) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..500 {
        let mut walk = RandomWalk::new();
        let steps = steps().new_tree(&mut runner).unwrap().current();
        steps.iter().for_each(|step| walk.take(step));
        commands.extend(walk.done.iter().copied());
        events.extend(walk.events.iter().map(|event| event.event.name()));
    }
    let missed = |all: Vec<&'static str>, seen: &BTreeSet<&'static str>| -> Vec<_> {
        all.into_iter().filter(|name| !seen.contains(name)).collect()
    };
    let all_commands = RoomCommand::catalogue().iter().map(|kind| kind.name).collect();
    let of_rooms = RoomEvent::catalogue().into_iter().filter(EventKind::is_of_rooms);
    let all_events = of_rooms.map(|kind| kind.name).collect();
    assert_eq!(missed(all_commands, &commands), Vec::<&str>::new(), "commands that never led to a fact");
    assert_eq!(missed(all_events, &events), Vec::<&str>::new(), "events that never happened");
}
