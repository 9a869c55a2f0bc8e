//! How values are written: times with a unit, sizes with a unit, counts.

use std::time::Duration;

const TIME_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
const SIZE_UNITS: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// `1500ms`, `30s`, `5m`, `48h`, `60d`, `2w`: a whole number and a unit.
pub fn time(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let (_, millis) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*millis).map(Duration::from_millis)
}

/// `4096`, `4096B`, `64KiB`, `1MiB`: bytes.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*bytes)
}

pub fn count(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    unit.is_empty().then_some(number)
}

/// A time in the largest unit that writes it whole.
pub fn write_time(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (unit, factor) = TIME_UNITS
        .iter()
        .rev()
        .filter(|(name, _)| *name != "w")
        .find(|(_, factor)| millis.is_multiple_of(*factor))
        .unwrap_or(&("ms", 1));
    format!("{}{unit}", millis / factor)
}

pub fn write_size(bytes: u64) -> String {
    let (unit, factor) = SIZE_UNITS.iter().rev().find(|(_, factor)| bytes.is_multiple_of(*factor)).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let number = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_and_written_with_their_unit() {
        assert_eq!(time("48h"), Some(Duration::from_secs(48 * 3600)));
        assert_eq!(time("1500 ms"), Some(Duration::from_millis(1500)));
        assert_eq!(time("30"), None, "a time without its unit is a guess");
        assert_eq!(time("99999999999999999d"), None);
        assert_eq!(size("64KiB"), Some(65536));
        assert_eq!(size("64kib"), Some(65536));
        assert_eq!(size("10_000"), Some(10_000));
        assert_eq!(count("12s"), None);
        assert_eq!(write_time(Duration::from_secs(48 * 3600)), "2d");
        assert_eq!(write_time(Duration::from_millis(1500)), "1500ms");
        assert_eq!(write_size(256 << 10), "256KiB");
    }
}
