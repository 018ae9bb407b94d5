//! Names that people sign in with.

use unicode_normalization::UnicodeNormalization as _;

/// Longest name, in characters (the column's length).
pub const MAXIMUM: usize = 120;

/// Why nobody can have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing is left of it.
    #[error("a name is needed")]
    Empty,
    /// Longer than [`MAXIMUM`].
    #[error("a name may have at most {MAXIMUM} characters")]
    TooLong,
    /// A colon ends the name in Basic authentication.
    #[error("a name may not contain a colon")]
    Colon,
    /// Characters that nobody sees, or that change how others are shown.
    #[error("a name may not contain control characters or invisible ones")]
    Invisible,
    /// Space other than single blanks.
    #[error("a name may contain single blanks, and no other white space")]
    Space,
    /// The audit trail uses it for everybody who is not signed in.
    #[error("the name “anonymous” is reserved")]
    Reserved,
}

/// The name as it is kept and compared: trimmed, composed (NFKC, so that letters that look the same are the
/// same), in lower case.
///
/// # Errors
/// Says what is wrong with it.
pub fn normalise(text: &str) -> Result<String, NameFault> {
    // A character may become several, but a name that is absurdly long is not worth the work.
    if text.len() > MAXIMUM * 16 {
        return Err(NameFault::TooLong);
    }
    let name: String = text
        .trim()
        .nfkc()
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect();
    let name = name.trim();
    if name.is_empty() {
        return Err(NameFault::Empty);
    }
    if name.chars().count() > MAXIMUM {
        return Err(NameFault::TooLong);
    }
    let mut blank = false;
    for character in name.chars() {
        if character == ':' {
            return Err(NameFault::Colon);
        }
        if character.is_control() || is_invisible(character) {
            return Err(NameFault::Invisible);
        }
        if character.is_whitespace() && (character != ' ' || blank) {
            return Err(NameFault::Space);
        }
        blank = character == ' ';
    }
    if name == "anonymous" {
        return Err(NameFault::Reserved);
    }
    Ok(name.to_owned())
}

/// Format characters and fillers: not seen, or changing the direction of what is.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same_are_the_same() {
        for (given, kept) in [
            ("  Anna ", "anna"),
            ("ANNA@Example.ORG", "anna@example.org"),
            ("Ann\u{61}\u{308}", "annä"),
            ("ｆｕｌｌ", "full"),
            ("İzmir", "i\u{307}zmir"),
            ("anna maria", "anna maria"),
            ("o'neill_x#ext#", "o'neill_x#ext#"),
        ] {
            let name = normalise(given).unwrap();
            assert_eq!(name, kept);
            assert_eq!(normalise(&name).unwrap(), name, "stays as it is");
        }
    }

    #[test]
    fn names_that_nobody_can_have_say_why() {
        let long = "x".repeat(MAXIMUM + 1);
        for (given, fault) in [
            ("", NameFault::Empty),
            (" \t", NameFault::Empty),
            (long.as_str(), NameFault::TooLong),
            ("a:b", NameFault::Colon),
            ("a\u{200b}b", NameFault::Invisible),
            ("a\u{202e}b", NameFault::Invisible),
            ("a\0b", NameFault::Invisible),
            ("a  b", NameFault::Space),
            ("Anonymous", NameFault::Reserved),
        ] {
            assert_eq!(normalise(given), Err(fault), "{given:?}");
        }
    }
}
