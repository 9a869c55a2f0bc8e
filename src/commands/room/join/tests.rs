//! Tests of joins: rights, the lobby, and a second join of the same person.

use super::*;
use crate::commands::room::testing::*;

fn waits(who: &str, session: SessionId, role: Role) -> RoomEvent {
    ParticipantWaiting { identity: id(who), session, role }.into()
}

fn comes(who: &str, session: SessionId, role: Role) -> RoomEvent {
    ParticipantJoined { identity: id(who), session, role }.into()
}

#[test]
fn a_person_joins_in_the_role_that_the_token_grants() {
    let outcome = given().when(person_of("ann", Role::Viewer), "join", json!({}));
    let session = outcome.session();
    outcome.then([comes("ann", session, Role::Viewer)]);
}

#[test]
fn a_lower_role_may_be_asked_for_and_a_higher_one_is_refused() {
    let ann = || person_of("ann", Role::Speaker);
    let outcome = given().when(ann(), "join", json!({ "role": "viewer" }));
    let session = outcome.session();
    outcome.then([comes("ann", session, Role::Viewer)]);
    given().when(ann(), "join", json!({ "role": "host" })).refused(RefusalCode::RoleNotGranted);
}

#[test]
fn a_server_brings_in_a_speaker_unless_it_names_another_role() {
    for (body, role) in
        [(json!({ "identity": "bob" }), Role::Speaker), (json!({ "identity": "bob", "role": "viewer" }), Role::Viewer)]
    {
        let outcome = given().when(server(), "join", body);
        let session = outcome.session();
        outcome.then([comes("bob", session, role)]);
    }
}

#[test]
fn a_server_has_to_say_for_whom_and_a_person_speaks_for_oneself() {
    given().when(server(), "join", json!({})).refused(RefusalCode::IdentityRequired);
    given().when(person("ann"), "join", json!({ "identity": "bob" })).refused(RefusalCode::NotGranted);
    given().when(person("ann"), "join", json!({ "identity": "ann" })).and();
}

#[test]
fn a_token_without_room_join_or_for_another_room_is_refused() {
    given().when(granted("ann", Grants::default()), "join", json!({})).refused(RefusalCode::NotGranted);
    let only = |room: &str| granted("ann", Grants { room: Some(room.into()), room_join: true, ..Grants::default() });
    given().when(only("retro"), "join", json!({})).refused(RefusalCode::NotGranted);
    nothing().when(only("retro"), "join", json!({})).refused(RefusalCode::NotGranted);
    given().when(only("standup"), "join", json!({})).and();
    given().when(only(&room_id().to_string()), "join", json!({})).and();
}

#[test]
fn name_and_metadata_are_personal() {
    let events = given().when(person("ann"), "join", json!({ "display_name": "Ann", "metadata": [1] })).events();
    let personal = events[0].personal.as_ref().unwrap();
    assert_eq!(personal.subject, id("ann"));
    assert_eq!(personal.fields.display_name.as_deref(), Some("Ann"));
    assert_eq!(personal.fields.metadata, Some(serde_json::from_str("[1]").unwrap()));
    assert_eq!(given().when(person("ann"), "join", json!({})).events()[0].personal, None);
}

#[test]
fn a_room_that_is_not_there_not_open_or_over_is_refused() {
    nothing().when(person("ann"), "join", json!({})).refused(RefusalCode::RoomNotFound);
    scheduled().after(3599).when(person("ann"), "join", json!({})).refused(RefusalCode::RoomNotOpen);
    let over = given().event(RoomEnded { reason: EndReason::Requested });
    over.when(person("ann"), "join", json!({})).refused(RefusalCode::RoomEnded);
}

#[test]
fn a_scheduled_room_whose_time_has_come_opens_by_the_join() {
    let outcome = scheduled().after(3600).when(person("ann"), "join", json!({}));
    let session = outcome.session();
    let opened = RoomOpened { reason: OpenReason::Due }.into();
    outcome.then([opened, comes("ann", session, Role::Host)]);
}

#[test]
fn who_is_banned_is_refused_until_the_ban_ends() {
    let until = Some(given().now.plus_seconds(60));
    let room = given().event(crate::events::room::IdentityBanned { identity: id("ann"), until });
    room.when(person("ann"), "join", json!({})).refused(RefusalCode::Banned);
    room.when(server(), "join", json!({ "identity": "ann" })).refused(RefusalCode::Banned);
    room.after(60).when(person("ann"), "join", json!({})).and();
}

#[test]
fn a_locked_room_takes_staff_and_whom_a_server_brings() {
    let room = given().event(RoomLocked {});
    room.when(person_of("bob", Role::Speaker), "join", json!({})).refused(RefusalCode::RoomLocked);
    room.when(person_of("bob", Role::Moderator), "join", json!({})).and();
    room.when(server(), "join", json!({ "identity": "bob" })).and();
}

#[test]
fn a_full_room_takes_nobody_new() {
    let room = given_with(json!({ "max_participants": 1 })).joined("ann", Role::Speaker);
    room.when(person("bob"), "join", json!({})).refused(RefusalCode::RoomFull);
    room.when(person("ann"), "join", json!({})).and();
}

#[test]
fn guests_or_everyone_but_staff_wait_in_the_lobby() {
    for (lobby, role, wait) in [
        ("guests", Role::Viewer, true),
        ("guests", Role::Speaker, false),
        ("everyone", Role::Speaker, true),
        ("everyone", Role::Moderator, false),
    ] {
        let room = given_with(json!({ "lobby": lobby })).joined("host", Role::Host);
        let outcome = room.when(person_of("ann", role), "join", json!({}));
        let session = outcome.session();
        let expected = if wait { waits("ann", session, role) } else { comes("ann", session, role) };
        outcome.then([expected]);
    }
}

#[test]
fn who_asks_again_waits_by_the_newer_request() {
    let room = given_with(json!({ "lobby": "everyone" })).waiting("ann", Role::Speaker);
    let replaced = ParticipantDenied { identity: id("ann"), session: session("ann"), reason: DenyReason::Replaced };
    let outcome = room.when(person_of("ann", Role::Viewer), "join", json!({}));
    let newer = outcome.session();
    let after = outcome.then([replaced.into(), waits("ann", newer, Role::Viewer)]);
    assert_eq!(after.room.waiting()[0].view.session, newer);
}

#[test]
fn who_waits_and_asks_again_with_the_lobby_off_comes_in() {
    let room = given().waiting("ann", Role::Speaker);
    let replaced = ParticipantDenied { identity: id("ann"), session: session("ann"), reason: DenyReason::Replaced };
    let outcome = room.when(person_of("ann", Role::Speaker), "join", json!({}));
    let session = outcome.session();
    let after = outcome.then([replaced.into(), comes("ann", session, Role::Speaker)]);
    assert!(after.room.waiting().is_empty());
}

#[test]
fn the_newer_session_replaces_the_older_keeping_role_and_hand() {
    let room = given_with(json!({ "lobby": "everyone" })).joined("ann", Role::Speaker).after(7);
    let room = room.event(HandRaised { identity: id("ann") }).event(RoomLocked {});
    let outcome = room.when(person_of("ann", Role::Viewer), "join", json!({}));
    let newer = outcome.session();
    let after = outcome.then([comes("ann", newer, Role::Speaker), left_after("ann", LeaveReason::Replaced, 7)]);
    let ann = &after.room.participants()[0].view;
    assert_eq!((ann.sessions.len(), ann.sessions[0].session, ann.hand_raised), (1, newer, true));
}

#[test]
fn several_sessions_of_one_person_count_once_and_are_bounded() {
    let mut room = given_with(json!({ "duplicate_identity": "allow", "max_participants": 1 }));
    for _ in 0..MAX_SESSIONS {
        room = room.when(person("ann"), "join", json!({})).and();
    }
    assert_eq!(room.room.view(room_id(), room.version).unwrap().participant_count, 1);
    room.when(person("ann"), "join", json!({})).refused(RefusalCode::TooManySessions);
    assert_eq!(room.room.participants()[0].view.sessions.len(), MAX_SESSIONS);
}

#[test]
fn a_second_session_is_refused_where_the_room_says_so() {
    let room = given_with(json!({ "duplicate_identity": "refuse" })).joined("ann", Role::Host);
    room.when(person("ann"), "join", json!({})).refused(RefusalCode::AlreadyPresent);
}

#[test]
fn a_moderator_is_host_where_there_is_none() {
    let outcome = given().joined("bob", Role::Speaker).when(person_of("ann", Role::Moderator), "join", json!({}));
    let session = outcome.session();
    let room = outcome.then([comes("ann", session, Role::Moderator), host_transferred(None, "ann")]);
    let outcome = room.when(person_of("cid", Role::Moderator), "join", json!({}));
    let session = outcome.session();
    outcome.then([comes("cid", session, Role::Moderator)]);
}

#[test]
fn what_is_out_of_bounds_is_told_by_field() {
    let long = format!(r#"{{"display_name":"{}"}}"#, "x".repeat(257));
    let large = format!(r#"{{"metadata":"{}"}}"#, "x".repeat(16 * 1024));
    for (field, body) in [
        ("display_name", long.as_str()),
        ("display_name", r#"{"display_name":"a\u0000b"}"#),
        ("metadata", large.as_str()),
        ("metadata.a[1]", r#"{"metadata":{"a":[1,"\u0000"]}}"#),
        ("identity", r#"{"identity":""}"#),
        ("role", r#"{"role":"king"}"#),
    ] {
        assert_eq!(faults("join", body)[0].field, field);
    }
}
