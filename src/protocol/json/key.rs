//! The fields that some op knows, and where a line has them.
//!
//! [`Fields`] is a table that is filled once for each line and not cleared between lines: only the set of fields that
//! are present is. Whatever else a line holds is ignored, as the contract asks.

use super::word;

/// Declares [`Key`] with the fields' names.
macro_rules! keys {
    ($($variant:ident = $name:literal,)+) => {
        /// A field of a client's line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Key { $($variant,)+ }

        impl Key {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The field's name on the wire.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The field whose name begins with the word, and that name.
            #[inline]
            fn starting(word: u64) -> Option<(Self, &'static [u8])> {
                $(if word == const { word::of($name) } {
                    return Some((Self::$variant, $name.as_bytes()));
                })+
                None
            }
        }
    };
}

keys! {
    Op = "op", Id = "id", Room = "room", To = "to", Body = "body", Headers = "headers", Seq = "seq",
    Idempotency = "idempotency_key", Req = "req", Error = "error", TimeoutMs = "timeout_ms", DelayMs = "delay_ms",
    Nick = "nick", Password = "password", Token = "token", Proto = "proto", Resume = "resume", Echo = "echo",
    Presence = "presence", HeartbeatS = "heartbeat_s", As = "as", After = "after", Epoch = "epoch", Last = "last",
    Since = "since", Cursor = "cursor", Prefetch = "prefetch", AckWaitS = "ack_wait_s", Stay = "stay", Kind = "kind",
    History = "history", Topic = "topic", Private = "private", KeepMessages = "keep_messages",
    KeepBytes = "keep_bytes", KeepAge = "keep_age", AckWait = "ack_wait", MaxDeliver = "max_deliver",
    Before = "before", Until = "until", Limit = "limit", Pattern = "pattern", Reason = "reason", Query = "query",
}

impl Key {
    /// The field of a name that stands in a line at `start..end`, where some op knows it.
    #[inline]
    pub(super) fn at(line: &[u8], start: usize, end: usize) -> Option<Self> {
        let len = end - start;
        let head = word::MAX.min(len);
        match Self::starting(word::at(line, start, head))? {
            // The two names share their first eight bytes.
            (Self::AckWait | Self::AckWaitS, _) => match &line[start..end] {
                b"ack_wait" => Some(Self::AckWait),
                b"ack_wait_s" => Some(Self::AckWaitS),
                _ => None,
            },
            (key, name) if len == name.len() => {
                (len <= word::MAX || line[start + head..end] == name[head..]).then_some(key)
            }
            _ => None,
        }
    }

    /// The field of a name in whatever text.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::at(name.as_bytes(), 0, name.len())
    }
}

/// What kind of value a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string without a backslash.
    Plain,
    /// A string with escapes.
    Escaped,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// A value as it stands in its line, quotes and brackets included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    /// What it is.
    pub(super) kind: Kind,
    /// The offset of its first byte, and above that the one behind its last.
    ///
    /// One integer, because two written apart and read together make the processor wait for both.
    bounds: u64,
}

impl Raw {
    /// A value that stands at `start..end`.
    #[inline]
    pub(super) const fn new(kind: Kind, start: usize, end: usize) -> Self {
        Self { kind, bounds: (end as u64) << 32 | start as u64 }
    }

    /// Offset of its first byte.
    #[inline]
    pub(super) const fn start(self) -> usize {
        self.bounds as u32 as usize
    }

    /// Offset behind its last byte.
    #[inline]
    pub(super) const fn end(self) -> usize {
        (self.bounds >> 32) as usize
    }
}

/// The known fields of one line; of duplicates, the last.
#[derive(Debug)]
pub(super) struct Fields {
    present: u64,
    values: [Raw; Key::ALL.len()],
}

// Each field is a bit of `Fields::present`.
const _: () = assert!(Key::ALL.len() <= 64);

impl Fields {
    /// A table to use for many lines.
    pub(super) const fn new() -> Self {
        Self { present: 0, values: [Raw::new(Kind::Null, 0, 0); Key::ALL.len()] }
    }

    /// Forgets the line before.
    pub(super) const fn clear(&mut self) {
        self.present = 0;
    }

    /// Notes a field.
    pub(super) const fn set(&mut self, key: Key, value: Raw) {
        self.present |= 1 << key as u8;
        self.values[key as usize] = value;
    }

    /// A field's value, `null` included.
    pub(super) const fn get(&self, key: Key) -> Option<Raw> {
        if self.present & (1 << key as u8) == 0 { None } else { Some(self.values[key as usize]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_by_its_name_and_by_no_other() {
        for key in Key::ALL {
            let name = key.as_str();
            assert_eq!(Key::of(name), Some(*key), "{name}");
            assert_eq!(Key::of(&format!("{name}x")), None, "{name}x");
            assert_eq!(Key::of(&format!("{name}\0")), None, "{name} and NUL");
            assert_eq!(Key::of(&name.to_uppercase()), None, "{name} in capitals");
            let shorter = &name[..name.len() - 1];
            assert!(Key::of(shorter).is_none_or(|other| other.as_str() == shorter), "{shorter}");
        }
    }

    #[test]
    fn the_last_of_duplicates_counts_until_the_next_line() {
        let mut fields = Fields::new();
        assert_eq!(fields.get(Key::Op), None);
        let raw = |end| Raw::new(Kind::Number, 0, end);
        fields.set(Key::Op, raw(1));
        fields.set(Key::Op, raw(2));
        assert_eq!(fields.get(Key::Op), Some(raw(2)));
        fields.clear();
        assert_eq!(fields.get(Key::Op), None);
    }
}
