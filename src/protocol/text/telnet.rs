//! Telnet's in-band commands, taken out of the bytes (RFC 854, 855, 857, 860).
//!
//! Sees one byte at a time, so it is the same wherever the network cuts. Every option is refused, each once, so that two
//! refusing ends never talk in circles; only TIMING-MARK is answered every time, since a client that pressed ^C keeps its
//! screen dark until then. What a subnegotiation holds is skipped, line ends and all.

const SE: u8 = 240;
const BREAK: u8 = 243;
const INTERRUPT: u8 = 244;
const ARE_YOU_THERE: u8 = 246;
const ERASE_CHARACTER: u8 = 247;
const ERASE_LINE: u8 = 248;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;
const END_OF_FILE: u8 = 236;
const ABORT: u8 = 238;

/// RFC 860.
const TIMING_MARK: u8 = 6;

/// The answer to a timing mark.
pub(super) const MARKED: [u8; 3] = [IAC, WILL, TIMING_MARK];

/// What a byte turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Part of what was typed.
    Byte(u8),
    /// To be sent back.
    Answer([u8; 3]),
    /// ^C: how do I get out of here?
    Interrupt,
    /// ^D: the input is at its end.
    EndOfFile,
    /// Takes the last character back.
    EraseCharacter,
    /// Takes the line back.
    EraseLine,
    /// Is anybody there?
    AreYouThere,
}

/// Where in a command the last byte left off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Data,
    Command,
    Option(u8),
    Skipped,
    SkippedCommand,
}

/// The filter of one connection.
#[derive(Debug, Default)]
pub(super) struct Telnet {
    state: State,
    /// Options refused so far, a bit each: those they would use, those we should.
    refused: Option<Box<[u128; 4]>>,
    seen: bool,
}

impl Telnet {
    /// Takes one byte.
    pub(super) fn take(&mut self, byte: u8) -> Option<Signal> {
        let (state, signal) = match (self.state, byte) {
            (State::Data, IAC) => {
                self.seen = true;
                (State::Command, None)
            }
            (State::Data, byte) => (State::Data, Some(Signal::Byte(byte))),
            (State::Command, WILL | WONT | DO | DONT) => (State::Option(byte), None),
            (State::Command, SB) => (State::Skipped, None),
            (State::Command, byte) => (State::Data, command(byte)),
            (State::Option(verb), option) => (State::Data, self.negotiate(verb, option)),
            (State::Skipped, IAC) => (State::SkippedCommand, None),
            (State::SkippedCommand, SE) => (State::Data, None),
            (State::Skipped | State::SkippedCommand, _) => (State::Skipped, None),
        };
        self.state = state;
        signal
    }

    /// Whether the next byte is plain data unless it is 255.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Data
    }

    /// Whether the client has shown that it speaks telnet.
    pub(super) const fn is_seen(&self) -> bool {
        self.seen
    }

    fn negotiate(&mut self, verb: u8, option: u8) -> Option<Signal> {
        match verb {
            DO if option == TIMING_MARK => Some(Signal::Answer(MARKED)),
            DO => self.first_refusal(2, option).then_some(Signal::Answer([IAC, WONT, option])),
            WILL => self.first_refusal(0, option).then_some(Signal::Answer([IAC, DONT, option])),
            // They agree with what already is.
            _ => None,
        }
    }

    fn first_refusal(&mut self, side: usize, option: u8) -> bool {
        let word = &mut self.refused.get_or_insert_default()[side + usize::from(option >> 7)];
        let bit = 1 << (option & 0x7F);
        let first = *word & bit == 0;
        *word |= bit;
        first
    }
}

fn command(byte: u8) -> Option<Signal> {
    match byte {
        IAC => Some(Signal::Byte(IAC)),
        INTERRUPT | BREAK | ABORT => Some(Signal::Interrupt),
        END_OF_FILE => Some(Signal::EndOfFile),
        ERASE_CHARACTER => Some(Signal::EraseCharacter),
        ERASE_LINE => Some(Signal::EraseLine),
        ARE_YOU_THERE => Some(Signal::AreYouThere),
        // No operation, data mark, go ahead and what nobody defined: nothing to do.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(bytes: &[u8]) -> Vec<Signal> {
        let mut telnet = Telnet::default();
        bytes.iter().filter_map(|byte| telnet.take(*byte)).collect()
    }

    fn answer(verb: u8, option: u8) -> Signal {
        Signal::Answer([IAC, verb, option])
    }

    #[test]
    fn every_option_is_refused_once_and_only_once() {
        for option in (0..=255).filter(|option| *option != TIMING_MARK) {
            let asked = [IAC, DO, option, IAC, WILL, option];
            let twice = [asked, asked].concat();
            assert_eq!(signals(&twice), [answer(WONT, option), answer(DONT, option)], "{option}");
            assert_eq!(signals(&[IAC, DONT, option, IAC, WONT, option]), []);
        }
    }

    #[test]
    fn every_timing_mark_is_answered() {
        let mark = [IAC, DO, TIMING_MARK];
        let interrupted = [&[IAC, INTERRUPT][..], &mark, &[IAC, INTERRUPT], &mark].concat();
        let answered = answer(WILL, TIMING_MARK);
        assert_eq!(signals(&interrupted), [Signal::Interrupt, answered, Signal::Interrupt, answered]);
    }

    #[test]
    fn a_subnegotiation_is_skipped_with_its_line_ends() {
        let bytes = [b"a".as_slice(), &[IAC, SB, 24, 0, b'\n', IAC, IAC, b'\r', b'/', IAC, SE], b"b"].concat();
        assert_eq!(signals(&bytes), [Signal::Byte(b'a'), Signal::Byte(b'b')]);
    }

    #[test]
    fn commands_are_told_from_data() {
        let table: &[(&[u8], &[Signal])] = &[
            (&[IAC, IAC], &[Signal::Byte(IAC)]),
            (&[IAC, END_OF_FILE], &[Signal::EndOfFile]),
            (&[IAC, ERASE_CHARACTER], &[Signal::EraseCharacter]),
            (&[IAC, ERASE_LINE], &[Signal::EraseLine]),
            (&[IAC, ARE_YOU_THERE], &[Signal::AreYouThere]),
            (&[IAC, 241, IAC, 242, IAC, 249, IAC, SE], &[]),
            (&[IAC, b'x', b'y'], &[Signal::Byte(b'y')]),
        ];
        for (bytes, expected) in table {
            assert_eq!(signals(bytes), *expected, "{bytes:?}");
        }
    }
}
