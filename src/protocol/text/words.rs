//! What went wrong, in words that say what to do.
//!
//! The router's errors carry a message for every front end; here the frequent ones get the words of this one, with its
//! commands in them. What is not here keeps the router's message.

use super::mark::Mark;
use super::person::Person;
use super::screen::Ago;
use crate::model::{ByeReason, Code, ErrorEvent};

/// The words for an error.
pub(super) fn error(mark: Mark, error: &ErrorEvent, person: &Person) -> String {
    let room = error.room.as_ref().map_or_else(|| "that room".to_owned(), |room| format!("#{room}"));
    let bare = error.room.as_ref().map_or("ROOM", |room| room.shown());
    let wanted = person.wanted.as_ref().map_or_else(|| "That name".to_owned(), |nick| format!("“{nick}”"));
    let own = || error.message.clone().into_owned();
    match (mark, error.code) {
        (Mark::Local, _) => own(),
        (Mark::Search, Code::Unavailable | Code::BadRequest) => sentence(&error.message),
        (Mark::Register | Mark::Login, _) => {
            "This server has no accounts yet: any free name is yours with /nick.".to_owned()
        }
        (Mark::Name, Code::NickInUse) => format!("{wanted} is taken. What else do you want to be called?"),
        (Mark::Name, _) => format!("{} What do you want to be called?", sentence(&error.message)),
        (Mark::Nick, Code::NickInUse) => match &person.nick {
            Some(nick) => format!("{wanted} is taken: you are still {nick}."),
            None => format!("{wanted} is taken."),
        },
        (Mark::Show | Mark::History | Mark::Search | Mark::Who | Mark::Topic, Code::NotJoined) => {
            format!("You are not in {room}: /join {bare} first.")
        }
        (Mark::Join, Code::Forbidden) => format!("{room} is private: ask a member to invite you."),
        (_, Code::NotJoined) => format!("You are not in {room}: /join {bare} goes there."),
        (_, Code::NoSuchRoom) => format!("There is no {room}. /rooms lists those there are, /join {bare} makes it."),
        (_, Code::NoSuchNick) => format!("{} /who tells who is here.", sentence(&error.message)),
        (_, Code::RoomExists) => format!("{room} is there already, with other settings: /join {bare} goes in."),
        (_, Code::RoomFull) => format!("{room} is full: try again later."),
        (_, Code::TooManyRooms) => format!("{} /leave one first.", sentence(&error.message)),
        (_, Code::RateLimited) => match error.retry_after_ms {
            Some(millis) => format!("Too fast: that was not sent. Try again in {}.", Ago(millis.div_ceil(1_000))),
            None => "Too fast: that was not sent. Try again in a moment.".to_owned(),
        },
        (_, Code::Unauthorized) => format!("{} Say who you are first.", sentence(&error.message)),
        (_, Code::Unavailable) => {
            format!("{} It may or may not have been done: look, and try again later.", sentence(&error.message))
        }
        (_, Code::ShuttingDown) => "The server is going down: that was not done.".to_owned(),
        (_, Code::Internal) => "Something broke in the server, and it is not your fault. Try again.".to_owned(),
        // A room is shown as people write it, also where the server's words begin with it.
        _ if error.message.starts_with(bare) => sentence(&error.message.replacen(bare, &room, 1)),
        _ => sentence(&error.message),
    }
}

/// A message as a sentence: a capital in front, a full stop behind.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let stop = if message.ends_with(['.', '!', '?']) || message.is_empty() { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// The last words.
pub(super) fn bye(reason: ByeReason, person: &Person) -> String {
    match reason {
        ByeReason::Quit => match &person.nick {
            Some(nick) => format!("Bye, {nick}."),
            None => "Bye.".to_owned(),
        },
        ByeReason::Shutdown => "The server is going down. Come back in a moment.".to_owned(),
        ByeReason::SlowConsumer => {
            "You read too slowly for what is said here, so the line was cut. Come back.".to_owned()
        }
        ByeReason::Idle => "Nothing was heard from you for too long. Come back any time.".to_owned(),
        ByeReason::LineTimeout => "A line was begun and never ended. Come back any time.".to_owned(),
        ByeReason::TooManyErrors => "Too many lines that could not be understood. /help tells what can.".to_owned(),
        ByeReason::TooManyConnections => {
            "The server is full, or your address has too many connections. Try later.".to_owned()
        }
        ByeReason::Replaced => "You have come back on another connection; this one ends.".to_owned(),
        ByeReason::Banned => "You were banned.".to_owned(),
        ByeReason::Expired => "Your login has run out. Come back and log in again.".to_owned(),
        ByeReason::Closed => "The server's operator closed this connection.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Nick, RoomName};

    #[test]
    fn every_error_is_a_sentence_and_names_the_room_it_is_about() {
        let room = Arc::new(RoomName::parse("ops").expect("a name"));
        let person = Person { nick: Some(Arc::new(Nick::guest(7))), ..Person::default() };
        for code in Code::ALL {
            for mark in [Mark::Silent, Mark::Join, Mark::Nick, Mark::Name, Mark::Topic] {
                let words = error(mark, &ErrorEvent::new(*code, "there is a reason").room(&room), &person);
                assert!(words.ends_with(['.', '?']), "{code}: {words}");
                let about_room = matches!(code, Code::NotJoined | Code::NoSuchRoom | Code::RoomExists | Code::RoomFull);
                assert!(mark == Mark::Name || !about_room || words.contains("#ops"), "{code}: {words}");
            }
        }
        let private = error(Mark::Join, &ErrorEvent::new(Code::Forbidden, "x").room(&room), &person);
        assert_eq!(private, "#ops is private: ask a member to invite you.");
    }

    #[test]
    fn every_goodbye_has_words() {
        for reason in ByeReason::ALL {
            assert!(bye(*reason, &Person::default()).ends_with('.'), "{reason}");
        }
    }
}
