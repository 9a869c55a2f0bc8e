//! Back-off between attempts: each wait is twice the previous one, up to a limit, and randomly shortened, so that clients that
//! failed together do not retry together.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, before chance.
    pub first: Duration,
    /// No wait is longer.
    pub most: Duration,
}

impl Backoff {
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// The waits of one row of failures.
    pub const fn delays(self) -> Delays {
        Delays { backoff: self, failures: 0 }
    }

    /// The wait after so many failures in a row, from 0, before chance.
    fn whole(self, failures: u32) -> Duration {
        self.first.saturating_mul(2u32.saturating_pow(failures)).min(self.most)
    }
}

/// Where somebody is in a row of failures.
#[derive(Clone, Debug)]
pub struct Delays {
    backoff: Backoff,
    failures: u32,
}

impl Delays {
    /// How long to wait after one more failure: between half and the whole of what its place in the row says.
    pub fn next_delay(&mut self) -> Duration {
        let whole = self.backoff.whole(self.failures);
        self.failures = self.failures.saturating_add(1);
        shortened(whole)
    }

    /// It went well: the next failure is a first one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits as [`Delays::next_delay`] says; `false`: told to stop.
    pub async fn pause(&mut self, stop: &CancellationToken) -> bool {
        let delay = self.next_delay();
        tokio::select! {
            () = tokio::time::sleep(delay) => true,
            () = stop.cancelled() => false,
        }
    }
}

/// A time between half of `whole` and all of it, by chance: what is begun together does not end together.
pub fn shortened(whole: Duration) -> Duration {
    whole.mul_f64(0.5 + 0.5 * chance())
}

/// From 0 up to 1, below it. Nobody gains by guessing it: the keys of a hash table are chance enough.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(()) >> 32;
    bits as f64 / f64::from(u32::MAX).next_up()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_up_to_their_bound_and_begin_anew_after_a_success() {
        let mut delays = Backoff::new(100 * MS, 1_000 * MS).delays();
        for whole in [100, 200, 400, 800, 1_000, 1_000] {
            let delay = delays.next_delay();
            assert!((whole * MS / 2..=whole * MS).contains(&delay), "{delay:?} for {whole}");
        }
        delays.reset();
        assert!(delays.next_delay() <= 100 * MS);
        let mut worn = Delays { failures: u32::MAX, ..delays };
        assert!(worn.next_delay() <= 1_000 * MS, "no number of failures is too large");
    }

    #[test]
    fn those_who_failed_together_do_not_come_back_together() {
        let waits: Vec<_> = (0..100).map(|_| Backoff::new(1_000 * MS, 1_000 * MS).delays().next_delay()).collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*most - *least > 200 * MS, "{least:?} to {most:?}");
    }

    #[tokio::test]
    async fn a_wait_ends_when_it_is_told_to() {
        let stop = CancellationToken::new();
        stop.cancel();
        let hour = Duration::from_secs(3_600);
        assert!(!Backoff::new(hour, hour).delays().pause(&stop).await);
        assert!(Backoff::new(MS, MS).delays().pause(&CancellationToken::new()).await);
    }
}
