//! The PROXY protocol, versions 1 and 2: a balancer in front tells whose connection it passes on.
//!
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// Most bytes after the fixed part of version 2: addresses, and additions that are skipped.
const LONGEST_BODY: usize = 2048;

/// Why what a trusted balancer sent is no header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyProtocolError {
    /// The connection broke.
    #[error("the connection ended within the header of the PROXY protocol")]
    Io(#[from] io::Error),
    /// It is something else, such as a request.
    #[error("a trusted proxy sent no header of the PROXY protocol")]
    NotThere,
    /// It begins like one but breaks its rules.
    #[error("a header of the PROXY protocol breaks its rules: {0}")]
    Malformed(&'static str),
}

/// Reads the header, and not a byte more. `None`: the balancer speaks for itself, as in its health checks, or
/// does not know.
///
/// # Errors
/// There is no header, or a wrong one: nothing that follows can be attributed to anybody.
pub async fn read<R: AsyncRead + Unpin>(
    stream: &mut R,
) -> Result<Option<SocketAddr>, ProxyProtocolError> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        return read_binary(stream).await;
    }
    if start.starts_with(b"PROXY ") {
        return read_line(stream, &start).await;
    }
    Err(ProxyProtocolError::NotThere)
}

async fn read_line<R: AsyncRead + Unpin>(
    stream: &mut R,
    start: &[u8],
) -> Result<Option<SocketAddr>, ProxyProtocolError> {
    let mut line = Vec::with_capacity(LONGEST_LINE);
    line.extend_from_slice(start);
    // Byte by byte: what follows the line belongs to somebody else.
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(ProxyProtocolError::Malformed("the line is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let line = std::str::from_utf8(&line)
        .map_err(|_| ProxyProtocolError::Malformed("the line is not text"))?;
    let mut words = line.trim_end_matches("\r\n").split(' ').skip(1);
    let mut next = || {
        words
            .next()
            .ok_or(ProxyProtocolError::Malformed("the line is too short"))
    };
    let family = next()?;
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let (source, destination) = (next()?, next()?);
    let (source_port, destination_port) = (next()?, next()?);
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| text.parse::<u16>().ok();
    match (
        address(source),
        address(destination),
        port(source_port),
        port(destination_port),
        words.next(),
    ) {
        (Some(source), Some(_), Some(port), Some(_), None) => {
            Ok(Some(SocketAddr::new(source.to_canonical(), port)))
        }
        _ => Err(ProxyProtocolError::Malformed(
            "the line has no two addresses of a family",
        )),
    }
}

async fn read_binary<R: AsyncRead + Unpin>(
    stream: &mut R,
) -> Result<Option<SocketAddr>, ProxyProtocolError> {
    let (version, command) = {
        let byte = stream.read_u8().await?;
        (byte >> 4, byte & 0x0f)
    };
    if version != 2 {
        return Err(ProxyProtocolError::Malformed("the version is unknown"));
    }
    let family = stream.read_u8().await?;
    let length = usize::from(stream.read_u16().await?);
    if length > LONGEST_BODY {
        return Err(ProxyProtocolError::Malformed("the header is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    match command {
        // For itself.
        0 => return Ok(None),
        1 => {}
        _ => return Err(ProxyProtocolError::Malformed("the command is unknown")),
    }
    let short = ProxyProtocolError::Malformed("the addresses are cut short");
    let port = |bytes: &[u8]| match bytes {
        [high, low] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    };
    match family {
        0x11 => {
            let source = body
                .get(..4)
                .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            let port = body.get(8..10).and_then(port);
            match (source, port, body.len() >= 12) {
                (Some(source), Some(port), true) => Ok(Some(SocketAddr::from((source, port)))),
                _ => Err(short),
            }
        }
        0x21 => {
            let source = body
                .get(..16)
                .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
            let port = body.get(32..34).and_then(port);
            match (source, port, body.len() >= 36) {
                (Some(source), Some(port), true) => {
                    let source = IpAddr::from(source).to_canonical();
                    Ok(Some(SocketAddr::new(source, port)))
                }
                _ => Err(short),
            }
        }
        // Not TCP over IP: nothing that says who the client is.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read, and what is left of `bytes`.
    fn outcome(bytes: &[u8]) -> (String, usize) {
        let mut stream = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let text = match runtime.block_on(read(&mut stream)) {
            Ok(Some(address)) => address.to_string(),
            Ok(None) => "nobody".to_owned(),
            Err(error) => error.to_string(),
        };
        (text, stream.len())
    }

    #[test]
    fn lines() {
        for (line, expected) in [
            (
                "PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\n",
                "192.0.2.1:4711",
            ),
            (
                "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n",
                "[2001:db8::1]:4711",
            ),
            ("PROXY UNKNOWN\r\n", "nobody"),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "nobody"),
        ] {
            let bytes = format!("{line}GET / HTTP/1.1\r\n");
            assert_eq!(
                outcome(bytes.as_bytes()),
                (expected.to_owned(), 16),
                "{line}"
            );
        }
        for line in [
            "PROXY TCP4 2001:db8::1 10.0.0.1 4711 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711 443 1\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
            "PROXY TCP4  192.0.2.1 10.0.0.1 1 443\r\n",
            "PROXY UDP4 192.0.2.1 10.0.0.1 1 443\r\n",
            "PROXY TCP4 192.0.2.1\r\n",
        ] {
            let (outcome, _) = outcome(line.as_bytes());
            assert!(outcome.contains("breaks its rules"), "{line} {outcome}");
        }
        let endless = format!("PROXY TCP4 {}", "1".repeat(1000));
        assert!(outcome(endless.as_bytes()).0.contains("too long"));
        assert!(outcome(b"GET / HTTP/1.1\r\n").0.contains("no header"));
        assert!(outcome(b"PROXY TC").0.contains("ended"));
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes.extend(b"rest");
        bytes
    }

    #[test]
    fn binary_headers() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 1, 187];
        assert_eq!(
            outcome(&binary(1, 0x11, &four)),
            ("192.0.2.1:4711".to_owned(), 4)
        );
        // Additions follow the addresses.
        let mut long = four.to_vec();
        long.extend([4, 0, 1, 0]);
        assert_eq!(
            outcome(&binary(1, 0x11, &long)),
            ("192.0.2.1:4711".to_owned(), 4)
        );
        let mut six = [0; 36];
        six[..2].copy_from_slice(&[0x20, 1]);
        six[15] = 1;
        six[33] = 80;
        assert_eq!(
            outcome(&binary(1, 0x21, &six)),
            ("[2001::1]:80".to_owned(), 4)
        );
        assert_eq!(outcome(&binary(0, 0, &[])), ("nobody".to_owned(), 4));
        assert_eq!(
            outcome(&binary(1, 0x31, &[0; 216])),
            ("nobody".to_owned(), 4)
        );
        assert!(
            outcome(&binary(1, 0x11, &four[..11]))
                .0
                .contains("cut short")
        );
        assert!(outcome(&binary(2, 0x11, &four)).0.contains("command"));
        assert!(outcome(&binary(1, 0x11, &[0; 3000])).0.contains("too long"));
    }

    proptest! {
        #[test]
        fn nothing_is_taken_beyond_the_header(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut all = binary(1, 0x11, &[1; 12]);
            all.extend(&bytes);
            prop_assert_eq!(outcome(&all).1, 4 + bytes.len());
        }

        #[test]
        fn anything_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), binary in any::<bool>()) {
            let mut all = if binary { SIGNATURE.to_vec() } else { b"PROXY TCP4 ".to_vec() };
            all.extend(bytes);
            outcome(&all);
        }
    }
}
