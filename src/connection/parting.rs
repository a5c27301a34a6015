//! The goodbye to a peer that has no writer: one that is let in no further, or whose protocol is not known yet.
//!
//! It says what it is given and reads nothing but the end, for a moment; whom to send away and why, others decide.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::model::{ByeReason, Event, Item, Tag};
use crate::protocol::json::JsonEncoder;
use crate::protocol::{Encoder, Output, Terms, Wire, codec};

/// How long one may take to read why it has to go.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says its last words to a peer, and reads to the end, so that they are not lost with what it still sends.
pub(crate) async fn part<R, W>(mut input: R, mut output: W, words: &[u8])
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let told = tokio::time::timeout(PATIENCE, async {
        output.write_all(words).await?;
        output.shutdown().await?;
        let mut ignored = [0; 1_024];
        while input.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    });
    // Whether the peer has read it is its own affair.
    let _ = told.await;
}

/// Events as one who speaks JSON-lines reads them.
pub(crate) fn last_words(events: Vec<Event>) -> Vec<u8> {
    encoded(&mut JsonEncoder, events)
}

/// The goodbye of a server that goes down to one of whom nobody knows yet what it speaks: a line for a person, which a
/// program on such a port passes over, and the line that a program waits for.
pub(super) fn to_anyone(terms: &Terms) -> Vec<u8> {
    let bye = || vec![Event::bye(Tag::None, ByeReason::Shutdown)];
    let for_people = encoded(&mut *codec(Wire::Text, terms).1, bye());
    [for_people, last_words(bye())].concat()
}

fn encoded(encoder: &mut dyn Encoder, events: Vec<Event>) -> Vec<u8> {
    let mut output = Output::default();
    encoder.encode(Item::Events(Box::new(events)), &mut output);
    output.slices().concat()
}
