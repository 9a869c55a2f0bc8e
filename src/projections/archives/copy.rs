//! Writes a partition to its archive files, reads them back, and verifies both.
//!
//! The verification checks, for the events from the log as well as from the files, that every position is present, that recorded
//! time never goes back, that room versions have no gaps, and that each hash matches its event and its predecessors in the room.
//! Rooms from earlier partitions continue the chains at the end of their archives. Log and files must have the same digest.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::catalogue::ArchiveFileNames;
use super::{ArchiveStep, ArchivingError, LogArchiver, PartitionMove};
use crate::config::FaultPoint;
use crate::events::archive::spans::{self, RoomSpan};
use crate::events::archive::writing::ArchiveWriter;
use crate::events::archive::{ArchiveReader, ArchivedPartition, FileRef, GROUP_EVENTS, columns, shape};
use crate::events::envelope::{Envelope, Hash};
use crate::events::log::EventLog;
use crate::events::log::chain_check::{ChainCheck, RoomChain};
use crate::events::log::verify::ChainFault;
use crate::ids::{Position, RoomKey};

/// Two files, whole and durable.
pub struct CopiedFiles {
    pub events: FileRef,
    pub rooms: FileRef,
    /// SHA-256 over position and hash of each event.
    pub digest: Hash,
}

pub async fn copy(
    archiving: &LogArchiver,
    moving: &PartitionMove,
    names: &ArchiveFileNames,
    observe: &mut (dyn FnMut(ArchiveStep) + Send),
    stop: &CancellationToken,
) -> Result<CopiedFiles, ArchivingError> {
    let archive = &archiving.archive;
    let (name, events) = (&moving.partition, moving.events);
    let mut report = |done| observe(ArchiveStep::Writing { partition: name.clone(), done, events });
    let (written, file) = write(archiving, moving, names, &mut report, stop).await?;
    let rooms = spans::write(archive.store(), &names.rooms, written.spans.clone()).await?;
    archiving.faults.pass(FaultPoint::ArchiveWritten);
    let copied = CopiedFiles { events: file, rooms, digest: written.digest };
    let mut report = |done| observe(ArchiveStep::Comparing { partition: name.clone(), done, events });
    let read = read_back(archive, moving, &copied, written.begun, &mut report, stop).await?;
    let differs = |what: String| ArchivingError::Differs { file: archive.store().shown(&names.events), what };
    if (read.events, read.digest) != (written.events, copied.digest) {
        return Err(differs(format!("{} events with another digest, not the {} written", read.events, written.events)));
    }
    if read.spans != written.spans {
        return Err(differs("its rooms lie in other row groups".into()));
    }
    Ok(copied)
}

/// What a pass over a partition comes to.
struct PassResult {
    events: u64,
    digest: Hash,
    spans: Vec<RoomSpan>,
    /// Where the rooms stood that began before the partition.
    begun: Vec<(RoomKey, RoomChain)>,
}

/// One pass over a partition's events, row group by row group.
struct PartitionPass {
    check: ChainCheck,
    next: Position,
    events: u64,
    digest: Sha256,
    spans: Vec<RoomSpan>,
    row_group: usize,
    begun: Vec<(RoomKey, RoomChain)>,
}

impl PartitionPass {
    fn new(moving: &PartitionMove, begun: Vec<(RoomKey, RoomChain)>) -> Self {
        let mut check = ChainCheck::default();
        begun.iter().for_each(|(key, reached)| check.begin_room(key.clone(), *reached));
        let (digest, spans) = (Sha256::new(), Vec::new());
        Self { check, next: moving.first_position, events: 0, digest, spans, row_group: 0, begun }
    }

    /// Looks up the rooms of a row group that went on from earlier partitions.
    async fn look_up(&mut self, log: &EventLog, events: &[Envelope]) -> Result<(), ArchivingError> {
        let mut met = HashSet::new();
        for event in events {
            let key = RoomKey { tenant: event.tenant.clone(), room: event.room };
            if !met.insert(key.clone()) || event.room_version == 1 || self.check.knows(&key) {
                continue;
            }
            if let Some(reached) = log.archived_end(&key).await? {
                self.check.begin_room(key.clone(), reached);
                self.begun.push((key, reached));
            }
        }
        Ok(())
    }

    fn group(&mut self, events: &[Envelope]) -> Result<(), ChainFault> {
        let first_span = self.spans.len();
        let mut spans: HashMap<RoomKey, usize> = HashMap::new();
        for event in events {
            let key = RoomKey { tenant: event.tenant.clone(), room: event.room };
            if event.position != self.next {
                let what = format!("position {} follows {}", event.position, self.next - 1);
                return Err(ChainFault { position: self.next, room: Some(key), what });
            }
            let chain = self.check.step(event)?;
            self.digest.update(event.position.to_be_bytes());
            self.digest.update(event.hash);
            self.next += 1;
            self.events += 1;
            match spans.get(&key) {
                Some(at) => self.spans[*at].goes_on_with(event, chain),
                None => {
                    spans.insert(key, self.spans.len());
                    self.spans.push(RoomSpan::begun_by(event, self.row_group, chain));
                }
            }
        }
        // By row group and room.
        self.spans[first_span..].sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.row_group += 1;
        Ok(())
    }

    fn end(self) -> PassResult {
        let Self { events, digest, spans, begun, .. } = self;
        PassResult { events, digest: digest.finalize().into(), spans, begun }
    }
}

async fn write(
    archiving: &LogArchiver,
    moving: &PartitionMove,
    names: &ArchiveFileNames,
    report: &mut (dyn FnMut(u64) + Send),
    stop: &CancellationToken,
) -> Result<(PassResult, FileRef), ArchivingError> {
    let mut pass = PartitionPass::new(moving, Vec::new());
    let log = &archiving.log;
    let store = archiving.archive.store();
    let mut writer = ArchiveWriter::begin(store, &names.events, &shape::EVENTS, shape::events_properties()).await?;
    while pass.next <= moving.last_position {
        if stop.is_cancelled() {
            return Err(ArchivingError::Interrupted);
        }
        let left = usize::try_from(moving.last_position - pass.next + 1).unwrap_or(GROUP_EVENTS);
        let wanted = left.min(GROUP_EVENTS);
        let events = log.read(pass.next - 1, wanted).await?;
        pass.look_up(log, &events).await?;
        pass.group(&events).map_err(ArchivingError::Broken)?;
        if events.len() < wanted {
            let what = format!("the log ends here, inside of {}", moving.partition);
            return Err(ArchivingError::Broken(ChainFault { position: pass.next, room: None, what }));
        }
        writer.group(move |columns| columns::give(columns, &events)).await?;
        archiving.faults.pass(FaultPoint::ArchiveWriting);
        report(pass.events);
    }
    Ok((pass.end(), writer.finish().await?))
}

/// Reads what was written from where it lies, past everything that this process remembers of it.
async fn read_back(
    archive: &ArchiveReader,
    moving: &PartitionMove,
    copied: &CopiedFiles,
    begun: Vec<(RoomKey, RoomChain)>,
    report: &mut (dyn FnMut(u64) + Send),
    stop: &CancellationToken,
) -> Result<PassResult, ArchivingError> {
    let archive = ArchiveReader::new(archive.store().clone());
    let partition = ArchivedPartition {
        name: moving.partition.clone(),
        first_position: moving.first_position,
        last_position: moving.last_position,
        from: moving.from.utc(),
        to: moving.to.utc(),
        events: copied.events.clone(),
        rooms: copied.rooms.clone(),
    };
    let mut pass = PartitionPass::new(moving, begun);
    while pass.next <= moving.last_position {
        if stop.is_cancelled() {
            return Err(ArchivingError::Interrupted);
        }
        let events = archive.read(&partition, pass.next - 1, GROUP_EVENTS).await?;
        let file = || archive.store().shown(&copied.events.name);
        let differs = |fault: ChainFault| ArchivingError::Differs {
            file: file(),
            what: format!("at position {}: {}", fault.position, fault.what),
        };
        pass.group(&events).map_err(differs)?;
        report(pass.events);
    }
    let mut passed = pass.end();
    // What the index says, instead of what it should say.
    passed.spans = archive.all_spans(&partition).await?;
    passed.spans.sort_unstable_by(|a, b| (a.row_group, &a.key).cmp(&(b.row_group, &b.key)));
    Ok(passed)
}
