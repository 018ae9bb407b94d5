//! Regular expressions of `matchesPattern`: one meaning on every database.
//!
//! What `.`, `\w`, `\d` or `(?i)` mean differs between regular expression engines. A pattern is read once, by
//! the Unicode rules of the `regex` crate, and written anew with what all engines read alike: characters,
//! classes as ranges of code points, groups, alternatives, bounded repetitions, `^` and `$`.

use std::fmt::Write;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Greatest bound of a repetition that PostgreSQL takes.
const MAXIMUM_REPETITION: u32 = 255;
/// Longest pattern written, bytes: `\w` takes some 16,000.
const MAXIMUM_WRITTEN: usize = 100_000;
/// Groups in groups.
const MAXIMUM_NESTING: u32 = 50;

/// Writes a pattern so that all engines read it alike.
///
/// # Errors
/// Why it cannot be.
pub(super) fn portable(pattern: &str) -> Result<String, &'static str> {
    let tree = ParserBuilder::new()
        .nest_limit(MAXIMUM_NESTING)
        .build()
        .parse(pattern)
        .map_err(|_| "this is no regular expression that is supported")?;
    let mut out = String::with_capacity(pattern.len() * 4);
    write(&mut out, &tree)?;
    Ok(out)
}

fn write(out: &mut String, tree: &Hir) -> Result<(), &'static str> {
    match tree.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0)
                .map_err(|_| "a pattern can match whole characters only")?;
            for character in text.chars() {
                write_character(out, character)?;
            }
        }
        HirKind::Class(Class::Unicode(class)) => {
            if class.ranges().is_empty() {
                return Err("a class that no character is in is not supported");
            }
            out.push('[');
            for range in class.ranges() {
                // Text has no U+0000.
                let start = range.start().max('\u{1}');
                if range.end() < start {
                    continue;
                }
                write_character(out, start)?;
                if start < range.end() {
                    out.push('-');
                    write_character(out, range.end())?;
                }
            }
            out.push(']');
        }
        HirKind::Class(Class::Bytes(class)) => match class.to_unicode_class() {
            Some(class) => write(out, &Hir::class(Class::Unicode(class)))?,
            None => return Err("a pattern can match whole characters only"),
        },
        HirKind::Look(Look::Start) => out.push('^'),
        HirKind::Look(Look::End) => out.push('$'),
        HirKind::Look(_) => {
            return Err(
                "only ^ and $, the start and the end of the text, are supported as anchors",
            );
        }
        HirKind::Repetition(repetition) => {
            write_group(out, &repetition.sub)?;
            write_bounds(out, repetition)?;
        }
        HirKind::Capture(capture) => write_group(out, &capture.sub)?,
        HirKind::Concat(parts) => {
            for part in parts {
                write(out, part)?;
            }
        }
        HirKind::Alternation(parts) => {
            out.push_str("(?:");
            for (position, part) in parts.iter().enumerate() {
                if position > 0 {
                    out.push('|');
                }
                write(out, part)?;
            }
            out.push(')');
        }
    }
    if out.len() > MAXIMUM_WRITTEN {
        return Err("this regular expression is too large");
    }
    Ok(())
}

fn write_group(out: &mut String, tree: &Hir) -> Result<(), &'static str> {
    out.push_str("(?:");
    write(out, tree)?;
    out.push(')');
    Ok(())
}

fn write_bounds(out: &mut String, repetition: &Repetition) -> Result<(), &'static str> {
    let greatest = repetition.max.unwrap_or(repetition.min);
    if greatest > MAXIMUM_REPETITION {
        return Err("a repetition of more than 255 times is not supported");
    }
    match (repetition.min, repetition.max) {
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (0, Some(1)) => out.push('?'),
        (least, None) => push(out, format_args!("{{{least},}}")),
        (least, Some(most)) if least == most => push(out, format_args!("{{{least}}}")),
        (least, Some(most)) => push(out, format_args!("{{{least},{most}}}")),
    }
    Ok(())
}

fn write_character(out: &mut String, character: char) -> Result<(), &'static str> {
    match character {
        '\0' => return Err("text cannot hold the character U+0000"),
        'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' => out.push(character),
        _ => push(out, format_args!("\\U{:08x}", u32::from(character))),
    }
    Ok(())
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _: std::fmt::Result = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::portable;

    fn check(pattern: &str) -> String {
        portable(pattern).unwrap_or_else(|error| format!("error: {error}"))
    }

    #[test]
    fn patterns_are_written_for_every_engine() {
        insta::assert_snapshot!(check("^B.*s$"), @r"^B(?:[\U00000001-\U00000009\U0000000b-\U0010ffff])*s$");
        insta::assert_snapshot!(check("(?i)k"), @r"[Kk\U0000212a]");
        insta::assert_snapshot!(check("[a-c-]{2,3}|x?(y+)z{4,}"), @r"(?:(?:[\U0000002da-c]){2,3}|(?:x)?(?:(?:y)+)(?:z){4,})");
        insta::assert_snapshot!(check(r"(?-u:\d)\."), @r"[0-9]\U0000002e");
        insta::assert_snapshot!(check(r"\bx"), @"error: only ^ and $, the start and the end of the text, are supported as anchors");
        insta::assert_snapshot!(check("(?m)^x"), @"error: only ^ and $, the start and the end of the text, are supported as anchors");
        insta::assert_snapshot!(check("x{256}"), @"error: a repetition of more than 255 times is not supported");
        insta::assert_snapshot!(check("(x"), @"error: this is no regular expression that is supported");
        insta::assert_snapshot!(check(r"\w{9}\W\w\w\w\w\w\w\w"), @"error: this regular expression is too large");
        insta::assert_snapshot!(check(r"a\x00"), @"error: text cannot hold the character U+0000");
    }

    #[test]
    fn what_is_written_means_the_same() {
        for pattern in [
            r"^\w+\s\d$",
            "a|b|",
            "[^a-z]x{0,2}",
            "(?i)straße",
            "x.y",
            r"[\]\-^]",
        ] {
            let before = regex::Regex::new(pattern).unwrap();
            let after = regex::Regex::new(&portable(pattern).unwrap()).unwrap();
            for text in [
                "", "é 5", "bxx", "STRAßE", "x\ny", "x😀y", "]", "^", "-", "a",
            ] {
                assert_eq!(
                    before.is_match(text),
                    after.is_match(text),
                    "{pattern} {text}"
                );
            }
        }
    }
}
