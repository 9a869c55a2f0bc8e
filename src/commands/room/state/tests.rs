//! Tests of the state: the effect of events, snapshots, and views.

use super::*;
use crate::commands::room::testing::*;
use crate::ids::TrackId;

fn track(name: &str) -> TrackId {
    TrackId::from_uuid(numbered(name))
}

fn published(name: &str, who: &str, source: TrackSource) -> TrackPublished {
    TrackPublished {
        track: track(name),
        identity: id(who),
        session: session(who),
        kind: source.kind(),
        source,
        codec: Some("VP8".into()),
        width: Some(1280),
        height: Some(720),
        muted: false,
    }
}

fn open(given: &Given) -> &OpenState {
    given.room.open().unwrap()
}

/// A room with something of everything in it.
fn lively() -> Given {
    let sealed = Sealed(bytes::Bytes::from_static(b"\x00\x01\xff"));
    let waiting = ParticipantWaiting { identity: id("zoe"), session: session("zoe"), role: Role::Viewer };
    let joined = ParticipantJoined { identity: id("ann"), session: session("ann"), role: Role::Host };
    given_with(json!({ "labels": { "a": "b" }, "metadata": { "x": [1.1, null] }, "max_duration_s": 60 }))
        .sealed_event(joined, Some(&sealed))
        .joined("bob", Role::Moderator)
        .sealed_event(ParticipantRenamed { identity: id("bob") }, Some(&sealed))
        .sealed_event(ParticipantMetadataSet { identity: id("bob") }, Some(&sealed))
        .sealed_event(waiting, Some(&sealed))
        .event(RoomLocked {})
        .event(IdentityBanned { identity: id("eve"), until: None })
        .event(HandRaised { identity: id("bob") })
        .event(SpotlightSet { identity: id("bob") })
        .event(published("t1", "bob", TrackSource::Screen))
        .event(TrackMuted { track: track("t1"), by_staff: true })
        .event(RecordingStarted { recording: RecordingId::from_uuid(numbered("r")) })
        .event(MessageDeleted { message: 3, by_staff: true })
}

#[test]
fn a_state_reads_back_from_a_snapshot_as_it_was() {
    let ended = lively().event(RoomEnded { reason: EndReason::Requested });
    for given in [nothing(), scheduled(), given(), lively(), ended] {
        let json = serde_json::to_string(&given.room).unwrap();
        assert_eq!(serde_json::from_str::<Room>(&json).unwrap(), given.room, "{json}");
    }
}

/// Where this fails, the shape of the state has changed: raise `STATE_SHAPE`, then take the new text.
#[test]
fn the_shape_of_the_state_is_the_one_that_its_number_names() {
    let json = serde_json::to_string_pretty(&lively().room).unwrap() + "\n";
    assert_eq!(STATE_SHAPE, 2);
    assert_eq!(json, include_str!("shape-2.json"));
}

#[test]
fn events_that_make_no_sense_change_nothing() {
    let stray = [
        left("eve", LeaveReason::Left),
        RoleChanged { identity: id("eve"), from: Role::Viewer, to: Role::Host }.into(),
        HandLowered { identity: id("eve") }.into(),
        TrackMuted { track: track("none"), by_staff: true }.into(),
        TrackUnpublished { track: track("none"), reason: UnpublishReason::Unpublished }.into(),
        ParticipantAdmitted { identity: id("eve"), session: session("eve") }.into(),
        RoomOpened { reason: OpenReason::Due }.into(),
    ];
    for event in stray {
        assert_eq!(lively().event(event.clone()).room, lively().room, "{event:?}");
        assert_eq!(nothing().event(event).room, Room::Absent);
    }
}

#[test]
fn an_ended_room_changes_no_more() {
    let ended = lively().event(RoomEnded { reason: EndReason::Requested });
    assert_eq!(ended.clone().joined("cid", Role::Viewer).event(RoomLocked {}).room, ended.room);
}

#[test]
fn with_the_last_stay_tracks_end_the_hand_falls_and_the_spotlight_clears() {
    let again = ParticipantJoined { identity: id("bob"), session: session("bob2"), role: Role::Moderator };
    let room = lively().event(again).event(left("bob", LeaveReason::Replaced));
    assert_eq!(open(&room).tracks.iter().len(), 0);
    assert!(open(&room).hands.is_raised(&id("bob")));
    assert_eq!(open(&room).spotlight, Some(id("bob")));
    assert!(open(&room).tracks.is_held(&id("bob"), TrackSource::Screen));

    let last = ParticipantLeft { identity: id("bob"), session: session("bob2"), reason: LeaveReason::Left, seconds: 0 };
    let room = room.event(last);
    assert_eq!(open(&room).hands.in_order().len(), 0);
    assert_eq!(open(&room).spotlight, None);
    assert!(!open(&room).tracks.holds_any(&id("bob")));
    assert_eq!(open(&room).people.moderators().len(), 0);
}

#[test]
fn hands_keep_the_order_in_which_they_were_raised() {
    let raise = |who: &str| HandRaised { identity: id(who) };
    let room = given().joined("ann", Role::Viewer).joined("bob", Role::Viewer).joined("cid", Role::Viewer);
    let room = room.event(raise("cid")).event(raise("ann")).event(raise("bob")).event(raise("cid"));
    let room = room.event(HandLowered { identity: id("ann") }).event(raise("ann"));
    let order: Vec<_> = open(&room).hands.in_order().map(Identity::as_str).collect();
    assert_eq!(order, ["cid", "bob", "ann"]);
}

#[test]
fn what_staff_muted_stays_held_until_released_also_over_another_track() {
    let room = lively().event(TrackUnpublished { track: track("t1"), reason: UnpublishReason::Unpublished });
    assert!(open(&room).tracks.is_held(&id("bob"), TrackSource::Screen));
    assert!(!open(&room).tracks.is_held(&id("bob"), TrackSource::Microphone));
    assert_eq!(open(&room).tracks.screens().len(), 0);

    let room = lively().event(UnmuteAllowed { identity: id("bob") });
    assert!(!open(&room).tracks.holds_any(&id("bob")));
    let released = open(&room).tracks.get(track("t1")).unwrap();
    assert_eq!((released.muted, released.muted_by_staff), (true, false));
    let room = room.event(TrackUnmuted { track: track("t1") });
    assert!(!open(&room).tracks.get(track("t1")).unwrap().muted);
}

#[test]
fn hosts_and_moderators_are_known_by_how_long_they_are_present() {
    let room = given().joined("zoe", Role::Moderator).joined("ann", Role::Viewer).joined("bob", Role::Moderator);
    let room = room.event(RoleChanged { identity: id("ann"), from: Role::Viewer, to: Role::Moderator });
    let order: Vec<_> = open(&room).people.moderators().map(Identity::as_str).collect();
    assert_eq!(order, ["zoe", "ann", "bob"]);
    let room = room.event(HostTransferred { from: None, to: id("bob") });
    assert!(open(&room).people.is_only_host(&id("bob")));
    let room = room.event(HostTransferred { from: Some(id("bob")), to: id("zoe") });
    let order: Vec<_> = open(&room).people.moderators().map(Identity::as_str).collect();
    assert_eq!(order, ["ann", "bob"]);
}

#[test]
fn a_room_is_empty_from_its_opening_and_from_the_last_leave() {
    let room = given_with(json!({ "empty_timeout_s": 60 }));
    assert_eq!(room.room.deadline(), Some((room.now.plus_seconds(60), DueTransition::Empty)));
    let room = room.after(5).joined("ann", Role::Viewer);
    assert_eq!(room.room.deadline(), None);
    let room = room.after(5).event(left("ann", LeaveReason::Left));
    assert_eq!(room.room.deadline(), Some((room.now.plus_seconds(60), DueTransition::Empty)));
}

#[test]
fn the_earlier_deadline_counts() {
    let room = given_with(json!({ "empty_timeout_s": 60, "max_duration_s": 30 }));
    assert_eq!(room.room.deadline(), Some((room.now.plus_seconds(30), DueTransition::TooLong)));
    let changed = SettingsPatch { max_duration_s: Some(None), ..SettingsPatch::default() };
    assert_eq!(
        room.clone().event(SettingsChanged { changed }).room.deadline(),
        Some((room.now.plus_seconds(60), DueTransition::Empty))
    );
    assert_eq!(scheduled().room.deadline(), Some((scheduled().now.plus_seconds(3600), DueTransition::Open)));
    assert_eq!(nothing().room.deadline(), None);
}

#[test]
fn a_join_with_personal_fields_replaces_them_and_one_without_keeps_them() {
    let sealed = |text: &'static str| Sealed(bytes::Bytes::from_static(text.as_bytes()));
    let join =
        |n: u32| ParticipantJoined { identity: id("ann"), session: session(&format!("ann{n}")), role: Role::Host };
    let room = given().sealed_event(join(1), Some(&sealed("first")));
    let room = room.sealed_event(ParticipantRenamed { identity: id("ann") }, Some(&sealed("second")));
    let name = |room: &Given| room.room.participants()[0].name.clone().unwrap().sealed;
    let metadata = |room: &Given| room.room.participants()[0].metadata.clone().unwrap().sealed;
    let kept = room.clone().event(join(2));
    assert_eq!((name(&kept), metadata(&kept)), (sealed("second"), sealed("first")));
    let replaced = room.sealed_event(join(2), Some(&sealed("third")));
    assert_eq!((name(&replaced), metadata(&replaced)), (sealed("third"), sealed("third")));
}

#[test]
fn a_room_is_shown_in_each_of_its_states() {
    assert_eq!(nothing().room.view(room_id(), 0), None);
    let view = |given: &Given| given.room.view(room_id(), given.version).unwrap();
    let scheduled = scheduled();
    assert_eq!((view(&scheduled).status.as_str(), view(&scheduled).opens_at.is_some()), ("scheduled", true));
    let room = lively();
    assert_eq!(view(&room).status.as_str(), "open");
    assert_eq!((view(&room).participant_count, view(&room).waiting_count), (2, 1));
    assert_eq!((view(&room).hands, view(&room).spotlight), (vec![id("bob")], Some(id("bob"))));
    assert!(view(&room).recording.is_some() && view(&room).locked);
    assert!(room.room.participants()[1].view.tracks[0].muted_by_staff);
    let ended = room.event(RoomEnded { reason: EndReason::TooLong });
    assert_eq!((view(&ended).status.as_str(), view(&ended).end_reason), ("ended", Some(EndReason::TooLong)));
    assert_eq!((view(&ended).participant_count, view(&ended).locked), (0, false));
}

/// Bounds the cost of a step, not the machine: with ten thousand people an event may cost no more than a few times what it
/// costs with a hundred.
#[test]
fn an_event_costs_little_more_in_a_room_of_ten_thousand() {
    let crowd = |people: u32| (0..people).fold(given(), |room, n| room.joined(&format!("p{n}"), Role::Moderator));
    let once = |mut room: Given| {
        let started = std::time::Instant::now();
        for n in 0..1_000 {
            let who = format!("x{n}");
            room = room.joined(&who, Role::Host).event(HandRaised { identity: id(&who) });
            room = room.event(left(&who, LeaveReason::Left));
        }
        started.elapsed()
    };
    // The least of several: what else the machine does is not the room's cost.
    let cost = |room: Given| (0..7).map(|_| once(room.clone())).min();
    let (small, large) = (cost(crowd(100)).unwrap(), cost(crowd(10_000)).unwrap());
    assert!(large < small * 10, "{small:?} with a hundred people, {large:?} with ten thousand");
}

#[test]
fn who_was_removed_or_banned_is_put_out_until_they_join_again() {
    let banned = |until| IdentityBanned { identity: id("ann"), until };
    let unbanned = IdentityUnbanned { identity: id("ann") };
    let ended = RoomEnded { reason: EndReason::Requested };
    let there = given().joined("ann", Role::Speaker).joined("bob", Role::Host);
    let after = |reason| there.clone().event(left("ann", reason));
    let out = |given: &Given| given.room.was_put_out(&id("ann"));
    for room in [
        after(LeaveReason::Removed),
        after(LeaveReason::Banned),
        after(LeaveReason::Left).event(banned(None)),
        after(LeaveReason::Left).event(banned(Some(there.now))),
        after(LeaveReason::Left).event(banned(None)).event(unbanned.clone()),
        scheduled().event(banned(None)),
    ] {
        assert!(out(&room) && out(&room.clone().event(ended.clone())), "{room:?}");
        let back =
            room.event(unbanned.clone()).event(RoomOpened { reason: OpenReason::Due }).joined("ann", Role::Viewer);
        assert!(
            !out(&back) && !out(&back.clone().event(left("ann", LeaveReason::Left)).event(ended.clone())),
            "{back:?}"
        );
    }
    for reason in [LeaveReason::Left, LeaveReason::Replaced, LeaveReason::ConnectionLost, LeaveReason::RoomEnded] {
        assert!(!out(&after(reason).event(ended.clone())), "{reason:?}");
    }
}
