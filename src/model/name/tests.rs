use proptest::prelude::*;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use precis_profiles::precis_core::{DerivedPropertyValue, IdentifierClass, StringClass};

use super::*;

#[test]
fn a_name_is_shown_as_written_and_compared_by_the_profile() {
    let table = [
        ("ada", "ada"),
        ("Ada", "ada"),
        ("Metrics.EU.cpu_0-a", "metrics.eu.cpu_0-a"),
        ("7", "7"),
        ("a._b.-c", "a._b.-c"),
        // Width, of letters and digits.
        ("Ａｄａ１", "ada1"),
        ("ｶﾞｷﾞ", "ガギ"),
        // Case: one character at a time, so the sigma of a capital word stays apart from the final one.
        ("ΑΝΔΡΕΑΣ", "ανδρεασ"),
        ("ανδρεας", "ανδρεας"),
        ("Straße", "straße"),
        ("STRASSE", "strasse"),
        ("İstanbul", "i\u{307}stanbul"),
        ("ısı", "ısı"),
        ("ᲐᲑ", "აბ"),
        ("ᎠᎡ", "ꭰꭱ"),
        // Composition, whatever the order of the marks.
        ("e\u{301}ve", "éve"),
        ("É\u{327}", "\u{229}\u{301}"),
        // Scripts of every age and direction.
        ("김철수", "김철수"),
        ("二〇二六", "二〇二六"),
        ("नमस्ते४२", "नमस्ते४२"),
        ("สวัสดี", "สวัสดี"),
        ("שָׁלוֹם", "שָׁלוֹם"),
        ("مُحَمَّد٣", "مُحَمَّد٣"),
        ("ދިވެހި", "ދިވެހި"),
        ("𞤀𞤁", "𞤢𞤣"),
        ("שלום.dead", "שלום.dead"),
    ];
    for (written, compared) in table {
        let nick = Nick::parse(written).unwrap_or_else(|error| panic!("{written:?}: {error}"));
        assert_eq!((nick.shown(), nick.key()), (written, normalised(compared).as_str()));
    }
}

/// The table's right side as NFC, whatever the editor that saved this file did.
fn normalised(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfc().collect()
}

#[test]
fn what_is_no_letter_digit_or_mark_is_refused_with_its_reason() {
    use NameError as E;
    let table = [
        ("", E::Empty),
        (".", E::EmptyToken),
        (".a", E::EmptyToken),
        ("a.", E::EmptyToken),
        ("a..b", E::EmptyToken),
        ("é..b", E::EmptyToken),
        (".é", E::EmptyToken),
        ("_", E::Reserved),
        ("_INBOX.é", E::Reserved),
        ("-", E::Character('-')),
        ("-a", E::Character('-')),
        ("a-", E::Character('-')),
        ("é_", E::Character('_')),
        ("a b", E::Character(' ')),
        ("é b", E::Character(' ')),
        ("#a", E::Character('#')),
        ("a/b", E::Character('/')),
        ("a\0", E::Character('\0')),
        ("a\u{1b}[2J", E::Character('\u{1b}')),
        ("a\u{85}", E::Character('\u{85}')),
        ("a*", E::Wildcard),
        ("é.>", E::Wildcard),
        // Symbols, and punctuation that the RFC would take in its context.
        ("a😀", E::Character('😀')),
        ("€", E::Character('€')),
        ("l·l", E::Character('·')),
        ("ア・イ", E::Character('・')),
        ("צ׳", E::Character('׳')),
        ("a＿b", E::Character('＿')),
        ("a．b", E::Character('．')),
        ("＊", E::Character('＊')),
        // What shows as nothing, or as something else.
        ("क्\u{200d}ष", E::Character('\u{200d}')),
        ("می\u{200c}خواهم", E::Character('\u{200c}')),
        ("a\u{ad}b", E::Character('\u{ad}')),
        ("a\u{202e}b", E::Character('\u{202e}')),
        ("\u{feff}a", E::Character('\u{feff}')),
        ("a\u{fe0f}", E::Character('\u{fe0f}')),
        ("\u{3164}", E::Character('\u{3164}')),
        ("\u{ffa0}", E::Character('\u{ffa0}')),
        ("aـb", E::Character('ـ')),
        // Compatibility forms.
        ("ﬁn", E::Character('ﬁ')),
        ("x²", E::Character('²')),
        ("Ⅳ", E::Character('Ⅳ')),
        ("ⓐ", E::Character('ⓐ')),
        ("ſ", E::Character('ſ')),
        ("\u{1112}\u{1161}", E::Character('\u{1112}')),
        // Marks with nothing to stand on.
        ("\u{301}a", E::Mark('\u{301}')),
        ("é.\u{301}", E::Mark('\u{301}')),
        ("é-\u{301}a", E::Mark('\u{301}')),
        ("a\u{20dd}", E::Character('\u{20dd}')),
        // Directions and digits.
        ("aשלום", E::Direction),
        ("שלוםa", E::Direction),
        ("1שלום", E::Direction),
        ("של٠۰", E::Digits),
        // Unassigned, private, noncharacter.
        ("a\u{378}", E::Character('\u{378}')),
        ("a\u{e000}", E::Character('\u{e000}')),
        ("a\u{fdd0}", E::Character('\u{fdd0}')),
    ];
    for (text, error) in table {
        assert_eq!(Nick::parse(text).err(), Some(error), "{text:?}");
        assert!(RoomName::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_name_has_64_bytes_as_written_and_as_compared() {
    for (text, fits) in [
        ("a".repeat(64), true),
        ("a".repeat(65), false),
        ("é".repeat(32), true),
        ("é".repeat(33), false),
        ("İ".repeat(21), true),
        ("İ".repeat(22), false),
    ] {
        assert_eq!(Nick::parse(&text).is_ok(), fits, "{text}");
    }
}

#[test]
fn every_queue_room_has_a_dead_letter_room() {
    for text in ["jobs".to_owned(), "a".repeat(59), "שלום".to_owned(), "İ".repeat(19)] {
        let room = RoomName::parse(&text).unwrap();
        assert!(room.fits_queue(), "{text}");
        assert!(room.dead_letter().is_some_and(|dead| dead.dead_letter_of().as_ref() == Some(&room)), "{text}");
    }
    for text in ["a".repeat(60), "İ".repeat(20)] {
        assert!(!RoomName::parse(&text).unwrap().fits_queue(), "{text}");
    }
}

#[test]
fn a_pattern_covers_rooms_by_whole_tokens() {
    let table = [
        ("a.*", "a.b", true),
        ("a.*", "a.b.c", false),
        ("a.*", "a", false),
        ("a.>", "a", false),
        ("a.>", "a.b.c", true),
        (">", "a", true),
        ("*.*", "a.b", true),
        ("*.B", "x.b", true),
        ("ΑΣ.*", "ασ.x", true),
        ("ΑΣ.*", "ΑΣ.Β", true),
        ("*.Ａ", "x.a", true),
        ("a._b.-c.*", "a._b.-c.d", true),
        ("a.b", "A.B", true),
    ];
    for (pattern, room, expected) in table {
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(&RoomName::parse(room).unwrap()), expected, "{pattern:?} {room}");
    }
    for text in ["", "*.", ".*", "a..*", "a*", "*a.b", ">.a", "a.>.b", "**", "_a.*", "-a.*", "*.a-", "a b.*", "😀.*"]
    {
        assert!(Pattern::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_target_is_a_pattern_where_it_has_wildcards() {
    assert!(matches!(Target::parse("a.*"), Ok(Target::Pattern(_))));
    assert!(matches!(Target::parse("a.b"), Ok(Target::Place(Place::Room(_)))));
}

/// The tables of `precis-core` are those of Unicode 6.3; on what had a category then, both must say the same, but for
/// what the RFC allows in a context alone.
#[test]
fn the_class_is_that_of_the_rfc_on_every_character_its_tables_know() {
    let precis = IdentifierClass::default();
    for c in ('\u{80}'..=char::MAX).filter(|c| !('\u{e000}'..='\u{f8ff}').contains(c)) {
        let ours = class::class(c).is_some();
        match precis.get_value_from_char(c) {
            DerivedPropertyValue::PValid | DerivedPropertyValue::SpecClassPval => {
                // The tsheg and two signs of Sindhi: punctuation and symbols.
                assert!(ours || matches!(c, '\u{f0b}' | '\u{6fd}' | '\u{6fe}'), "{c:?}");
            }
            DerivedPropertyValue::ContextO => {
                assert_eq!(ours, matches!(c, '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}'), "{c:?}");
            }
            DerivedPropertyValue::Unassigned => {}
            other => assert!(!ours, "{c:?} is {other:?}"),
        }
    }
}

#[test]
fn every_letter_folds_to_a_form_that_folds_to_itself() {
    for c in ('\0'..=char::MAX).filter(|c| !c.is_ascii_punctuation()) {
        // Bases that compose with marks on either side of the character.
        for text in [format!("{c}"), format!("a{c}"), format!("Σ{c}\u{345}\u{301}")] {
            if let Ok(nick) = Nick::parse(&text) {
                assert_eq!(Nick::parse(nick.key()).map(|again| again.key().to_owned()).as_deref(), Ok(nick.key()));
            }
        }
    }
}

/// Characters that names are made of, and some that they are not.
fn text() -> impl Strategy<Value = String> {
    let characters = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        2 => proptest::char::range('A', 'Z'),
        1 => proptest::char::range('0', '9'),
        2 => proptest::sample::select(vec!['.', '-', '_', '*', '>', ' ']),
        3 => proptest::char::ranges(vec!['\u{c0}'..='\u{24f}', '\u{300}'..='\u{3ff}', '\u{400}'..='\u{52f}', '\u{590}'..='\u{6ff}', '\u{900}'..='\u{97f}', '\u{1e00}'..='\u{1fff}', '\u{ac00}'..='\u{d7a3}', '\u{ff00}'..='\u{ffef}'].into()),
        1 => proptest::char::any(),
    ];
    proptest::collection::vec(characters, 0..24).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn the_short_way_gives_what_the_profile_gives(text in "[a-zA-Z0-9._*> -]{1,66}") {
        let mut long = String::new();
        let long = text.split('.').try_for_each(|token| push_token(&mut long, token)).map(|()| long);
        match (fold_ascii(&text), long) {
            (Ok(short), Ok(long)) => prop_assert_eq!(short, long),
            (short, long) => prop_assert_eq!(short.err(), long.err()),
        }
    }

    #[test]
    fn folding_a_key_changes_nothing(text in text()) {
        if let Ok(room) = RoomName::parse(&text) {
            let again = RoomName::parse(room.key());
            prop_assert_eq!(again.as_ref().map(RoomName::key), Ok(room.key()));
            prop_assert!(again.is_ok_and(|again| again == room));
        }
    }

    #[test]
    fn the_compared_form_is_the_profile_s(text in text()) {
        // Its own Bidi rule and tables are narrower, so only what it takes can be compared.
        if let (Ok(nick), Ok(theirs)) = (Nick::parse(&text), UsernameCaseMapped::enforce(text.as_str())) {
            prop_assert_eq!(nick.key(), theirs);
        }
    }

    #[test]
    fn a_room_is_covered_by_itself_and_by_wildcards_for_its_tokens(text in text(), at in 0_usize..8) {
        if let Ok(room) = RoomName::parse(&text) {
            let mut tokens: Vec<&str> = text.split('.').collect();
            prop_assert!(Pattern::parse(&text).is_ok_and(|pattern| pattern.matches(&room)));
            let at = at % tokens.len();
            tokens[at] = "*";
            prop_assert!(Pattern::parse(&tokens.join(".")).is_ok_and(|pattern| pattern.matches(&room)));
            tokens.truncate(at);
            tokens.push(">");
            prop_assert!(Pattern::parse(&tokens.join(".")).is_ok_and(|pattern| pattern.matches(&room)));
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,80}") {
        let _ = (Nick::parse(&text), Target::parse(&text), Pattern::parse(&text));
    }
}

#[test]
fn naughty_strings_are_names_or_refused_with_a_reason() {
    let mut strings: Vec<String> =
        ["", "\0", "undefined", "ﷺ", "𝐀", "ﾟ", "\u{fffd}", "❤️", "Z͑ͫ̓ͪ̂", "ｱ", "١٢٣", "../../etc", "ǅ", "ᾈ", "Å"]
            .map(str::to_owned)
            .into();
    if let Ok(folder) = std::env::var("LINEHUB_TEST_DATA") {
        let text = std::fs::read_to_string(format!("{folder}/naughty-strings/blns.json")).unwrap();
        strings.extend(serde_json::from_str::<Vec<String>>(&text).unwrap());
    }
    for text in strings {
        match RoomName::parse(&text) {
            Ok(room) => {
                assert_eq!(room.shown(), text);
                assert!(!room.key().is_empty() && room.key().len() <= NAME_BYTES_MAX);
                assert!(!room.key().contains(|c: char| c.is_control() || c.is_whitespace()), "{text:?}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let _ = Pattern::parse(&text);
    }
}
