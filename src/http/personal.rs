//! Personal fields of people and messages in lists, opened for those who may see them.

use super::problem::Problem;
use crate::events::sealed::{PersonalFields, SealedAt};
use crate::ids::RoomKey;
use crate::live::event_view::PersonalView;
use crate::security::sealing::{OpeningKeys, SealedPlace, Sealer};

/// Which field of a sealed part is wanted: a part may hold others too, which newer parts replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonalField {
    DisplayName,
    Metadata,
    Text,
}

/// What opens the sealed parts of one list.
pub struct FieldOpener {
    key: RoomKey,
    /// `None`: the caller may not see personal fields.
    keys: Option<OpeningKeys>,
}

impl FieldOpener {
    pub async fn load(sealer: &Sealer, key: &RoomKey, allowed: bool, sealed: &[&SealedAt]) -> Result<Self, Problem> {
        let sealed: Vec<_> = sealed.iter().map(|at| &at.sealed).collect();
        let keys = if allowed { Some(sealer.load_keys(&key.tenant, sealed).await?) } else { None };
        Ok(Self { key: key.clone(), keys })
    }

    /// The wanted fields of one entry, each out of the part that it lies in now.
    pub fn open(&self, parts: &[(PersonalField, Option<&SealedAt>)]) -> PersonalView {
        let mut view = PersonalView::default();
        let mut fields = PersonalFields::default();
        for (part, at) in parts {
            let (Some(at), Some(keys)) = (at, &self.keys) else {
                view.withheld |= at.is_some();
                continue;
            };
            let place = SealedPlace { tenant: &self.key.tenant, room: self.key.room, room_version: at.room_version };
            match keys.open(&place, &at.sealed) {
                None => view.erased = true,
                Some(opened) => match part {
                    PersonalField::DisplayName => fields.display_name = opened.display_name,
                    PersonalField::Metadata => fields.metadata = opened.metadata,
                    PersonalField::Text => fields.text = opened.text,
                },
            }
        }
        view.personal = (!fields.is_empty()).then_some(fields);
        view
    }
}
