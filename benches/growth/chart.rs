//! `docs/growth.svg`: the figures over the size of the log. A few lines and words: no library is needed for that.

use std::fmt::Write as _;
use std::path::Path;

use super::report::{Size, grouped};
use crate::fixture::Failure;

const PANEL: (f64, f64) = (430.0, 250.0);
/// Around the drawing of a panel: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (66.0, 40.0, 30.0, 36.0);
const COLOURS: [&str; 2] = ["#1f6f8b", "#d1722d"];

struct Line<'a> {
    name: &'a str,
    values: Vec<f64>,
}

struct Panel<'a> {
    title: &'a str,
    digits: usize,
    lines: Vec<Line<'a>>,
}

pub fn draw(sizes: &[Size]) -> Result<(), Failure> {
    let line = |name, value: &dyn Fn(&Size) -> f64| Line { name, values: sizes.iter().map(value).collect() };
    let panels = [
        Panel { title: "append in batches, events/s", digits: 0, lines: vec![line("", &Size::append)] },
        Panel {
            title: "a room at a version, ms",
            digits: 2,
            lines: vec![line("p99", &|size| size.view_ms(0.99)), line("p50", &|size| size.view_ms(0.5))],
        },
        Panel {
            title: "rebuild and archiving, events/s",
            digits: 0,
            lines: vec![line("rebuild", &Size::rebuild), line("archive", &|size| size.archive.rate)],
        },
        Panel {
            title: "bytes an event in PostgreSQL",
            digits: 0,
            lines: vec![line("table", &Size::table_bytes), line("indexes", &Size::index_bytes)],
        },
    ];
    let (width, height) = (PANEL.0 * 2.0, PANEL.1 * 2.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>How costs grow with the log</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let events: Vec<u64> = sizes.iter().map(|size| size.events).collect();
    for (number, panel) in panels.iter().enumerate() {
        let (column, row) = ((number % 2) as f64, (number / 2) as f64);
        let _ = writeln!(svg, "<g transform=\"translate({} {})\">", column * PANEL.0, row * PANEL.1);
        panel.draw(&mut svg, &events);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/growth.svg"), svg)?;
    Ok(())
}

impl Panel<'_> {
    // Writing to a string cannot fail.
    fn draw(&self, svg: &mut String, events: &[u64]) {
        let (left, top) = (MARGIN.0, MARGIN.1);
        let (right, bottom) = (PANEL.0 - MARGIN.2, PANEL.1 - MARGIN.3);
        let most = self.lines.iter().flat_map(|line| &line.values).copied().fold(0.0, f64::max);
        let most = round_up(most * 1.1);
        let y = |value: f64| bottom - (bottom - top) * value / most;
        let x = |number: usize| left + 64.0 + (right - left - 128.0) * place(events, number);
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"20\" font-weight=\"bold\" fill=\"#222\">{}</text>", self.title);
        for quarter in 0..=4 {
            let value = most * f64::from(quarter) / 4.0;
            let at = y(value);
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\">{}</text>",
                left - 6.0,
                at + 4.0,
                shown(value, self.digits),
            );
        }
        for (number, events) in events.iter().enumerate() {
            let (at, below) = (x(number), bottom + 18.0);
            let events = grouped(*events);
            let _ =
                writeln!(svg, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\" fill=\"#666\">{events}</text>");
        }
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let points: Vec<(f64, f64)> =
                line.values.iter().enumerate().map(|(at, value)| (x(at), y(*value))).collect();
            let path: String = points.iter().map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.trim()
            );
            for ((x, y), value) in points.iter().zip(&line.values) {
                let value = shown(*value, self.digits);
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>\
                     <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{colour}\">{value} {}</text>",
                    y - 8.0,
                    line.name,
                );
            }
        }
    }
}

/// Where a size lies between the smallest (0) and the largest (1): ten times more is always as far.
fn place(events: &[u64], number: usize) -> f64 {
    let far = |number: usize| (events[number] as f64).ln();
    let last = events.len() - 1;
    if last == 0 { 0.5 } else { (far(number) - far(0)) / (far(last) - far(0)) }
}

/// To a number of one digit or two.
fn round_up(value: f64) -> f64 {
    let step = 10f64.powf(value.max(1e-9).log10().floor()) / 2.0;
    (value / step).ceil() * step
}

fn shown(value: f64, digits: usize) -> String {
    if digits == 0 { grouped(value.max(0.0) as u64) } else { format!("{value:.digits$}") }
}
