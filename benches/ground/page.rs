//! `docs/benchmarks.md`: each benchmark writes its own section, between two marks, and leaves the others alone.

use std::path::Path;

use super::Failure;
use super::promise::{self, Promise};

const OPENING: &str = "# Benchmarks\n\nWritten by `make bench`: each section by the benchmark named in it, on the machine \
                       named in it. A figure of ours stands beside that of a peer, or a limit, measured in the same run.\n";

/// Prints a section, which begins with its heading, with what was promised; and writes it to the page.
pub fn tell(name: &str, text: &str, promises: &[Promise]) -> Result<(), Failure> {
    let mut text = text.trim().to_owned();
    if !promises.is_empty() {
        text = format!("{text}\n\n{}", promise::table(promises).trim());
    }
    println!("{text}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|_| OPENING.to_owned());
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- end of {name} -->"));
    let section = format!("{begin}\n{text}\n{end}");
    let page = match (page.find(&begin), page.find(&end)) {
        (Some(from), Some(to)) if from < to => format!("{}{section}{}", &page[..from], &page[to + end.len()..]),
        _ => format!("{}\n\n{section}\n", page.trim_end()),
    };
    std::fs::write(path, page)?;
    Ok(())
}

/// One line on where this was measured.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(|kib| kib.split(' ').next()?.parse::<u64>().ok());
    let system = field(&read("/etc/os-release").replace('=', ":"), "PRETTY_NAME").unwrap_or_default();
    format!("{cores} cores of {model}, {} GiB, {}", memory.unwrap_or(0).div_ceil(1 << 20), system.trim_matches('"'))
}
