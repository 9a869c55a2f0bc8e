//! What may be asked of a room. Each command has a file of its own and one line in the list below; [`state`] is what they
//! decide upon, [`rights`] who may, [`succession`] what follows when people go or change their role.
//!
//! How to add one: `docs/adding-a-command.md`.

pub mod chat;
pub mod media;
#[cfg(test)]
mod properties;
pub mod rights;
pub mod settings_bounds;
pub mod state;
pub mod succession;
#[cfg(test)]
pub mod testing;

use super::command::{self, CommandKind, CommandSpec as _};
use super::context::{Caller, Decision, DecisionContext, Lookup};
use super::fault::CommandFault;
use super::refusal::Refusal;
use super::tenant::ErasePerson;
use crate::ids::{Identity, RoomId};
use crate::json::{self, CheckedJson};
use state::Room;

macro_rules! room_commands {
    (to rooms { $($module:ident => $command:ident,)* } to tenants { $($of_tenant:ident,)* }) => {
        $(
            mod $module;
            pub use $module::$command;
        )*

        /// A command to a room, or to the tenant itself, read and within its bounds.
        #[derive(Clone, Debug, PartialEq)]
        pub enum RoomCommand {
            $($command($command),)*
            $($of_tenant($of_tenant),)*
        }

        room_commands!(each $($command,)* $($of_tenant,)*);

        impl RoomCommand {
            /// Every command to a room, as it is documented.
            pub fn catalogue() -> Vec<CommandKind> {
                vec![$(CommandKind::of::<$command>(),)*]
            }

            /// Every command to a tenant.
            pub fn catalogue_of_tenant() -> Vec<CommandKind> {
                vec![$(CommandKind::of::<$of_tenant>(),)*]
            }

            /// Reads the body of the command `name` to a room. No text at all stands for `{}`.
            pub fn parse(name: &str, body: &[u8]) -> Result<Self, CommandFault> {
                Self::parse_checked(name, json::check_or_empty(body)?)
            }

            /// The same of text that has been looked through.
            pub fn parse_checked(name: &str, body: CheckedJson<'_>) -> Result<Self, CommandFault> {
                match name {
                    $($command::NAME => command::parse::<$command>(body).map(RoomCommand::$command),)*
                    _ => Err(CommandFault::Unknown(name.into())),
                }
            }

            /// Reads the body of the command `name` to a tenant. No text at all stands for `{}`.
            pub fn parse_of_tenant(name: &str, body: &[u8]) -> Result<Self, CommandFault> {
                Self::parse_of_tenant_checked(name, json::check_or_empty(body)?)
            }

            /// The same of text that has been looked through.
            pub fn parse_of_tenant_checked(name: &str, body: CheckedJson<'_>) -> Result<Self, CommandFault> {
                match name {
                    $($of_tenant::NAME => command::parse::<$of_tenant>(body).map(RoomCommand::$of_tenant),)*
                    _ => Err(CommandFault::Unknown(name.into())),
                }
            }
        }
    };
    (each $($command:ident,)*) => {
        $(
            impl From<$command> for RoomCommand {
                fn from(command: $command) -> Self {
                    RoomCommand::$command(command)
                }
            }
        )*

        impl RoomCommand {
            pub fn name(&self) -> &'static str {
                match self {
                    $(RoomCommand::$command(_) => $command::NAME,)*
                }
            }

            /// What the body said, as JSON in one form: whatever its white space, the order of its members, the writing of its
            /// ids, times and integers. What it did not say is left out.
            pub fn canonical(&self) -> Vec<u8> {
                let json = match self {
                    $(RoomCommand::$command(command) => serde_json::to_vec(command),)*
                };
                json.expect("what was read from JSON can be written as JSON")
            }

            /// What has to be looked up for [`DecisionContext::external`].
            pub fn lookup(&self) -> Lookup {
                match self {
                    $(RoomCommand::$command(command) => command.lookup(),)*
                }
            }

            /// The id that the caller wants for the room it creates.
            pub fn wanted_room(&self) -> Option<RoomId> {
                match self {
                    $(RoomCommand::$command(command) => command.wanted_room(),)*
                }
            }

            /// Whose personal fields the command writes, as far as can be told beforehand.
            pub fn subject<'a>(&'a self, caller: &'a Caller) -> Option<&'a Identity> {
                match self {
                    $(RoomCommand::$command(command) => command.subject(caller),)*
                }
            }

            /// Whom the command erases.
            pub fn erases(&self) -> Option<&Identity> {
                match self {
                    $(RoomCommand::$command(command) => command.erases(),)*
                }
            }

            /// Whether it begins a room.
            pub fn creates(&self) -> bool {
                match self {
                    $(RoomCommand::$command(_) => $command::CREATES,)*
                }
            }

            fn dispatch(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
                match self {
                    $(RoomCommand::$command(command) => command.decide(room, context),)*
                }
            }
        }
    };
}

room_commands! {
    to rooms {
        create_room => CreateRoom,
        update_settings => UpdateSettings,
        open_room => OpenRoom,
        end_room => EndRoom,
        lock_room => LockRoom,
        unlock_room => UnlockRoom,
        join => Join,
        admit => Admit,
        admit_all => AdmitAll,
        deny => Deny,
        leave => Leave,
        remove => Remove,
        ban => Ban,
        unban => Unban,
        rename => Rename,
        set_participant_metadata => SetParticipantMetadata,
        change_role => ChangeRole,
        transfer_host => TransferHost,
        raise_hand => RaiseHand,
        lower_hand => LowerHand,
        lower_all_hands => LowerAllHands,
        publish_track => PublishTrack,
        unpublish_track => UnpublishTrack,
        mute_track => MuteTrack,
        unmute_track => UnmuteTrack,
        mute_participant => MuteParticipant,
        mute_all => MuteAll,
        allow_unmute => AllowUnmute,
        set_spotlight => SetSpotlight,
        clear_spotlight => ClearSpotlight,
        start_recording => StartRecording,
        stop_recording => StopRecording,
        fail_recording => FailRecording,
        send_message => SendMessage,
        edit_message => EditMessage,
        delete_message => DeleteMessage,
    }
    to tenants {
        ErasePerson,
    }
}

impl RoomCommand {
    /// The rule: new events, or a refusal. A token for another room is refused before the command's own rule is asked.
    pub fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        rights::for_this_room(self, room, context)?;
        self.dispatch(room, context)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::events::room::RoomEvent;

    #[test]
    fn every_example_is_taken() {
        for kind in RoomCommand::catalogue() {
            let examples = (kind.examples)();
            assert!(!examples.is_empty(), "{} has no example", kind.name);
            for example in examples {
                let parsed = RoomCommand::parse(kind.name, example.body.to_string().as_bytes());
                assert!(parsed.is_ok(), "{}: {}: {parsed:?}", kind.name, example.about);
            }
        }
    }

    #[test]
    fn what_a_command_says_it_leads_to_are_events() {
        let events: Vec<_> = RoomEvent::catalogue().iter().map(|event| event.name).collect();
        for kind in RoomCommand::catalogue() {
            assert!(!kind.events.is_empty(), "{} leads to nothing", kind.name);
            let unknown: Vec<_> = kind.events.iter().filter(|name| !events.contains(name)).collect();
            assert!(unknown.is_empty(), "{}: {unknown:?}", kind.name);
        }
    }

    #[test]
    fn names_are_kebab_case_and_unique() {
        let mut names: Vec<_> = RoomCommand::catalogue().iter().map(|kind| kind.name).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_body_is_one_json_object_with_known_fields_only() {
        let kinds = RoomCommand::catalogue();
        for name in kinds.iter().map(|kind| kind.name) {
            let faults = testing::faults(name, r#"{"no_such_field": 1}"#);
            assert!(faults.iter().any(|fault| fault.field == "no_such_field"), "{name}: {faults:?}");
            assert_eq!(testing::faults(name, "[]")[0].field, "", "{name}");
            assert!(matches!(RoomCommand::parse(name, b"{,}"), Err(CommandFault::NotJson { .. })), "{name}");
        }
    }

    /// Every copy of the value in which one object is the list of its values; what callers may fill freely stays as it is.
    fn with_a_list_for_an_object(value: &Value) -> Vec<Value> {
        let Value::Object(members) = value else { return Vec::new() };
        let mut copies = vec![members.values().cloned().collect()];
        for (name, member) in members.iter().filter(|(name, _)| *name != "metadata") {
            copies.extend(with_a_list_for_an_object(member).into_iter().map(|other| {
                let mut copy = members.clone();
                copy.insert(name.clone(), other);
                Value::Object(copy)
            }));
        }
        copies
    }

    #[test]
    fn a_list_in_place_of_an_object_is_refused_wherever_it_lies() {
        let roles = serde_json::json!({ "audio": [], "video": [], "screen": [] });
        let deep = serde_json::json!({ "publish": roles, "labels": { "a": "b" } });
        let more = [("update-settings", deep.clone()), ("create-room", serde_json::json!({ "settings": deep }))];
        let examples = RoomCommand::catalogue()
            .into_iter()
            .flat_map(|kind| (kind.examples)().into_iter().map(move |example| (kind.name, example.body)));
        for (name, body) in examples.chain(more) {
            for list in with_a_list_for_an_object(&body) {
                let refused = RoomCommand::parse(name, list.to_string().as_bytes());
                assert!(matches!(refused, Err(CommandFault::Fields(_))), "{name} {list}: {refused:?}");
            }
        }
    }

    /// Integers are found by the schemas of the bodies: one that is read in another way than the rest shows here.
    #[test]
    fn an_integer_is_taken_however_it_is_written_in_every_field_that_is_one() {
        let mut integers = 0;
        for kind in RoomCommand::catalogue() {
            let body = (kind.examples)().into_iter().next().expect("an example").body;
            let schema = (kind.schema)().to_value();
            // A body that is a type of its own is described apart.
            let apart = schema["$ref"].as_str().and_then(|path| schema.pointer(path.trim_start_matches('#')));
            for (field, shape) in apart.unwrap_or(&schema)["properties"].as_object().into_iter().flatten() {
                let types = shape["type"].as_array().cloned().unwrap_or_else(|| vec![shape["type"].clone()]);
                if !types.contains(&"integer".into()) {
                    continue;
                }
                integers += 1;
                let with = |number: &str| {
                    let mut body = body.clone();
                    body[field] = "NUMBER".into();
                    // A camera has sides, and a message a version.
                    body.as_object_mut()
                        .expect("an object")
                        .extend((kind.name == "publish-track").then(|| ("source".to_owned(), Value::from("camera"))));
                    RoomCommand::parse(kind.name, body.to_string().replace("\"NUMBER\"", number).as_bytes())
                };
                assert!(with("12").is_ok(), "{} {field}: {:?}", kind.name, with("12"));
                assert_eq!(with("12.0"), with("12"), "{} {field}", kind.name);
                assert_eq!(with("1.2e1"), with("12"), "{} {field}", kind.name);
                assert!(with("12.5").is_err(), "{} {field}", kind.name);
            }
        }
        assert!(integers >= 11, "{integers}");
    }

    #[test]
    fn an_unknown_command_is_told_by_name() {
        assert_eq!(RoomCommand::parse("fly", b"{}"), Err(CommandFault::Unknown("fly".into())));
    }
}
