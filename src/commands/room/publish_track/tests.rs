//! Tests of publishing tracks.

use serde_json::{Value, json};

use super::MAX_TRACKS;
use crate::commands::refusal::RefusalCode;
use crate::commands::room::testing::*;
use crate::ids::TrackId;

fn published(track: TrackId, who: &str, source: TrackSource) -> TrackPublished {
    TrackPublished {
        track,
        identity: id(who),
        session: session(who),
        kind: source.kind(),
        source,
        codec: None,
        width: None,
        height: None,
        muted: false,
    }
}

fn replaced(name: &str) -> RoomEvent {
    TrackUnpublished { track: track(name), reason: UnpublishReason::Replaced }.into()
}

fn two_speakers(settings: Value) -> Given {
    given_with(settings).joined("ann", Role::Speaker).joined("bob", Role::Speaker)
}

#[test]
fn a_track_is_named_by_its_command_and_belongs_to_the_stay() {
    let room = two_speakers(json!({}));
    let body = json!({ "source": "camera", "codec": "VP8", "width": 1280, "height": 720 });
    let outcome = room.when(person("ann"), "publish-track", body);
    let camera = TrackPublished {
        codec: Some("VP8".into()),
        width: Some(1280),
        height: Some(720),
        ..published(outcome.track(), "ann", TrackSource::Camera)
    };
    let room = outcome.then([camera.into()]);
    let room = room.event(left("ann", LeaveReason::Left));
    assert_eq!(room.open().tracks.iter().len(), 0, "tracks end with the stay");
}

#[test]
fn one_of_several_stays_may_be_named_and_the_newest_is_taken_else() {
    let room = given_with(json!({ "duplicate_identity": "allow" })).joined("ann", Role::Speaker);
    let room = room.event(ParticipantJoined { identity: id("ann"), session: session("ann-2"), role: Role::Speaker });
    let newest = room.when(person("ann"), "publish-track", json!({ "source": "microphone" })).and();
    assert_eq!(newest.open().tracks.iter().next().unwrap().1.session, session("ann-2"));
    let body = json!({ "source": "microphone", "session": session("ann") });
    let first = room.when(person("ann"), "publish-track", body).and();
    assert_eq!(first.open().tracks.iter().next().unwrap().1.session, session("ann"));
    let body = json!({ "source": "microphone", "session": session("bob") });
    room.when(person("ann"), "publish-track", body).refused(RefusalCode::NotPresent);
}

#[test]
fn the_setting_publish_says_which_role_may_publish_what() {
    let settings = json!({ "publish": { "audio": ["viewer", "host"], "video": ["host"], "screen": [] } });
    let room = given_with(settings).joined("ann", Role::Viewer).joined("hal", Role::Host);
    let publish = |who: &str, source: &str| room.when(person(who), "publish-track", json!({ "source": source }));
    assert_eq!(publish("ann", "microphone").events().len(), 1);
    assert_eq!(publish("hal", "camera").events().len(), 1);
    publish("ann", "camera").refused(RefusalCode::PublishNotAllowed);
    publish("hal", "screen").refused(RefusalCode::PublishNotAllowed);
    publish("hal", "screen-audio").refused(RefusalCode::PublishNotAllowed);
}

#[test]
fn a_server_publishes_for_somebody_within_their_role() {
    let room = two_speakers(json!({})).joined("vic", Role::Viewer);
    let body = json!({ "identity": "ann", "source": "microphone" });
    let outcome = room.when(server(), "publish-track", body.clone());
    let track = outcome.track();
    outcome.then([published(track, "ann", TrackSource::Microphone).into()]);
    let viewer = json!({ "identity": "vic", "source": "microphone" });
    room.when(server(), "publish-track", viewer).refused(RefusalCode::PublishNotAllowed);
    room.when(server(), "publish-track", json!({ "source": "camera" })).refused(RefusalCode::IdentityRequired);
    room.when(person("bob"), "publish-track", body).refused(RefusalCode::NotGranted);
}

#[test]
fn a_second_screen_stands_beside_the_first_unless_the_setting_says_other() {
    let room = two_speakers(json!({})).track("ann-screen", "ann", TrackSource::Screen);
    let room = room.when(person("bob"), "publish-track", json!({ "source": "screen" })).and();
    assert_eq!(room.open().tracks.screens().len(), 2);
}

#[test]
fn a_second_screen_is_refused() {
    let room = two_speakers(json!({ "one_screen": "refuse" })).track("ann-screen", "ann", TrackSource::Screen);
    let refusal = room.when(person("bob"), "publish-track", json!({ "source": "screen" }));
    assert!(refusal.refused(RefusalCode::ScreenTaken).detail.contains("ann"));
    room.when(person("ann"), "publish-track", json!({ "source": "screen" })).refused(RefusalCode::ScreenTaken);
    let sound = json!({ "source": "screen-audio" });
    room.when(person("bob"), "publish-track", sound.clone()).refused(RefusalCode::ScreenTaken);
    assert_eq!(room.when(person("ann"), "publish-track", sound).events().len(), 1, "the sound of one's own screen");
    assert_eq!(room.when(person("bob"), "publish-track", json!({ "source": "camera" })).events().len(), 1);
}

#[test]
fn a_second_screen_replaces_the_first_and_the_sound_shared_with_it() {
    let room = two_speakers(json!({ "one_screen": "replace" }))
        .track("s1", "ann", TrackSource::Screen)
        .track("s2", "ann", TrackSource::ScreenAudio)
        .track("s3", "ann", TrackSource::Camera);
    let outcome = room.when(person("bob"), "publish-track", json!({ "source": "screen" }));
    let screen = outcome.track();
    let published = published(screen, "bob", TrackSource::Screen).into();
    let room = outcome.then([replaced("s1"), replaced("s2"), published]);
    assert_eq!(room.open().tracks.screens().collect::<Vec<_>>(), [screen]);
    let camera = json!({ "source": "camera" });
    assert_eq!(room.when(person("bob"), "publish-track", camera).events().len(), 1, "a camera replaces nothing");
}

#[test]
fn who_replaces_their_own_screen_keeps_its_sound() {
    let room = two_speakers(json!({ "one_screen": "replace" })).track("s1", "ann", TrackSource::Screen).track(
        "s2",
        "ann",
        TrackSource::ScreenAudio,
    );
    let outcome = room.when(person("ann"), "publish-track", json!({ "source": "screen" }));
    let track = outcome.track();
    outcome.then([replaced("s1"), published(track, "ann", TrackSource::Screen).into()]);
}

#[test]
fn a_microphone_begins_muted_where_the_setting_says_so() {
    let room = two_speakers(json!({ "mute_on_entry": true }));
    let muted = |source: &str| {
        let room = room.when(person("ann"), "publish-track", json!({ "source": source })).and();
        let (_, track) = room.open().tracks.iter().next().unwrap();
        (track.muted, track.muted_by_staff)
    };
    assert_eq!(muted("microphone"), (true, false));
    assert_eq!(muted("camera"), (false, false));
    assert_eq!(muted("screen-audio"), (false, false));
}

#[test]
fn publishing_anew_is_no_way_around_staff() {
    let room = two_speakers(json!({})).track("ann-mic", "ann", TrackSource::Microphone);
    let room = room.event(TrackMuted { track: track("ann-mic"), by_staff: true });
    let room = room.event(TrackUnpublished { track: track("ann-mic"), reason: UnpublishReason::Unpublished });
    let outcome = room.when(person("ann"), "publish-track", json!({ "source": "microphone" }));
    let track = outcome.track();
    let muted = TrackPublished { muted: true, ..published(track, "ann", TrackSource::Microphone) };
    let room = outcome.then([muted.into(), TrackMuted { track, by_staff: true }.into()]);
    room.when(person("ann"), "unmute-track", json!({ "track": track })).refused(RefusalCode::MutedByStaff);
    let room = room.event(UnmuteAllowed { identity: id("ann") });
    room.when(person("ann"), "unmute-track", json!({ "track": track })).then([TrackUnmuted { track }.into()]);
}

#[test]
fn a_person_publishes_so_many_tracks_and_no_more() {
    let room = (0..MAX_TRACKS).fold(two_speakers(json!({})), |room, number| {
        room.track(&format!("track-{number}"), "ann", TrackSource::Camera)
    });
    let body = json!({ "source": "camera" });
    room.when(person("ann"), "publish-track", body.clone()).refused(RefusalCode::TooManyTracks);
    assert_eq!(room.when(person("bob"), "publish-track", body).events().len(), 1);
}

#[test]
fn only_who_is_present_in_an_open_room_publishes() {
    let body = json!({ "source": "microphone" });
    let publish = |room: Given| room.when(person("eve"), "publish-track", body.clone());
    publish(two_speakers(json!({}))).refused(RefusalCode::NotPresent);
    publish(two_speakers(json!({})).waiting("eve", Role::Speaker)).refused(RefusalCode::NotPresent);
    publish(nothing()).refused(RefusalCode::RoomNotFound);
    publish(scheduled()).refused(RefusalCode::RoomNotOpen);
    publish(ended()).refused(RefusalCode::RoomEnded);
}

#[test]
fn sizes_and_codecs_have_bounds() {
    let field = |body: Value| faults("publish-track", &body.to_string())[0].field.clone();
    assert_eq!(field(json!({})), "source");
    assert_eq!(field(json!({ "source": "telepathy" })), "source");
    assert_eq!(field(json!({ "source": "microphone", "width": 640 })), "width");
    assert_eq!(field(json!({ "source": "camera", "height": 0 })), "height");
    assert_eq!(field(json!({ "source": "camera", "width": 16_385 })), "width");
    assert_eq!(field(json!({ "source": "camera", "width": -1 })), "width");
    assert_eq!(field(json!({ "source": "camera", "codec": "" })), "codec");
    assert_eq!(field(json!({ "source": "camera", "codec": "x".repeat(33) })), "codec");
}
