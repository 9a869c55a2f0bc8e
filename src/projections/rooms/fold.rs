//! Applies events to the row of the room.

use std::collections::BTreeMap;

use super::tables::{LabelRow, RoomRow};
use super::{RoomsModel, due, room_key};
use crate::events::room::view::RoomStatus;
use crate::events::room::{RoomCreated, RoomEnded, RoomEvent, SettingsChanged};
use crate::projections::decoded_event::DecodedEvent;
use crate::projections::rows::{EnumText, JsonText};

impl RoomsModel {
    pub(super) fn apply(&mut self, entry: &DecodedEvent) {
        if let RoomEvent::RoomCreated(created) = &entry.event {
            return self.created(entry, created);
        }
        let Some(row) = self.rooms.get(room_key(entry)) else { return };
        match row.status.0 {
            RoomStatus::Scheduled => self.apply_to_charter(entry),
            RoomStatus::Open => {
                self.apply_to_charter(entry);
                self.apply_to_people(entry);
                self.apply_to_scene(entry);
            }
            RoomStatus::Ended => {}
        }
        self.change_room(entry, |row| {
            row.version = entry.room_version;
            due::date(row, entry.happened_at);
        });
    }

    pub(super) fn change_room(&mut self, entry: &DecodedEvent, change: impl FnOnce(&mut RoomRow)) {
        self.rooms.change(room_key(entry), change);
    }

    fn created(&mut self, entry: &DecodedEvent, created: &RoomCreated) {
        let status = if created.opens_at.is_some() { RoomStatus::Scheduled } else { RoomStatus::Open };
        let mut row = RoomRow {
            room: entry.room,
            tenant: entry.tenant.clone(),
            version: entry.room_version,
            status: EnumText(status),
            name: created.name.as_deref().map(Into::into),
            created_at: entry.happened_at,
            opens_at: created.opens_at,
            opened_at: created.opens_at.is_none().then_some(entry.happened_at),
            ended_at: None,
            empty_since: None,
            due_at: None,
            end_reason: None,
            settings: JsonText(created.settings.clone()),
            locked: false,
            participant_count: 0,
            waiting_count: 0,
            spotlight: None,
            recording: None,
            recording_started_at: None,
        };
        due::date(&mut row, entry.happened_at);
        for label in labels(&row) {
            self.labels.put(label);
        }
        self.rooms.put(row);
    }

    /// What holds for a room be anybody in it or not.
    fn apply_to_charter(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::SettingsChanged(event) => self.settings_changed(entry, event),
            RoomEvent::RoomLocked(_) => self.change_room(entry, |row| row.locked = true),
            RoomEvent::RoomUnlocked(_) => self.change_room(entry, |row| row.locked = false),
            RoomEvent::RoomOpened(_) => self.relabel(entry, |row| {
                if row.status.0 == RoomStatus::Scheduled {
                    row.status = EnumText(RoomStatus::Open);
                    row.opened_at = Some(entry.happened_at);
                }
            }),
            RoomEvent::RoomEnded(event) => self.ended(entry, event),
            _ => {}
        }
    }

    /// The spotlight and the recording.
    fn apply_to_scene(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::SpotlightSet(event) => {
                self.change_room(entry, |row| row.spotlight = Some(event.identity.clone()));
            }
            RoomEvent::SpotlightCleared(_) => self.change_room(entry, |row| row.spotlight = None),
            RoomEvent::RecordingStarted(event) => self.change_room(entry, |row| {
                row.recording = Some(event.recording);
                row.recording_started_at = Some(entry.happened_at);
            }),
            RoomEvent::RecordingStopped(_) | RoomEvent::RecordingFailed(_) => self.change_room(entry, |row| {
                row.recording = None;
                row.recording_started_at = None;
            }),
            _ => {}
        }
    }

    fn settings_changed(&mut self, entry: &DecodedEvent, event: &SettingsChanged) {
        if event.changed.labels.is_some() {
            self.relabel(entry, |row| row.settings.0.apply(&event.changed));
        } else {
            self.change_room(entry, |row| row.settings.0.apply(&event.changed));
        }
    }

    fn ended(&mut self, entry: &DecodedEvent, event: &RoomEnded) {
        self.relabel(entry, |row| {
            row.status = EnumText(RoomStatus::Ended);
            row.ended_at = Some(entry.happened_at);
            row.end_reason = Some(EnumText(event.reason));
            row.locked = false;
            row.participant_count = 0;
            row.waiting_count = 0;
            row.spotlight = None;
            row.recording = None;
            row.recording_started_at = None;
        });
    }

    /// Changes a room in a way that its labels have to follow: which there are, or the status that they carry.
    fn relabel(&mut self, entry: &DecodedEvent, change: impl FnOnce(&mut RoomRow)) {
        let key = room_key(entry);
        let before = self.rooms.get(key).map(labels).unwrap_or_default();
        self.rooms.change(key, change);
        let after = self.rooms.get(key).map(labels).unwrap_or_default();
        if before == after {
            return;
        }
        // The labels of a room need no reading: its row says what they are.
        for label in before {
            self.labels.assume(label.clone());
            self.labels.remove((&label.room, &label.tenant, &label.label));
        }
        for label in after {
            self.labels.put(label);
        }
    }
}

fn labels(room: &RoomRow) -> Vec<LabelRow> {
    let labels: &BTreeMap<String, String> = &room.settings.0.labels;
    labels
        .iter()
        .map(|(label, value)| LabelRow {
            room: room.room,
            tenant: room.tenant.clone(),
            label: label.as_str().into(),
            value: value.as_str().into(),
            status: room.status,
            created_at: room.created_at,
        })
        .collect()
}
