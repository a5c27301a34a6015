//! The log: a line for people or a JSON object for programs, to standard error.
//!
//! Nicks, rooms and reasons in it were written by strangers. The library escapes what colours a terminal, but lets line
//! ends and bidirectional controls through, so each line is made whole, escaped as a whole and then written: nothing in
//! a field can begin a line, move a cursor or turn text around. There are no colours for that reason.

use std::fmt;
use std::io;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use linehub::config::{Log, LogFormat};

/// A log that cannot be written has nowhere to say so: the library would panic when it tries to.
const REPORTS_ITSELF: bool = false;

/// Starts the log of this process. A part that fails is said there too, and not in the runtime's own form.
pub(super) fn start(log: &Log) {
    std::panic::set_hook(Box::new(|fault| tracing::error!(%fault, "a part of the server failed")));
    // A second start changes nothing, and there is none.
    let _ = match log.format {
        LogFormat::Text => text(&log.filter, io::stderr).try_init(),
        LogFormat::Json => json(&log.filter, io::stderr).try_init(),
    };
}

fn text<W>(filter: &str, writer: W) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .log_internal_errors(REPORTS_ITSELF)
        .event_format(Escaped { inner: Format::default(), escape: for_people })
        .with_writer(writer)
        .finish()
}

fn json<W>(filter: &str, writer: W) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .log_internal_errors(REPORTS_ITSELF)
        .fmt_fields(JsonFields::new())
        .event_format(Escaped { inner: Format::default().json().flatten_event(true), escape: for_programs })
        .with_writer(writer)
        .finish()
}

/// A format whose every line is escaped after it was made.
struct Escaped<F> {
    inner: F,
    escape: fn(char, &mut Writer<'_>) -> fmt::Result,
}

impl<S, N, F> FormatEvent<S, N> for Escaped<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        let mut plain_from = 0;
        for (at, c) in line.char_indices().filter(|(_, c)| is_active(*c)) {
            writer.write_str(&line[plain_from..at])?;
            (self.escape)(c, &mut writer)?;
            plain_from = at + c.len_utf8();
        }
        writeln!(writer, "{}", &line[plain_from..])
    }
}

/// Whether a character does something to what is around it: controls, line ends, directions, and what shows as nothing.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn for_people(c: char, writer: &mut Writer<'_>) -> fmt::Result {
    write!(writer, "{}", c.escape_default())
}

/// In JSON these characters stand in strings alone, where they can be written so.
fn for_programs(c: char, writer: &mut Writer<'_>) -> fmt::Result {
    c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a hostile client would like to be called.
    const HOSTILE: [&str; 8] = [
        "ada\n2026-11-20T12:00:00Z  INFO linehub: root logged in",
        "ada\r\x1b[2K\x1b[1Aroot",
        "\u{9b}2J\u{85}\u{90}q\u{9c}",
        "\u{202e}toor\u{2066}\u{2069}\u{200f}",
        "\u{2028}\u{2029}\x0b\x0c\x08\x07\x00\x7f",
        "\u{feff}\u{200b}\u{e0001}\u{e0041}",
        "\"},{\"level\":\"INFO",
        "plain é 김 😀",
    ];

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(subscriber: impl FnOnce(Written) -> Box<dyn FnOnce(&dyn Fn())>, log: &dyn Fn()) -> String {
        let written = Written::default();
        subscriber(written.clone())(log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn as_text(log: &dyn Fn()) -> String {
        written(
            |to| {
                let subscriber = text("info", move || to.clone());
                Box::new(move |log| tracing::subscriber::with_default(subscriber, log))
            },
            log,
        )
    }

    fn as_json(log: &dyn Fn()) -> String {
        written(
            |to| {
                let subscriber = json("info", move || to.clone());
                Box::new(move |log| tracing::subscriber::with_default(subscriber, log))
            },
            log,
        )
    }

    fn log_everywhere(nick: &str) {
        let span = tracing::info_span!("connection", %nick, debug = ?nick);
        let _entered = span.enter();
        tracing::info!(nick, display = %nick, debug = ?nick, "{nick} joined");
    }

    /// One line, in which nothing that the hostile names have does anything.
    fn is_quiet(text: &str) -> bool {
        let active = "\u{202e}\u{2066}\u{2069}\u{200f}\u{2028}\u{2029}\u{feff}\u{200b}\u{e0001}\u{e0041}";
        let Some(line) = text.strip_suffix('\n') else { return false };
        !line.chars().any(|c| c.is_control() || active.contains(c))
    }

    #[test]
    fn no_nick_begins_a_line_or_moves_a_cursor_in_the_log_for_people() {
        for nick in HOSTILE {
            let log = as_text(&|| log_everywhere(nick));
            assert!(is_quiet(&log), "{nick:?}: {log:?}");
            assert!(log.contains("joined"), "{log:?}");
        }
    }

    #[test]
    fn no_nick_begins_an_object_or_moves_a_cursor_in_the_log_for_programs() {
        for nick in HOSTILE {
            let log = as_json(&|| log_everywhere(nick));
            assert!(is_quiet(&log), "{nick:?}: {log:?}");
            let object: serde_json::Value = serde_json::from_str(&log).unwrap();
            assert_eq!(object["nick"], nick);
            assert_eq!(object["display"], nick);
            assert_eq!(object["level"], "INFO");
        }
    }

    #[test]
    fn the_filter_decides_what_is_written() {
        assert_eq!(as_text(&|| tracing::debug!("quiet")), "");
        assert_ne!(as_text(&|| tracing::warn!("loud")), "");
    }
}
