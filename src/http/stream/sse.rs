//! Server-sent events (WHATWG HTML, 9.2), written into a buffer.
//!
//! An `id` without data moves the reader's last event id and dispatches nothing (9.2.6): so a stream that begins now, or
//! that had nothing to show for a while, tells where it is, and a reader that comes back loses and repeats nothing.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

/// What is written in one go. A frame that is shared by many readers is not copied where it goes alone.
#[derive(Default)]
pub struct FrameBuffer {
    shared: Option<Bytes>,
    buffer: BytesMut,
}

impl FrameBuffer {
    pub fn is_empty(&self) -> bool {
        self.shared.is_none() && self.buffer.is_empty()
    }

    pub fn put(&mut self, frame: Bytes) {
        if self.is_empty() {
            self.shared = Some(frame);
        } else {
            self.buffer().put_slice(&frame);
        }
    }

    /// To write behind what is there.
    pub fn buffer(&mut self) -> &mut BytesMut {
        if let Some(shared) = self.shared.take() {
            self.buffer.put_slice(&shared);
        }
        &mut self.buffer
    }

    pub fn freeze(self) -> Bytes {
        self.shared.unwrap_or_else(|| self.buffer.freeze())
    }
}

/// A comment, which readers drop: it keeps proxies from closing an idle stream.
pub fn comment(buffer: &mut BytesMut) {
    buffer.put_slice(b":\n\n");
}

/// How long a reader waits before it comes back, once the stream has ended.
pub fn retry(buffer: &mut BytesMut, wait: Duration) {
    buffer.put_slice(format!("retry: {}\n\n", wait.as_millis()).as_bytes());
}

/// Moves the reader's last event id only.
pub fn place(buffer: &mut BytesMut, id: &str) {
    line(buffer, b"id: ", id);
    buffer.put_u8(b'\n');
}

/// One event. `id` and `event` hold no line breaks; each line of `data` becomes a line of its own, as 9.2.6 joins them.
pub fn event(buffer: &mut BytesMut, id: &str, event: &str, data: &str) {
    buffer.reserve(id.len() + event.len() + data.len() + 32);
    line(buffer, b"id: ", id);
    line(buffer, b"event: ", event);
    for part in data.split(['\n', '\r']) {
        line(buffer, b"data: ", part);
    }
    buffer.put_u8(b'\n');
}

fn line(buffer: &mut BytesMut, field: &[u8], value: &str) {
    buffer.put_slice(field);
    buffer.put_slice(value.as_bytes());
    buffer.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut buffer = BytesMut::new();
        write(&mut buffer);
        String::from_utf8(buffer.to_vec()).expect("UTF-8")
    }

    #[test]
    fn an_event_has_its_id_name_and_data() {
        let text = written(|buffer| event(buffer, "3f2a91c0-v12", "room.opened", "{\"a\":1}"));
        assert_eq!(text, "id: 3f2a91c0-v12\nevent: room.opened\ndata: {\"a\":1}\n\n");
    }

    #[test]
    fn a_line_break_in_data_cannot_end_the_event() {
        let text = written(|buffer| event(buffer, "1", "x", "{\n}\r\nid: 7"));
        assert_eq!(text, "id: 1\nevent: x\ndata: {\ndata: }\ndata: \ndata: id: 7\n\n");
    }

    #[test]
    fn a_place_alone_dispatches_nothing() {
        assert_eq!(written(|buffer| place(buffer, "3f2a91c0-p9")), "id: 3f2a91c0-p9\n\n");
        assert_eq!(written(comment), ":\n\n");
        assert_eq!(written(|buffer| retry(buffer, Duration::from_millis(1500))), "retry: 1500\n\n");
    }
}
