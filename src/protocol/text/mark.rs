//! The mark that an answer bears, so that the outgoing half knows which command it is the answer to.
//!
//! The kind of command is the whole mark: nothing is remembered for it, so nothing is left over where an answer never
//! comes.

use crate::model::Tag;

/// Declares the marks with their numbers.
macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Which command is answered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Mark { $($(#[$doc])* $name,)+ }

        impl Mark {
            const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

marks! {
    /// A said line and everything else whose `ok` stays silent.
    Silent,
    /// What the incoming half itself could not read or do; its words are the whole explanation.
    Local,
    /// The first line, taken for a name.
    Name,
    /// The unnamed hello in front of a guest's first command.
    Guest,
    /// A name for a pipe, which gets a number where it is taken.
    PipeName,
    /// `/join`
    Join,
    /// `/leave`
    Leave,
    /// `/rooms`
    Rooms,
    /// The rooms named to one who said something in none.
    Nowhere,
    /// `/who`
    Who,
    /// `/topic`
    Topic,
    /// `/create`
    Create,
    /// `/stay`
    Stay,
    /// `/r`
    Reply,
    /// `/history`
    History,
    /// `/show`
    Show,
    /// `/search`
    Search,
    /// `/nick`
    Nick,
    /// `/register`
    Register,
    /// `/login`
    Login,
    /// `/ping`
    Ping,
    /// `/quit`
    Quit,
}

impl Mark {
    /// The tag that carries it.
    pub(super) fn tag(self) -> Tag {
        match self {
            Self::Silent => Tag::None,
            mark => Tag::Front(mark as u32),
        }
    }

    /// The mark that a tag carries.
    pub(super) fn of(tag: &Tag) -> Self {
        match tag {
            Tag::Front(number) => Self::ALL.get(*number as usize).copied().unwrap_or(Self::Silent),
            _ => Self::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_comes_back_from_its_tag() {
        for mark in Mark::ALL {
            assert_eq!(Mark::of(&mark.tag()), *mark);
        }
    }
}
