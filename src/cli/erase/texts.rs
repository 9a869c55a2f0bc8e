//! `convoke erase texts`

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::cli::progress::WorkProgress;
use crate::database::pool::Pool;
use crate::events::envelope::Envelope;
use crate::events::sealed::PersonalFields;
use crate::ids::{Identity, TenantId};
use crate::json::FreeJson;
use crate::security::sealing::{MasterKeys, SealedPlace, Sealer, key_id};

const PAGE: usize = 2_000;

/// List a person's texts in the clear, so that `convoke erase verify` can search for them after the erasure.
///
/// Prints every name, message and metadata text that the log has of the person, once, a JSON string a line. Run it before the
/// erasure: afterwards the texts cannot be read. The list is personal data itself: delete it after use.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke erase texts --tenant acme --identity alice > alice.txt")]
pub struct EraseTextsArgs {
    /// The tenant of the person
    #[arg(long)]
    tenant: TenantId,
    /// The identity of the person, as in tokens (`sub`)
    #[arg(long)]
    identity: Identity,
}

impl EraseTextsArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let masters = MasterKeys::configured(&context.config()?.keys).context("the master keys cannot be used")?;
        let written = context.with_database(async |pool| self.write(pool, masters, &context).await).await?;
        match written {
            Some(0) => output::note("no personal data is stored for this person"),
            Some(_) => {}
            None => {
                output::note("interrupted");
                return Ok(ExitCode::FAILURE);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// How many; `None`: told to stop.
    async fn write(&self, pool: Pool, masters: MasterKeys, context: &CliContext) -> anyhow::Result<Option<usize>> {
        let (log, sealer) = (context.log(pool.clone())?, Sealer::new(pool, masters));
        let person = (self.tenant.clone(), self.identity.clone());
        let Some(key) = sealer.keys_of(&[person]).await?.into_values().next() else { return Ok(Some(0)) };
        let head = log.head().await?.position;
        let mut progress = WorkProgress::new("texts", "events", Some(head));
        let (mut after, mut seen) = (0, SeenTexts::default());
        while after < head {
            if context.stop.is_cancelled() {
                return Ok(None);
            }
            let page = log.read_tenant(&self.tenant, after, PAGE).await?;
            let theirs = page.events.into_iter().filter(|event| event.sealed.as_ref().and_then(key_id) == Some(key));
            let theirs: Vec<Envelope> = theirs.collect();
            let keys = sealer.load_keys(&self.tenant, theirs.iter().filter_map(|event| event.sealed.as_ref())).await?;
            let mut lines = Vec::new();
            for event in &theirs {
                let Some(sealed) = &event.sealed else { continue };
                let place = SealedPlace { tenant: &event.tenant, room: event.room, room_version: event.room_version };
                for text in keys.open(&place, sealed).iter().flat_map(of) {
                    if seen.is_new(&text) {
                        serde_json::to_writer(&mut lines, &text)?;
                        lines.push(b'\n');
                    }
                }
            }
            output::stream(&lines)?;
            after = page.through;
            progress.set(after.min(head));
        }
        progress.finish();
        Ok(Some(seen.hashes.len()))
    }
}

/// What was written, by its hash: messages may be many.
#[derive(Default)]
struct SeenTexts {
    hashing: RandomState,
    hashes: HashSet<u64>,
}

impl SeenTexts {
    fn is_new(&mut self, text: &str) -> bool {
        self.hashes.insert(self.hashing.hash_one(text))
    }
}

/// Every text in what an event says of a person.
pub(super) fn of(fields: &PersonalFields) -> Vec<String> {
    let PersonalFields { display_name, metadata, text } = fields;
    let mut texts: Vec<String> = display_name.iter().chain(text).cloned().collect();
    // The names of members are the program's that wrote them.
    texts.extend(metadata.iter().flat_map(FreeJson::texts));
    texts
}
