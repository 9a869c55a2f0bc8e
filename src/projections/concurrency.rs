//! Counts concurrent sessions or shares exactly, by occurred time, for events in any order.
//!
//! Intervals are half open: somebody who leaves at the instant of another's join is not counted together with them. An interval
//! is two steps of a count, +1 at its beginning and -1 at its end, so each end can be applied without the other. A slice of time
//! keeps its steps by instant ([`Steps`]). A span of many slices (an hour, a day) keeps only the sum and the peak of each slice,
//! relative to its beginning ([`Slices`]). A late step changes one slice and its span. The number present before a span is the
//! sum of the preceding spans, which readers add.
//!
//! With `carry` present at the beginning of a slice or span, its peak is `carry + peak` and its end has `carry + net`.

use super::rows::{BadField, Field, SqlType};
use crate::events::heap;
use crate::events::time::Timestamp;

pub const MINUTE_US: i64 = 60_000_000;
pub const HOUR_US: i64 = 60 * MINUTE_US;
pub const DAY_US: i64 = 24 * HOUR_US;

/// The beginning of the period of this length that a time lies in: a part of a day of UTC, or the day.
pub fn floor(at: Timestamp, length_us: i64) -> Timestamp {
    at.floor(seconds(length_us))
}

/// Which slice of its span a time lies in, from 0.
pub fn number_in(at: Timestamp, span_us: i64, slice_us: i64) -> u16 {
    let number = at.second_of_day() % seconds(span_us) / seconds(slice_us);
    // A day has 86,400 seconds, and no slice is that short.
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn seconds(length_us: i64) -> u32 {
    u32::try_from(length_us / 1_000_000).unwrap_or(u32::MAX)
}

/// What happens to a count in a slice of time, at most 71 minutes long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Microseconds from the beginning of the slice, and by how much the count changes there (never 0); by time.
    steps: Vec<(u32, i32)>,
    net: i64,
    peak: i64,
}

impl Steps {
    /// A step at an instant of the slice that begins at `start`. What the slice comes to by that.
    pub fn add(&mut self, start: Timestamp, at: Timestamp, delta: i32) -> CountSummary {
        let offset = u32::try_from(at.unix_micros() - start.unix_micros()).unwrap_or(u32::MAX);
        let last = self.steps.last().map(|(last, _)| *last);
        let after = last.is_none_or(|last| offset > last) && offset > 0;
        // At the last instant only a fall from the very top could lower the peak.
        let rises = last == Some(offset) && (delta > 0 || self.net < self.peak);
        match self.steps.binary_search_by_key(&offset, |(offset, _)| *offset) {
            Ok(found) => {
                self.steps[found].1 += delta;
                if self.steps[found].1 == 0 {
                    self.steps.remove(found);
                }
            }
            Err(place) => self.steps.insert(place, (offset, delta)),
        }
        self.net += i64::from(delta);
        self.peak = if after || rises { self.peak.max(self.net) } else { self.highest() };
        self.outline()
    }

    /// At how many instants the count changes.
    pub fn instants(&self) -> usize {
        self.steps.len()
    }

    /// The steps of the slice that begins at `start`, by time.
    pub fn iter(&self, start: Timestamp) -> impl Iterator<Item = (Timestamp, i32)> {
        let at =
            move |offset: u32| Timestamp::from_unix_micros(start.unix_micros() + i64::from(offset)).unwrap_or(start);
        self.steps.iter().map(move |(offset, delta)| (at(*offset), *delta))
    }

    pub fn outline(&self) -> CountSummary {
        CountSummary::of(self.net, self.peak)
    }

    fn highest(&self) -> i64 {
        let mut count = 0;
        let mut highest = if self.steps.first().is_some_and(|(offset, _)| *offset == 0) { i64::MIN } else { 0 };
        for (_, delta) in &self.steps {
            count += i64::from(*delta);
            highest = highest.max(count);
        }
        highest
    }

    /// How many more there are at its end than at its beginning.
    pub fn net(&self) -> i64 {
        self.net
    }

    /// How many more there were at most than before its beginning; negative where some were gone from its first instant on.
    pub fn peak(&self) -> i64 {
        self.peak
    }

    /// For how many of the first `length_us` microseconds the count was above 0, with `carry` at the beginning.
    pub fn busy_us(&self, carry: i64, length_us: i64) -> i64 {
        let (mut count, mut since, mut busy) = (carry, 0, 0);
        for (offset, delta) in &self.steps {
            let at = i64::from(*offset).min(length_us);
            if count > 0 {
                busy += at - since;
            }
            since = at;
            count += i64::from(*delta);
        }
        if count > 0 { busy + length_us - since } else { busy }
    }
}

/// Eight bytes a step.
impl Field for Steps {
    const KIND: SqlType = SqlType::Bytea;

    fn heap_bytes(&self) -> usize {
        heap::list(self.steps.capacity(), size_of::<(u32, i32)>())
    }

    fn put(&self, out: &mut Vec<u8>) -> bool {
        for (offset, delta) in &self.steps {
            out.extend_from_slice(&offset.to_be_bytes());
            out.extend_from_slice(&delta.to_be_bytes());
        }
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let bytes = bytes.ok_or(BadField("steps"))?;
        let (whole, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(BadField("steps of eight bytes each"));
        }
        let step = |[a, b, c, d, e, f, g, h]: &[u8; 8]| {
            (u32::from_be_bytes([*a, *b, *c, *d]), i32::from_be_bytes([*e, *f, *g, *h]))
        };
        let mut steps = Self { steps: whole.iter().map(step).collect(), net: 0, peak: 0 };
        steps.net = steps.steps.iter().map(|(_, delta)| i64::from(*delta)).sum();
        steps.peak = steps.highest();
        Ok(steps)
    }
}

/// What a slice comes to: see [`Steps::net`] and [`Steps::peak`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountSummary {
    pub net: i32,
    pub peak: i32,
}

impl CountSummary {
    fn of(net: i64, peak: i64) -> Self {
        let narrow = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
        Self { net: narrow(net), peak: narrow(peak) }
    }
}

/// A slice as the span that it lies in knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slice {
    /// Which slice of the span, from 0.
    number: u16,
    outline: CountSummary,
}

/// A span of time, by its slices; those in which nothing happened are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slices {
    slices: Vec<Slice>,
    net: i64,
    peak: i64,
}

impl Slices {
    /// Tells what a slice has come to.
    pub fn set(&mut self, number: u16, outline: CountSummary) {
        let slice = Slice { number, outline };
        let before = match self.slices.binary_search_by_key(&number, |slice| slice.number) {
            Ok(found) => std::mem::replace(&mut self.slices[found], slice).outline,
            Err(place) => {
                self.slices.insert(place, slice);
                CountSummary { net: 0, peak: i32::MIN }
            }
        };
        self.net += i64::from(outline.net) - i64::from(before.net);
        // What was highest before the last slice is highest still.
        let is_last = self.slices.len() > 1 && self.slices.last() == Some(&slice);
        self.peak = if is_last && outline.peak >= before.peak {
            self.peak.max(self.net - i64::from(outline.net) + i64::from(outline.peak))
        } else {
            self.highest()
        };
    }

    pub fn outline(&self) -> CountSummary {
        CountSummary::of(self.net, self.peak)
    }

    /// As [`Steps::net`].
    pub fn net(&self) -> i64 {
        self.net
    }

    /// As [`Steps::peak`]. Between two slices the count is what it was at the end of the first, which is in that one's peak.
    pub fn peak(&self) -> i64 {
        self.peak
    }

    fn highest(&self) -> i64 {
        let mut count = 0;
        let mut highest = if self.slices.first().is_some_and(|slice| slice.number == 0) { i64::MIN } else { 0 };
        for slice in &self.slices {
            highest = highest.max(count + i64::from(slice.outline.peak));
            count += i64::from(slice.outline.net);
        }
        highest
    }
}

/// Ten bytes a slice.
impl Field for Slices {
    const KIND: SqlType = SqlType::Bytea;

    fn heap_bytes(&self) -> usize {
        heap::list(self.slices.capacity(), size_of::<Slice>())
    }

    fn put(&self, out: &mut Vec<u8>) -> bool {
        for slice in &self.slices {
            out.extend_from_slice(&slice.number.to_be_bytes());
            out.extend_from_slice(&slice.outline.net.to_be_bytes());
            out.extend_from_slice(&slice.outline.peak.to_be_bytes());
        }
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let (whole, rest) = bytes.ok_or(BadField("slices"))?.as_chunks::<10>();
        if !rest.is_empty() {
            return Err(BadField("slices of ten bytes each"));
        }
        let slice = |[a, b, c, d, e, f, g, h, i, j]: &[u8; 10]| {
            let (net, peak) = (i32::from_be_bytes([*c, *d, *e, *f]), i32::from_be_bytes([*g, *h, *i, *j]));
            Slice { number: u16::from_be_bytes([*a, *b]), outline: CountSummary { net, peak } }
        };
        let mut slices = Self { slices: whole.iter().map(slice).collect(), net: 0, peak: 0 };
        slices.net = slices.slices.iter().map(|slice| i64::from(slice.outline.net)).sum();
        slices.peak = slices.highest();
        Ok(slices)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_unix_micros(micros).unwrap()
    }

    /// The most at any instant from 0 up to `length`.
    fn most(steps: &[(i64, i32)], length: i64) -> i64 {
        let at = |instant| steps.iter().filter(|(at, _)| *at <= instant).map(|(_, delta)| i64::from(*delta)).sum();
        (0..length).map(at).max().unwrap()
    }

    fn reread<F: Field>(field: &F) -> F {
        let mut bytes = Vec::new();
        field.put(&mut bytes);
        F::get(Some(&bytes)).unwrap()
    }

    proptest! {
        #[test]
        fn steps_in_any_order_add_up_to_what_a_count_by_hand_gives(
            steps in prop::collection::vec((0..20i64, prop::sample::select(vec![-1, 1])), 0..30),
            carry in -2..5i64,
            until in 0..=20i64,
        ) {
            let mut slice = Steps::default();
            for (offset, delta) in &steps {
                slice.add(at(1_000), at(1_000 + offset), *delta);
                prop_assert_eq!(&reread(&slice), &slice, "what is kept up is what reading gives");
            }
            prop_assert_eq!(slice.net(), steps.iter().map(|(_, delta)| i64::from(*delta)).sum::<i64>());
            prop_assert_eq!(slice.peak(), most(&steps, 20));
            let busy = (0..until).filter(|instant| {
                carry + steps.iter().filter(|(at, _)| at <= instant).map(|(_, delta)| i64::from(*delta)).sum::<i64>() > 0
            });
            prop_assert_eq!(slice.busy_us(carry, until), i64::try_from(busy.count()).unwrap());
        }

        #[test]
        fn a_span_says_of_its_slices_what_all_their_steps_together_say(
            steps in prop::collection::vec((0..40i64, prop::sample::select(vec![-1, 1])), 0..40),
        ) {
            let mut parts = vec![Steps::default(); 8];
            let mut span = Slices::default();
            for (offset, delta) in &steps {
                let number = usize::try_from(offset / 5).unwrap();
                let outline = parts[number].add(at(offset / 5 * 5), at(*offset), *delta);
                span.set(u16::try_from(number).unwrap(), outline);
                prop_assert_eq!(&reread(&span), &span, "what is kept up is what reading gives");
            }
            prop_assert_eq!(span.net(), steps.iter().map(|(_, delta)| i64::from(*delta)).sum::<i64>());
            prop_assert_eq!(span.peak(), most(&steps, 40));
        }
    }

    #[test]
    fn bytes_of_another_length_are_no_steps() {
        assert!(Steps::get(Some(&[0; 9])).is_err());
        assert!(Slices::get(Some(&[0; 9])).is_err());
    }

    #[test]
    fn days_and_hours_begin_where_utc_has_them() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(floor(time("2026-01-31T09:30:00.5Z"), DAY_US), time("2026-01-31T00:00:00Z"));
        assert_eq!(floor(time("1969-12-31T23:59:59Z"), HOUR_US), time("1969-12-31T23:00:00Z"));
        assert_eq!(floor(time("0000-01-01T00:00:01Z"), DAY_US), time("0000-01-01T00:00:00Z"));
        assert_eq!(floor(time("1969-12-31T23:59:59.999999Z"), 5 * MINUTE_US), time("1969-12-31T23:55:00Z"));
        assert_eq!(number_in(time("2026-01-31T09:30:59.9Z"), HOUR_US, MINUTE_US), 30);
        assert_eq!(number_in(time("1969-12-31T23:59:59Z"), DAY_US, 5 * MINUTE_US), 287);
    }
}
