//! Options of a library's client, in that library's names: `name=value`, separated by `;` or line breaks.

use std::fmt;

use super::reader::SettingsReader;
use super::settings::Setting;

/// Holds passwords, so it shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientOptions(Vec<(String, String)>);

impl ClientOptions {
    pub fn reveal(&self) -> &[(String, String)] {
        &self.0
    }

    /// `refused` says of a name what is wrong with it, and what to do, if it may not be set.
    pub(super) fn read(
        reader: &mut SettingsReader<'_>,
        setting: &Setting,
        refused: impl Fn(&str) -> Option<(String, &'static str)>,
    ) -> Self {
        let mut found = Vec::new();
        let text = reader.text(setting).unwrap_or_default();
        for part in text.split([';', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
            // The value may be a password: it is not repeated.
            match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                None | Some(("", _)) => {
                    reader.fault(setting, "a part of it has no name or no `=`", "write name=value;name=value");
                }
                Some((name, value)) => match refused(name) {
                    Some((problem, remedy)) => reader.fault(setting, problem, remedy),
                    None => found.push((name.to_owned(), value.to_owned())),
                },
            }
        }
        Self(found)
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
