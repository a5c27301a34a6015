//! The Bidi rule (RFC 5893, section 2): what keeps a name with right-to-left letters from showing in two orders.
//!
//! RFC 8265 applies it to strings that have such a letter or an Arabic digit, and here each token is one, as each label
//! of a domain name is. `precis-profiles` has the rule too, but refuses a mark before the last letter, which the RFC
//! allows and which vowelled Arabic, pointed Hebrew and every word of Thaana have.

use unicode_bidi::{BidiClass, bidi_class};

/// Whether a token may be shown: it has nothing that runs from right to left, or keeps the six conditions.
pub(super) fn keeps_bidi_rule(token: &str) -> bool {
    use BidiClass::{AL, AN, BN, CS, EN, ES, ET, NSM, ON, R};
    let classes = || token.chars().map(direction);
    if !classes().any(|class| matches!(class, R | AL | AN)) {
        return true;
    }
    let last = classes().rev().find(|class| *class != NSM);
    match classes().next() {
        // Condition 1, then 2 to 4.
        Some(R | AL) => {
            classes().all(|class| matches!(class, R | AL | AN | EN | ES | CS | ET | ON | BN | NSM))
                && matches!(last, Some(R | AL | EN | AN))
                && !(classes().any(|class| class == EN) && classes().any(|class| class == AN))
        }
        // Condition 5 refuses right-to-left letters behind a left-to-right beginning, condition 1 every other one.
        _ => false,
    }
}

/// The Bidi class of a character. Unicode keeps two ranges for scripts that run from right to left (UAX #9, section
/// 3.2); a script there that is younger than the table has that direction too.
fn direction(c: char) -> BidiClass {
    match bidi_class(c) {
        BidiClass::L if matches!(c, '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}') => BidiClass::R,
        class => class,
    }
}

#[cfg(test)]
mod tests {
    use super::keeps_bidi_rule;

    #[test]
    fn every_condition_of_the_rule_decides() {
        let table = [
            ("", true),
            ("plain-1", true),
            ("שלום", true),
            ("שָׁלוֹם", true),
            ("مُحَمَّد", true),
            ("ދިވެހި", true),
            ("שלום1", true),
            ("سلام٣", true),
            ("של-ום", true),
            ("𞤀𞤣𞤤𞤢𞤥", true),
            // Sidetic, of Unicode 17.
            ("\u{10940}\u{10941}", true),
            ("a\u{10940}", false),
            // 1: it begins with a digit, or with a mark.
            ("1שלום", false),
            ("٣سلام", false),
            ("\u{05b8}שלום", false),
            // 2 and 5: letters of both directions.
            ("שלוםa", false),
            ("aשלום", false),
            // 3: it ends with a separator.
            ("שלום-", false),
            ("שלום-\u{05b8}", false),
            // 4: European and Arabic digits.
            ("سلام1٣", false),
        ];
        for (token, expected) in table {
            assert_eq!(keeps_bidi_rule(token), expected, "{token:?}");
        }
    }
}
