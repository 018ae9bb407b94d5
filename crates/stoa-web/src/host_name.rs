//! The syntax of what follows `Host:` (RFC 9112 §3.2, RFC 3986 §3.2.2), as strict as names on the web are.

use std::net::Ipv6Addr;

/// Longest name of the domain name system, its final dot included.
const LONGEST: usize = 254;

/// A name or an address, and maybe a port.
#[must_use]
pub fn is_valid(text: &[u8]) -> bool {
    match split(text) {
        Some((host, port)) => {
            is_host(host)
                && port.is_none_or(|port| {
                    port.len() <= 5 && port.iter().all(|byte| byte.is_ascii_digit())
                })
        }
        None => false,
    }
}

/// Without the port; `None` if the text is no host.
#[must_use]
pub fn without_port(text: &str) -> Option<&str> {
    if !is_valid(text.as_bytes()) {
        return None;
    }
    let (host, _) = split(text.as_bytes())?;
    text.get(..host.len())
}

fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = match text.first()? {
        b'[' => text.iter().position(|byte| *byte == b']')? + 1,
        _ => text
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end);
    match rest {
        [] => Some((host, None)),
        [b':', port @ ..] => Some((host, Some(port))),
        _ => None,
    }
}

fn is_host(host: &[u8]) -> bool {
    if let [b'[', address @ .., b']'] = host {
        return std::str::from_utf8(address)
            .is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    (1..=LONGEST).contains(&host.len())
        && host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        && !host.starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, host) in [
            ("a.example", Some("a.example")),
            ("a.example:8443", Some("a.example")),
            ("a.example:", Some("a.example")),
            ("xn--bcher-kva.example.", Some("xn--bcher-kva.example.")),
            ("my_server", Some("my_server")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]")),
            ("[::1]", Some("[::1]")),
            ("", None),
            (":80", None),
            (".example", None),
            ("a b", None),
            ("a/b", None),
            ("user@a.example", None),
            ("a.example:80a", None),
            ("a.example:123456", None),
            ("a.example, b.example", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[g::1]", None),
            ("::1", None),
            ("bücher.example", None),
        ] {
            assert_eq!(without_port(text), host, "{text}");
        }
        assert!(!is_valid(&[b'a'; 255]));
    }
}
