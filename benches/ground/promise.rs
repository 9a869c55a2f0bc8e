//! What is promised, and whether it is kept.

use std::fmt::Write as _;

#[derive(Clone, Debug)]
pub struct Promise {
    what: String,
    measured: f64,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Promise {
    pub fn at_least(what: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self { what: what.into(), measured, bound: Bound::AtLeast(bound) }
    }

    pub fn at_most(what: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self { what: what.into(), measured, bound: Bound::AtMost(bound) }
    }

    pub fn kept(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.measured >= bound,
            Bound::AtMost(bound) => self.measured <= bound,
        }
    }
}

pub fn table(promises: &[Promise]) -> String {
    let mut text = String::from("| promise | measured | promised | kept |\n|---|---|---|---|\n");
    for promise in promises {
        let bound = match promise.bound {
            Bound::AtLeast(bound) => format!("at least {bound}"),
            Bound::AtMost(bound) => format!("at most {bound}"),
        };
        let kept = if promise.kept() { "yes" } else { "no" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {:.2} | {bound} | {kept} |", promise.what, promise.measured);
    }
    text
}
