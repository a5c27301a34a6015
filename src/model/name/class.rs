//! Which characters a name has: the letters, digits and combining marks of the PRECIS identifier class (RFC 8264).
//!
//! The class is worked out from the properties of Unicode, as section 8 of the RFC says, and not taken from the tables
//! of `precis-core`: those stop at Unicode 6.3 (2013), and a name may have letters of any script. It is narrower than
//! the RFC's by its last step: joiners and punctuation, which the RFC allows beside certain letters, are neither letters
//! nor digits nor marks. A test holds that both agree on every character that Unicode 6.3 had.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// What a character is in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It may stand anywhere.
    LetterOrDigit,
    /// It stands on the letter, digit or mark before it.
    Mark,
}

/// The class of a character, after width mapping, that was written outside ASCII; `None` where names do not have it.
pub(super) fn class(c: char) -> Option<Class> {
    use GeneralCategory as G;
    if is_disallowed(c) || has_compatibility_form(c) {
        return None;
    }
    match c.general_category() {
        G::UppercaseLetter | G::LowercaseLetter | G::OtherLetter | G::ModifierLetter | G::DecimalNumber => {
            Some(Class::LetterOrDigit)
        }
        G::NonspacingMark | G::SpacingMark => Some(Class::Mark),
        // The zero of Han numerals, a letter number by category: an exception of RFC 5892, section 2.6.
        _ => (c == '〇').then_some(Class::LetterOrDigit),
    }
}

/// Whether NFKC writes the character otherwise (RFC 8264, section 9.17): ligatures, `ª`, letters in circles.
fn has_compatibility_form(c: char) -> bool {
    !std::iter::once(c).nfkc().eq(std::iter::once(c))
}

/// Letters and marks that the identifier class leaves out by name.
fn is_disallowed(c: char) -> bool {
    matches!(c,
        // Exceptions of RFC 5892, section 2.6: letters that only stretch a word, tone marks, repeat marks.
        '\u{0640}' | '\u{07fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}'
        // Conjoining Hangul (RFC 8264, section 9.9): syllables have characters of their own.
        | '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{d7b0}'..='\u{d7c6}' | '\u{d7cb}'..='\u{d7fb}'
        // Letters and marks among the default ignorables (section 9.13), which show as nothing.
        | '\u{034f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}')
}

/// Whether digits of both Arabic sets, whose shapes are nearly the same, stand in one token (RFC 5892, A.8 and A.9).
pub(super) fn mixes_arabic_digits(token: &str) -> bool {
    token.contains(|c| matches!(c, '\u{0660}'..='\u{0669}')) && token.contains(|c| matches!(c, '\u{06f0}'..='\u{06f9}'))
}
