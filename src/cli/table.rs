//! Tables and figures for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_their_largest_unit() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TiB");
    }
}
