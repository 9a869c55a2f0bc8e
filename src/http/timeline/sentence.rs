//! A sentence whose names and quotations are still sealed, so that the keys of a whole page are asked for at once.

use std::borrow::Cow;

use crate::events::sealed::{PersonalFields, Sealed, SealedAt};
use crate::ids::{Identity, RoomKey};
use crate::security::sealing::{OpeningKeys, SealedPlace};

/// In place of the name of somebody who was forgotten.
const ERASED: &str = "somebody (erased)";

#[derive(Clone, Debug, PartialEq)]
pub enum SentencePart {
    Text(Cow<'static, str>),
    /// Somebody, and where the name lies that they had then, if it is known to have one.
    Person(Identity, Option<SealedAt>),
    /// What was said.
    Quotation(Option<SealedAt>),
}

/// What a sealed part is to this reader.
enum OpenedPart {
    Fields(PersonalFields),
    Erased,
    Withheld,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sentence(Vec<SentencePart>);

impl Sentence {
    pub fn with(mut self, piece: SentencePart) -> Self {
        self.0.push(piece);
        self
    }

    pub fn text(self, text: impl Into<Cow<'static, str>>) -> Self {
        self.with(SentencePart::Text(text.into()))
    }

    /// What has to be opened to read it.
    pub fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        self.0.iter().filter_map(|piece| match piece {
            SentencePart::Person(_, at) | SentencePart::Quotation(at) => at.as_ref().map(|at| &at.sealed),
            SentencePart::Text(_) => None,
        })
    }

    /// As it is read; without `keys` by somebody who may not see what is personal. One line, whatever people call themselves.
    pub fn read(&self, key: &RoomKey, keys: Option<&OpeningKeys>) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                SentencePart::Text(words) => text.push_str(words),
                SentencePart::Person(identity, None) => text.push_str(identity.as_str()),
                SentencePart::Person(identity, Some(at)) => match open(key, keys, at) {
                    OpenedPart::Fields(fields) => {
                        text.push_str(fields.display_name.as_deref().unwrap_or(identity.as_str()))
                    }
                    OpenedPart::Erased => text.push_str(ERASED),
                    OpenedPart::Withheld => text.push_str(identity.as_str()),
                },
                SentencePart::Quotation(None) => text.push_str("(nothing)"),
                SentencePart::Quotation(Some(at)) => match open(key, keys, at) {
                    OpenedPart::Fields(fields) => {
                        text.push('\u{201c}');
                        text.push_str(fields.text.as_deref().unwrap_or_default());
                        text.push('\u{201d}');
                    }
                    OpenedPart::Erased => text.push_str("(erased)"),
                    OpenedPart::Withheld => text.push_str("(withheld)"),
                },
            }
        }
        text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
    }
}

fn open(key: &RoomKey, keys: Option<&OpeningKeys>, at: &SealedAt) -> OpenedPart {
    let Some(keys) = keys.filter(|keys| keys.can_tell(&at.sealed)) else { return OpenedPart::Withheld };
    let place = SealedPlace { tenant: &key.tenant, room: key.room, room_version: at.room_version };
    keys.open(&place, &at.sealed).map_or(OpenedPart::Erased, OpenedPart::Fields)
}
