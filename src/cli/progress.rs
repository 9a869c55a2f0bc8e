//! Progress of long work: a bar on a terminal, a line every few seconds elsewhere. It goes to standard error, so that standard
//! output holds the result alone.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

use super::output::{self, note};
use super::table;

const BETWEEN_LINES: Duration = Duration::from_secs(5);
const REDRAW_HZ: u8 = 10;

/// Done, rate and time left of one piece of work.
pub struct WorkProgress {
    what: String,
    unit: &'static str,
    total: Option<u64>,
    done: u64,
    /// Where this run began, when it resumes an earlier one: the rate is of this run.
    from: u64,
    begun: Instant,
    shown: ProgressDisplay,
}

enum ProgressDisplay {
    Bar(ProgressBar),
    /// When the last line was written.
    Lines(Instant),
}

impl WorkProgress {
    /// `unit`: what is counted, in the plural ("events"). Without a total there is no time left.
    pub fn new(what: impl Into<String>, unit: &'static str, total: Option<u64>) -> Self {
        let (what, begun) = (what.into(), Instant::now());
        let shown = if output::notes_are_seen() {
            ProgressDisplay::Bar(bar(&what, unit, total))
        } else {
            ProgressDisplay::Lines(begun)
        };
        Self { what, unit, total, done: 0, from: 0, begun, shown }
    }

    /// Starts at `done` instead of 0, where an earlier run stopped.
    pub fn resuming_at(mut self, done: u64) -> Self {
        self.from = done;
        self.done = done;
        if let ProgressDisplay::Bar(bar) = &self.shown {
            bar.set_position(done);
            bar.reset_eta();
        }
        self
    }

    pub fn advance(&mut self, by: u64) {
        self.set(self.done + by);
    }

    pub fn set(&mut self, done: u64) {
        self.done = done;
        match &mut self.shown {
            ProgressDisplay::Bar(bar) => bar.set_position(done),
            ProgressDisplay::Lines(last) if last.elapsed() >= BETWEEN_LINES => {
                *last = Instant::now();
                note(self.line());
            }
            ProgressDisplay::Lines(_) => {}
        }
    }

    /// Sets the total, which may become known or grow during the work.
    pub fn set_total(&mut self, total: u64) {
        self.total = Some(total);
        if let ProgressDisplay::Bar(bar) = &self.shown {
            bar.set_length(total);
        }
    }

    /// Takes the bar away and leaves a last line: what was done, in which time, at what rate.
    pub fn finish(self) {
        if let ProgressDisplay::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        let result = table::result(self.done - self.from, self.unit, self.begun.elapsed());
        note(format_args!("{}: {result}", self.what));
    }

    fn rate(&self) -> u64 {
        table::rate(self.done - self.from, self.begun.elapsed())
    }

    fn line(&self) -> String {
        let (done, rate) = (HumanCount(self.done), self.rate());
        let Some(total) = self.total.filter(|total| *total > 0) else {
            return format!("{}: {done} {unit}, {} {unit}/s", self.what, HumanCount(rate), unit = self.unit);
        };
        let percent = self.done.saturating_mul(100) / total;
        let left = Duration::from_secs(total.saturating_sub(self.done) / rate.max(1));
        format!(
            "{}: {done} of {} {unit} ({percent} %), {} {unit}/s, {} left",
            self.what,
            HumanCount(total),
            HumanCount(rate),
            table::duration(left),
            unit = self.unit,
        )
    }
}

fn bar(what: &str, unit: &str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => {
            format!("{what} [{{bar:30}}] {{human_pos}}/{{human_len}} {unit}  {{whole_per_sec}}  {{time_left}} left")
        }
        None => format!("{what} {{spinner}} {{human_pos}} {unit}  {{whole_per_sec}}  {{time}}"),
    };
    let whole_per_sec = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A rate is far below the end of u64, and parts of an event are no news.
        let _ = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
    };
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let time = |state: &ProgressState, out: &mut dyn fmt::Write| _ = out.write_str(&table::duration(state.elapsed()));
    let time_left = |state: &ProgressState, out: &mut dyn fmt::Write| _ = out.write_str(&table::duration(state.eta()));
    let style = style.with_key("whole_per_sec", whole_per_sec).with_key("time", time).with_key("time_left", time_left);
    let target = indicatif::ProgressDrawTarget::stderr_with_hz(REDRAW_HZ);
    ProgressBar::with_draw_target(total, target).with_style(style.progress_chars("=> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_much_is_done_how_fast_and_how_long_it_will_take() {
        let mut progress = WorkProgress::new("import", "lines", Some(4_000_000));
        progress.shown = ProgressDisplay::Lines(Instant::now());
        progress.begun -= Duration::from_secs(10);
        progress.set(1_000_000);
        let line = progress.line();
        assert!(line.starts_with("import: 1,000,000 of 4,000,000 lines (25 %), "), "{line}");
        assert!(line.ends_with("30 s left"), "{line}");
        let resumed = WorkProgress::new("import", "lines", Some(10)).resuming_at(9);
        assert_eq!(resumed.rate(), 0, "what an earlier run did is not this run's rate");
    }
}
