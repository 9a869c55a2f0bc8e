//! `convoke erase verify`

mod archives;
mod known;
mod needles;
mod records;
mod redis_keys;
mod search;
mod tables;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use self::known::{KnownTexts, MOST};
use self::needles::TextNeedles;
use self::search::{SearchedPlace, TextSearch};
use crate::cli::context::CliContext;
use crate::cli::output::{self, note};
use crate::cli::table;
use crate::config::settings;
use crate::events::topic::{client, shape};
use crate::ids::{Identity, TenantId};

/// Search all stored data for texts of an erased person.
///
/// Searches every table of the database, the archives, Redis (if REDIS_URL is set) and the topic (if KAFKA_BROKERS is set) for
/// the texts in plain form, as JSON, in base64 and in hexadecimal. Prints the places, never the texts. Does not search backups,
/// PostgreSQL's write-ahead log and exported files: see docs/security.md. Exit code 1 if a text was found.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke erase texts --tenant acme --identity alice > alice.txt    # before\n  convoke erase --tenant acme --identity alice --yes\n  convoke erase verify --tenant acme --identity alice --texts alice.txt\n  convoke erase verify --tenant acme --identity alice 'Alice Miller' alice@example.com"
)]
pub struct EraseVerifyArgs {
    /// The tenant of the person
    #[arg(long)]
    tenant: TenantId,
    /// The identity of the person, as in tokens (`sub`)
    #[arg(long)]
    identity: Identity,
    /// The texts: one a line, plain or as a JSON string, or an open export; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// Further texts
    #[arg(value_name = "TEXT")]
    given: Vec<String>,
    /// For a program: one JSON object
    #[arg(long)]
    json: bool,
}

/// What was searched, and found.
#[derive(Serialize)]
struct EraseReport<'s> {
    /// The person has a key: was not erased, or was seen again since.
    has_key: bool,
    /// Texts that were searched for.
    texts: usize,
    /// Texts that were not, being too short or part of the identity.
    left_out: usize,
    found: u64,
    places: &'s [SearchedPlace],
}

impl EraseVerifyArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let known = self.known()?;
        let needles = TextNeedles::new(known.wanted()).context("these texts cannot be searched for in one run")?;
        let texts = needles.texts;
        let Some((search, has_key)) = self.search(TextSearch::new(needles), &context).await? else {
            note("interrupted");
            return Ok(ExitCode::FAILURE);
        };
        let (found, places) = (search.found(), &search.places[..]);
        let report = EraseReport { has_key, texts, left_out: known.short + known.in_identity, found, places };
        if self.json {
            output::print_pretty_json(&report)?;
        } else {
            output::print_text(&report.text())?;
        }
        Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// With whether the person has a key. `None`: told to stop.
    async fn search(&self, mut search: TextSearch, context: &CliContext) -> anyhow::Result<Option<(TextSearch, bool)>> {
        let (config, stop) = (context.config()?, &context.stop);
        let in_database = context.with_owner(async |owner, system| {
            let log = context.log(system)?;
            let has_key = tables::has_key(&owner, &self.tenant, &self.identity).await?;
            let whole =
                tables::search(&owner, &mut search, stop).await? && archives::search(&log, &mut search, stop).await?;
            Ok(whole.then_some(has_key))
        });
        let Some(has_key) = in_database.await? else { return Ok(None) };
        match &config.cache.redis {
            Some(url) => {
                if !redis_keys::search(url.reveal(), &mut search, stop).await? {
                    return Ok(None);
                }
            }
            None => note(format_args!("Redis is not searched: {} is not set", settings::REDIS_URL.name)),
        }
        match client::client(&config.kafka) {
            Some(client) => {
                let topic = shape::events(&config.kafka)?.name;
                let (searched, whole) = records::search(client, topic, search, stop).await?;
                Ok(whole.then_some((searched, has_key)))
            }
            None => {
                note(format_args!("the topic is not searched: {} is not set", settings::KAFKA_BROKERS.name));
                Ok(Some((search, has_key)))
            }
        }
    }

    fn known(&self) -> anyhow::Result<KnownTexts<'_>> {
        let mut known = KnownTexts::of(&self.tenant, &self.identity);
        self.given.iter().for_each(|text| known.add(text));
        match &self.texts {
            Some(file) if file == Path::new("-") => known.read(std::io::stdin().lock())?,
            Some(file) => {
                let shown = || file.display().to_string();
                let lines = File::open(file).with_context(shown)?;
                known.read(BufReader::new(lines)).with_context(shown)?;
            }
            None => {}
        }
        if known.short > 0 {
            let (short, least) = (known.short, needles::SHORTEST);
            note(format_args!("skipped {short} texts of less than {least} bytes, which match by chance"));
        }
        if known.in_identity > 0 {
            let count = known.in_identity;
            note(format_args!("skipped {count} texts that are part of the identity, which is not erased"));
        }
        let count = known.wanted().len();
        anyhow::ensure!(count > 0, "no text to search for: give texts of the person, or a file of them (--texts)");
        anyhow::ensure!(count <= MOST, "{count} texts are too many for one run: give at most {MOST}");
        Ok(known)
    }
}

impl EraseReport<'_> {
    fn text(&self) -> String {
        let mut table = table::table(&["where", "searched", "", "size", "found"], &[1, 3, 4]);
        let is_empty = |place: &&SearchedPlace| place.searched == 0 && place.unit == tables::UNIT;
        for place in self.places.iter().filter(|place| !is_empty(place)) {
            let (searched, size) = (place.searched.to_string(), table::bytes(place.bytes));
            table.add_row([&place.place, &searched, place.unit, &size, &place.found.to_string()]);
        }
        let empty = self.places.iter().filter(is_empty).count();
        table.add_row([&format!("{empty} empty tables"), "0", tables::UNIT, "", "0"]);
        let mut text = format!("{table}\n\n");
        for place in self.places {
            for finding in &place.findings {
                text.push_str(&format!("text {} in {}: {}\n", finding.text, place.place, finding.at));
            }
            let more = place.found.saturating_sub(place.findings.len() as u64);
            if more > 0 {
                text.push_str(&format!("and {more} more in {}\n", place.place));
            }
        }
        let verdict = match self.found {
            0 => format!("none of {} texts was found\n", self.texts),
            found => format!("FOUND in {found} values\n"),
        };
        if self.has_key {
            text.push_str("the person has a key: they were not erased, or new personal data was stored afterwards\n");
        }
        text + &verdict
    }
}
