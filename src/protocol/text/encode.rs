//! The outgoing half: items to lines on a screen.
//!
//! Messages of rooms are rendered once for a chunk and shared by all who read on the same clock; this half only cuts out
//! what its person does not want to see and puts a line where a new day begins. Events become lines of the server's.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use smallvec::SmallVec;

use super::clock::{Moment, Zone, long_date};
use super::comings::Comings;
use super::mark::Mark;
use super::news;
use super::person::{Person, look};
use super::render::{self, Look, SHOWN_CHARS};
use super::screen::{line_end, notice};
use crate::model::{ByeReason, Chunk, Code, Event, FoundPage, HistoryPage, Item, Nick, Place, RoomName, Sender};
use crate::protocol::{Encoder, Output};

/// The outgoing half for one person.
#[derive(Debug)]
pub struct TextEncoder {
    person: Arc<Mutex<Person>>,
    /// The day of the message shown last.
    day: Option<i64>,
    comings: Comings,
    /// A pipe has been told why it gets no name; the next tries need not repeat it.
    pipe_refused: bool,
}

/// How this person sees messages, taken once for each stretch of them.
struct View {
    zone: Zone,
    crlf: bool,
    me: Option<Arc<Nick>>,
    /// Indexes of the chunk's senders that are ignored.
    ignored: SmallVec<[u16; 4]>,
}

impl View {
    fn of(person: &Person, chunk: &Chunk) -> Self {
        let ignored = |sender: &Sender| !person.ignored.is_empty() && person.ignored.contains(sender.nick.key());
        let senders = chunk.senders().iter().enumerate();
        let ignored = senders.filter(|(_, sender)| ignored(sender)).map(|(at, _)| at as u16).collect();
        Self { zone: person.zone.clone(), crlf: person.crlf, me: person.nick.clone(), ignored }
    }

    fn look(&self, moment: Moment, whole: bool) -> Look<'_> {
        Look { offset_min: moment.offset_min, crlf: self.crlf, whole, me: self.me.as_deref() }
    }

    /// Where the stretch ends that begins like `lines` does: on one day, and all of it seen or all of it ignored.
    fn stretch(&self, chunk: &Chunk, lines: &Range<usize>) -> (Moment, bool, usize) {
        let all = chunk.lines();
        let moment = self.zone.moment(all[lines.start].ts);
        let mut end = lines.end;
        // Time never goes down in a room: where both ends share a day, so does all between them.
        if self.zone.moment(all[lines.end - 1].ts) != moment {
            let differs = |at: &usize| self.zone.moment(all[*at].ts) != moment;
            end = (lines.start + 1..lines.end).find(differs).unwrap_or(lines.end);
        }
        if self.ignored.is_empty() {
            return (moment, true, end);
        }
        let seen = |at: usize| !self.ignored.contains(&all[at].sender);
        let first = seen(lines.start);
        (moment, first, (lines.start..end).find(|at| seen(*at) != first).unwrap_or(end))
    }
}

impl TextEncoder {
    pub(super) fn new(person: Arc<Mutex<Person>>) -> Self {
        Self { person, day: None, comings: Comings::default(), pipe_refused: false }
    }

    fn person(&self) -> MutexGuard<'_, Person> {
        look(&self.person)
    }

    fn feed(&mut self, chunk: &Chunk, lines: Range<usize>, replay: bool, out: &mut Output) {
        let view = {
            let mut person = self.person();
            if person.piping || lines.is_empty() {
                return;
            }
            let view = View::of(&person, chunk);
            note_shortened(&mut person, chunk, lines.clone());
            if !replay {
                note_partner(&mut person, chunk, &view, lines.clone());
            }
            view
        };
        if chunk.senders().iter().any(|sender| self.comings.has(&sender.nick)) {
            self.flush(out);
        }
        let mut rest = lines;
        while !rest.is_empty() {
            let (moment, seen, end) = view.stretch(chunk, &rest);
            let stretch = std::mem::replace(&mut rest.start, end)..end;
            if !seen {
                continue;
            }
            self.day_line(moment, view.crlf, out);
            if matches!(chunk.place(), Place::Room(_)) {
                let key = render::rendition_key(moment.offset_min, view.crlf);
                let rendition = chunk.rendition(key, |chunk| render::rendition(chunk, moment.offset_min, view.crlf));
                out.share(rendition.slice(stretch));
            } else {
                for message in chunk.messages(stretch) {
                    render::push(&message, view.look(moment, false), out.buffer());
                }
            }
        }
    }

    /// Shows one message of the past.
    fn past(&mut self, mark: Mark, chunk: &Chunk, at: usize, out: &mut Output) {
        let view = {
            let mut person = self.person();
            if mark != Mark::Show {
                note_shortened(&mut person, chunk, at..at + 1);
            }
            View::of(&person, chunk)
        };
        let (moment, seen, _) = view.stretch(chunk, &(at..at + 1));
        if seen || mark == Mark::Show {
            self.day_line(moment, view.crlf, out);
            render::push(&chunk.message(at), view.look(moment, mark == Mark::Show), out.buffer());
        }
    }

    fn history(&mut self, mark: Mark, page: &HistoryPage, out: &mut Output) {
        let crlf = self.person().crlf;
        let spot = news::spot(&page.place);
        // A number beyond the newest is answered with all there is, which is not what was asked to be shown.
        let messages = if mark == Mark::Show && page.reset { &[][..] } else { &page.messages[..] };
        if page.more && mark == Mark::History {
            notice(out.buffer(), crlf, format_args!("There is more than this: /history 200, or /history hh:mm."));
        }
        for (chunk, line) in messages {
            self.past(mark, chunk, *line as usize, out);
        }
        match mark {
            Mark::Show if messages.is_empty() => {
                notice(out.buffer(), crlf, format_args!("There is no such message in {spot}, or not any more."));
            }
            _ if messages.is_empty() && page.seq.0 == 0 => {
                notice(out.buffer(), crlf, format_args!("Nothing has been said in {spot} yet."));
            }
            _ if messages.is_empty() => {
                notice(out.buffer(), crlf, format_args!("Nothing of that is kept in {spot}."));
            }
            Mark::History => notice(out.buffer(), crlf, format_args!("That was {spot}.")),
            _ => {}
        }
    }

    /// Shows what a search found, the newest below all others, as people read it.
    fn found(&mut self, page: &FoundPage, out: &mut Output) {
        let crlf = self.person().crlf;
        let spot = page.room.as_ref().map_or_else(|| "any room".to_owned(), |(room, ..)| format!("#{room}"));
        if page.messages.is_empty() {
            let words = format_args!("Nothing in {spot} has all these words. Whole words are looked for: try fewer.");
            notice(out.buffer(), crlf, words);
            return;
        }
        if page.more {
            notice(
                out.buffer(),
                crlf,
                format_args!("These are the newest; there is more. Further words narrow it down."),
            );
        }
        for (chunk, line) in page.messages.iter().rev() {
            self.past(Mark::Search, chunk, *line as usize, out);
        }
        let count = page.messages.len();
        notice(out.buffer(), crlf, format_args!("That was what {spot} has of it: {count}."));
    }

    fn event(&mut self, event: Event, out: &mut Output) {
        if self.person().piping && !self.is_for_pipe(&event) {
            // A pipe is told of errors alone, but what it is called is noted.
            news::lines(&event, &mut self.person());
            return;
        }
        match event {
            Event::Raw(bytes) => out.share(bytes),
            Event::History(tag, page) => self.history(Mark::of(&tag), &page, out),
            Event::Found(_, page) => self.found(&page, out),
            Event::Joined { room, nick } => self.moved(room, nick, true, out),
            Event::Left { room, nick, reason, by } => {
                let removed = news::removed(&room, &nick, reason.as_deref(), by.as_deref(), &mut self.person());
                match removed {
                    Some(words) => self.tell(&words, out),
                    None => self.moved(room, nick, false, out),
                }
            }
            event => {
                let is_last = matches!(event, Event::Bye { .. });
                if is_last || matches!(&event, Event::Nick { was, .. } if self.comings.has(was)) {
                    self.flush(out);
                }
                let lines = news::lines(&event, &mut self.person());
                self.tell_all(&lines, out);
            }
        }
    }

    /// Whether something is told although only errors are.
    fn is_for_pipe(&mut self, event: &Event) -> bool {
        match event {
            Event::Error(tag, error) if Mark::of(tag) == Mark::PipeName => {
                error.code != Code::NickInUse && !std::mem::replace(&mut self.pipe_refused, true)
            }
            Event::Error(..) | Event::Raw(_) => true,
            Event::Bye { reason, .. } => *reason != ByeReason::Quit,
            _ => false,
        }
    }

    fn moved(&mut self, room: Arc<RoomName>, nick: Arc<Nick>, came: bool, out: &mut Output) {
        let (shown, ignored) = {
            let person = self.person();
            (person.presence, person.ignored.contains(nick.key()))
        };
        if !shown {
            self.comings.clear();
        } else if !ignored && self.comings.note(room, nick, came, Instant::now()) {
            self.flush(out);
        }
    }

    fn day_line(&mut self, moment: Moment, crlf: bool, out: &mut Output) {
        if self.day.replace(moment.day) != Some(moment.day) {
            let line = format!("— {} —{}", long_date(moment.day), line_end(crlf));
            out.buffer().extend_from_slice(line.as_bytes());
        }
    }

    fn tell_all(&self, lines: &[String], out: &mut Output) {
        for line in lines {
            self.tell(line, out);
        }
    }

    fn tell(&self, words: &str, out: &mut Output) {
        let crlf = self.person().crlf;
        notice(out.buffer(), crlf, format_args!("{words}"));
    }
}

/// Notes which messages were shortened, so that `/show` finds them by number alone.
fn note_shortened(person: &mut Person, chunk: &Chunk, lines: Range<usize>) {
    if matches!(chunk.place(), Place::Room(room) if person.room.as_ref() == Some(room)) {
        return;
    }
    for at in lines {
        if chunk.lines()[at].body_len as usize > SHOWN_CHARS {
            let message = chunk.message(at);
            if render::is_shortened(&message) {
                // Of a direct message, the other end names it.
                let from = &message.sender.nick;
                match chunk.place() {
                    Place::Direct(_) if !person.is_me(from) => {
                        person.shortened(message.seq, Place::Direct(Arc::clone(from)));
                    }
                    place => person.shortened(message.seq, place.clone()),
                }
            }
        }
    }
}

/// Notes who wrote directly, so that `/r` answers.
fn note_partner(person: &mut Person, chunk: &Chunk, view: &View, lines: Range<usize>) {
    if matches!(chunk.place(), Place::Direct(_)) {
        let mut written = chunk.lines()[lines].iter().rev().filter(|line| !view.ignored.contains(&line.sender));
        let senders = chunk.senders();
        let from_other = written.find(|line| !person.is_me(&senders[usize::from(line.sender)].nick));
        if let Some(line) = from_other {
            person.partner = Some(Arc::clone(&senders[usize::from(line.sender)].nick));
        }
    }
}

impl Encoder for TextEncoder {
    fn encode(&mut self, item: Item, out: &mut Output) {
        if self.comings.until().is_some_and(|until| Instant::now() >= until) {
            self.flush(out);
        }
        match item {
            Item::Feed { chunk, from, to, replay } => self.feed(&chunk, from as usize..to as usize, replay, out),
            // Whoever writes has taken the other protocol's encoder by now.
            Item::Switch(_) => {}
            Item::Events(events) => events.into_iter().for_each(|event| self.event(event, out)),
        }
    }

    fn pending_until(&self) -> Option<Instant> {
        self.comings.until()
    }

    fn flush(&mut self, out: &mut Output) {
        let lines = self.comings.take();
        // Turned off since they were gathered.
        if self.person().presence {
            self.tell_all(&lines, out);
        }
    }
}
