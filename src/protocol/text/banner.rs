//! What a person sees first.
//!
//! Every line begins with the server's mark and none with `{`, so that a program that speaks JSON-lines on the same port
//! can tell it from an answer.

use bytes::{Bytes, BytesMut};

use super::screen::notice;

const SERVER: &str = concat!("linehub ", env!("CARGO_PKG_VERSION"));

/// Telnet's escape byte: such a client has said something, its person has not.
const IAC: u8 = 255;

/// The first words for a client of whom this much is there already; none for a program that speaks JSON or pipes.
pub(super) fn first_words(input: &[u8]) -> Option<Bytes> {
    let nothing_typed = input.first() == Some(&IAC) || input.iter().all(u8::is_ascii_whitespace);
    if nothing_typed {
        return Some(full());
    }
    let program = [&b"{"[..], b"/pipe", b"/json"].iter().any(|begin| input.starts_with(begin));
    (!program).then(|| short(input.contains(&b'\r')))
}

/// To one who has typed nothing yet. It ends its lines with CR LF, which every terminal understands.
fn full() -> Bytes {
    let mut out = BytesMut::new();
    notice(&mut out, true, format_args!("{SERVER}: a place to talk, one line at a time."));
    notice(
        &mut out,
        true,
        format_args!("/help tells what you can type, /quit leaves, Ctrl-R shows a half-typed line again."),
    );
    notice(&mut out, true, format_args!("What do you want to be called? Type a name, then Enter."));
    out.freeze()
}

/// To one whose first line is there: asking for what is on its way would only stand in between.
fn short(crlf: bool) -> Bytes {
    let mut out = BytesMut::new();
    notice(&mut out, crlf, format_args!("{SERVER}. /help tells what you can type, /quit leaves."));
    out.freeze()
}
