//! Lists for people.

use std::time::{SystemTime, UNIX_EPOCH};

use stoa_model::value::text;

/// Columns of text, as wide as they need to be.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.into_iter().zip(widths) {
            line.push_str(cell);
            let rest = width.saturating_sub(cell.chars().count());
            line.extend(std::iter::repeat_n(' ', rest + 2));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let mut text = line(headings);
    for row in rows {
        text.push_str(&line(std::array::from_fn(|position| {
            row[position].as_str()
        })));
    }
    text
}

/// Text for a terminal: what could move the cursor or start a command of it is replaced.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

/// `2026-11-23T14:15:44Z`.
pub(super) fn instant(micros: i64) -> String {
    let mut out = Vec::new();
    text::write_date_time(&mut out, micros - micros.rem_euclid(1_000_000));
    String::from_utf8(out).unwrap_or_default()
}

/// The same of a time of the system's clock.
pub(crate) fn instant_of(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    instant(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// With all its digits.
pub(super) fn exact_instant(micros: i64) -> String {
    let mut out = Vec::new();
    text::write_date_time(&mut out, micros);
    String::from_utf8(out).unwrap_or_default()
}

/// Microseconds since the Unix epoch.
pub(super) fn now() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            ["a".to_owned(), "long enough".to_owned()],
            ["größer".to_owned(), String::new()],
        ];
        assert_eq!(
            table(["NAME", "WHAT"], &rows),
            "NAME    WHAT\na       long enough\ngrößer\n"
        );
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(instant(1_795_443_344_123_456), "2026-11-23T14:15:44Z");
    }
}
