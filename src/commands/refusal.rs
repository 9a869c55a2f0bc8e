//! Refusals by rules. A code never changes its meaning; this table generates the pages in `docs/problems`.

use std::fmt;

use crate::ids::RoomId;

/// Why a rule refused a command, and what the caller may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    pub code: RefusalCode,
    /// A sentence about this very case.
    pub detail: String,
    /// The room that stands in the way: who holds the wanted name.
    pub room: Option<RoomId>,
}

impl Refusal {
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), room: None }
    }

    pub fn not_granted(grant: &str) -> Self {
        Self::new(RefusalCode::NotGranted, format!("the token lacks the grant {grant}"))
    }

    pub fn pointing_to(self, room: RoomId) -> Self {
        Self { room: Some(room), ..self }
    }
}

macro_rules! refusal_codes {
    ($($variant:ident = $code:literal $status:literal $title:literal, $meaning:literal, $remedy:literal;)*) => {
        /// Every reason for which a rule refuses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode {
            $(#[doc = $meaning] $variant,)*
        }

        impl RefusalCode {
            pub const ALL: &'static [RefusalCode] = &[$(RefusalCode::$variant,)*];

            /// On the wire; never changes.
            pub fn as_str(self) -> &'static str {
                match self { $(RefusalCode::$variant => $code,)* }
            }

            /// Of the HTTP answer.
            pub fn status(self) -> u16 {
                match self { $(RefusalCode::$variant => $status,)* }
            }

            /// A few words.
            pub fn title(self) -> &'static str {
                match self { $(RefusalCode::$variant => $title,)* }
            }

            /// What happened.
            pub fn meaning(self) -> &'static str {
                match self { $(RefusalCode::$variant => $meaning,)* }
            }

            /// What the caller can do.
            pub fn remedy(self) -> &'static str {
                match self { $(RefusalCode::$variant => $remedy,)* }
            }
        }
    };
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

refusal_codes! {
    // The room
    RoomNotFound = "room-not-found" 404 "Room not found",
        "The tenant has no room with this id.",
        "Check the id, or create the room with create-room.";
    RoomNotOpen = "room-not-open" 409 "Room not open yet",
        "The room is scheduled and has not opened.",
        "Wait for its opening time, or open it now with open-room.";
    RoomEnded = "room-ended" 409 "Room ended",
        "The room has ended. It accepts no more commands, and stays readable.",
        "Create another room. The name of this one is free again.";
    RoomNameTaken = "room-name-taken" 409 "Room name taken",
        "Another room of the tenant that has not ended has this name. The member `room` of the problem is its id.",
        "Use that room (send \"if_exists\": \"return\" to be answered with it), or take another name.";
    RoomIdTaken = "room-id-taken" 409 "Room id taken",
        "A room with this id has been created before.",
        "Use that room (send \"if_exists\": \"return\" to be answered with it), or take another id.";
    RoomIdMismatch = "room-id-mismatch" 422 "Two different room ids",
        "The `id` in the body is not the room that the command was sent to.",
        "Leave out `id`, or send both alike.";
    RoomIdOutOfTime = "room-id-out-of-time" 422 "Room id of another time",
        "A room's id carries the time at which it was made (UUIDv7), by which rooms are kept together and let go of. This one was made more than 31 days ago, or is a day or more ahead.",
        "Make the id when you create the room, by a clock that is right, or leave it out. Rooms of the past are moved in with `convoke import`.";

    // Who asks
    NotGranted = "not-granted" 403 "Not granted",
        "The token does not allow this: a grant is missing, or the token is for another room.",
        "Ask with a token that holds the grant named in the detail.";
    RoleNotGranted = "role-not-granted" 403 "Role not granted",
        "The role asked for is higher than the token's grant `role` allows.",
        "Join with a lower role, or with a token whose grant allows this one.";
    IdentityRequired = "identity-required" 422 "Identity required",
        "The token names no person, and the command does not name one either.",
        "Send `identity`.";
    StaffOnly = "staff-only" 403 "Staff only",
        "Only hosts and moderators who are in the room, and servers with the grant `room_admin`, may do this.",
        "Join as host or moderator first, or ask with a token that holds `room_admin`.";
    RankTooLow = "rank-too-low" 403 "Rank too low",
        "Staff may act on people of a lower role than their own, and give roles up to what their own allows.",
        "Ask somebody of a higher role, or a server with the grant `room_admin`.";

    // Coming and going
    NotPresent = "not-present" 409 "Not present",
        "The person is not in the room. Somebody in the lobby is not in the room yet.",
        "Join first, or check the identity.";
    NotWaiting = "not-waiting" 409 "Not waiting",
        "The person is not in the lobby: they gave up, were let in, or never asked.",
        "Read the lobby, and try again.";
    RoomLocked = "room-locked" 403 "Room locked",
        "The room is locked: only staff and servers can join.",
        "Wait until staff unlocks it.";
    RoomFull = "room-full" 409 "Room full",
        "The room, or its lobby, is full.",
        "Try again when somebody has left, or raise `max_participants`.";
    Banned = "banned" 403 "Banned",
        "The person is banned from the room.",
        "Wait until the ban ends, or have staff lift it with unban.";
    AlreadyPresent = "already-present" 409 "Already present",
        "The person is in the room, and its setting `duplicate_identity` is `refuse`.",
        "Leave with the other session first, or set `duplicate_identity` to `replace` or `allow`.";
    TooManySessions = "too-many-sessions" 409 "Too many sessions",
        "The person has reached the limit on sessions in this room.",
        "Leave with one of them first.";
    TooManyBans = "too-many-bans" 409 "Too many bans",
        "The room has reached its limit on bans.",
        "Lift some with unban.";
    LastHost = "last-host" 409 "Last host",
        "The command would leave the room without a host.",
        "Make somebody else host first, with change-role or transfer-host.";
    SelfRenameOff = "self-rename-off" 403 "Self-renaming is off",
        "The room's setting `self_rename` is off: people cannot rename themselves.",
        "Ask staff to do it.";

    // Media
    PublishNotAllowed = "publish-not-allowed" 403 "Publishing not allowed",
        "The room's setting `publish` does not let the person's role publish this.",
        "Ask staff for another role.";
    ScreenTaken = "screen-taken" 409 "Screen taken",
        "Somebody shares a screen, and the setting `one_screen` is `refuse`.",
        "Wait until they stop.";
    TooManyTracks = "too-many-tracks" 409 "Too many tracks",
        "The person has reached the limit on published tracks.",
        "Unpublish one first.";
    TrackNotFound = "track-not-found" 404 "Track not found",
        "No such track is published in the room.",
        "Read the room's tracks; it may have ended.";
    NotOwnTrack = "not-own-track" 403 "Track of somebody else",
        "The track belongs to somebody else.",
        "Only its owner may do this; staff can mute it with mute-participant.";
    MutedByStaff = "muted-by-staff" 403 "Muted by staff",
        "Staff muted the track and has not allowed to unmute it.",
        "Wait for allow-unmute.";

    // Recording
    AlreadyRecording = "already-recording" 409 "Already recording",
        "The room is being recorded.",
        "Stop that recording first.";
    NotRecording = "not-recording" 409 "Not recording",
        "The room is not being recorded, or by another recording than the one named.",
        "Start one with start-recording.";

    // Messages
    ChatOff = "chat-off" 403 "Chat off",
        "The room's setting `chat` lets the person write nothing, or nothing to this audience.",
        "Ask staff to turn chat on.";
    DirectMessagesOff = "direct-messages-off" 403 "Direct messages off",
        "The room's setting `direct_messages` is off: nobody may write to named people.",
        "Write to everyone.";
    RecipientNotPresent = "recipient-not-present" 409 "Recipient not present",
        "Somebody the message is for is not in the room.",
        "Leave them out, or wait until they have joined.";
    MessageNotFound = "message-not-found" 404 "Message not found",
        "No message was sent at this version of the room, or the person may not read it.",
        "Name a message by the room version of its room.message-sent.";
    NotTheAuthor = "not-the-author" 403 "Not the author",
        "Somebody else wrote the message.",
        "Only its author may edit it; its author and staff may delete it.";
    MessageDeleted = "message-deleted" 409 "Message deleted",
        "The message has been deleted.",
        "Send a new one.";
    MessageTooOld = "message-too-old" 409 "Message too old",
        "A room knows the 1,024 newest of its deleted messages. This one was sent before all of those, so that the room cannot tell any more whether it was deleted.",
        "Send a new one. The old one can still be deleted.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_kebab_case_and_say_what_happened_and_what_to_do() {
        let codes: BTreeSet<_> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), RefusalCode::ALL.len());
        for code in RefusalCode::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
            assert!([403, 404, 409, 422].contains(&code.status()), "{code}");
            assert!(
                !code.title().ends_with('.') && code.meaning().ends_with('.') && code.remedy().ends_with('.'),
                "{code}"
            );
        }
    }
}
