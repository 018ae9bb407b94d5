//! Which coding of a file a client gets (RFC 9110 §12.5.3).

use http::{HeaderMap, header};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Brotli,
}

/// How much a client wants each coding, in thousandths; 0: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) brotli: u16,
    pub(crate) gzip: u16,
    /// None: not named, so acceptable but never preferred.
    pub(crate) identity: Option<u16>,
}

impl Accepted {
    const PLAIN: Self = Self {
        brotli: 0,
        gzip: 0,
        identity: None,
    };

    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut brotli = None;
        let mut gzip = None;
        let mut identity = None;
        let mut any = None;
        let mut lines = headers.get_all(header::ACCEPT_ENCODING).iter().peekable();
        if lines.peek().is_none() {
            return Self::PLAIN;
        }
        for line in lines {
            let Ok(line) = line.to_str() else { continue };
            for item in line.split(',') {
                let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
                let name = name.trim();
                let quality = quality(parameters);
                if name.eq_ignore_ascii_case("br") {
                    brotli = Some(quality);
                } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                    gzip = Some(quality);
                } else if name.eq_ignore_ascii_case("identity") {
                    identity = Some(quality);
                } else if name == "*" {
                    any = Some(quality);
                }
            }
        }
        Self {
            brotli: brotli.or(any).unwrap_or(0),
            gzip: gzip.or(any).unwrap_or(0),
            // `*;q=0` rules out what is not named; another `*` only allows it, as it is allowed anyway.
            identity: identity.or(any.filter(|quality| *quality == 0)),
        }
    }

    /// The best of what there is; none if the client refuses all of it.
    pub(crate) fn choose(self, has_gzip: bool, has_brotli: bool) -> Option<Coding> {
        let mut best = (0, Coding::Identity);
        for (quality, exists, coding) in [
            (self.brotli, has_brotli, Coding::Brotli),
            (self.gzip, has_gzip, Coding::Gzip),
        ] {
            if exists && quality > best.0 {
                best = (quality, coding);
            }
        }
        match self.identity {
            Some(0) if best.0 == 0 => None,
            Some(quality) if quality > best.0 => Some(Coding::Identity),
            _ => Some(best.1),
        }
    }
}

/// `q=0.5` in thousandths. A weight that cannot be read is taken as 0, so that nobody gets what he may not want.
fn quality(parameters: &str) -> u16 {
    for parameter in parameters.split(';') {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("q") {
            let value = value.trim().as_bytes();
            let (whole, fraction) = match value {
                [whole] => (whole, &[][..]),
                [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
                _ => return 0,
            };
            let mut thousandths = 0;
            for place in 0..3 {
                thousandths = thousandths * 10
                    + match fraction.get(place) {
                        None => 0,
                        Some(digit @ b'0'..=b'9') => u16::from(digit - b'0'),
                        Some(_) => return 0,
                    };
            }
            return match whole {
                b'0' => thousandths,
                b'1' => 1000,
                _ => 0,
            };
        }
    }
    1000
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(accept: Option<&str>) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_str(accept).unwrap(),
            );
        }
        Accepted::of(&headers).choose(true, true)
    }

    #[test]
    fn negotiation() {
        use Coding::{Brotli, Gzip, Identity};
        for (accept, expected) in [
            (None, Some(Identity)),
            (Some(""), Some(Identity)),
            (Some("gzip, deflate, br, zstd"), Some(Brotli)),
            (Some("gzip, deflate"), Some(Gzip)),
            (Some("X-GZIP"), Some(Gzip)),
            (Some("BR;Q=1.0"), Some(Brotli)),
            (Some("br;q=0.5, gzip;q=0.8"), Some(Gzip)),
            (Some("br;q=0.5, gzip;q=0.5"), Some(Brotli)),
            (Some("br;q=0, gzip"), Some(Gzip)),
            (Some("*"), Some(Brotli)),
            (Some("*;q=0.1, br;q=0"), Some(Gzip)),
            (Some("identity"), Some(Identity)),
            (Some("identity;q=0.5, gzip;q=0.4"), Some(Identity)),
            (Some("identity;q=0.5, gzip;q=0.6"), Some(Gzip)),
            (Some("identity;q=0"), None),
            (Some("*;q=0"), None),
            (Some("*;q=0, identity;q=0.1"), Some(Identity)),
            (Some("*;q=0, gzip"), Some(Gzip)),
            (Some("identity;q=0, gzip;q=0.001"), Some(Gzip)),
            (Some("br;q=nonsense"), Some(Identity)),
            (Some("br;q=2"), Some(Identity)),
            (Some("br;q=0.1234"), Some(Identity)),
            (Some(",,;;=,br"), Some(Brotli)),
        ] {
            assert_eq!(chosen(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn only_what_there_is() {
        let accepted = Accepted {
            brotli: 1000,
            gzip: 500,
            identity: Some(0),
        };
        assert_eq!(accepted.choose(true, false), Some(Coding::Gzip));
        assert_eq!(accepted.choose(false, false), None);
        assert_eq!(Accepted::PLAIN.choose(true, true), Some(Coding::Identity));
    }
}
