//! Times as a person in some place reads them.
//!
//! A zone is looked up once for a stretch of messages; hours and minutes are then plain arithmetic. The clock of the
//! machine is never read here: who needs the present passes it in.

use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, ToSpan};

/// The last millisecond that a calendar of four-digit years has, less a day for any zone.
const MILLIS_MAX: i64 = 253_402_207_200_000;
const DAY_MILLIS: i64 = 86_400_000;

/// Where a person's clock hangs.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    zone: TimeZone,
    name: Arc<str>,
}

impl Default for Zone {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".into() }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A day and how the clock stood against UTC: messages that share it are rendered alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Days since 1 January 1970, there.
    pub day: i64,
    /// Minutes that the clock is ahead of UTC.
    pub offset_min: i16,
}

impl Zone {
    /// Reads `Europe/Berlin`, `berlin`, `UTC`, `+02:00`, `+2` or `-0330`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(seconds) = offset_seconds(text) {
            let zone = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
            let minutes = seconds.abs() / 60;
            let sign = if seconds < 0 { '-' } else { '+' };
            return Some(Self { zone, name: format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60).into() });
        }
        if text.eq_ignore_ascii_case("utc") {
            return Some(Self::default());
        }
        let named = |name: &str| {
            let zone = TimeZone::get(name).ok()?;
            Some(Self { name: zone.iana_name()?.into(), zone })
        };
        named(text).or_else(|| named(&city(text)?))
    }

    /// Which day it was there, and how the clock stood.
    pub(super) fn moment(&self, ts: u64) -> Moment {
        let seconds = self.zone.to_offset(stamp(ts)).seconds();
        let offset_min = i16::try_from(seconds.div_euclid(60)).unwrap_or_default();
        Moment { day: local_millis(ts, offset_min).div_euclid(DAY_MILLIS), offset_min }
    }

    /// Today, there.
    pub(super) fn date(&self, now: Timestamp) -> Date {
        now.to_zoned(self.zone.clone()).date()
    }

    /// What the clock shows there.
    pub(super) fn time(&self, now: Timestamp) -> Time {
        now.to_zoned(self.zone.clone()).time()
    }

    /// Unix milliseconds at a time of the clock there.
    pub(super) fn millis(&self, date: Date, time: Time) -> u64 {
        let there = date.to_datetime(time).to_zoned(self.zone.clone());
        there.map_or(0, |zoned| u64::try_from(zoned.timestamp().as_millisecond()).unwrap_or(0))
    }
}

/// `hh:mm` on a clock that is so many minutes ahead of UTC.
pub(super) fn hours_minutes(ts: u64, offset_min: i16) -> [u8; 5] {
    let minutes = local_millis(ts, offset_min).rem_euclid(DAY_MILLIS) / 60_000;
    let digit = |value: i64| b"0123456789"[value.rem_euclid(10) as usize];
    let (hour, minute) = (minutes / 60, minutes % 60);
    [digit(hour / 10), digit(hour), b':', digit(minute / 10), digit(minute)]
}

/// A day as people write it: `Friday 21 November 2025`.
pub(super) fn long_date(day: i64) -> String {
    let date = Date::constant(1970, 1, 1).checked_add(Span::new().try_days(day).unwrap_or_default());
    date.map_or_else(|_| String::new(), |date| date.strftime("%A %-d %B %Y").to_string())
}

/// The day of a time, in UTC, as files have it: `2025-11-21`.
pub(super) fn iso_date(ts: u64) -> String {
    stamp(ts).strftime("%Y-%m-%d").to_string()
}

/// The day before.
pub(super) fn day_before(date: Date) -> Date {
    date.checked_sub(1.day()).unwrap_or(date)
}

/// The day after.
pub(super) fn day_after(date: Date) -> Date {
    date.checked_add(1.day()).unwrap_or(date)
}

fn stamp(ts: u64) -> Timestamp {
    // Invariant: everything up to `MILLIS_MAX` is within the calendar.
    Timestamp::from_millisecond(clamped(ts)).unwrap_or_default()
}

fn clamped(ts: u64) -> i64 {
    i64::try_from(ts).unwrap_or(MILLIS_MAX).min(MILLIS_MAX)
}

fn local_millis(ts: u64, offset_min: i16) -> i64 {
    clamped(ts) + i64::from(offset_min) * 60_000
}

/// `+02:00`, `+0200` or `+2` in seconds; no place on Earth is more than 14 hours from UTC.
fn offset_seconds(text: &str) -> Option<i32> {
    const HOURS_MAX: i32 = 14;
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &text[1..];
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some((hours, minutes)), _) => (hours, minutes),
        (None, 4) if digits.is_ascii() => digits.split_at(2),
        (None, _) => (digits, "00"),
    };
    let number =
        |text: &str| (text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?;
    let (hours, minutes): (i32, i32) = (number(hours)?, number(minutes)?);
    (hours <= HOURS_MAX && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The zone that is named for a city: `berlin`, `new york`.
fn city(text: &str) -> Option<String> {
    let wanted = text.replace(' ', "_");
    let is_it = |name: &str| name.rsplit_once('/').is_some_and(|(_, city)| city.eq_ignore_ascii_case(&wanted));
    jiff::tz::db().available().map(|name| name.to_string()).find(|name| is_it(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday 21 November 2025, 23:30:00 UTC.
    const FRIDAY_NIGHT: u64 = 1_763_767_800_000;

    #[test]
    fn a_zone_is_read_as_people_write_it() {
        let table = [
            ("UTC", Some("UTC")),
            ("utc", Some("UTC")),
            ("Europe/Berlin", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("berlin", Some("Europe/Berlin")),
            ("new york", Some("America/New_York")),
            ("+02:00", Some("+02:00")),
            ("+2", Some("+02:00")),
            ("-0330", Some("-03:30")),
            ("+15", None),
            ("+1:70", None),
            ("+", None),
            ("+é1é", None),
            ("nowhere", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(Zone::parse(text).map(|zone| zone.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_same_moment_is_another_day_further_east() {
        let show = |zone: &str| {
            let moment = Zone::parse(zone).expect("a zone").moment(FRIDAY_NIGHT);
            let clock = hours_minutes(FRIDAY_NIGHT, moment.offset_min);
            format!("{} {}", String::from_utf8_lossy(&clock), long_date(moment.day))
        };
        assert_eq!(show("UTC"), "23:30 Friday 21 November 2025");
        assert_eq!(show("Europe/Berlin"), "00:30 Saturday 22 November 2025");
        assert_eq!(show("-03:30"), "20:00 Friday 21 November 2025");
    }

    #[test]
    fn no_time_however_large_breaks_the_calendar() {
        for ts in [0, u64::MAX, i64::MAX as u64, MILLIS_MAX as u64] {
            for zone in ["UTC", "+14", "-12", "Pacific/Auckland"] {
                let moment = Zone::parse(zone).expect("a zone").moment(ts);
                assert!(!long_date(moment.day).is_empty());
                hours_minutes(ts, moment.offset_min);
            }
        }
    }
}
