//! One pass over one line: is it a JSON object that every reader can take, and where do its known fields stand?
//!
//! Strict RFC 8259, and the contract's rules on top: values nested at most 64 deep, numbers of at most 32 characters and
//! finite as a double, no lone surrogates, no carriage return. The frame itself does not count towards the depth, so a
//! body may use all of it. Nothing is built, nothing is allocated, and nothing recurses: this is what each message
//! costs on its way in.

use super::ascii::is_ascii;
use super::fault::{Fault, Wrong};
use super::key::{Fields, Key, Kind, Raw};
use super::string;

/// How deep a value may be nested, which is what common readers take; one bit of a `u64` for each level.
const DEPTH_MAX: u32 = 64;

/// Characters of a number: a double has at most 24, and nobody needs to read a thousand zeros.
const NUMBER_CHARS_MAX: usize = 32;

/// Checks a line, given without its ending, and notes its known fields; `is_plain` where it is known to be.
#[inline]
pub(super) fn scan(line: &[u8], is_plain: bool, fields: &mut Fields) -> Result<(), Fault> {
    fields.clear();
    // Of a line alone, too, it is found out faster that it is ASCII than that it is UTF-8.
    if !is_plain && !is_ascii(line) {
        std::str::from_utf8(line).map_err(|error| Fault { at: error.valid_up_to() as u32, wrong: Wrong::Utf8 })?;
    }
    let mut scan = Scan { is_plain, ..Scan::new(line, 0) };
    scan.frame(fields).map_err(|Broken| scan.fault)
}

/// Whether a value that was scanned before, and is an object, has nothing but strings in it.
pub(super) fn is_flat(object: &[u8]) -> bool {
    let mut scan = Scan::new(object, 1);
    scan.flat().unwrap_or(false)
}

/// The numbers of an array that was scanned before, or `None` where something else is in it.
pub(super) fn numbers(array: &str) -> Option<impl Iterator<Item = &str>> {
    let inside = array.strip_prefix('[')?.strip_suffix(']')?.trim_matches([' ', '\t']);
    // A number holds no comma, and anything that does is no number.
    let items = || inside.split(',').map(|item| item.trim_matches([' ', '\t'])).filter(|_| !inside.is_empty());
    items().all(|item| item.starts_with(|c: char| c == '-' || c.is_ascii_digit())).then(items)
}

/// The scan has met a fault, which it keeps: results stay small enough for a register.
struct Broken;

struct Scan<'a> {
    line: &'a [u8],
    at: usize,
    /// Whether there is nothing but printable ASCII.
    is_plain: bool,
    fault: Fault,
}

impl<'a> Scan<'a> {
    const fn new(line: &'a [u8], at: usize) -> Self {
        Self { line, at, is_plain: false, fault: Fault { at: 0, wrong: Wrong::Unfinished } }
    }

    /// The whole line.
    fn frame(&mut self, fields: &mut Fields) -> Result<(), Broken> {
        self.space();
        self.expect(b'{', "`{`")?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                let key = self.key()?;
                let start = self.at;
                let kind = self.value()?;
                if let Some(key) = key {
                    fields.set(key, Raw::new(kind, start, self.at));
                }
                self.space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(self.expected("`,` or `}`")),
                }
                self.space();
            }
            self.at += 1;
        }
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(b'\r') => Err(self.fault(Wrong::CarriageReturn)),
            Some(_) => Err(self.fault(Wrong::Trailing)),
        }
    }

    /// A field's name, with the colon and the space around it.
    #[inline]
    fn key(&mut self) -> Result<Option<Key>, Broken> {
        let (start, end, escaped) = self.name()?;
        if !escaped {
            return Ok(Key::at(self.line, start, end));
        }
        let raw = std::str::from_utf8(&self.line[start..end]).ok();
        Ok(raw.and_then(string::unescape).and_then(|name| Key::of(&name)))
    }

    /// The inside of a name and whether it has escapes; the colon and the space around it are passed.
    #[inline]
    fn name(&mut self) -> Result<(usize, usize, bool), Broken> {
        self.expect(b'"', "a field's name in quotes")?;
        let start = self.at;
        let escaped = self.string()?;
        let end = self.at - 1;
        self.space();
        self.expect(b':', "`:`")?;
        self.space();
        Ok((start, end, escaped))
    }

    /// Any value.
    #[inline]
    fn value(&mut self) -> Result<Kind, Broken> {
        match self.peek() {
            Some(b'{') => self.nested().map(|()| Kind::Object),
            Some(b'[') => self.nested().map(|()| Kind::Array),
            _ => self.scalar(),
        }
    }

    /// A value that nests no other.
    #[inline]
    fn scalar(&mut self) -> Result<Kind, Broken> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(if self.string()? { Kind::Escaped } else { Kind::Plain })
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Number),
            Some(b't') => self.literal(b"true", Kind::True),
            Some(b'f') => self.literal(b"false", Kind::False),
            Some(b'n') => self.literal(b"null", Kind::Null),
            _ => Err(self.expected("a value")),
        }
    }

    /// An object or array with all that is in it.
    fn nested(&mut self) -> Result<(), Broken> {
        let mut depth = 0;
        // The lowest bit is the innermost level, set where that is an object.
        let mut objects = 0_u64;
        loop {
            // At a value.
            let open = self.peek();
            if let Some(b'{' | b'[') = open {
                if depth == DEPTH_MAX {
                    return Err(self.fault(Wrong::Depth));
                }
                depth += 1;
                objects = objects << 1 | u64::from(open == Some(b'{'));
                self.at += 1;
                self.space();
                match (open, self.peek()) {
                    // Closed below, as any other level is.
                    (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) => {}
                    (Some(b'{'), _) => {
                        self.name()?;
                        continue;
                    }
                    _ => continue,
                }
            } else {
                self.scalar()?;
                self.space();
            }
            // Behind a value, or before the end of an empty level.
            loop {
                let is_object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if is_object {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if is_object => {}
                    Some(b']') if !is_object => {}
                    _ => return Err(self.expected(if is_object { "`,` or `}`" } else { "`,` or `]`" })),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
                if depth == 0 {
                    return Ok(());
                }
                self.space();
            }
        }
    }

    /// The rest of a string behind its opening quote; whether it has escapes.
    #[inline]
    fn string(&mut self) -> Result<bool, Broken> {
        self.at = match string::eight(self.line, self.at) {
            // Names and most values end within eight bytes.
            Some(plain @ ..8) => self.at + plain,
            _ if self.is_plain => string::special_of_plain(self.line, self.at),
            _ => string::special(self.line, self.at),
        };
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(false);
        }
        self.special_string()
    }

    /// The same, from the first byte on that is not plain.
    fn special_string(&mut self) -> Result<bool, Broken> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(b'\\') => self.escape()?,
                None => return Err(self.fault(Wrong::Unfinished)),
                Some(b'\r') => return Err(self.fault(Wrong::CarriageReturn)),
                Some(_) => return Err(self.fault(Wrong::Control)),
            }
            self.at = string::special(self.line, self.at);
        }
    }

    fn escape(&mut self) -> Result<(), Broken> {
        match self.line.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.unit(self.at)?;
                let len = match unit {
                    0xD800..0xDC00 => {
                        let low = self.at + 6;
                        let pairs =
                            self.line.get(low..low + 2) == Some(b"\\u") && (0xDC00..0xE000).contains(&self.unit(low)?);
                        if !pairs {
                            return Err(self.fault(Wrong::Surrogate));
                        }
                        12
                    }
                    0xDC00..0xE000 => return Err(self.fault(Wrong::Surrogate)),
                    _ => 6,
                };
                self.at += len;
            }
            Some(_) => return Err(self.fault(Wrong::Escape)),
            None => return Err(self.fault(Wrong::Unfinished)),
        }
        Ok(())
    }

    /// The code unit of a `\u` escape that begins at an offset.
    fn unit(&mut self, at: usize) -> Result<u32, Broken> {
        string::hex(self.line, at + 2).ok_or_else(|| self.fault_at(at, Wrong::Escape))
    }

    #[inline]
    fn number(&mut self) -> Result<(), Broken> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut exponent = 0;
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            exponent = self.digits()?;
        }
        let wrong = if self.at - start > NUMBER_CHARS_MAX {
            Wrong::LongNumber
        } else if exponent > 2 && !is_finite(&self.line[start..self.at]) {
            // Shorter exponents are at most 1e131 with what may stand before them.
            Wrong::HugeNumber
        } else {
            return Ok(());
        };
        Err(self.fault_at(start, wrong))
    }

    /// One digit or more; how many.
    #[inline]
    fn digits(&mut self) -> Result<usize, Broken> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(self.at - start) }
    }

    #[inline]
    fn literal(&mut self, word: &'static [u8], kind: Kind) -> Result<Kind, Broken> {
        let rest = &self.line[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(kind);
        }
        self.at += rest.iter().zip(word).take_while(|(is, should)| is == should).count();
        Err(self.expected("`true`, `false` or `null`"))
    }

    /// The rest of an object behind its brace: whether all its values are strings.
    fn flat(&mut self) -> Result<bool, Broken> {
        self.space();
        if self.peek() == Some(b'}') {
            return Ok(true);
        }
        loop {
            self.name()?;
            if self.peek() != Some(b'"') {
                return Ok(false);
            }
            self.scalar()?;
            self.space();
            if self.peek() == Some(b'}') {
                return Ok(true);
            }
            self.expect(b',', "`,`")?;
            self.space();
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        // Line feeds end lines, and a carriage return is wrong wherever it stands.
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Broken> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.expected(what))
    }

    #[cold]
    fn expected(&mut self, what: &'static str) -> Broken {
        self.fault(match self.peek() {
            None => Wrong::Unfinished,
            Some(b'\r') => Wrong::CarriageReturn,
            Some(_) => Wrong::Expected(what),
        })
    }

    #[cold]
    fn fault(&mut self, wrong: Wrong) -> Broken {
        self.fault_at(self.at, wrong)
    }

    #[cold]
    const fn fault_at(&mut self, at: usize, wrong: Wrong) -> Broken {
        self.fault = Fault { at: at as u32, wrong };
        Broken
    }
}

fn is_finite(number: &[u8]) -> bool {
    let value = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    value.is_some_and(f64::is_finite)
}
