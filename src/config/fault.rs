//! Where a test may end the process, to see what a crash leaves.

use super::reader::SettingsReader;
use super::{Environment, settings};

/// A point on the way of work that must survive a crash anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    BeforeSend,
    AfterSend,
    BeforeCommit,
    AfterCommit,
    BeforeProgress,
    ArchiveWriting,
    ArchiveWritten,
    ArchiveKept,
    ArchiveDetached,
    ArchiveDropped,
}

impl FaultPoint {
    /// On the way of the log to Kafka.
    pub const RELAY: &[(&'static str, Self)] = &[
        ("before-send", Self::BeforeSend),
        ("after-send", Self::AfterSend),
        ("before-commit", Self::BeforeCommit),
        ("after-commit", Self::AfterCommit),
        ("before-progress", Self::BeforeProgress),
    ];

    /// On the way of a partition to its archive: row groups are being written; the files are there, unproven; the catalogue
    /// has them; the partition is no part of the log; it is dropped and that is not noted.
    pub const ARCHIVE: &[(&'static str, Self)] = &[
        ("archive-writing", Self::ArchiveWriting),
        ("archive-written", Self::ArchiveWritten),
        ("archive-kept", Self::ArchiveKept),
        ("archive-detached", Self::ArchiveDetached),
        ("archive-dropped", Self::ArchiveDropped),
    ];

    fn all() -> impl Iterator<Item = (&'static str, Self)> {
        Self::RELAY.iter().chain(Self::ARCHIVE).copied()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAction {
    Kill,
    Stop,
}

/// What is done to the process when it passes a point for the n-th time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectedFault {
    pub point: FaultPoint,
    /// From 1.
    pub pass: u32,
    pub action: FaultAction,
}

impl InjectedFault {
    pub(super) fn read(reader: &mut SettingsReader<'_>, environment: Environment) -> Option<Self> {
        let text = reader.text(&settings::FAULT)?;
        if environment == Environment::Production {
            reader.fault(&settings::FAULT, "a server in production does not end itself", "unset it");
            return None;
        }
        let found = parse(&text);
        if found.is_none() {
            let points: Vec<_> = FaultPoint::all().map(|(name, _)| name).collect();
            let remedy = format!("write POINT:PASS:kill or POINT:PASS:stop; POINT is one of {}", points.join(", "));
            reader.fault(&settings::FAULT, format!("{text:?} is not understood"), remedy);
        }
        found
    }
}

fn parse(text: &str) -> Option<InjectedFault> {
    let mut parts = text.trim().split(':');
    let (point, pass, action) = (parts.next()?, parts.next()?, parts.next()?);
    let (_, point) = FaultPoint::all().find(|(name, _)| *name == point)?;
    let action = match action {
        "kill" => FaultAction::Kill,
        "stop" => FaultAction::Stop,
        _ => return None,
    };
    let pass = pass.parse().ok().filter(|pass| *pass > 0)?;
    parts.next().is_none().then_some(InjectedFault { point, pass, action })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::Config;

    fn read(settings: &[(&str, &str)]) -> Result<Option<InjectedFault>, String> {
        let environment: HashMap<String, String> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_environment(&environment).map(|config| config.fault).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_fault_is_read_and_one_that_is_not_understood_is_told_with_the_points_there_are() {
        let fault = InjectedFault { point: FaultPoint::AfterSend, pass: 3, action: FaultAction::Kill };
        assert_eq!(read(&[("CONVOKE_FAULT", "after-send:3:kill")]), Ok(Some(fault)));
        let error = read(&[("CONVOKE_FAULT", "somewhere:1:kill")]).unwrap_err();
        assert!(error.contains("before-send") && error.contains("archive-kept"), "{error}");
        let error = read(&[("CONVOKE_FAULT", "after-send:3:kill"), ("CONVOKE_ENV", "production")]).unwrap_err();
        assert!(error.contains("CONVOKE_FAULT"), "{error}");
    }
}
