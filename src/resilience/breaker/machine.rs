//! How a breaker moves from state to state; pure, the time comes in.

use std::time::{Duration, Instant};

use super::{BreakerPolicy, BreakerState};
use crate::resilience::backoff::Delays;

#[derive(Debug)]
enum BreakerPhase {
    /// What was seen since `begun`, and how many failed in a row.
    Closed {
        begun: Instant,
        calls: u32,
        failed: u32,
        in_a_row: u32,
    },
    Open {
        until: Instant,
    },
    /// One call at a time is let through.
    HalfOpen {
        trying: bool,
        went_well: u32,
    },
}

#[derive(Debug)]
pub struct BreakerMachine {
    policy: BreakerPolicy,
    phase: BreakerPhase,
    /// Counts the phases: what was begun in one says nothing about another.
    number: u64,
    waits: Delays,
}

/// A call that was let through: in which phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    Succeeded,
    Failed,
    /// It was given up by who asked: says nothing.
    Abandoned,
}

impl BreakerMachine {
    pub fn new(policy: BreakerPolicy, now: Instant) -> Self {
        let phase = BreakerPhase::Closed { begun: now, calls: 0, failed: 0, in_a_row: 0 };
        Self { policy, phase, number: 0, waits: policy.open.delays() }
    }

    pub fn state(&self) -> BreakerState {
        match self.phase {
            BreakerPhase::Closed { .. } => BreakerState::Closed,
            BreakerPhase::Open { .. } => BreakerState::Open,
            BreakerPhase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Lets a call through, or says for how long none is.
    pub fn admit(&mut self, now: Instant) -> Result<Admission, Duration> {
        if let BreakerPhase::Open { until } = self.phase {
            if now < until {
                return Err(until - now);
            }
            self.enter(BreakerPhase::HalfOpen { trying: false, went_well: 0 });
        }
        match &mut self.phase {
            BreakerPhase::HalfOpen { trying: true, .. } => Err(Duration::ZERO),
            BreakerPhase::HalfOpen { trying, .. } => {
                *trying = true;
                Ok(Admission(self.number))
            }
            BreakerPhase::Closed { .. } | BreakerPhase::Open { .. } => Ok(Admission(self.number)),
        }
    }

    /// What became of a call.
    pub fn settle(&mut self, admission: Admission, verdict: CallResult, now: Instant) {
        if admission.0 != self.number {
            return;
        }
        let policy = self.policy;
        match &mut self.phase {
            BreakerPhase::Closed { begun, calls, failed, in_a_row } => {
                if now.saturating_duration_since(*begun) >= policy.window {
                    (*begun, *calls, *failed) = (now, 0, 0);
                }
                match verdict {
                    CallResult::Abandoned => return,
                    CallResult::Succeeded => *in_a_row = 0,
                    CallResult::Failed => {
                        *failed = failed.saturating_add(1);
                        *in_a_row = in_a_row.saturating_add(1);
                    }
                }
                *calls = calls.saturating_add(1);
                let many = *failed >= policy.failures && u64::from(*failed) * 2 >= u64::from(*calls);
                if *in_a_row >= policy.failures || many {
                    self.open(now);
                }
            }
            BreakerPhase::HalfOpen { trying, went_well } => match verdict {
                CallResult::Abandoned => *trying = false,
                CallResult::Failed => self.open(now),
                CallResult::Succeeded => {
                    *trying = false;
                    *went_well += 1;
                    if *went_well >= policy.trials {
                        self.waits.reset();
                        self.enter(BreakerPhase::Closed { begun: now, calls: 0, failed: 0, in_a_row: 0 });
                    }
                }
            },
            BreakerPhase::Open { .. } => {}
        }
    }

    fn open(&mut self, now: Instant) {
        let until = now + self.waits.next_delay();
        self.enter(BreakerPhase::Open { until });
    }

    fn enter(&mut self, phase: BreakerPhase) {
        self.phase = phase;
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Backoff;

    const SECOND: Duration = Duration::from_secs(1);

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 3,
        window: Duration::from_secs(10),
        open: Backoff::new(SECOND, Duration::from_secs(30)),
        trials: 2,
    };

    fn call(machine: &mut BreakerMachine, verdict: CallResult, now: Instant) {
        let admission = machine.admit(now).unwrap();
        machine.settle(admission, verdict, now);
    }

    fn opened(now: Instant) -> BreakerMachine {
        let mut machine = BreakerMachine::new(POLICY, now);
        (0..3).for_each(|_| call(&mut machine, CallResult::Failed, now));
        assert_eq!(machine.state(), BreakerState::Open);
        machine
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not_let_them_add_up() {
        let now = Instant::now();
        let mut machine = BreakerMachine::new(POLICY, now);
        (0..20).for_each(|_| call(&mut machine, CallResult::Succeeded, now));
        for _ in 0..5 {
            call(&mut machine, CallResult::Failed, now);
            call(&mut machine, CallResult::Failed, now);
            call(&mut machine, CallResult::Succeeded, now);
        }
        assert_eq!(machine.state(), BreakerState::Closed, "ten of thirty-five, never three in a row");
        (0..3).for_each(|_| call(&mut machine, CallResult::Failed, now));
        assert_eq!(machine.state(), BreakerState::Open);
    }

    #[test]
    fn half_of_the_calls_failing_opens_it_but_not_over_more_than_its_window() {
        let mut now = Instant::now();
        let mut machine = BreakerMachine::new(POLICY, now);
        for _ in 0..10 {
            call(&mut machine, CallResult::Succeeded, now);
            call(&mut machine, CallResult::Failed, now);
            now += 11 * SECOND;
        }
        assert_eq!(machine.state(), BreakerState::Closed);
        for _ in 0..3 {
            call(&mut machine, CallResult::Succeeded, now);
            call(&mut machine, CallResult::Failed, now);
        }
        assert_eq!(machine.state(), BreakerState::Open);
    }

    #[test]
    fn while_it_is_open_nothing_passes_and_then_one_call_at_a_time() {
        let now = Instant::now();
        let mut machine = opened(now);
        let left = machine.admit(now).unwrap_err();
        assert!(left <= SECOND && left >= SECOND / 2, "{left:?}");
        let later = now + SECOND;
        let trial = machine.admit(later).unwrap();
        assert_eq!(machine.state(), BreakerState::HalfOpen);
        assert_eq!(machine.admit(later), Err(Duration::ZERO), "one at a time");
        machine.settle(trial, CallResult::Succeeded, later);
        call(&mut machine, CallResult::Succeeded, later);
        assert_eq!(machine.state(), BreakerState::Closed);
    }

    #[test]
    fn a_failed_trial_opens_it_for_longer() {
        let mut now = Instant::now();
        let mut machine = opened(now);
        for round in 1..4u32 {
            now += machine.admit(now).unwrap_err();
            call(&mut machine, CallResult::Failed, now);
            let left = machine.admit(now).unwrap_err();
            assert!(left >= SECOND * 2u32.pow(round) / 2, "round {round}: {left:?}");
        }
    }

    #[test]
    fn a_trial_that_was_given_up_makes_room_for_the_next() {
        let now = Instant::now();
        let mut machine = opened(now);
        let later = now + SECOND;
        let trial = machine.admit(later).unwrap();
        machine.settle(trial, CallResult::Abandoned, later);
        assert!(machine.admit(later).is_ok());
        assert_eq!(machine.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn what_was_begun_before_says_nothing_about_now() {
        let now = Instant::now();
        let mut machine = BreakerMachine::new(POLICY, now);
        let early = machine.admit(now).unwrap();
        (0..3).for_each(|_| call(&mut machine, CallResult::Failed, now));
        let later = now + SECOND;
        let trial = machine.admit(later).unwrap();
        machine.settle(early, CallResult::Failed, later);
        assert_eq!(machine.state(), BreakerState::HalfOpen);
        machine.settle(trial, CallResult::Succeeded, later);
        call(&mut machine, CallResult::Succeeded, later);
        assert_eq!(machine.state(), BreakerState::Closed);
    }
}
