//! Server-sent events as bytes: cut into events, whatever pieces they come in.
//!
//! As the HTML standard says (section 9.2.6), as far as Genie needs it: `id`, `event`, `data`,
//! comments, and lines that end with LF or CRLF.

use std::mem;

/// Most bytes of an event; one with more is not read.
const EVENT_BYTES_MAX: usize = 64 << 20;

/// An event as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: String,
}

/// An event that has too many bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What has come and is not an event yet.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The beginning of a line.
    line: Vec<u8>,
    frame: Frame,
}

impl Frames {
    /// Takes what has come; gives the events that are whole now.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<Vec<Frame>, TooLong> {
        let mut whole = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let mut line = mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            whole.extend(self.line(&String::from_utf8_lossy(&line)));
            self.check()?;
        }
        self.line.extend_from_slice(bytes);
        self.check()?;
        Ok(whole)
    }

    fn check(&self) -> Result<(), TooLong> {
        let fits = self.line.len() + self.frame.data.len() <= EVENT_BYTES_MAX;
        if fits { Ok(()) } else { Err(TooLong) }
    }

    fn line(&mut self, line: &str) -> Option<Frame> {
        if line.is_empty() {
            let frame = mem::take(&mut self.frame);
            return (!frame.name.is_empty()).then_some(frame);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.frame.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.frame.name),
            "data" => {
                if !self.frame.data.is_empty() {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            // Comments, `retry`, and what is not known.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_in_whatever_pieces_they_come() {
        let text = ": heartbeat\n\nid: 7\nevent: run.started\ndata: {\"é\":1}\n\nretry: 1000\r\n\
                    event: progress\r\ndata: 1\r\ndata:2\r\n\r\n\
                    data: nameless\n\nid: 9\nevent: cut";
        let frame = |id: Option<&str>, name: &str, data: &str| {
            let (name, data) = (name.to_owned(), data.to_owned());
            Frame { id: id.map(str::to_owned), name, data }
        };
        let expected =
            [frame(Some("7"), "run.started", "{\"é\":1}"), frame(None, "progress", "1\n2")];
        for size in 1..=text.len() {
            let mut frames = Frames::default();
            let pieces = text.as_bytes().chunks(size);
            let read: Vec<Frame> = pieces.flat_map(|piece| frames.take(piece).unwrap()).collect();
            assert_eq!(read, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let (mut frames, piece) = (Frames::default(), vec![b'a'; EVENT_BYTES_MAX / 2]);
        assert_eq!(frames.take(&piece), Ok(Vec::new()));
        assert_eq!(frames.take(&piece), Ok(Vec::new()));
        assert_eq!(frames.take(b"a"), Err(TooLong));
    }
}
