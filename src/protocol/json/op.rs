//! The ops of the contract, and the nearest one to a word that is none.
//!
//! Words alone: which fields an op takes is known to `commands`, and whether it is allowed to the router.

use super::word;

/// Declares [`Op`] with the ops' words.
macro_rules! ops {
    ($($variant:ident = $word:literal,)+) => {
        /// What a line asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Op { $($variant,)+ }

        impl Op {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the wire.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The op whose word stands in a line at `start..end`.
            #[inline]
            pub(super) fn at(line: &[u8], start: usize, end: usize) -> Option<Self> {
                let len = end - start;
                if len > word::MAX {
                    return None;
                }
                let word = word::at(line, start, len);
                $(if word == const { word::of($word) } && len == $word.len() {
                    return Some(Self::$variant);
                })+
                None
            }

            /// The op that a word names.
            pub(super) fn of(text: &str) -> Option<Self> {
                Self::at(text.as_bytes(), 0, text.len())
            }
        }
    };
}

ops! {
    Send = "send", Request = "request", Reply = "reply", Ack = "ack", Nack = "nack", Working = "working",
    Hello = "hello", Join = "join", Leave = "leave", Create = "create", Delete = "delete", Redact = "redact",
    History = "history", Search = "search", Who = "who", Rooms = "rooms", Topic = "topic", Nick = "nick",
    Register = "register", Login = "login", Password = "password", Invite = "invite", Kick = "kick", Mute = "mute",
    Unmute = "unmute", Ban = "ban", Unban = "unban", Bans = "bans", Role = "role", Ping = "ping", Pong = "pong",
    Quit = "quit",
}

/// What other systems call it.
const SYNONYMS: [(&str, Op); 36] = [
    ("publish", Op::Send),
    ("pub", Op::Send),
    ("say", Op::Send),
    ("msg", Op::Send),
    ("message", Op::Send),
    ("privmsg", Op::Send),
    ("post", Op::Send),
    ("emit", Op::Send),
    ("broadcast", Op::Send),
    ("subscribe", Op::Join),
    ("sub", Op::Join),
    ("psubscribe", Op::Join),
    ("enter", Op::Join),
    ("watch", Op::Join),
    ("consume", Op::Join),
    ("listen", Op::Join),
    ("unsubscribe", Op::Leave),
    ("unsub", Op::Leave),
    ("punsubscribe", Op::Leave),
    ("part", Op::Leave),
    ("exit", Op::Quit),
    ("bye", Op::Quit),
    ("close", Op::Quit),
    ("disconnect", Op::Quit),
    ("auth", Op::Login),
    ("authenticate", Op::Login),
    ("connect", Op::Hello),
    ("rpc", Op::Request),
    ("call", Op::Request),
    ("respond", Op::Reply),
    ("response", Op::Reply),
    ("reject", Op::Nack),
    ("list", Op::Rooms),
    ("names", Op::Who),
    ("members", Op::Who),
    ("heartbeat", Op::Ping),
];

/// Bytes of a word that are compared: no op is near a longer one, and comparing takes the square of the length.
const COMPARED_BYTES_MAX: usize = 32;

/// The op that whoever wrote a word most likely meant.
pub(super) fn nearest(word: &str) -> Op {
    let mut end = word.len().min(COMPARED_BYTES_MAX);
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    let word = word[..end].to_ascii_lowercase();
    if let Some((_, op)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == word) {
        return *op;
    }
    let distance = |op: &Op| strsim::damerau_levenshtein(&word, op.as_str());
    // Invariant: the table is not empty.
    Op::ALL.iter().copied().min_by_key(distance).unwrap_or(Op::Send)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_is_found_by_its_word_alone() {
        for op in Op::ALL {
            let word = op.as_str();
            assert!(word.len() <= word::MAX, "{word} fits a word");
            assert_eq!(Op::of(word), Some(*op), "{word}");
            assert_eq!(Op::of(&word.to_uppercase()), None);
            assert_eq!(Op::of(&format!("{word}\0")), None);
        }
        assert_eq!(Op::of(""), None);
        assert_eq!(Op::of("passwords"), None);
    }

    #[test]
    fn the_nearest_op_is_what_was_meant() {
        let table = [
            ("publish", "send"),
            ("PUB", "send"),
            ("subscribe", "join"),
            ("sub", "join"),
            ("unsubscribe", "leave"),
            ("part", "leave"),
            ("auth", "login"),
            ("SEND", "send"),
            ("sned", "send"),
            ("histroy", "history"),
            ("jion", "join"),
            ("acknack", "nack"),
        ];
        for (word, op) in table {
            assert_eq!(nearest(word).as_str(), op, "{word}");
        }
        // Whatever the word, there is an answer, and soon.
        nearest("");
        nearest(&"ß".repeat(30_000));
    }
}
