//! Hides passwords in the text that is shown around a fault.

use std::ops::Range;

/// The same text, byte for byte, with asterisks for what may be a password in an address.
pub(super) fn passwords(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for line in lines(text) {
        for secret in secrets(&text[line.clone()]) {
            bytes[line.start + secret.start..line.start + secret.end].fill(b'*');
        }
    }
    // Whole characters became asterisks, so this is text still.
    String::from_utf8(bytes).unwrap_or_default()
}

fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let range = start..start + line.len();
        start = range.end;
        range
    })
}

/// From the user to the last `@` after it, and what `password=` gives.
fn secrets(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if let Some(scheme) = line.find("://") {
        let start = scheme + 3;
        if let Some(at) = line[start..].rfind('@') {
            let credentials = &line[start..start + at];
            if let Some(colon) = credentials.find(':') {
                found.push(start + colon + 1..start + at);
            }
        }
    }
    for (at, name) in line.match_indices("password=") {
        let start = at + name.len();
        let rest = &line[start..];
        let end = rest.find(['&', '"', '\'', '\n']).unwrap_or(rest.len());
        found.push(start..start + end);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::passwords;

    #[test]
    fn nothing_else_is_hidden_and_places_stay() {
        for (text, expected) in [
            (
                "a = \"postgres://stoa:s:e@crét@db1,db2/shop\"\nb = 1\n",
                "a = \"postgres://stoa:*********@db1,db2/shop\"\nb = 1\n",
            ),
            (
                "a = \"postgres://stoa@db/shop?password=secret&sslmode=require\"",
                "a = \"postgres://stoa@db/shop?password=******&sslmode=require\"",
            ),
            (
                "u = [\"http://127.0.0.1:8080\"]",
                "u = [\"http://127.0.0.1:8080\"]",
            ),
            ("é = 1", "é = 1"),
        ] {
            let masked = passwords(text);
            assert_eq!(masked, expected);
            assert_eq!(masked.len(), text.len());
        }
    }
}
