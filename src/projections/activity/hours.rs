//! The hours of a day, stored in the row of the day.
//!
//! Most hours of most rooms have a few joins or messages. A row for each would make the table large and sparse, and a rebuild
//! would write a row for every event. So the row of the day keeps the steps of its hours until an hour has more than
//! [`MOST_STEPS`]. From then on the steps of that hour are in rows of minutes, and the day keeps their summary. The rows depend
//! only on the preceding events.

use crate::events::heap;
use crate::projections::concurrency::{CountSummary, Steps};
use crate::projections::rows::{BadField, Field, SqlType};

/// Steps of one hour in the row of its day. It bounds that row, which every event of the day rewrites, by some 3.5 KiB.
pub const MOST_STEPS: usize = 16;

/// The steps of the two counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepCounts {
    /// Of those present.
    pub people: Steps,
    pub screens: Steps,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HourSteps {
    Here(StepCounts),
    /// What the steps that lie apart come to.
    Apart {
        people: CountSummary,
        /// How many more screens are shared at the hour's end.
        screens_net: i32,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct HourCounts {
    /// Which hour of the day, from 0.
    pub number: u16,
    pub joins: u32,
    pub messages: u32,
    pub steppings: HourSteps,
}

impl HourCounts {
    /// The steps, where they lie here and are too many for that; what they come to takes their place.
    pub fn spill(&mut self) -> Option<StepCounts> {
        let HourSteps::Here(both) = &mut self.steppings else { return None };
        if both.people.instants() + both.screens.instants() <= MOST_STEPS {
            return None;
        }
        let both = std::mem::take(both);
        let screens_net = both.screens.outline().net;
        self.steppings = HourSteps::Apart { people: both.people.outline(), screens_net };
        Some(both)
    }
}

/// The hours of a day in which anything happened, by time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HoursOfDay(Vec<HourCounts>);

impl HoursOfDay {
    /// An hour, which begins with this where there is none.
    pub fn at(&mut self, number: u16) -> &mut HourCounts {
        let place = match self.0.binary_search_by_key(&number, |hour| hour.number) {
            Ok(found) => found,
            Err(place) => {
                let hour =
                    HourCounts { number, joins: 0, messages: 0, steppings: HourSteps::Here(StepCounts::default()) };
                self.0.insert(place, hour);
                place
            }
        };
        &mut self.0[place]
    }

    /// Whether the steps of an hour lie apart.
    pub fn apart(&self, number: u16) -> bool {
        self.iter().any(|hour| hour.number == number && matches!(hour.steppings, HourSteps::Apart { .. }))
    }

    fn iter(&self) -> impl Iterator<Item = &HourCounts> {
        self.0.iter()
    }
}

impl IntoIterator for HoursOfDay {
    type Item = HourCounts;
    type IntoIter = std::vec::IntoIter<HourCounts>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Where the number of steps would be, for an hour whose steps lie apart.
const APART: u8 = u8::MAX;

/// An hour is ten bytes (number, joins, messages, number of steps of people) and then either twelve, or one (number of steps
/// of screens) and eight for each step.
impl Field for HoursOfDay {
    const KIND: SqlType = SqlType::Bytea;

    fn heap_bytes(&self) -> usize {
        let steps = self.0.iter().filter_map(|hour| match &hour.steppings {
            HourSteps::Here(both) => Some(both.people.heap_bytes() + both.screens.heap_bytes()),
            HourSteps::Apart { .. } => None,
        });
        heap::list(self.0.capacity(), size_of::<HourCounts>()) + steps.sum::<usize>()
    }

    fn put(&self, out: &mut Vec<u8>) -> bool {
        let narrow = |steps: &Steps| u8::try_from(steps.instants()).unwrap_or(APART - 1);
        for hour in &self.0 {
            out.push(u8::try_from(hour.number).unwrap_or(u8::MAX));
            out.extend_from_slice(&hour.joins.to_be_bytes());
            out.extend_from_slice(&hour.messages.to_be_bytes());
            match &hour.steppings {
                HourSteps::Here(both) => {
                    out.extend_from_slice(&[narrow(&both.people), narrow(&both.screens)]);
                    both.people.put(out);
                    both.screens.put(out);
                }
                HourSteps::Apart { people, screens_net } => {
                    out.push(APART);
                    [people.net, people.peak, *screens_net]
                        .iter()
                        .for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
                }
            }
        }
        true
    }

    fn get(bytes: Option<&[u8]>) -> Result<Self, BadField> {
        let mut rest = bytes.ok_or(BadField("hours"))?;
        let mut hours = Vec::new();
        while !rest.is_empty() {
            hours.push(hour(&mut rest).ok_or(BadField("the hours of a day"))?);
        }
        Ok(Self(hours))
    }
}

/// Takes an hour off the bytes; `None`: they are not an hour's.
fn hour(bytes: &mut &[u8]) -> Option<HourCounts> {
    let [number] = take(bytes)?;
    let (joins, messages) = (u32::from_be_bytes(take(bytes)?), u32::from_be_bytes(take(bytes)?));
    let [people] = take(bytes)?;
    let steppings = if people == APART {
        let mut number = || Some(i32::from_be_bytes(take(bytes)?));
        HourSteps::Apart { people: CountSummary { net: number()?, peak: number()? }, screens_net: number()? }
    } else {
        let [screens] = take(bytes)?;
        let mut steps = |count: u8| {
            let (steps, rest) = bytes.split_at_checked(8 * usize::from(count))?;
            *bytes = rest;
            Steps::get(Some(steps)).ok()
        };
        HourSteps::Here(StepCounts { people: steps(people)?, screens: steps(screens)? })
    };
    Some(HourCounts { number: number.into(), joins, messages, steppings })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::time::Timestamp;

    fn reread(hours: &HoursOfDay) -> HoursOfDay {
        let mut bytes = Vec::new();
        hours.put(&mut bytes);
        HoursOfDay::get(Some(&bytes)).unwrap()
    }

    fn step(steps: &mut Steps, micros: i64, delta: i32) {
        let at = |micros| Timestamp::from_unix_micros(micros).unwrap();
        steps.add(at(0), at(micros), delta);
    }

    #[test]
    fn an_hour_keeps_its_steps_until_there_are_too_many() {
        let mut hours = HoursOfDay::default();
        hours.at(23).messages = 7;
        for number in 0..=MOST_STEPS {
            assert!(!hours.apart(4));
            assert_eq!(reread(&hours), hours);
            let hour = hours.at(4);
            hour.joins += 1;
            let HourSteps::Here(both) = &mut hour.steppings else { panic!("{hour:?}") };
            let micros = i64::try_from(number).unwrap();
            if number % 4 == 3 {
                step(&mut both.screens, micros, 1)
            } else {
                step(&mut both.people, micros, 1)
            }
            let both = hour.spill();
            assert_eq!(both.is_some(), number == MOST_STEPS);
        }
        assert!(hours.apart(4) && !hours.apart(23));
        let hour = hours.iter().next().unwrap();
        assert_eq!((hour.number, hour.joins), (4, 17));
        assert_eq!(hour.steppings, HourSteps::Apart { people: CountSummary { net: 13, peak: 13 }, screens_net: 4 });
        assert_eq!(reread(&hours), hours);
        assert!(hours.at(4).spill().is_none(), "once");
    }

    #[test]
    fn bytes_that_break_off_are_no_hours() {
        let mut hours = HoursOfDay::default();
        let HourSteps::Here(both) = &mut hours.at(1).steppings else { panic!("it begins here") };
        step(&mut both.people, 5, 1);
        hours.at(2).steppings = HourSteps::Apart { people: CountSummary { net: -1, peak: 3 }, screens_net: 1 };
        let mut bytes = Vec::new();
        hours.put(&mut bytes);
        let whole: Vec<usize> = (0..=bytes.len()).filter(|end| HoursOfDay::get(Some(&bytes[..*end])).is_ok()).collect();
        assert_eq!(whole, [0, 19, 41]);
    }
}
