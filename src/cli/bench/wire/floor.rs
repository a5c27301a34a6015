//! The protocol of the floor server: linehub's messages, and one line to say where they go.
//!
//! It owns the join line alone; frames are read as linehub's are.

use super::jsonl::{Linehub, Lines};
use super::{Frame, Part, Template, Wire};

/// The first line is the room, the bytes before the body in each line that follows, and `+` where messages are wanted.
#[derive(Debug)]
pub(in crate::cli::bench) struct Floor {
    room: String,
    payload: usize,
    lines: Lines,
}

impl Wire for Floor {
    fn new(room: &str, payload: usize) -> Self {
        Self { room: room.to_owned(), payload, lines: Lines::new(payload) }
    }

    fn greet(&self, part: Part, _: usize, out: &mut Vec<u8>) -> u32 {
        let head = format!(r#"{{"op":"send","room":"{}","body":"#, self.room).len();
        let wish = if part.subscribes() { '+' } else { '-' };
        out.extend_from_slice(format!("{} {head} {wish}\n", self.room).as_bytes());
        1
    }

    fn template(&self) -> Template {
        Linehub::new(&self.room, self.payload).template()
    }

    #[inline]
    fn frame<'a>(&self, input: &'a [u8]) -> Option<(Frame<'a>, usize)> {
        let ok = b"ok\n";
        if input.starts_with(ok) { Some((Frame::Ready, ok.len())) } else { self.lines.frame(input) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frames, said};
    use super::*;

    #[test]
    fn it_says_where_its_bodies_begin() {
        let wire = Floor::new("bench.0", 16);
        let (greeting, message) = said(&wire, Part::Subscribes);
        assert_eq!(greeting, r"bench.0 37 +\n");
        assert_eq!(message, r#"{\"op\":\"send\",\"room\":\"bench.0\",\"body\":\"aaaabaaaaaaaaaac\"}\n"#);
        assert_eq!(said(&wire, Part::Publishes).0, r"bench.0 37 -\n");
    }

    #[test]
    fn it_reads_linehubs_messages() {
        let stream = b"ok\n{\"ev\":\"message\",\"room\":\"bench.0\",\"seq\":1,\"body\":\"abcdefghijklmnop\"}\n";
        assert_eq!(frames(&Floor::new("bench.0", 16), stream), ["ready", "message abcdefghijklmnop"]);
    }
}
