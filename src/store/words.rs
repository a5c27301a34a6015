//! Words: what of a text is searched for and found.
//!
//! A text is cut into words, lower-cased and without accents, and into runs of the scripts that put no blanks between words.
//! An index gets the words, and the pairs of neighbours in each run, so that any two characters find the words they stand in.
//! Whether a message really holds what is wanted is seen on its own text. Pure: no file, and no syntax of any index but
//! [`Words::expression`].

use std::borrow::Cow;
use std::fmt::Write;

use memchr::{memchr, memchr2};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Bytes of a word that count: what is longer is an id or a key, and still found whole.
const WORD_BYTES: usize = 64;

/// Words that an index is asked for; of a longer query the rest is seen on the messages.
const ASKED: usize = 32;

/// The words of a text, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    words: Vec<Box<str>>,
    runs: Vec<Box<str>>,
}

/// What a character is to a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Part of a word.
    Word,
    /// Part of a run of a script without blanks.
    Run,
    /// A word by itself, as emoji are.
    Sign,
    /// Between words.
    Gap,
    /// Nothing: it neither parts words nor counts.
    Void,
}

impl Words {
    /// What somebody searches for; `None` where there is nothing in it that could be found.
    pub fn of_query(text: &str) -> Option<Self> {
        let mut words = Self::default();
        words.read(text);
        let words = words.sorted();
        (!words.words.is_empty() || !words.runs.is_empty()).then_some(words)
    }

    /// The words of a message: those of all strings in its body, which is JSON.
    pub fn of_body(json: &[u8]) -> Self {
        let mut words = Self::default();
        strings(json, |text| words.read(text));
        words.sorted()
    }

    /// Whether all that is wanted is here.
    pub fn holds(&self, wanted: &Self) -> bool {
        wanted.words.iter().all(|word| self.words.binary_search(word).is_ok())
            && wanted.runs.iter().all(|run| self.runs.iter().any(|own| own.contains(&**run)))
    }

    /// Whether there is nothing to be found.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.runs.is_empty()
    }

    /// Writes what an index gets, each with a blank in front of it. None has another character in it than those of words,
    /// runs and signs.
    pub fn write_tokens(&self, out: &mut String) {
        for word in &self.words {
            out.push(' ');
            out.push_str(word);
        }
        for run in &self.runs {
            for pair in pairs(run) {
                out.push(' ');
                out.push_str(pair);
            }
            // The last one begins no pair: by itself it is found by one character too.
            let last = run.char_indices().next_back().map_or(0, |(at, _)| at);
            out.push(' ');
            out.push_str(&run[last..]);
        }
    }

    /// What an FTS5 index is asked for: all of these tokens, each in quotes, so that nothing of it is syntax.
    pub fn expression(&self) -> String {
        let mut parts: Vec<(&str, bool)> = self.words.iter().map(|word| (&**word, false)).collect();
        for run in &self.runs {
            let mut length = run.chars();
            match (length.next(), length.next()) {
                (Some(_), None) => parts.push((run, true)),
                _ => parts.extend(pairs(run).map(|pair| (pair, false))),
            }
        }
        // The longest are the rarest.
        parts.sort_by_key(|(token, is_prefix)| (*is_prefix, std::cmp::Reverse(token.len())));
        parts.dedup();
        let mut expression = String::new();
        for (token, is_prefix) in parts.into_iter().take(ASKED) {
            let star = if is_prefix { " *" } else { "" };
            // Writing to a string does not fail.
            let _ = write!(expression, "\"{token}\"{star} ");
        }
        expression
    }

    fn read(&mut self, text: &str) {
        if text.is_ascii() {
            let cut = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            self.words.extend(cut.map(|word| word[..word.len().min(WORD_BYTES)].to_ascii_lowercase().into_boxed_str()));
            return;
        }
        let mut open = String::new();
        let mut of = Class::Gap;
        for c in text.nfkc() {
            let class = class(c, of);
            if class == Class::Void {
                continue;
            }
            if class != of || class == Class::Sign {
                self.close(&mut open, of);
                of = class;
            }
            match class {
                Class::Word => fold(c, &mut open),
                Class::Run | Class::Sign => open.push(c),
                Class::Gap | Class::Void => {}
            }
        }
        self.close(&mut open, of);
    }

    fn close(&mut self, open: &mut String, of: Class) {
        if !open.is_empty() {
            match of {
                Class::Run => self.runs.push(open.as_str().into()),
                _ => self.words.push(open[..open.floor_char_boundary(WORD_BYTES)].into()),
            }
            open.clear();
        }
    }

    fn sorted(mut self) -> Self {
        for list in [&mut self.words, &mut self.runs] {
            list.sort_unstable();
            list.dedup();
        }
        self
    }
}

/// Each two neighbours of a run.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let starts = run.char_indices().map(|(at, _)| at);
    let ends = run.char_indices().skip(1).map(|(at, c)| at + c.len_utf8());
    starts.zip(ends).map(|(start, end)| &run[start..end])
}

/// The strings in a JSON value, names of fields among them, decoded.
fn strings(json: &[u8], mut found: impl FnMut(&str)) {
    let mut rest = json;
    while let Some(start) = memchr(b'"', rest) {
        rest = &rest[start..];
        let mut end = 1;
        let mut is_plain = true;
        while let Some(at) = memchr2(b'"', b'\\', &rest[end.min(rest.len())..]).map(|at| at + end) {
            if rest[at] == b'"' {
                end = at;
                break;
            }
            is_plain = false;
            end = at + 2;
        }
        let end = end.min(rest.len() - 1);
        let text = if is_plain {
            str::from_utf8(&rest[1..end.max(1)]).map_or(Cow::Borrowed(""), Cow::Borrowed)
        } else {
            Cow::Owned(serde_json::from_slice::<String>(&rest[..=end]).unwrap_or_default())
        };
        found(&text);
        rest = &rest[end + 1..];
    }
}

fn class(c: char, before: Class) -> Class {
    match c {
        // Joiners and the choice of a picture's look, soft hyphens, the Arabic stretch.
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{640}' => {
            Class::Void
        }
        c if is_run(c) => Class::Run,
        '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => Class::Sign,
        c if c.is_alphanumeric() => Class::Word,
        // Marks belong to the letter before them.
        c if is_combining_mark(c) && before == Class::Word => Class::Word,
        c if is_combining_mark(c) && before == Class::Run => Class::Run,
        c if is_combining_mark(c) => Class::Void,
        _ => Class::Gap,
    }
}

/// Whether a character is of a script that puts no blanks between words, or few: Thai, Lao, Tibetan, Burmese, Hangul, Khmer, kana,
/// bopomofo and Han.
const fn is_run(c: char) -> bool {
    matches!(
        c as u32,
        0x0e01..=0x0e3a | 0x0e40..=0x0e4e | 0x0e81..=0x0ece | 0x0f40..=0x0fbc | 0x1000..=0x103f | 0x1050..=0x109d
        | 0x1100..=0x11ff | 0x1780..=0x17d3 | 0x3005..=0x3007 | 0x3041..=0x3096 | 0x3099..=0x309a | 0x309d..=0x309f
        | 0x30a1..=0x30fa | 0x30fc..=0x318f | 0x31a0..=0x31bf | 0x31f0..=0x31ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff
        | 0xa960..=0xa97c | 0xac00..=0xd7fb | 0xf900..=0xfaff | 0x20000..=0x3ffff
    )
}

/// Adds a letter in the form in which it is compared.
fn fold(c: char, out: &mut String) {
    for c in c.to_lowercase() {
        match c {
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'ø' => out.push('o'),
            'ł' => out.push('l'),
            'đ' | 'ð' => out.push('d'),
            'ı' => out.push('i'),
            'ς' => out.push('σ'),
            'ё' => out.push('е'),
            // Hamza and madda on alef, as people leave them out; vowels of Arabic and Hebrew are marks, see below.
            'أ' | 'إ' | 'آ' => out.push('ا'),
            c if c < '\u{400}' || ('\u{1e00}'..='\u{1fff}').contains(&c) => {
                out.extend(std::iter::once(c).nfd().filter(|c| !is_accent(*c)));
            }
            c if is_accent(c) => {}
            c => out.push(c),
        }
    }
}

/// Whether a mark is one that people leave out.
const fn is_accent(c: char) -> bool {
    matches!(c as u32, 0x300..=0x36f | 0x591..=0x5bd | 0x5bf..=0x5c7 | 0x64b..=0x65f | 0x670 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> String {
        let mut out = String::new();
        Words::of_body(serde_json::to_string(text).expect("text is JSON").as_bytes()).write_tokens(&mut out);
        out
    }

    #[test]
    fn texts_of_every_script_become_tokens() {
        for (text, expected) in [
            ("The deploy of web-3 FAILED!", " 3 deploy failed of the web"),
            ("foo_bar.baz @2:30", " 2 30 bar baz foo"),
            ("Äpfel Čeština naïve", " apfel cestina naive"),
            ("Straße ŁÓDŹ Ørsted", " lodz orsted strasse"),
            ("İstanbul Diyarbakır", " diyarbakir istanbul"),
            ("Καλημέρα ΚΌΣΜΟΣ", " καλημερα κοσμοσ"),
            ("Ёлка и ёж ЙОД", " еж елка и йод"),
            ("שָׁלוֹם עולם", " עולם שלום"),
            ("السَّلامُ أحمد", " احمد السلام"),
            ("हिन्दी में", " में हिन्दी"),
            ("Հայերեն ქართული", " հայերեն ქართული"),
            ("日本語", " 日本 本語 語"),
            ("東京タワーです", " 東京 京タ タワ ワー ーで です す"),
            ("ｶﾞｷﾞ ＡＢＣ１", " abc1 ガギ ギ"),
            ("안녕하세요 세계", " 세계 계 안녕 녕하 하세 세요 요"),
            ("สวัสดี", " สว วั ัส สด ดี ี"),
            ("水", " 水"),
            ("v2版本", " v2 版本 本"),
            ("ship it 🎉🎉 ❤️", " it ship ❤ 🎉"),
            ("a\u{200d}b soft\u{ad}hyphen", " ab softhyphen"),
            ("\u{0}\u{1b}[31m\"OR * NEAR(", " 31m near or"),
            ("… ?! —", ""),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }

    #[test]
    fn two_characters_find_the_words_they_stand_in_and_neighbours_alone_do() {
        for (text, query, is_found) in [
            ("今天天气很好", "天气", true),
            ("今天天气很好", "天", true),
            ("今天天气很好", "好", true),
            ("今天天气很好", "天很", false),
            // All pairs are there, and not next to each other.
            ("天气 气很 天气很", "天气很", true),
            ("天气 气很", "天气很", false),
            ("도쿄에서", "도쿄", true),
            ("こんにちは世界", "世界", true),
            ("Äpfel und Birnen", "APFEL birnen", true),
            ("Äpfel", "apf", false),
            ("x", "\"", false),
        ] {
            let body = serde_json::to_string(text).expect("text is JSON");
            let wanted = Words::of_query(query);
            let found = wanted.is_some_and(|wanted| Words::of_body(body.as_bytes()).holds(&wanted));
            assert_eq!(found, is_found, "{query} in {text}");
        }
    }

    #[test]
    fn every_string_of_a_body_counts_and_numbers_do_not() {
        let body = br#"{"order":{"id":17,"note":"\u00c4pfel \"rot\"\\"},"tags":["a\nb","",true]}"#;
        let words = Words::of_body(body);
        let expected = ["a", "apfel", "b", "id", "note", "order", "rot", "tags"];
        assert_eq!(words.words.iter().map(|word| &**word).collect::<Vec<_>>(), expected);
        for odd in [&b""[..], b"\"", b"\"\\", b"\"\\\"", b"\"a", b"5", b"null"] {
            assert!(Words::of_body(odd).words.len() <= 1, "{odd:?}");
        }
    }

    #[test]
    fn nothing_that_is_searched_for_is_syntax() {
        let words = Words::of_query("\"OR\" * NEAR(a, b) col:x ^y -z \0 水 天气").expect("words");
        let expression = words.expression();
        let quoted = expression.trim_end().split(' ').filter(|part| *part != "*");
        for token in quoted {
            let inner = token.strip_prefix('"').and_then(|token| token.strip_suffix('"')).expect("quotes");
            assert!(inner.chars().all(char::is_alphanumeric), "{token}");
        }
        assert!(expression.ends_with("\"水\" * "), "{expression}");
        assert_eq!(Words::of_query("\" * ( ) - ^ \0"), None);
        let many: Vec<String> = (0..1_000).map(|at| format!("w{at}")).collect();
        let many = Words::of_query(&many.join(" ")).expect("words").expression();
        assert_eq!(many.split(' ').filter(|token| !token.is_empty()).count(), ASKED);
    }

    #[test]
    fn a_word_without_end_is_found_by_itself() {
        let long = "k".repeat(60_000);
        let words = Words::of_body(format!("\"{long}\"").as_bytes());
        assert!(words.holds(&Words::of_query(&long).expect("a word")));
        assert_eq!(words.words[0].len(), WORD_BYTES);
    }
}
