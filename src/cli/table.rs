//! Tables, sizes and durations as commands print them.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use indicatif::HumanCount;

const BINARY_UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// A table without lines, its columns `numbers` (from 0) aligned to the right.
pub fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.iter().copied());
    for number in numbers {
        if let Some(column) = table.column_mut(*number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// `3.2 GiB`
pub fn bytes(bytes: u64) -> String {
    let mut unit = 0;
    let mut whole = bytes;
    while whole >= 1024 && unit + 1 < BINARY_UNITS.len() {
        whole /= 1024;
        unit += 1;
    }
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    match (unit, BINARY_UNITS[unit]) {
        (0, name) => format!("{bytes} {name}"),
        (_, name) => format!("{}.{} {name}", tenths / 10, tenths % 10),
    }
}

/// `412 ms`, `3.2 s`, `58 s`, `4 min 12 s`, `2 h 5 min`, `3 d 4 h`
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.subsec_millis()),
        1..10 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The last line of long work: `29,707 events in 412 ms, 72,104 events/s`. `unit`: what was counted, in the plural.
pub fn result(count: u64, unit: &str, took: Duration) -> String {
    let rate = HumanCount(rate(count, took));
    format!("{} {unit} in {}, {rate} {unit}/s", HumanCount(count), duration(took))
}

/// How many per second.
pub fn rate(count: u64, took: Duration) -> u64 {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_figures_at_most() {
        let shown = |millis| duration(Duration::from_millis(millis));
        assert_eq!([shown(0), shown(999), shown(1_000), shown(9_999)], ["0 ms", "999 ms", "1.0 s", "9.9 s"]);
        assert_eq!([shown(59_999), shown(252_000)], ["59 s", "4 min 12 s"]);
        assert_eq!([shown(7_500_000), shown(273_600_000)], ["2 h 5 min", "3 d 4 h"]);
    }

    #[test]
    fn a_result_tells_the_count_the_time_and_the_rate() {
        assert_eq!(result(29_707, "events", Duration::from_millis(412)), "29,707 events in 412 ms, 72,104 events/s");
        assert_eq!(result(0, "keys", Duration::ZERO), "0 keys in 0 ms, 0 keys/s");
    }

    #[test]
    fn sizes_are_written_in_their_largest_unit() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TiB");
    }
}
