//! Which events are exported: a range of positions, fixed before the first is read, of all tenants, of one, or of one
//! room.

use anyhow::{bail, ensure};
use clap::Args;

use super::existing::LastLine;
use crate::events::envelope::digits;
use crate::events::log::EventLog;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomId, RoomKey, TenantId};

/// Tenants listed in the error about an unknown tenant.
const TENANTS_LISTED: u16 = 10;

#[derive(Clone, Debug, Args)]
pub struct ExportSelection {
    /// Only events of this tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<TenantId>,
    /// Only events of this room of the tenant
    #[arg(long, value_name = "ROOM", requires = "tenant")]
    pub room: Option<RoomId>,
    /// Begin at the first event recorded at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// End before the first event recorded at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// Begin after this position
    #[arg(long, value_name = "POSITION")]
    pub after: Option<Position>,
    /// End with this position [default: the end of the log now]
    #[arg(long, value_name = "POSITION")]
    pub to: Option<Position>,
}

/// Positions after one and up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionRange {
    pub after: Position,
    pub to: Position,
}

impl ExportSelection {
    pub fn key(&self) -> Option<RoomKey> {
        Some(RoomKey { tenant: self.tenant.clone()?, room: self.room? })
    }

    /// The positions to read. `last`: the last line of the file to continue.
    pub async fn range(&self, log: &EventLog, last: Option<&LastLine>) -> anyhow::Result<PositionRange> {
        let head = log.head().await?.position;
        self.in_order(head)?;
        self.is_there(log).await?;
        if let Some(last) = last {
            self.goes_on_with(log, head, last).await?;
        }
        let from = match self.from {
            Some(from) => log.position_before(from).await?,
            None => 0,
        };
        let until = match self.until {
            Some(until) => log.position_before(until).await?,
            None => head,
        };
        let after = self.after.unwrap_or(0).max(from).max(last.map_or(0, |last| last.position));
        let to = self.to.unwrap_or(head).min(until).min(head);
        Ok(PositionRange { after, to: to.max(after) })
    }

    fn in_order(&self, head: Position) -> anyhow::Result<()> {
        if let (Some(from), Some(until)) = (self.from, self.until) {
            ensure!(from <= until, "--from {from} is later than --until {until}: the earlier time goes with --from");
        }
        if let (Some(after), Some(to)) = (self.after, self.to) {
            ensure!(after <= to, "--after {after} is behind --to {to}: the lower position goes with --after");
        }
        for (name, position) in [("--after", self.after), ("--to", self.to)] {
            if let Some(position) = position.filter(|position| *position > head) {
                bail!(
                    "{name} {position} is behind the end of the log, which is at position {head}: leave it out, or give one \
                     that the log has"
                );
            }
        }
        Ok(())
    }

    async fn is_there(&self, log: &EventLog) -> anyhow::Result<()> {
        let Some(tenant) = &self.tenant else { return Ok(()) };
        if !log.has_rooms_of(tenant).await? {
            let known = log.some_tenants(TENANTS_LISTED).await?;
            let known: Vec<&str> = known.iter().map(TenantId::as_str).collect();
            if known.is_empty() {
                bail!("there is no tenant {tenant}: the log is empty");
            }
            let more = if known.len() == usize::from(TENANTS_LISTED) { ", …" } else { "" };
            bail!("there is no tenant {tenant} in the log; it has {}{more}", known.join(", "));
        }
        if let Some(key) = self.key() {
            let there = log.room_head(&key).await?.is_some();
            ensure!(
                there,
                "tenant {tenant} has no room {}: rooms are named by their id, as in `GET /v1/rooms`",
                key.room
            );
        }
        Ok(())
    }

    /// That the file's last event is one of this log, and that nothing is doubled or left out after it.
    async fn goes_on_with(&self, log: &EventLog, head: Position, last: &LastLine) -> anyhow::Result<()> {
        let at = last.position;
        let found = if (1..=head).contains(&at) { log.read(at - 1, 1).await? } else { Vec::new() };
        let same =
            found.first().is_some_and(|event| event.position == at && digits(&event.hash) == last.hash.as_bytes());
        ensure!(
            same,
            "the file ends with an event at position {at} that is not in this log: it is of another log, or the log was restored \
             since; export to another file, or over it with --force"
        );
        let Some(after) = self.after else { return Ok(()) };
        ensure!(
            after >= at,
            "the file holds events up to position {at}: with --after {after} some would be there twice; leave --after out"
        );
        ensure!(
            after == at || self.tenant.is_some(),
            "the file ends at position {at}: with --after {after} the events between would be missing; leave --after out"
        );
        Ok(())
    }
}
