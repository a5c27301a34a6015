//! Groups: how messages are written down, as a format of the store's own that no wire knows.
//!
//! A [`GroupDraft`] takes messages one by one and becomes a [`Group`], the unit that is stored and read. Each sender is
//! spelt out where it first speaks in a group. Numbers, the place and the checksum are the engine's; here is neither a
//! file nor a channel.
//!
//! A group is a version byte, the [`Boot`] of who wrote it and a time, then its messages: a byte of flags, the time since
//! the one before, the sender's index, and what the flags announce, each text behind its length. Numbers are LEB128.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::model::{Chunk, ConnId, Draft, Identity, Nick, Place, Sender, Seq};
use crate::protocol::json::{MessageHead, SenderPart};

/// The version of the format, for whoever changes it.
const VERSION: u8 = 1;
/// Version, boot and first time.
const HEAD_BYTES: usize = 1 + 8 + 8;

const HAS_HEADERS: u8 = 1;
const HAS_KEY: u8 = 2;
const IS_REDACTED: u8 = 4;
const HAS_TO: u8 = 8;

/// One life of a server: numbers of connections and guests mean something only within it. Random, so that no two are the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Boot(pub u64);

impl Boot {
    /// A life that there never was.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(getrandom::u64()?))
    }
}

/// Consecutive messages of one room as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    bytes: Bytes,
    count: u32,
    keyed: u32,
    last_ts: u64,
}

/// One message of a group, borrowed from it.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Who sent it; of another life of the server, a connection and a guest that nobody is.
    pub sender: Arc<Sender>,
    /// Who a direct message is for.
    pub to: Option<&'a str>,
    /// When, in Unix milliseconds, by the clock of the server that took it.
    pub ts: u64,
    /// The `headers` object, where there is one.
    pub headers: Option<&'a [u8]>,
    /// The body: any JSON value; `null` of a redacted one.
    pub body: &'a [u8],
    /// The idempotency key, hashed.
    pub key: Option<u128>,
    /// Whether the body was taken out.
    pub redacted: bool,
}

/// A group in the making.
#[derive(Debug)]
pub struct GroupDraft {
    bytes: Vec<u8>,
    count: u32,
    keyed: u32,
    last_ts: u64,
    senders: SmallVec<[Arc<Sender>; 4]>,
}

impl GroupDraft {
    /// Nothing yet.
    pub fn new(boot: Boot) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.push(VERSION);
        bytes.extend_from_slice(&boot.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Self { bytes, count: 0, keyed: 0, last_ts: 0, senders: SmallVec::new() }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Messages so far.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Adds a message.
    pub fn push(&mut self, record: &Record<'_>) {
        let ts = record.ts.max(self.last_ts);
        if self.count == 0 {
            self.bytes[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&ts.to_le_bytes());
            self.last_ts = ts;
        }
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        self.bytes.push(
            flag(record.headers.is_some(), HAS_HEADERS)
                | flag(record.key.is_some(), HAS_KEY)
                | flag(record.redacted, IS_REDACTED)
                | flag(record.to.is_some(), HAS_TO),
        );
        self.number(ts - self.last_ts);
        self.sender(&record.sender);
        if let Some(to) = record.to {
            self.text(to.as_bytes());
        }
        if let Some(headers) = record.headers {
            self.text(headers);
        }
        if !record.redacted {
            self.text(record.body);
        }
        if let Some(key) = record.key {
            self.bytes.extend_from_slice(&key.to_le_bytes());
        }
        self.last_ts = ts;
        self.keyed += u32::from(record.key.is_some());
        self.count += 1;
    }

    /// The group.
    pub fn seal(self) -> Group {
        let Self { bytes, count, keyed, last_ts, .. } = self;
        Group { bytes: Bytes::from(bytes), count, keyed, last_ts }
    }

    fn sender(&mut self, sender: &Arc<Sender>) {
        let known = self.senders.iter().rposition(|known| Arc::ptr_eq(known, sender));
        self.number(known.unwrap_or(self.senders.len()) as u64);
        if known.is_some() {
            return;
        }
        self.senders.push(Arc::clone(sender));
        self.number(sender.conn.0);
        match &sender.identity {
            Identity::Guest(number) => {
                self.bytes.push(0);
                self.number(*number);
            }
            Identity::Account(name) => {
                self.bytes.push(1);
                self.text(name.as_bytes());
                self.text(sender.account.as_deref().unwrap_or_default().as_bytes());
            }
        }
        self.text(sender.nick.shown().as_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

impl Group {
    /// A group read back, if the bytes are one to the last.
    pub fn parse(bytes: &Bytes) -> Option<Self> {
        let mut records = Records::new(bytes, Boot(0))?;
        let (mut count, mut keyed) = (0, 0);
        for record in records.by_ref() {
            count += 1;
            keyed += u32::from(record.key.is_some());
        }
        let is_whole = records.left.is_empty() && count > 0;
        is_whole.then(|| Self { bytes: bytes.clone(), count, keyed, last_ts: records.ts })
    }

    /// The group as it is stored.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its messages; never 0.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// How many of its messages have an idempotency key.
    pub const fn keyed(&self) -> u32 {
        self.keyed
    }

    /// The time of its last message by its record, in Unix milliseconds.
    pub const fn last_ts(&self) -> u64 {
        self.last_ts
    }

    /// The messages in order, as the server in that life of it sees them.
    pub fn records(&self, boot: Boot) -> impl Iterator<Item = Record<'_>> {
        Records::new(&self.bytes, boot).into_iter().flatten()
    }

    /// The messages encoded, in as many chunks as there are places, with the times they count by and only the numbers that
    /// `wanted` takes.
    pub fn chunks(
        &self,
        boot: Boot,
        place: &Place,
        first: Seq,
        floor: u64,
        wanted: impl Fn(Seq) -> bool,
    ) -> Vec<Arc<Chunk>> {
        let mut chunks = Vec::with_capacity(1);
        let mut drafts: Option<(Place, MessageHead, Draft)> = None;
        let mut parts: SmallVec<[SenderPart; 4]> = SmallVec::new();
        let mut seal = |drafts: Option<(Place, MessageHead, Draft)>| {
            if let Some((place, _, draft)) = drafts {
                chunks.push(draft.seal(place).0);
            }
        };
        let mut ts = floor;
        for (at, record) in self.records(boot).enumerate() {
            let seq = Seq(first.0 + at as u64);
            ts = ts.max(record.ts);
            if !wanted(seq) {
                seal(drafts.take());
                continue;
            }
            let at = match record.to.map(Nick::parse) {
                Some(Ok(nick)) => Place::Direct(Arc::new(nick)),
                _ => place.clone(),
            };
            if drafts.as_ref().is_some_and(|(of, ..)| *of != at) {
                seal(drafts.take());
            }
            let known = parts.iter().rposition(|part| Arc::ptr_eq(part.sender(), &record.sender));
            let known = known.unwrap_or_else(|| {
                parts.push(SenderPart::new(Arc::clone(&record.sender)));
                parts.len() - 1
            });
            let part = &parts[known];
            let (_, head, draft) = drafts.get_or_insert_with(|| {
                let head = MessageHead::new(&at);
                (at, head, Draft::new(seq, Vec::with_capacity(2 * self.bytes.len())))
            });
            if record.redacted {
                head.redacted(draft, part, ts);
            } else {
                head.message(draft, part, ts, record.headers, record.body);
            }
        }
        seal(drafts.take());
        chunks
    }

    /// The same group without what one of its messages says.
    #[must_use]
    pub fn redacted(&self, blanked: usize) -> Self {
        let boot = boot_of(&self.bytes);
        let mut draft = GroupDraft::new(boot);
        for (at, record) in self.records(boot).enumerate() {
            if at == blanked {
                draft.push(&Record { headers: None, body: b"null", key: None, redacted: true, ..record });
            } else {
                draft.push(&record);
            }
        }
        draft.seal()
    }
}

fn boot_of(bytes: &[u8]) -> Boot {
    let boot = bytes.get(1..9).and_then(|boot| boot.try_into().ok());
    Boot(boot.map_or(0, u64::from_le_bytes))
}

/// The messages of a group that are not read yet.
struct Records<'a> {
    left: &'a [u8],
    is_ours: bool,
    ts: u64,
    senders: SmallVec<[Arc<Sender>; 4]>,
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8], boot: Boot) -> Option<Self> {
        if *bytes.first()? != VERSION {
            return None;
        }
        let ts = u64::from_le_bytes(bytes.get(9..HEAD_BYTES)?.try_into().ok()?);
        Some(Self { left: &bytes[HEAD_BYTES..], is_ours: boot_of(bytes) == boot, ts, senders: SmallVec::new() })
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.left.split_at_checked(bytes)?;
        self.left = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn sender(&mut self) -> Option<Arc<Sender>> {
        let at = usize::try_from(self.number()?).ok()?;
        if let Some(known) = self.senders.get(at) {
            return Some(Arc::clone(known));
        }
        if at > self.senders.len() {
            return None;
        }
        let conn = self.number()?;
        let (identity, account) = match self.byte()? {
            // No guest has the number 0.
            0 => (Identity::Guest(self.number().map(|number| if self.is_ours { number } else { 0 })?), None),
            1 => (Identity::Account(self.text()?.into()), Some(self.text()?)),
            _ => return None,
        };
        let nick = Arc::new(Nick::parse(self.text()?).ok()?);
        let conn = ConnId(if self.is_ours { conn } else { 0 });
        let account = account.filter(|account| !account.is_empty()).map(Arc::from);
        let sender = Arc::new(Sender { conn, identity, nick, account });
        self.senders.push(Arc::clone(&sender));
        Some(sender)
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let flags = self.byte()?;
        self.ts = self.ts.checked_add(self.number()?)?;
        let sender = self.sender()?;
        let has = |flag: u8| flags & flag != 0;
        let to = if has(HAS_TO) { Some(self.text()?) } else { None };
        let headers = if has(HAS_HEADERS) { Some(self.text()?.as_bytes()) } else { None };
        let body = if has(IS_REDACTED) { b"null" } else { self.text()?.as_bytes() };
        let key = if has(HAS_KEY) { Some(u128::from_le_bytes(self.take(16)?.try_into().ok()?)) } else { None };
        Some(Record { sender, to, ts: self.ts, headers, body, key, redacted: has(IS_REDACTED) })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        // What ends in the middle of a message leaves bytes behind, which `Group::parse` sees.
        let before = self.left;
        let record = self.record();
        if record.is_none() {
            self.left = before;
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RoomName;

    fn guest(number: u64, nick: &str) -> Arc<Sender> {
        let nick = Arc::new(Nick::parse(nick).expect("a nick"));
        Arc::new(Sender { conn: ConnId(number + 1), identity: Identity::Guest(number), nick, account: None })
    }

    fn said(sender: &Arc<Sender>, ts: u64, body: &'static str) -> Record<'static> {
        let sender = Arc::clone(sender);
        Record { sender, to: None, ts, headers: None, body: body.as_bytes(), key: None, redacted: false }
    }

    fn three() -> Group {
        let (ada, bob) = (guest(7, "ada"), guest(8, "bob"));
        let mut draft = GroupDraft::new(Boot(5));
        draft.push(&said(&ada, 1_000, "\"one\""));
        draft.push(&Record { headers: Some(br#"{"a":"b"}"#), key: Some(99), ..said(&bob, 1_300, "{}") });
        draft.push(&said(&ada, 900, "3"));
        draft.seal()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let group = three();
        let read = Group::parse(group.bytes()).expect("a group");
        assert_eq!(read, group);
        assert_eq!(read.count(), 3);
        let records: Vec<_> = read.records(Boot(5)).collect();
        assert_eq!(records[0].body, b"\"one\"");
        assert_eq!((records[1].headers, records[1].key), (Some(&br#"{"a":"b"}"#[..]), Some(99)));
        assert_eq!(records[2].ts, 1_300, "time never goes down");
        assert_eq!(*records[0].sender, *guest(7, "ada"));
        assert_eq!(*records[2].sender, *guest(7, "ada"));
    }

    #[test]
    fn connections_and_guests_of_another_life_are_nobody() {
        let group = three();
        let sender = group.records(Boot(6)).next().expect("a record").sender;
        assert_eq!((sender.conn, sender.identity.clone()), (ConnId(0), Identity::Guest(0)));
        assert_eq!(sender.nick.shown(), "ada");
    }

    #[test]
    fn a_group_cut_short_or_made_longer_is_none() {
        let whole = three().bytes().clone();
        for end in 0..whole.len() {
            let cut = Group::parse(&whole.slice(..end));
            assert!(cut.is_none_or(|cut| cut.count() < 3), "cut at {end}");
        }
        let longer = [&whole[..], &[0xff]].concat();
        assert_eq!(Group::parse(&longer.into()), None);
    }

    #[test]
    fn a_redacted_message_leaves_no_trace_of_what_it_said() {
        let blanked = three().redacted(1);
        let records: Vec<_> = blanked.records(Boot(5)).collect();
        assert!(records[1].redacted);
        assert_eq!((records[1].body, records[1].headers, records[1].key), (&b"null"[..], None, None));
        assert_eq!((records[0].body, records[2].body), (&b"\"one\""[..], &b"3"[..]));
        assert!(!blanked.bytes().windows(3).any(|bytes| bytes == b"\"a\""));
    }

    #[test]
    fn messages_are_encoded_as_clients_get_them() {
        let place = Place::Room(Arc::new(RoomName::parse("ops").expect("a name")));
        let chunks = three().chunks(Boot(5), &place, Seq(41), 1_100, |seq| seq != Seq(42));
        let lines: Vec<&[u8]> = chunks.iter().map(|chunk| &chunk.bytes()[..]).collect();
        let first = br#"{"ev":"message","room":"ops","seq":41,"from":"ada","ts":1100,"body":"one"}"#;
        let last = br#"{"ev":"message","room":"ops","seq":43,"from":"ada","ts":1300,"body":3}"#;
        assert_eq!(lines, [&[&first[..], b"\n"].concat()[..], &[&last[..], b"\n"].concat()]);
    }
}
