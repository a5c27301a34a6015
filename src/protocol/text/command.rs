//! The slash commands: their table, and what each comes to.
//!
//! An entry names its command, says how it is used, and points to the function that reads its arguments. Those functions
//! are pure: they look at the [`Person`] and give an [`Act`], which the decoder carries out, or the words that say what
//! is wrong.

use std::sync::Arc;

use jiff::Timestamp;

use super::mark::Mark;
use super::person::Person;
use super::{help, own, past, rooms, talk};
use crate::model::{Command, NameError, Nick, Place, RoomName};

/// What a command comes to.
#[derive(Debug)]
pub(super) enum Act {
    /// Asks the server; the number is what its answer may take.
    Ask(Mark, Command, usize),
    /// Asks to join a room, and reads on once it is known whether what follows goes there.
    Enter(Arc<RoomName>, Command),
    /// Says something somewhere.
    Say(Mark, Place, String),
    /// Tells the person something: a line of the server's for each line.
    Tell(String),
    /// Makes every later line a message to the room.
    Pipe(Arc<RoomName>, Option<Nick>),
    /// Goes on in JSON-lines.
    Json,
    /// Ends the connection.
    Quit,
}

/// One command as it was typed.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// Who typed it.
    pub person: &'a mut Person,
    /// What stood behind its name, without blanks around it.
    pub args: &'a str,
    /// The present.
    pub now: Timestamp,
    /// Bytes that the longest answer takes.
    pub max_line: usize,
}

/// What a command comes to, or what is wrong with it.
pub(super) type Acted = Result<Act, String>;

/// What the answer to a plain request takes, about.
pub(super) const PLAIN: usize = 256;

/// One command.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name, then other names for it.
    pub names: &'static [&'static str],
    /// What stands behind the name.
    pub usage: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// What else there is to know.
    pub more: &'static str,
    /// Reads its arguments.
    pub act: fn(&mut Call<'_>) -> Acted,
}

/// Writes an [`Entry`] on the lines a reader wants.
macro_rules! entry {
    ($names:expr, $usage:literal, $act:path, $about:literal, $more:literal) => {
        Entry { names: &$names, usage: $usage, about: $about, more: $more, act: $act }
    };
}

/// Every command, in the order in which help lists them.
pub(super) const TABLE: &[Entry] = &[
    entry!(
        ["join", "j"],
        "ROOM",
        rooms::join,
        "go into a room and see its last 20 messages",
        "What you say goes to the room you joined last; /join it again to speak there again. `*` stands for one part of a \
         name and `>` for all last parts: /join metrics.> watches every such room without being in it."
    ),
    entry!(
        ["leave", "part"],
        "[ROOM]",
        rooms::leave,
        "leave this room, or another",
        "A pattern is left the way it was joined: /leave metrics.>"
    ),
    entry!(["rooms", "list"], "[PATTERN]", rooms::rooms, "which rooms there are", "For some only: /rooms metrics.*"),
    entry!(
        ["who", "names"],
        "[ROOM]",
        rooms::who,
        "who is here, or in another room",
        "In no room, it tells who is online."
    ),
    entry!(["topic"], "[TEXT]", rooms::topic, "what this room is about, or say so", "/topic - takes the topic away."),
    entry!(
        ["create"],
        "ROOM [KIND]",
        rooms::create,
        "make a room: fanout, queue or latest",
        "In a fanout room everyone sees every message. In a queue room each goes to one worker. In a latest room only the \
         newest counts."
    ),
    entry!(
        ["stay"],
        "",
        rooms::stay,
        "go on listening when your input ends",
        "For scripts: (echo /join deploys; echo /stay) | nc …"
    ),
    entry!(
        ["msg", "m", "tell", "w"],
        "NICK|#ROOM TEXT",
        talk::msg,
        "say something to one person, or in any room",
        "Only the two of you see it. With # it goes to a room: /msg #ops the backup is done"
    ),
    entry!(["r", "reply"], "TEXT", talk::reply, "answer the last direct message", "You are told to whom it went."),
    entry!(["me"], "TEXT", talk::me, "say what you do: * ada waves", "/me waves"),
    entry!(
        ["ignore"],
        "[NICK]",
        talk::ignore,
        "see nothing more of somebody",
        "Without a nick: whom you ignore. It lasts as long as this connection."
    ),
    entry!(["unignore"], "NICK", talk::unignore, "see somebody again", ""),
    entry!(
        ["history", "h", "hist"],
        "[N|hh:mm|yesterday|DATE]",
        past::history,
        "what was said here before",
        "/history 50 shows the last 50, /history 14:30 all since then, /history yesterday or /history 2025-11-21 that day. \
         /history @ada shows what you and ada wrote to each other."
    ),
    entry!(
        ["search"],
        "WORDS",
        past::search,
        "find what was said here",
        "Shows what has all these words, the newest last. Words are found whole; capitals and accents do not count."
    ),
    entry!(
        ["show"],
        "[ROOM] NUMBER",
        past::show,
        "show a long message whole",
        "The number stands behind the shortened message."
    ),
    entry!(
        ["nick", "name"],
        "NAME",
        own::nick,
        "take another name",
        "One word of letters and digits, with _ - . inside."
    ),
    entry!(["register"], "", own::register, "keep your name with a password (not yet)", ""),
    entry!(["login"], "", own::login, "prove that a name is yours (not yet)", ""),
    entry!(
        ["tz"],
        "[ZONE]",
        own::tz,
        "show times as your clock does",
        "/tz Europe/Berlin, /tz berlin or /tz +02:00; until then it is UTC."
    ),
    entry!(["presence"], "on|off", own::presence, "show who comes and goes, or not", ""),
    entry!(["help", "?"], "[COMMAND]", help::help, "this list, or more about one command", ""),
    entry!(["ping"], "", own::ping, "is the server still there?", ""),
    entry!(["quit", "q", "exit", "bye"], "", own::quit, "leave", "Ctrl-D at the start of a line does the same."),
    entry!(
        ["json"],
        "",
        own::json,
        "go on in JSON-lines, for programs",
        "One JSON object a line from here on, both ways."
    ),
    entry!(
        ["pipe"],
        "ROOM [NICK]",
        own::pipe,
        "make every later line a message",
        "Nothing is a command any more and only errors come back: (echo /pipe logs web1; tail -F app.log) | nc …"
    ),
];

impl Entry {
    /// How it is used: `/join ROOM`.
    pub(super) fn synopsis(&self) -> String {
        format!("/{} {}", self.names[0], self.usage).trim_end().to_owned()
    }
}

/// The command of a name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// What to say of a name that is no command's.
pub(super) fn unknown(name: &str) -> String {
    /// A word of which less than this is right is not a slip but another word.
    const LIKENESS_MIN: f64 = 0.6;
    /// Characters of it that are compared and repeated, more than any command has: to compare costs their product.
    const CHARS_MAX: usize = 24;
    let mut shown: String = name.chars().take(CHARS_MAX).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    let name = shown.to_lowercase();
    let likeness = |entry: &Entry| {
        let each = entry.names.iter().map(|known| strsim::damerau_levenshtein(&name, known));
        let letters = name.chars().count().max(1);
        each.min().map_or(0.0, |slips| 1.0 - f64::from(slips as u32) / f64::from(letters as u32))
    };
    let begun = TABLE.iter().find(|entry| name.len() > 1 && entry.names[0].starts_with(&name));
    // Of two as near, the one that help lists first.
    let nearest = TABLE.iter().rev().map(|entry| (likeness(entry), entry)).max_by(|a, b| a.0.total_cmp(&b.0));
    let nearest = nearest.filter(|(likeness, _)| *likeness >= LIKENESS_MIN).map(|(_, entry)| entry);
    match begun.or(nearest) {
        Some(entry) => format!("There is no /{name}. Did you mean {}?  (//{name} says it.)", entry.synopsis()),
        None => format!("There is no /{name}. /help lists the commands.  (//{name} says it.)"),
    }
}

impl Call<'_> {
    /// The current room, or what to do where there is none.
    pub(super) fn room(&self) -> Result<Arc<RoomName>, String> {
        self.person.room.clone().ok_or_else(|| "You are in no room: /join one first, /rooms lists them.".to_owned())
    }

    /// The first word and what follows it.
    pub(super) fn word(&self) -> (&str, &str) {
        let (word, rest) = self.args.split_once(char::is_whitespace).unwrap_or((self.args, ""));
        (word, rest.trim_start())
    }
}

/// How a command is used, for one that was used otherwise.
pub(super) fn usage(name: &str) -> String {
    find(name).map_or_else(String::new, |entry| format!("It goes like this: {} — {}", entry.synopsis(), entry.about))
}

/// Reads a room's name, with or without its `#`.
pub(super) fn room_name(text: &str) -> Result<Arc<RoomName>, String> {
    let name = text.strip_prefix('#').unwrap_or(text);
    RoomName::parse(name).map(Arc::new).map_err(|error| bad_name(name, "a room's name", error))
}

/// Reads a nick, with or without an `@`.
pub(super) fn nick(text: &str) -> Result<Nick, String> {
    let name = text.strip_prefix('@').unwrap_or(text);
    Nick::parse(name).map_err(|error| bad_name(name, "a name", error))
}

/// What is wrong with a name, and of what it was to be one.
pub(super) fn bad_name(name: &str, what: &str, error: NameError) -> String {
    /// Characters of a bad name that are quoted: all of any that was meant as one.
    const QUOTED_MAX: usize = 40;
    let mut quoted: String = name.chars().take(QUOTED_MAX).collect();
    if quoted.len() < name.len() {
        quoted.push('…');
    }
    match error {
        NameError::Character(c) if c.is_whitespace() => {
            format!("“{quoted}” cannot be {what}: a name is one word, without blanks.")
        }
        error => format!("“{quoted}” cannot be {what}: {error}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_commands_share_a_name_and_each_says_what_it_does() {
        let mut names: Vec<_> = TABLE.iter().flat_map(|entry| entry.names).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(TABLE.iter().all(|entry| !entry.about.is_empty()));
    }

    #[test]
    fn a_slip_of_the_finger_names_the_command_that_was_meant() {
        let table = [
            ("jion", "/join ROOM"),
            ("JOIM", "/join ROOM"),
            ("hsitory", "/history"),
            ("whoo", "/who"),
            ("unignor", "/unignore"),
            ("quitt", "/quit"),
            ("crea", "/create"),
            ("exti", "/quit"),
        ];
        for (typed, meant) in table {
            assert!(unknown(typed).contains(meant), "{typed}: {}", unknown(typed));
        }
        for typed in ["", "xyzzy", "publish", "日本語"] {
            assert!(unknown(typed).contains("/help"), "{typed}: {}", unknown(typed));
        }
    }

    #[test]
    fn of_an_unknown_name_as_long_as_a_line_only_the_beginning_is_looked_at_and_repeated() {
        let words = unknown(&"é".repeat(30_000));
        assert!(words.contains(&format!("There is no /{}….", "é".repeat(24))) && words.len() < 300, "{words}");
    }
}
