//! Who the client is, and what the next server is told of it.
//!
//! Anybody can write `X-Forwarded-For` into a request. It is believed only of proxies that the operator trusts, one
//! hop at a time from the nearest; whatever else a client says of itself is replaced before the request goes on.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

use crate::host_name;

/// Address of the client, in what this server hands on: exactly one.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `http` or `https`: how the client reached the site.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How a client reaches the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As URLs have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn read(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("https") {
            Some(Self::Https)
        } else if text.eq_ignore_ascii_case("http") {
            Some(Self::Http)
        } else {
            None
        }
    }
}

/// Which header the trusted proxies write. Only one is believed: a proxy passes on what it does not know, so the
/// other one may be the client's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Whose word about a client counts.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    networks: Vec<IpNet>,
    is_nearest_trusted: bool,
    by: ForwardedBy,
}

impl Trust {
    /// Proxies in these networks.
    #[must_use]
    pub fn networks(networks: Vec<IpNet>, by: ForwardedBy) -> Self {
        Self {
            networks,
            is_nearest_trusted: false,
            by,
        }
    }

    /// Whoever connects is a proxy, the only one before this server, and has TLS towards its clients unless it says
    /// otherwise: one that says nothing must not make cookies of sessions travel in the clear.
    #[must_use]
    pub fn nearest() -> Self {
        Self {
            networks: Vec::new(),
            is_nearest_trusted: true,
            by: ForwardedBy::XForwarded,
        }
    }

    /// Whether it lies in a trusted network.
    #[must_use]
    pub fn includes(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    pub(crate) fn believes(&self, peer: IpAddr) -> bool {
        self.is_nearest_trusted || self.includes(peer)
    }
}

/// Who makes a request: see [`Asked`](crate::server::Asked).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Whoever holds the other end of the connection: the client, or the last proxy.
    pub peer: SocketAddr,
    /// The client's, as far as it can be trusted.
    pub address: IpAddr,
    /// How the client reaches the site.
    pub scheme: Scheme,
    /// What the client asked for, port included; the request's `Host` is the same. Empty if it names none, as
    /// HTTP/1.0 allows.
    pub host: HeaderValue,
    /// The address as text.
    text: HeaderValue,
}

const NO_HOST: HeaderValue = HeaderValue::from_static("");

fn text(address: IpAddr) -> HeaderValue {
    // The text of an address is legal in a header.
    HeaderValue::try_from(address.to_string()).unwrap_or(NO_HOST)
}

impl Client {
    /// A client at the other end of a connection, before it has asked for anything.
    #[must_use]
    pub fn new(peer: SocketAddr, scheme: Scheme) -> Self {
        let address = peer.ip().to_canonical();
        Self {
            peer,
            address,
            scheme,
            host: NO_HOST,
            text: text(address),
        }
    }

    /// The client of a request that a web server of this site has handed on, with the headers that it has written.
    #[must_use]
    pub fn handed_on(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let address = text(&X_FORWARDED_FOR)
            .and_then(address)
            .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let scheme = text(&X_FORWARDED_PROTO).and_then(Scheme::read);
        let mut client = Self::new(SocketAddr::new(address, 0), scheme.unwrap_or(Scheme::Https));
        if let Some(host) = headers.get(X_FORWARDED_HOST).or(headers.get(header::HOST)) {
            client.host = host.clone();
        }
        client
    }

    /// Whether what it receives came and goes by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Takes over what a trusted proxy says.
    pub(crate) fn believe(&mut self, trust: &Trust, headers: &mut HeaderMap) {
        let said = match trust.by {
            ForwardedBy::XForwarded => Said::x_forwarded(trust, headers),
            ForwardedBy::Forwarded => Said::forwarded(trust, headers),
        };
        if let Some(address) = said.address {
            self.address = address;
            self.text = text(address);
        }
        if let Some(scheme) = said.scheme {
            self.scheme = scheme;
        } else if trust.is_nearest_trusted {
            self.scheme = Scheme::Https;
        }
        if let Some(host) = said.host {
            headers.insert(header::HOST, host);
        }
    }

    /// Writes exactly this client into the headers of a request that is handed on, and removes whatever else the
    /// sender says of itself or of the server behind.
    pub fn apply(&self, headers: &mut HeaderMap) {
        let others: Vec<HeaderName> = headers
            .keys()
            .filter(|name| is_of_proxies(name.as_str()))
            .cloned()
            .collect();
        for name in others {
            headers.remove(name);
        }
        headers.insert(X_FORWARDED_FOR, self.text.clone());
        let scheme = HeaderValue::from_static(self.scheme.as_str());
        headers.insert(X_FORWARDED_PROTO, scheme);
        if !self.host.is_empty() {
            headers.insert(X_FORWARDED_HOST, self.host.clone());
        }
    }
}

/// Headers that only proxies and servers of a site write. Some servers take `_` for `-`.
fn is_of_proxies(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "forwarded",
        "true-client-ip",
        "client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-real-ip",
        "x-original-host",
        "x-original-url",
        "x-rewrite-url",
    ];
    const FAMILIES: [&str; 2] = ["x-forwarded-", "x-stoa-"];
    if !matches!(name.as_bytes().first(), Some(b'x' | b'f' | b't' | b'c')) {
        return false;
    }
    let same = |pattern: &str, name: &str| {
        pattern.len() == name.len()
            && pattern
                .bytes()
                .zip(name.bytes())
                .all(|(wanted, byte)| wanted == byte || (wanted == b'-' && byte == b'_'))
    };
    FAMILIES.iter().any(|family| {
        name.get(..family.len())
            .is_some_and(|start| same(family, start))
    }) || NAMES.iter().any(|wanted| same(wanted, name))
}

/// What proxies say.
#[derive(Debug, Default)]
struct Said {
    address: Option<IpAddr>,
    scheme: Option<Scheme>,
    host: Option<HeaderValue>,
}

impl Said {
    fn x_forwarded(trust: &Trust, headers: &HeaderMap) -> Self {
        let mut hops = Hops::new(trust);
        let lines: Vec<&HeaderValue> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        'walk: for line in lines.into_iter().rev() {
            for item in line.to_str().unwrap_or_default().rsplit(',') {
                if !hops.next(address(item.trim())) {
                    break 'walk;
                }
            }
        }
        let last = |name: &HeaderName| -> Option<&str> {
            let line = headers.get_all(name).iter().next_back()?;
            line.to_str().ok()?.rsplit(',').next().map(str::trim)
        };
        Self {
            address: hops.found,
            scheme: last(&X_FORWARDED_PROTO).and_then(Scheme::read),
            host: last(&X_FORWARDED_HOST).and_then(host),
        }
    }

    fn forwarded(trust: &Trust, headers: &HeaderMap) -> Self {
        let mut hops = Hops::new(trust);
        let mut said = Self::default();
        let lines: Vec<&HeaderValue> = headers.get_all(header::FORWARDED).iter().collect();
        'walk: for line in lines.into_iter().rev() {
            let Ok(line) = line.to_str() else { break };
            let mut elements = split(line, ',');
            elements.reverse();
            for element in elements {
                let mut of = None;
                for pair in split(element, ';') {
                    let Some((name, value)) = pair.split_once('=') else {
                        continue;
                    };
                    let (name, value) = (name.trim(), value.trim().trim_matches('"'));
                    if name.eq_ignore_ascii_case("for") {
                        of = address(value);
                    } else if name.eq_ignore_ascii_case("proto") {
                        said.scheme = Scheme::read(value).or(said.scheme);
                    } else if name.eq_ignore_ascii_case("host") {
                        said.host = host(value).or(said.host);
                    }
                }
                if !hops.next(of) {
                    break 'walk;
                }
            }
        }
        said.address = hops.found;
        said
    }
}

/// Walks from the nearest proxy towards the client for as long as proxies are trusted.
struct Hops<'a> {
    trust: &'a Trust,
    found: Option<IpAddr>,
}

impl<'a> Hops<'a> {
    fn new(trust: &'a Trust) -> Self {
        Self { trust, found: None }
    }

    /// The last trusted proxy says that it was asked by `address`. Returns whether to look further.
    fn next(&mut self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else {
            return false;
        };
        self.found = Some(address);
        self.trust.includes(address)
    }
}

/// An address; some proxies add the port, and `Forwarded` puts IPv6 in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse()
        .ok()
        .or_else(with_port)
        .or_else(bare)
        .map(|address: IpAddr| address.to_canonical())
}

fn host(text: &str) -> Option<HeaderValue> {
    host_name::is_valid(text.as_bytes()).then(|| HeaderValue::from_str(text).ok())?
}

/// Splits at `separator` outside of quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (place, character) in text.char_indices() {
        if character == '"' {
            quoted = !quoted;
        } else if character == separator && !quoted {
            parts.push(&text[start..place]);
            start = place + character.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(networks: &[&str], by: ForwardedBy) -> Trust {
        let networks = networks
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        Trust::networks(networks, by)
    }

    /// `address scheme host` as seen behind a peer at 10.0.0.1.
    fn seen(trust: &Trust, lines: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("own.example"));
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let peer = SocketAddr::from(([10, 0, 0, 1], 4711));
        let mut client = Client::new(peer, Scheme::Http);
        if trust.believes(peer.ip()) {
            client.believe(trust, &mut headers);
        }
        format!(
            "{} {} {}",
            client.address,
            client.scheme.as_str(),
            headers[header::HOST].to_str().unwrap()
        )
    }

    const SPOOF: [(&str, &str); 4] = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "other.example"),
        ("forwarded", "for=192.0.2.2;proto=https;host=third.example"),
    ];

    #[test]
    fn nobody_is_believed_by_default() {
        assert_eq!(seen(&Trust::default(), &SPOOF), "10.0.0.1 http own.example");
        let elsewhere = trust(&["10.9.0.0/16"], ForwardedBy::XForwarded);
        assert_eq!(seen(&elsewhere, &SPOOF), "10.0.0.1 http own.example");
    }

    #[test]
    fn only_the_chosen_header_counts() {
        let networks = ["10.0.0.0/8"];
        assert_eq!(
            seen(&trust(&networks, ForwardedBy::XForwarded), &SPOOF),
            "192.0.2.1 https other.example"
        );
        assert_eq!(
            seen(&trust(&networks, ForwardedBy::Forwarded), &SPOOF),
            "192.0.2.2 https third.example"
        );
    }

    #[test]
    fn the_walk_ends_at_the_first_who_is_not_trusted() {
        let check = |values: &[&'static str], expected: &str| {
            let lines: Vec<_> = values
                .iter()
                .map(|value| ("x-forwarded-for", *value))
                .collect();
            let trust = trust(&["10.0.0.0/8", "2001:db8:1::/48"], ForwardedBy::XForwarded);
            let seen = seen(&trust, &lines);
            assert_eq!(seen.split(' ').next(), Some(expected), "{values:?}");
        };
        check(&[], "10.0.0.1");
        check(&["192.0.2.1"], "192.0.2.1");
        check(&["198.51.100.9, 192.0.2.1"], "192.0.2.1");
        check(&["198.51.100.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1");
        check(&["198.51.100.9", "192.0.2.1, 10.0.0.2"], "192.0.2.1");
        check(&["192.0.2.1, 2001:db8:1::2"], "192.0.2.1");
        check(&["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check(&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2");
        check(&["::ffff:192.0.2.1"], "192.0.2.1");
        check(&["192.0.2.1:4711"], "192.0.2.1");
        check(&["[2001:db8::1]:4711"], "2001:db8::1");
        check(&["[2001:db8::1]"], "2001:db8::1");
        check(&["nonsense"], "10.0.0.1");
        check(&[""], "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_as_its_standard_has_it() {
        let check = |value: &'static str, expected: &str| {
            let trust = trust(&["10.0.0.0/8"], ForwardedBy::Forwarded);
            assert_eq!(seen(&trust, &[("forwarded", value)]), expected, "{value}");
        };
        check(
            "for=192.0.2.1;proto=https, for=10.0.0.2;proto=http",
            "192.0.2.1 https own.example",
        );
        check(
            "For=\"[2001:db8::1]:4711\"; Proto=HTTPS;host=\"a.example:8443\"",
            "2001:db8::1 https a.example:8443",
        );
        check(
            "for=\"a,for=192.0.2.9;\", for=192.0.2.1",
            "192.0.2.1 http own.example",
        );
        check("for=_hidden", "10.0.0.1 http own.example");
        check("for=192.0.2.1;host=\"a b\"", "192.0.2.1 http own.example");
    }

    #[test]
    fn the_nearest_proxy_counts_for_one_hop() {
        let nearest = Trust::nearest();
        assert_eq!(
            seen(&nearest, &[("x-forwarded-for", "198.51.100.9, 192.0.2.1")]),
            "192.0.2.1 https own.example"
        );
        assert_eq!(
            seen(&nearest, &[("x-forwarded-proto", "http")]),
            "10.0.0.1 http own.example"
        );
    }

    #[test]
    fn what_goes_on_is_exact() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded-port",
            "forwarded",
            "x-real-ip",
            "x-stoa-environment",
            "x-original-url",
            "accept",
            "x-custom",
            "x-forwardedness",
        ] {
            headers.append(name, HeaderValue::from_static("spoof"));
            headers.append(name, HeaderValue::from_static("again"));
        }
        let mut client = Client::new(([192, 0, 2, 7], 1).into(), Scheme::Https);
        client.host = HeaderValue::from_static("a.example");
        client.apply(&mut headers);
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "accept: again",
                "accept: spoof",
                "x-custom: again",
                "x-custom: spoof",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: a.example",
                "x-forwarded-proto: https",
                "x-forwardedness: again",
                "x-forwardedness: spoof",
            ]
        );
    }
}
