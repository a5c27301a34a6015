//! The commands about what was said: `/history`, `/search`, `/show`.
//!
//! It reads what a person means by a time, in the zone of that person; what is still there, the router says.

use std::sync::Arc;

use jiff::civil::{Date, Time};

use super::clock::{day_after, day_before};
use super::command::{Act, Acted, Call, nick, room_name, usage};
use super::mark::Mark;
use crate::model::{Command, History, Place, Search, Seq};

/// Messages shown where no number was given: what the wire protocol gives too.
const SHOWN: u32 = 50;

/// Messages shown of a time: a busy day in a few screens.
const SHOWN_OF_TIME: u32 = 200;

/// Messages that one answer may hold.
const SHOWN_MAX: u32 = 1_000;

pub(super) fn history(call: &mut Call<'_>) -> Acted {
    let (place, when) = match call.word() {
        (with, rest) if with.starts_with('@') => (Place::Direct(Arc::new(nick(with)?)), rest),
        (room, rest) if room.starts_with('#') => (Place::Room(room_name(room)?), rest),
        _ => (Place::Room(call.room()?), call.args),
    };
    let mut asked = History { place, after: None, before: None, since: None, until: None, limit: SHOWN };
    if !when.is_empty() {
        let stretch = stretch(call, when).ok_or_else(|| usage("history"))?;
        (asked.since, asked.until, asked.limit) = stretch;
    }
    Ok(Act::Ask(Mark::History, Command::History(Box::new(asked)), call.max_line))
}

/// From when, until when and how many.
fn stretch(call: &Call<'_>, when: &str) -> Option<(Option<u64>, Option<u64>, u32)> {
    if when.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: u32 = when.parse().unwrap_or(SHOWN_MAX);
        return (number > 0).then_some((None, None, number.min(SHOWN_MAX)));
    }
    let zone = &call.person.zone;
    let today = zone.date(call.now);
    let whole_day = |date: Date| {
        let (first, next) = (zone.millis(date, Time::midnight()), zone.millis(day_after(date), Time::midnight()));
        Some((Some(first), Some(next.saturating_sub(1)), SHOWN_OF_TIME))
    };
    if when.eq_ignore_ascii_case("today") {
        return whole_day(today);
    }
    if when.eq_ignore_ascii_case("yesterday") {
        return whole_day(day_before(today));
    }
    if let Some(time) = clock_time(when) {
        // What lies ahead today was yesterday.
        let date = if time > zone.time(call.now) { day_before(today) } else { today };
        return Some((Some(zone.millis(date, time)), None, SHOWN_OF_TIME));
    }
    when.parse().ok().and_then(whole_day)
}

fn clock_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let fits = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !fits(hour) || !fits(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

pub(super) fn search(call: &mut Call<'_>) -> Acted {
    if call.args.is_empty() {
        return Err(usage("search"));
    }
    let asked = Search { room: Some(call.room()?), query: call.args.into(), until: None, limit: SHOWN };
    Ok(Act::Ask(Mark::Search, Command::Search(Box::new(asked)), call.max_line))
}

pub(super) fn show(call: &mut Call<'_>) -> Acted {
    let (first, second) = call.word();
    let (room, number) = if second.is_empty() { (None, first) } else { (Some(room_name(first)?), second) };
    let seq = number.replace(',', "").parse().ok().filter(|seq| (1..u64::MAX).contains(seq)).map(Seq);
    let seq = seq.ok_or_else(|| usage("show"))?;
    let place = match room {
        Some(room) => Place::Room(room),
        None => match call.person.place_of(seq) {
            Some(place) => place,
            None => Place::Room(call.room()?),
        },
    };
    let asked =
        History { place, after: Some(Seq(seq.0 - 1)), before: Some(seq.next()), since: None, until: None, limit: 1 };
    Ok(Act::Ask(Mark::Show, Command::History(Box::new(asked)), call.max_line))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::protocol::text::clock::Zone;
    use crate::protocol::text::person::Person;

    /// Friday 21 November 2025, 14:00:00 UTC, in seconds; midnight of that day before it.
    const NOON_AND_TWO: i64 = 1_763_733_600;
    const MIDNIGHT: u64 = 1_763_683_200_000;
    const HOUR: u64 = 3_600_000;

    fn asked(args: &str, zone: &str) -> Result<History, String> {
        let room = crate::model::RoomName::parse("lobby").map(Arc::new).expect("a name");
        let mut person = Person { room: Some(room), zone: Zone::parse(zone).expect("a zone"), ..Person::default() };
        let now = Timestamp::from_second(NOON_AND_TWO).expect("a time");
        let mut call = Call { person: &mut person, args, now, max_line: 65_536 };
        match history(&mut call)? {
            Act::Ask(Mark::History, Command::History(asked), 65_536) => Ok(*asked),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_stretch_of_the_past_is_read_as_people_say_it() {
        let day = 24 * HOUR;
        let table = [
            ("", "UTC", None, None, 50),
            ("5", "UTC", None, None, 5),
            ("99999999999999", "UTC", None, None, 1_000),
            ("13:30", "UTC", Some(MIDNIGHT + 13 * HOUR + HOUR / 2), None, 200),
            ("9:05", "UTC", Some(MIDNIGHT + 9 * HOUR + HOUR / 12), None, 200),
            ("23:30", "UTC", Some(MIDNIGHT - HOUR / 2), None, 200),
            ("14:30", "+02:00", Some(MIDNIGHT + 12 * HOUR + HOUR / 2), None, 200),
            ("yesterday", "UTC", Some(MIDNIGHT - day), Some(MIDNIGHT - 1), 200),
            ("today", "UTC", Some(MIDNIGHT), Some(MIDNIGHT + day - 1), 200),
            ("2025-11-01", "UTC", Some(MIDNIGHT - 20 * day), Some(MIDNIGHT - 19 * day - 1), 200),
            (
                "2025-11-01",
                "Europe/Berlin",
                Some(MIDNIGHT - 20 * day - HOUR),
                Some(MIDNIGHT - 19 * day - HOUR - 1),
                200,
            ),
        ];
        for (args, zone, since, until, limit) in table {
            let asked = asked(args, zone).expect(args);
            assert_eq!((asked.since, asked.until, asked.limit), (since, until, limit), "{args} {zone}");
        }
        for args in ["0", "25:00", "1:2:3", "tomorrow", "2025-13-01", "-1", "é"] {
            assert!(asked(args, "UTC").is_err_and(|words| words.contains("/history")), "{args}");
        }
    }
}
