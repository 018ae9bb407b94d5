//! Addresses, host names and networks as they are written in a site's file.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stoa_link::trust::is_label;

/// Most characters of a DNS name.
const NAME_CHARACTERS: usize = 253;

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostAndPort {
    /// A DNS name in lower case, or an address; one of version 6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for HostAndPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// A host name of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// This name, in lower case.
    Exact(String),
    /// Every name one level below this one.
    Below(String),
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => formatter.write_str(name),
            Self::Below(name) => write!(formatter, "*.{name}"),
        }
    }
}

impl Host {
    /// The name, if it is one that an authority can be asked for: no wildcard, no address.
    pub(crate) fn single(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name.as_str()).filter(|name| name.parse::<IpAddr>().is_err()),
            Self::Below(_) => None,
        }
    }

    /// Whether a certificate for `name`, which may be a wildcard, is good for all that this stands for.
    pub(crate) fn is_covered_by(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        match (self, name.strip_prefix("*.")) {
            (Self::Exact(host), None) => *host == name,
            (Self::Exact(host), Some(above)) => {
                host.split_once('.').is_some_and(|(_, rest)| rest == above)
            }
            (Self::Below(own), Some(above)) => own == above,
            (Self::Below(_), None) => false,
        }
    }
}

/// A range of addresses: all whose first `prefix` bits are those of `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

/// Why a text is no such value.
pub(super) type Wrong = String;

pub(super) fn listener(text: &str) -> Result<SocketAddr, Wrong> {
    let localhost = || {
        let port = text.strip_prefix("localhost:")?.parse::<u16>().ok()?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    };
    text.parse()
        .ok()
        .or_else(localhost)
        .ok_or_else(|| "write IP:PORT, such as 0.0.0.0:443, 10.1.0.2:7443 or [::]:443".to_owned())
}

pub(super) fn host_and_port(text: &str) -> Result<HostAndPort, Wrong> {
    let wrong = || "write HOST:PORT, such as 10.1.0.2:7443 or web1.example.com:7443".to_owned();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(wrong()),
            port => Ok(HostAndPort {
                host: address.ip().to_string(),
                port,
            }),
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.to_ascii_lowercase();
    let port = port.parse().ok().filter(|port| *port != 0);
    match port {
        Some(port) if is_name(&host) => Ok(HostAndPort { host, port }),
        _ => Err(wrong()),
    }
}

pub(super) fn upstream(text: &str) -> Result<HostAndPort, Wrong> {
    let wrong =
        || "write http://HOST:PORT, such as http://127.0.0.1:8080, without a path".to_owned();
    let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let with_port = || host_and_port(&format!("{rest}:80"));
    host_and_port(rest)
        .or_else(|_| with_port())
        .map_err(|_| wrong())
}

pub(super) fn host(text: &str) -> Result<Host, Wrong> {
    let text = text.to_ascii_lowercase();
    if !text.is_ascii() {
        return Err("write it in the form that DNS knows, which begins with xn--".to_owned());
    }
    if text.contains("://") || text.contains('/') {
        return Err("write the name alone, without scheme and path".to_owned());
    }
    if text.contains(':') {
        return Err("write the name alone: it is served at the port of each web server".to_owned());
    }
    match text.strip_prefix("*.") {
        Some(above) if is_name(above) && above.contains('.') => Ok(Host::Below(above.to_owned())),
        Some(_) => {
            Err("a wildcard stands for one level below a name such as example.com".to_owned())
        }
        None if is_name(&text) => Ok(Host::Exact(text)),
        None => Err("write a name such as shop.example.com or *.example.com".to_owned()),
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARACTERS && text.split('.').all(is_label)
}

pub(super) fn network(text: &str) -> Result<Network, Wrong> {
    let wrong = || "write an address or a network, such as 10.9.0.0/16 or fd00::/8".to_owned();
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().map_err(|_| wrong())?,
        None => most,
    };
    if prefix > most {
        return Err(wrong());
    }
    let bits = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    if bits.checked_shl(prefix.into()).unwrap_or(0) != 0 {
        return Err(format!(
            "the address has bits beyond the first {prefix}, which are not looked at"
        ));
    }
    Ok(Network { address, prefix })
}

/// An address of a resource that is asked over TLS.
pub(super) fn https_url(text: &str) -> Result<(), Wrong> {
    let url = text.parse::<http::Uri>().ok();
    let is_good = url.is_some_and(|url| {
        url.scheme_str() == Some("https")
            && url
                .authority()
                .is_some_and(|place| !place.as_str().contains('@'))
    });
    if is_good {
        Ok(())
    } else {
        Err(
            "write it with https, such as https://acme-v02.api.letsencrypt.org/directory"
                .to_owned(),
        )
    }
}

/// An e-mail address, as far as can be told without writing to it.
pub(super) fn mail_address(text: &str) -> Result<(), Wrong> {
    let is_plain =
        |character: char| character.is_ascii_graphic() && !",?&%<>\"".contains(character);
    let is_good = text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && name.chars().all(is_plain) && is_name(&host.to_ascii_lowercase())
    });
    if is_good {
        Ok(())
    } else {
        Err("write it alone, such as it@example.com".to_owned())
    }
}

/// The name of a cookie, after RFC 6265.
pub(super) fn cookie(text: &str) -> Result<(), Wrong> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        Ok(())
    } else {
        Err("write the name of a cookie, such as JSESSIONID".to_owned())
    }
}

/// A path of a URL.
pub(super) fn url_path(text: &str) -> Result<(), Wrong> {
    let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if text.starts_with('/') && text.bytes().all(is_visible) {
        Ok(())
    } else {
        Err("write a path, such as /health".to_owned())
    }
}
