//! How a line looks.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use http::Version;
use jiff::Timestamp;

use super::Served;
use crate::forwarded::Client;
use crate::server::Finished;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object of JSON.
    Json,
    /// As Apache and nginx write it, followed by the request's id, the environment, the instance and milliseconds.
    Combined,
}

/// All that is told of a request.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) id: &'a str,
    pub(super) client: &'a Client,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) version: Version,
    pub(super) referer: &'a str,
    pub(super) agent: &'a str,
    pub(super) served: &'a Served,
    pub(super) finished: Finished,
}

/// How long one look at the calendar is gone by.
const ANCHORED: Duration = Duration::from_secs(1);

/// The time as text, made once a second.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// One moment as both clocks tell it.
    anchor: Option<(Instant, SystemTime)>,
    second: u64,
    /// Without fractions and zone.
    json: String,
    combined: String,
}

impl Clock {
    /// What the calendar says at a moment just past. It is asked once a second, not for each line: so it is followed
    /// when somebody sets it.
    fn at(&mut self, moment: Instant) -> SystemTime {
        match self.anchor {
            Some((instant, time)) if moment.saturating_duration_since(instant) < ANCHORED => {
                time + moment.saturating_duration_since(instant)
            }
            _ => {
                let time = SystemTime::now();
                self.anchor = Some((Instant::now(), time));
                time
            }
        }
    }

    /// Milliseconds within the second that the texts tell.
    fn set(&mut self, now: SystemTime) -> u32 {
        let since = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        if since.as_secs() != self.second || self.json.is_empty() {
            self.second = since.as_secs();
            let seconds = i64::try_from(self.second).unwrap_or_default();
            let time = Timestamp::from_second(seconds).unwrap_or_default();
            self.json = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            self.combined = time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        }
        since.subsec_millis()
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP",
    }
}

impl Line<'_> {
    pub(super) fn write(&self, format: Format, buffer: &mut Vec<u8>, clock: &mut Clock) {
        self.write_at(clock.at(self.finished.at), format, buffer, clock);
    }

    fn write_at(&self, now: SystemTime, format: Format, buffer: &mut Vec<u8>, clock: &mut Clock) {
        let milliseconds = clock.set(now);
        match format {
            Format::Json => self.json(buffer, clock, milliseconds),
            Format::Combined => self.combined(buffer, clock),
        }
        buffer.push(b'\n');
    }

    fn status(&self) -> u16 {
        self.finished.status.map_or(0, |status| status.as_u16())
    }

    /// With three decimals, as people read it and programs parse it.
    fn milliseconds(&self, buffer: &mut Vec<u8>) {
        let micros = u64::try_from(self.finished.elapsed.as_micros()).unwrap_or(u64::MAX);
        number(buffer, micros / 1000);
        buffer.push(b'.');
        three_digits(buffer, micros % 1000);
    }

    fn host(&self) -> &str {
        self.client.host.to_str().unwrap_or_default()
    }

    fn json(&self, buffer: &mut Vec<u8>, clock: &Clock, milliseconds: u32) {
        text(buffer, "{\"timestamp\":\"");
        text(buffer, &clock.json);
        buffer.push(b'.');
        three_digits(buffer, milliseconds.into());
        text(buffer, "Z\",\"target\":\"stoa::access\"");
        member(buffer, "request.id", self.id);
        text(buffer, ",\"client.address\":\"");
        address(buffer, self.client.address);
        buffer.push(b'"');
        member(buffer, "request.scheme", self.client.scheme.as_str());
        member(buffer, "request.host", self.host());
        member(buffer, "request.protocol", protocol(self.version));
        member(buffer, "request.method", self.method);
        member(buffer, "request.path", self.path);
        for (name, value) in [
            ("request.route", self.served.route),
            ("environment", self.served.environment.as_deref()),
            ("instance", self.served.instance.as_deref()),
            ("request.referer", Some(self.referer)),
            ("request.agent", Some(self.agent)),
        ] {
            if let Some(value) = value
                && !value.is_empty()
            {
                member(buffer, name, value);
            }
        }
        text(buffer, ",\"response.status\":");
        number(buffer, self.status().into());
        text(buffer, ",\"response.bytes\":");
        number(buffer, self.finished.bytes);
        text(buffer, ",\"response.aborted\":");
        text(
            buffer,
            if self.finished.aborted {
                "true"
            } else {
                "false"
            },
        );
        text(buffer, ",\"milliseconds\":");
        self.milliseconds(buffer);
        buffer.push(b'}');
    }

    fn combined(&self, buffer: &mut Vec<u8>, clock: &Clock) {
        address(buffer, self.client.address);
        text(buffer, " - - [");
        text(buffer, &clock.combined);
        text(buffer, "] \"");
        for part in [self.method, " ", self.path, " ", protocol(self.version)] {
            quoted(buffer, part);
        }
        text(buffer, "\" ");
        number(buffer, self.status().into());
        buffer.push(b' ');
        number(buffer, self.finished.bytes);
        text(buffer, " \"");
        quoted(buffer, or_dash(self.referer));
        text(buffer, "\" \"");
        quoted(buffer, or_dash(self.agent));
        text(buffer, "\" ");
        for part in [
            self.id,
            self.served.environment.as_deref().unwrap_or_default(),
            self.served.instance.as_deref().unwrap_or_default(),
        ] {
            text(buffer, or_dash(part));
            buffer.push(b' ');
        }
        self.milliseconds(buffer);
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn text(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(text.as_bytes());
}

fn number(buffer: &mut Vec<u8>, number: u64) {
    text(buffer, itoa::Buffer::new().format(number));
}

/// A number below a thousand.
fn three_digits(buffer: &mut Vec<u8>, number: u64) {
    let digit = |value: u64| b'0' + u8::try_from(value % 10).unwrap_or_default();
    buffer.extend([digit(number / 100), digit(number / 10), digit(number)]);
}

fn address(buffer: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    buffer.push(b'.');
                }
                number(buffer, octet.into());
            }
        }
        IpAddr::V6(address) => text(buffer, &address.to_string()),
    }
}

/// A member of an object, not its first. `name` needs no escapes.
fn member(buffer: &mut Vec<u8>, name: &str, value: &str) {
    text(buffer, ",\"");
    text(buffer, name);
    text(buffer, "\":");
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if value.bytes().all(is_plain) {
        buffer.push(b'"');
        text(buffer, value);
        buffer.push(b'"');
        return;
    }
    let start = buffer.len();
    if serde_json::to_writer(&mut *buffer, value).is_err() {
        buffer.truncate(start);
        text(buffer, "null");
    }
}

/// As Apache does it: whatever a client sends, it can neither end the field nor the line.
fn quoted(buffer: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => buffer.extend([b'\\', byte]),
            b' '..=b'~' => buffer.push(byte),
            _ => text(buffer, &format!("\\x{byte:02x}")),
        }
    }
}

/// The page that a request came from, without what may be secret in it.
pub(super) fn referer(url: &str, shown: impl Fn(&str) -> String) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let path = url
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').map(|place| url.len() - rest.len() + place));
    match path {
        Some(place) => {
            let (origin, path) = url.split_at(place);
            format!("{origin}{}", shown(path))
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderValue, StatusCode};

    use super::*;
    use crate::forwarded::Scheme;

    fn written(format: Format) -> String {
        let mut client = Client::new(([192, 0, 2, 1], 4711).into(), Scheme::Https);
        client.host = HeaderValue::from_static("shop.example");
        let line = Line {
            id: "k3f9x2ab-0000001",
            client: &client,
            method: "GET",
            path: "/a\"b\\c",
            version: Version::HTTP_2,
            referer: "",
            agent: "evil\n\"agent\"",
            served: &Served {
                environment: Some(Arc::from("production")),
                instance: Some(Arc::from("app1")),
                route: None,
            },
            finished: Finished {
                status: Some(StatusCode::OK),
                bytes: 1234,
                aborted: false,
                at: Instant::now(),
                elapsed: Duration::from_micros(1500),
            },
        };
        let mut buffer = Vec::new();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_843_564_007);
        line.write_at(now, format, &mut buffer, &mut Clock::default());
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn the_calendar_is_asked_once_a_second() {
        let mut clock = Clock::default();
        let moment = Instant::now();
        let first = clock.at(moment);
        let later = clock.at(moment + Duration::from_millis(300));
        let between = later.duration_since(first).unwrap();
        assert!(between <= Duration::from_millis(300), "{between:?}");
        assert!(between > Duration::from_millis(200), "{between:?}");
        // After that it is asked anew, and tells the present.
        let anew = clock.at(moment + Duration::from_secs(60));
        assert!(anew.duration_since(first).unwrap() < Duration::from_secs(30));
    }

    #[test]
    fn json() {
        let line = written(Format::Json);
        insta::assert_snapshot!(line, @r#"{"timestamp":"2026-11-28T05:26:04.007Z","target":"stoa::access","request.id":"k3f9x2ab-0000001","client.address":"192.0.2.1","request.scheme":"https","request.host":"shop.example","request.protocol":"HTTP/2.0","request.method":"GET","request.path":"/a\"b\\c","environment":"production","instance":"app1","request.agent":"evil\n\"agent\"","response.status":200,"response.bytes":1234,"response.aborted":false,"milliseconds":1.500}"#);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["request.agent"], "evil\n\"agent\"");
    }

    #[test]
    fn combined() {
        insta::assert_snapshot!(written(Format::Combined), @r#"192.0.2.1 - - [28/Nov/2026:05:26:04 +0000] "GET /a\"b\\c HTTP/2.0" 200 1234 "-" "evil\x0a\"agent\"" k3f9x2ab-0000001 production app1 1.500"#);
    }

    #[test]
    fn referers_keep_secrets() {
        let shown = |path: &str| {
            if path.starts_with("/-/link/") {
                "/-/link/".to_owned()
            } else {
                path.to_owned()
            }
        };
        for (url, expected) in [
            ("https://a.example/x?token=1#y", "https://a.example/x"),
            (
                "https://a.example/-/link/secret",
                "https://a.example/-/link/",
            ),
            ("https://a.example", "https://a.example"),
            ("", ""),
        ] {
            assert_eq!(referer(url, shown), expected);
        }
    }
}
