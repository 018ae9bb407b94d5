//! Range requests (RFC 9110 §14).

use std::ops::Range;

/// Most ranges of one request; more are a waste at best, so the whole is sent instead.
const MOST: usize = 16;

/// What a `Range` header comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    /// Not a byte range, or not worth it: send everything.
    Ignored,
    /// 416.
    Unsatisfiable,
    /// These sections, at least one, none empty, in the order asked for.
    Some(Vec<Range<u64>>),
}

pub(super) fn parse(value: &[u8], length: u64) -> Ranges {
    let Ok(value) = std::str::from_utf8(value) else {
        return Ranges::Ignored;
    };
    let Some((unit, set)) = value.split_once('=') else {
        return Ranges::Ignored;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranges::Ignored;
    }
    let mut ranges = Vec::new();
    let mut specifications = 0;
    for specification in set.split(',') {
        let specification = specification.trim_matches([' ', '\t']);
        if specification.is_empty() {
            continue;
        }
        specifications += 1;
        if specifications > MOST {
            return Ranges::Ignored;
        }
        match one(specification, length) {
            None => return Ranges::Ignored,
            Some(range) if range.is_empty() => {}
            Some(range) => ranges.push(range),
        }
    }
    if specifications == 0 {
        return Ranges::Ignored;
    }
    if ranges.is_empty() {
        return Ranges::Unsatisfiable;
    }
    // Sections that overlap so much that they are longer than the whole serve an attack only.
    if ranges
        .iter()
        .map(|range| range.end - range.start)
        .sum::<u64>()
        > length
    {
        return Ranges::Ignored;
    }
    Ranges::Some(ranges)
}

/// One `first-last`, `first-` or `-suffix`; empty when it lies outside, none when it is malformed.
fn one(specification: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = specification.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(length.saturating_sub(suffix)..length);
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < first {
        return None;
    }
    let end = last.saturating_add(1).min(length);
    Some(first.min(end)..end)
}

/// Digits only; a number too great for 64 bits is the greatest of them.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "a list of one range is what is meant"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: &str, expected: Ranges) {
        assert_eq!(parse(value.as_bytes(), 100), expected, "{value}");
    }

    #[test]
    fn satisfiable() {
        check("bytes=0-0", Ranges::Some(vec![0..1]));
        check("bytes=10-19", Ranges::Some(vec![10..20]));
        check("BYTES = 10-19", Ranges::Some(vec![10..20]));
        check("bytes=90-", Ranges::Some(vec![90..100]));
        check("bytes=90-1000", Ranges::Some(vec![90..100]));
        check(
            "bytes=90-99999999999999999999999",
            Ranges::Some(vec![90..100]),
        );
        check("bytes=-10", Ranges::Some(vec![90..100]));
        check("bytes=-1000", Ranges::Some(vec![0..100]));
        check(
            "bytes=0-9, 20-29,-5",
            Ranges::Some(vec![0..10, 20..30, 95..100]),
        );
        check("bytes=0-9, 200-", Ranges::Some(vec![0..10]));
    }

    #[test]
    fn unsatisfiable() {
        check("bytes=100-", Ranges::Unsatisfiable);
        check("bytes=99999999999999999999999-", Ranges::Unsatisfiable);
        check("bytes=-0", Ranges::Unsatisfiable);
        assert_eq!(parse(b"bytes=0-", 0), Ranges::Unsatisfiable);
        assert_eq!(parse(b"bytes=-5", 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "lines=1-2",
            "bytes=5",
            "bytes=9-5",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=0-9,x",
            "bytes=0-99,0-99",
            "bytes=-",
        ] {
            check(value, Ranges::Ignored);
        }
        check(&format!("bytes={}", "0-0,".repeat(17)), Ranges::Ignored);
    }

    proptest! {
        #[test]
        fn never_outside(value in "(bytes=)?[0-9, -]{0,40}", length in 0_u64..200) {
            if let Ranges::Some(ranges) = parse(value.as_bytes(), length) {
                prop_assert!(!ranges.is_empty());
                for range in ranges {
                    prop_assert!(range.start < range.end && range.end <= length);
                }
            }
        }
    }
}
