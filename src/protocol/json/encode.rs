//! Events as JSON lines, with the keys in the contract's order.
//!
//! Messages of rooms are shared slices of their chunk wherever they can be. Whatever happens often is written without
//! an allocation of its own. Decides nothing: what is said, and to whom, is the router's.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::write::{id, number_field, place, raw_field, text_field};
use crate::model::{
    Chunk, ErrorEvent, Event, FoundPage, HistoryPage, Item, MemberInfo, Nick, OkEvent, RoomInfo, RoomName, Sender, Tag,
    Welcome,
};
use crate::protocol::{Encoder, Output};

/// What `welcome` calls this server.
const SERVER: &str = concat!("linehub/", env!("CARGO_PKG_VERSION"));

/// The version of the contract.
const PROTO: u32 = 1;

/// How a line of a chunk begins, and how it does where it is one of a page's messages.
const MESSAGE_HEAD: &[u8] = br#"{"ev":"message","#;

/// How a line of a chunk ends.
const MESSAGE_END: &[u8] = b"}\n";

/// The outgoing half.
#[derive(Debug)]
pub struct JsonEncoder;

impl Encoder for JsonEncoder {
    fn encode(&mut self, item: Item, out: &mut Output) {
        match item {
            Item::Feed { chunk, from, to, replay } => {
                let lines = from as usize..to as usize;
                if replay {
                    replayed(out.buffer(), &chunk, lines);
                } else if !lines.is_empty() {
                    out.share(chunk.bytes().slice(chunk.span(&lines)));
                }
            }
            // Whoever writes has taken the other protocol's encoder by now.
            Item::Switch(_) => {}
            Item::Events(events) => {
                let out = out.buffer();
                for event in &*events {
                    encode(event, out);
                }
            }
        }
    }
}

/// Each line with the mark that it is old.
fn replayed(out: &mut BytesMut, chunk: &Chunk, lines: std::ops::Range<usize>) {
    const MARK: &[u8] = b",\"replay\":true}\n";
    out.reserve(chunk.span(&lines).len() + lines.len() * MARK.len());
    for at in lines {
        let line = &chunk.bytes()[chunk.span(&(at..at + 1))];
        out.put_slice(line.strip_suffix(MESSAGE_END).unwrap_or(line));
        out.put_slice(MARK);
    }
}

fn encode(event: &Event, out: &mut BytesMut) {
    match event {
        // A plain `ok` is left out where it was not asked for, and bytes of another protocol are none of ours.
        Event::Ok(Tag::None, _) | Event::Sent { tag: Tag::None, .. } | Event::Raw(_) => return,
        Event::Welcome(tag, event) => welcome(out, tag, event),
        Event::Ok(tag, event) => ok(out, tag, event),
        Event::Sent { tag, place: at, seq, ts, dup } => {
            begin(out, "ok", tag);
            place(out, at);
            number_field(out, r#","seq":"#, seq.0);
            number_field(out, r#","ts":"#, *ts);
            mark(out, r#","dup":true"#, *dup);
        }
        Event::Error(tag, event) => error(out, tag, event),
        Event::Work { chunk, line, attempt } => return work(out, chunk, *line as usize, *attempt),
        Event::Request { place: at, req, sender, ts, headers, body } => {
            begin(out, "request", &Tag::None);
            place(out, at);
            text_field(out, r#","req":"#, req);
            from(out, sender);
            account(out, sender.account.as_deref());
            number_field(out, r#","ts":"#, *ts);
            optional(out, headers.as_deref(), |out, headers| raw_field(out, r#","headers":"#, headers));
            raw_field(out, r#","body":"#, body);
        }
        Event::Reply { tag, sender, ts, headers, result } => {
            begin(out, "reply", tag);
            from(out, sender);
            number_field(out, r#","ts":"#, *ts);
            optional(out, headers.as_deref(), |out, headers| raw_field(out, r#","headers":"#, headers));
            match result {
                Ok(body) => raw_field(out, r#","body":"#, body),
                Err(error) => raw_field(out, r#","error":"#, error),
            }
        }
        Event::History(tag, page) => history(out, tag, page),
        Event::Found(tag, page) => found(out, tag, page),
        Event::Who { tag, room: at, members, more } => who(out, tag, at.as_deref(), members, *more),
        Event::Rooms { tag, rooms, more } => self::rooms(out, tag, rooms, *more),
        Event::Pong(tag) => begin(out, "pong", tag),
        Event::Bye { tag, reason, reconnect_ms } => {
            begin(out, "bye", tag);
            text_field(out, r#","reason":"#, reason.as_str());
            optional(out, *reconnect_ms, |out, ms| number_field(out, r#","reconnect_ms":"#, ms));
        }
        news => self::news(out, news),
    }
    out.put_slice(b"}\n");
}

/// What no request asked for.
fn news(out: &mut BytesMut, event: &Event) {
    match event {
        Event::Joined { room: at, nick } => {
            begin(out, "joined", &Tag::None);
            room(out, at);
            text_field(out, r#","nick":"#, nick.shown());
        }
        Event::Cursor { pattern, cursor: at } => {
            begin(out, "cursor", &Tag::None);
            text_field(out, r#","pattern":"#, pattern.shown());
            cursor(out, *at);
        }
        Event::Left { room: at, nick, reason, by } => {
            begin(out, "left", &Tag::None);
            room(out, at);
            text_field(out, r#","nick":"#, nick.shown());
            optional(out, reason.as_deref(), |out, reason| text_field(out, r#","reason":"#, reason));
            optional(out, by.as_deref(), self::by);
        }
        Event::Nick { nick, was } => {
            begin(out, "nick", &Tag::None);
            text_field(out, r#","nick":"#, nick.shown());
            text_field(out, r#","was":"#, was.shown());
        }
        Event::Topic { room: at, topic, by } => {
            begin(out, "topic", &Tag::None);
            room(out, at);
            text_field(out, r#","topic":"#, topic);
            self::by(out, by);
        }
        Event::Redacted { room: at, seq, by } => {
            begin(out, "redacted", &Tag::None);
            room(out, at);
            number_field(out, r#","seq":"#, seq.0);
            self::by(out, by);
        }
        Event::Lagged { place: at, missed, next, presence } => {
            begin(out, "lagged", &Tag::None);
            place(out, at);
            number_field(out, r#","missed":"#, *missed);
            number_field(out, r#","next":"#, next.0);
            mark(out, r#","presence":true"#, *presence);
        }
        Event::Gap { place: at, first, last } => {
            begin(out, "gap", &Tag::None);
            place(out, at);
            number_field(out, r#","first":"#, first.0);
            number_field(out, r#","last":"#, last.0);
        }
        // Invariant: `encode` has written all answers; what is left is this.
        _ => begin(out, "ping", &Tag::None),
    }
}

fn welcome(out: &mut BytesMut, tag: &Tag, event: &Welcome) {
    begin(out, "welcome", tag);
    text_field(out, r#","nick":"#, event.nick.shown());
    account(out, event.account.as_deref());
    text_field(out, r#","session":"#, &event.session.to_string());
    text_field(out, r#","server":"#, SERVER);
    number_field(out, r#","proto":"#, PROTO);
    flag(out, r#","resumed":"#, event.resumed);
    list(out, r#","unread":"#, &event.unread, |out, (nick, count)| {
        text_field(out, r#"{"nick":"#, nick.shown());
        number_field(out, r#","count":"#, *count);
        out.put_u8(b'}');
    });
    number_field(out, r#","limits":{"max_line":"#, event.max_line);
    out.put_u8(b'}');
}

fn ok(out: &mut BytesMut, tag: &Tag, event: &OkEvent) {
    begin(out, "ok", tag);
    match (&event.place, &event.pattern) {
        (Some(at), _) => place(out, at),
        (None, Some(pattern)) => text_field(out, r#","room":"#, pattern.shown()),
        (None, None) => {}
    }
    optional(out, event.seq, |out, seq| number_field(out, r#","seq":"#, seq.0));
    optional(out, event.epoch.as_ref(), |out, epoch| text_field(out, r#","epoch":"#, &epoch.0));
    mark(out, r#","reset":true"#, event.reset);
    optional(out, event.cursor, cursor);
    mark(out, r#","existed":true"#, event.existed);
    optional(out, event.topic.as_deref(), |out, topic| text_field(out, r#","topic":"#, topic));
}

/// A cursor is text, so that nobody counts with it.
fn cursor(out: &mut BytesMut, at: u64) {
    text_field(out, r#","cursor":"#, itoa::Buffer::new().format(at));
}

fn error(out: &mut BytesMut, tag: &Tag, event: &ErrorEvent) {
    begin(out, "error", tag);
    text_field(out, r#","code":"#, event.code.as_str());
    text_field(out, r#","message":"#, &event.message);
    optional(out, event.op.as_deref(), |out, op| text_field(out, r#","op":"#, op));
    optional(out, event.room.as_deref(), room);
    optional(out, event.retry_after_ms, |out, ms| number_field(out, r#","retry_after_ms":"#, ms));
}

fn work(out: &mut BytesMut, chunk: &Chunk, at: usize, attempt: u32) {
    let (line, facts) = (chunk.span(&(at..at + 1)), &chunk.lines()[at]);
    let body_end = (facts.body + facts.body_len) as usize;
    out.put_slice(&chunk.bytes()[line.start..body_end]);
    number_field(out, r#","attempt":"#, attempt);
    out.put_slice(&chunk.bytes()[body_end..line.end]);
}

fn history(out: &mut BytesMut, tag: &Tag, page: &HistoryPage) {
    begin(out, "history", tag);
    place(out, &page.place);
    number_field(out, r#","seq":"#, page.seq.0);
    text_field(out, r#","epoch":"#, &page.epoch.0);
    mark(out, r#","reset":true"#, page.reset);
    messages(out, &page.messages);
    flag(out, r#","more":"#, page.more);
}

fn found(out: &mut BytesMut, tag: &Tag, page: &FoundPage) {
    begin(out, "history", tag);
    if let Some((name, seq, epoch)) = &page.room {
        room(out, name);
        number_field(out, r#","seq":"#, seq.0);
        text_field(out, r#","epoch":"#, &epoch.0);
    }
    messages(out, &page.messages);
    flag(out, r#","more":"#, page.more);
}

fn messages(out: &mut BytesMut, messages: &[(Arc<Chunk>, u32)]) {
    list(out, r#","messages":"#, messages, |out, (chunk, at)| {
        let at = *at as usize;
        let line = &chunk.bytes()[chunk.span(&(at..at + 1))];
        // Invariant: every line of a chunk begins and ends so, see `message`.
        let fields = line.strip_prefix(MESSAGE_HEAD).unwrap_or(line);
        out.put_u8(b'{');
        out.put_slice(fields.strip_suffix(b"\n").unwrap_or(fields));
    });
}

fn who(out: &mut BytesMut, tag: &Tag, at: Option<&RoomName>, members: &[MemberInfo], more: bool) {
    begin(out, "who", tag);
    optional(out, at, room);
    list(out, r#","members":"#, members, |out, member| {
        text_field(out, r#"{"nick":"#, member.nick.shown());
        account(out, member.account.as_deref());
        text_field(out, r#","role":"#, member.role);
        number_field(out, r#","idle_s":"#, member.idle_s);
        out.put_u8(b'}');
    });
    flag(out, r#","more":"#, more);
}

fn rooms(out: &mut BytesMut, tag: &Tag, rooms: &[RoomInfo], more: bool) {
    begin(out, "rooms", tag);
    list(out, r#","rooms":"#, rooms, |out, info| {
        text_field(out, r#"{"room":"#, info.room.shown());
        text_field(out, r#","kind":"#, info.kind.as_str());
        number_field(out, r#","members":"#, info.members);
        number_field(out, r#","seq":"#, info.seq.0);
        text_field(out, r#","epoch":"#, &info.epoch.0);
        optional(out, info.topic.as_deref(), |out, topic| text_field(out, r#","topic":"#, topic));
        mark(out, r#","private":true"#, info.private);
        out.put_u8(b'}');
    });
    flag(out, r#","more":"#, more);
}

fn begin(out: &mut BytesMut, ev: &'static str, tag: &Tag) {
    text_field(out, r#"{"ev":"#, ev);
    id(out, tag);
}

fn room(out: &mut BytesMut, room: &RoomName) {
    text_field(out, r#","room":"#, room.shown());
}

fn from(out: &mut BytesMut, sender: &Sender) {
    text_field(out, r#","from":"#, sender.nick.shown());
}

fn by(out: &mut BytesMut, by: &Nick) {
    text_field(out, r#","by":"#, by.shown());
}

fn account(out: &mut BytesMut, account: Option<&str>) {
    optional(out, account, |out, account| text_field(out, r#","account":"#, account));
}

/// A field that is only there where it is true.
fn mark(out: &mut BytesMut, field: &'static str, is: bool) {
    if is {
        out.put_slice(field.as_bytes());
    }
}

/// A field that is always there.
fn flag(out: &mut BytesMut, key: &'static str, is: bool) {
    raw_field(out, key, if is { b"true" } else { b"false" });
}

fn optional<T>(out: &mut BytesMut, value: Option<T>, write: impl FnOnce(&mut BytesMut, T)) {
    if let Some(value) = value {
        write(out, value);
    }
}

fn list<T>(out: &mut BytesMut, key: &'static str, items: &[T], write: impl Fn(&mut BytesMut, &T)) {
    out.put_slice(key.as_bytes());
    for (at, item) in items.iter().enumerate() {
        out.put_u8(if at == 0 { b'[' } else { b',' });
        write(out, item);
    }
    out.put_slice(if items.is_empty() { b"[]" } else { b"]" });
}
