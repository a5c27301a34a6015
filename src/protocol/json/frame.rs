//! One line's fields by name and type, and the words for a field that is not what it must be.
//!
//! A field that is `null` counts as absent, since many writers put `null` where they have nothing; only `body` may be
//! it. Knows the form of fields, not what they are for.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::key::{Fields, Key, Kind, Raw};
use super::op::Op;
use super::{number, recover, scan, string};
use crate::model::{Code, ErrorEvent, NameError, Seq, Span, Tag};

/// Why a line that could be read is not carried out: an error, still without the op and the room it is about.
///
/// Boxed, so that results which are nearly always good stay small.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Box<ErrorEvent>);

impl Refusal {
    #[cold]
    fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(ErrorEvent::new(code, message)))
    }

    /// A field is missing, of the wrong type, or does not fit.
    #[cold]
    pub(super) fn request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadRequest, message)
    }

    /// A field that the op needs is not there.
    #[cold]
    pub(super) fn missing(key: Key) -> Self {
        Self::request(format!("`{}` is missing", key.as_str()))
    }

    /// A field holds something else than it must.
    #[cold]
    pub(super) fn must_be(key: Key, what: &str) -> Self {
        Self::request(format!("`{}` must be {what}", key.as_str()))
    }

    /// A field holds no name.
    #[cold]
    pub(super) fn name(key: Key, error: NameError) -> Self {
        Self::new(Code::BadName, format!("`{}`: {error}", key.as_str()))
    }

    /// Something has more bytes than there is room for.
    #[cold]
    pub(super) fn too_large(what: &str, is: usize, max: usize) -> Self {
        Self::new(Code::TooLarge, format!("{what} of {is} bytes: at most {max} fit"))
    }
}

/// One line that is a JSON object, and where it stands among the bytes of its batch.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    /// The line without its ending: UTF-8.
    pub(super) line: &'a [u8],
    /// Where its known fields are.
    pub(super) fields: &'a Fields,
    /// Offset of the line in its batch.
    pub(super) offset: u32,
}

impl<'a> Frame<'a> {
    /// A field as it stands, unless it is absent or `null`.
    #[inline]
    pub(super) fn raw(&self, key: Key) -> Option<Raw> {
        self.fields.get(key).filter(|raw| raw.kind != Kind::Null)
    }

    /// What stands on the wire.
    #[inline]
    pub(super) fn slice(&self, raw: Raw) -> &'a [u8] {
        &self.line[raw.start()..raw.end()]
    }

    /// What stands between the quotes of a string.
    #[inline]
    fn inside(&self, raw: Raw) -> &'a [u8] {
        &self.line[raw.start() + 1..raw.end() - 1]
    }

    /// The op, where it is plainly one.
    #[inline]
    pub(super) fn op(&self) -> Option<Op> {
        let raw = self.fields.get(Key::Op).filter(|raw| raw.kind == Kind::Plain)?;
        Op::at(self.line, raw.start() + 1, raw.end() - 1)
    }

    /// Where it stands in the batch.
    #[inline]
    pub(super) const fn span(&self, raw: Raw) -> Span {
        Span { start: self.offset + raw.start() as u32, end: self.offset + raw.end() as u32 }
    }

    /// A string, where it is there and has no escapes: what hot paths look for first.
    #[inline]
    pub(super) fn plain(&self, key: Key) -> Option<&'a [u8]> {
        let raw = self.fields.get(key).filter(|raw| raw.kind == Kind::Plain)?;
        Some(self.inside(raw))
    }

    /// A string.
    pub(super) fn text(&self, key: Key) -> Result<Option<Cow<'a, str>>, Refusal> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        match raw.kind {
            Kind::Plain => Ok(Some(Cow::Borrowed(as_text(self.inside(raw))))),
            // Invariant: the scan has checked the escapes.
            Kind::Escaped => Ok(string::unescape(as_text(self.inside(raw)))),
            _ => Err(Refusal::must_be(key, "a string")),
        }
    }

    /// A string of so many bytes at least and at most.
    pub(super) fn text_of(&self, key: Key, bytes: RangeInclusive<usize>) -> Result<Option<Cow<'a, str>>, Refusal> {
        let text = self.text(key)?;
        if text.as_ref().is_some_and(|text| !bytes.contains(&text.len())) {
            let (min, max) = bytes.into_inner();
            return Err(Refusal::must_be(key, &format!("a string of {min} to {max} bytes")));
        }
        Ok(text)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: Key) -> Result<Option<bool>, Refusal> {
        match self.raw(key).map(|raw| raw.kind) {
            None => Ok(None),
            Some(Kind::True) => Ok(Some(true)),
            Some(Kind::False) => Ok(Some(false)),
            Some(_) => Err(Refusal::must_be(key, "`true` or `false`")),
        }
    }

    /// A whole number.
    pub(super) fn whole(&self, key: Key, range: RangeInclusive<u64>) -> Result<Option<u64>, Refusal> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        let value = if raw.kind == Kind::Number { whole_in(as_text(self.slice(raw)), &range) } else { None };
        let (min, max) = range.into_inner();
        match value {
            Some(value) => Ok(Some(value)),
            None => Err(Refusal::must_be(key, &format!("a whole number from {min} to {max}"))),
        }
    }

    /// A message's number; `min` is 0 where it may stand before the first.
    pub(super) fn seq(&self, key: Key, min: u64) -> Result<Option<Seq>, Refusal> {
        Ok(self.whole(key, min..=number::WHOLE_MAX as u64)?.map(Seq))
    }

    /// A message's number, or an array of them.
    pub(super) fn seqs(&self, key: Key) -> Result<Vec<Seq>, Refusal> {
        const WHAT: &str = "a whole number from 1 to 9007199254740992, or an array of them";
        let raw = self.raw(key).ok_or_else(|| Refusal::missing(key))?;
        let seq = |text: &str| whole_in(text, &(1..=number::WHOLE_MAX as u64)).map(Seq);
        let seqs = match raw.kind {
            Kind::Number => seq(as_text(self.slice(raw))).map(|seq| vec![seq]),
            Kind::Array => scan::numbers(as_text(self.slice(raw))).and_then(|items| items.map(seq).collect()),
            _ => None,
        };
        seqs.ok_or_else(|| Refusal::must_be(key, WHAT))
    }

    /// One of some words, as what it means.
    pub(super) fn word<T: Copy>(&self, key: Key, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| Some(*meaning)).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            Refusal::must_be(key, &format!("one of {}", words.join(", ")))
        })
    }

    /// What the answer must bear.
    #[inline]
    pub(super) fn tag(&self) -> Result<Tag, Refusal> {
        self.raw(Key::Id).map_or(Ok(Tag::None), |raw| self.given_tag(raw))
    }

    fn given_tag(&self, raw: Raw) -> Result<Tag, Refusal> {
        const WHAT: &str = "a string of at most 64 bytes or a whole number within ±2^53";
        let tag = match raw.kind {
            Kind::Number => number::whole(as_text(self.slice(raw))).map(Tag::Int),
            Kind::Plain | Kind::Escaped => self.text(Key::Id)?.and_then(|text| recover::text_tag(&text)),
            _ => None,
        };
        tag.ok_or_else(|| Refusal::must_be(Key::Id, WHAT))
    }
}

/// A part of a line as text.
fn as_text(part: &[u8]) -> &str {
    // Invariant: the scan has found the line to be UTF-8, and values begin and end with ASCII.
    std::str::from_utf8(part).unwrap_or_default()
}

fn whole_in(text: &str, range: &RangeInclusive<u64>) -> Option<u64> {
    let value = u64::try_from(number::whole(text)?).ok()?;
    range.contains(&value).then_some(value)
}
