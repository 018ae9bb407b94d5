//! A request for a page: where it comes from, its form, its cookies.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::{Buf, BufMut, BytesMut};
use http::header::{CONTENT_TYPE, COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;

use super::problem::Problem;
use crate::csrf::{self, Sender};
use crate::environment::{Origin, Peer};
use crate::identity::cookies::Kind;
use crate::identity::{Client, Cookies, Seed};

/// Most bytes of a form.
const FORM_BYTES: usize = 64 * 1024;
/// Bytes beyond the limit that are still read and thrown away: a client that sends all before it looks for an
/// answer gets it instead of a broken connection.
const DISCARDED: usize = 1024 * 1024;
/// Most fields of a form.
const FIELDS: usize = 500;
/// Characters of the secret that a form without a session is bound to.
const SECRET_CHARACTERS: usize = 43;
/// How long a form without a session can be sent.
const FORM_SECONDS: u32 = 2 * 60 * 60;

/// Whose pages they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    /// Users of the application.
    User,
    /// Administrators of the site.
    Administration,
}

impl Area {
    /// Kind of their session cookie.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::User => Kind::User,
            Self::Administration => Kind::Administrator,
        }
    }

    /// As templates know it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Administration => "administration",
        }
    }

    pub(super) fn sign_in(self) -> &'static str {
        match self {
            Self::User => "/-/sign-in",
            Self::Administration => "/-/admin/sign-in",
        }
    }

    pub(super) fn sign_out(self) -> &'static str {
        match self {
            Self::User => "/-/sign-out",
            Self::Administration => "/-/admin/sign-out",
        }
    }

    pub(super) fn account(self) -> &'static str {
        match self {
            Self::User => "/-/account",
            Self::Administration => "/-/admin/account",
        }
    }

    /// Where people go who have not said where.
    pub(super) fn home(self) -> &'static str {
        match self {
            Self::User => "/",
            Self::Administration => "/-/admin/",
        }
    }
}

/// A request for a page.
pub(super) struct Visit {
    pub(super) parts: Parts,
    pub(super) cookies: Cookies,
    pub(super) address: Option<IpAddr>,
    pub(super) request: Option<String>,
    /// What the secrets of the answer are made of, if the request may be repeated.
    pub(super) seed: Option<Seed>,
    form: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl Visit {
    /// Reads a request, and its form if it has one.
    pub(super) async fn new<B>(parts: Parts, body: B) -> Result<Self, Problem>
    where
        B: HttpBody,
    {
        let mut seed = None;
        let form = if parts.method == http::Method::POST {
            let is_form = parts
                .headers
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.split(';').next())
                .is_some_and(|kind| {
                    kind.trim()
                        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
                });
            let bytes = collect(body).await?;
            if !is_form && !bytes.is_empty() {
                return Err(Problem::NotAForm);
            }
            seed = Seed::of(&parts, &bytes);
            pairs(&bytes)?
        } else {
            Vec::new()
        };
        let query = pairs(parts.uri.query().unwrap_or_default().as_bytes())?;
        let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_default();
        Ok(Self {
            cookies: Cookies::of(&parts.headers),
            address: peer.address,
            request: peer.request,
            seed,
            form,
            query,
            parts,
        })
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// First value of a field of the form.
    pub(super) fn field(&self, name: &'static str) -> &str {
        self.fields(name).next().unwrap_or_default()
    }

    /// All values of a field of the form.
    pub(super) fn fields(&self, name: &'static str) -> impl Iterator<Item = &str> {
        values(&self.form, name)
    }

    /// Whether the form has a field that is not empty.
    pub(super) fn has(&self, name: &'static str) -> bool {
        !self.field(name).is_empty()
    }

    /// First value of an option of the URL.
    pub(super) fn option(&self, name: &'static str) -> Option<&str> {
        values(&self.query, name).next()
    }

    /// What identity wants to know of the client.
    pub(super) fn client(&self) -> Client {
        Client {
            seed: self.seed,
            ..Client::new(&self.parts.headers, self.address, self.request.as_deref())
        }
    }

    /// Where the outside world reaches this server, without a slash at its end.
    pub(super) fn origin(&self) -> Option<String> {
        if let Some(Origin(origin)) = self.parts.extensions.get::<Origin>() {
            return Some(origin.clone());
        }
        let text = |name: &str| {
            let value = self.parts.headers.get(name)?.to_str().ok()?;
            value.split(',').next().map(str::trim)
        };
        let host = text("x-forwarded-host")
            .or_else(|| self.parts.uri.authority().map(http::uri::Authority::as_str))
            .or_else(|| text(HOST.as_str()))?;
        let sane = !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
        let scheme = match text("x-forwarded-proto") {
            Some("https") => "https",
            _ => "http",
        };
        sane.then(|| format!("{scheme}://{host}"))
    }

    /// The secret that forms without a session are bound to, if the browser has one.
    pub(super) fn form_secret(&self) -> Option<&str> {
        let name = form_cookie(self.cookies);
        let value = cookie(self.headers(), name)?;
        let is_ours = value.len() == SECRET_CHARACTERS
            && value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        is_ours.then_some(value)
    }

    /// The form comes from a page that was made for whoever has this secret.
    pub(super) fn check_form(&self, secret: &str) -> Result<(), Problem> {
        let is_ours = csrf::sender(&self.parts) != Sender::Foreign
            && csrf::is_token(secret, self.field("token"));
        if is_ours {
            Ok(())
        } else {
            Err(Problem::Foreign)
        }
    }
}

/// A new secret for forms without a session.
pub(super) fn new_form_secret() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// `Set-Cookie` for such a secret.
pub(super) fn set_form_secret(cookies: Cookies, secret: &str) -> Option<HeaderValue> {
    set_cookie(cookies, form_cookie(cookies), secret, FORM_SECONDS)
}

/// `Set-Cookie` of our own making.
pub(super) fn set_cookie(
    cookies: Cookies,
    name: &str,
    value: &str,
    seconds: u32,
) -> Option<HeaderValue> {
    let secure = if cookies.are_secure() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::try_from(text).ok()
}

/// Value of a cookie in a request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .find(|(given, _)| given.trim() == name)
        .map(|(_, value)| value.trim())
}

fn form_cookie(cookies: Cookies) -> &'static str {
    if cookies.are_secure() {
        "__Host-stoa-form"
    } else {
        "stoa-form"
    }
}

fn values<'a>(
    pairs: &'a [(String, String)],
    name: &'static str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    pairs
        .iter()
        .filter(move |(given, _)| given == name)
        .map(|(_, value)| value.as_str())
}

fn pairs(bytes: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let pairs: Vec<_> = form_urlencoded::parse(bytes)
        .into_owned()
        .take(FIELDS + 1)
        .collect();
    if pairs.len() > FIELDS {
        return Err(Problem::TooLarge);
    }
    Ok(pairs)
}

async fn collect<B: HttpBody>(body: B) -> Result<Vec<u8>, Problem> {
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    let mut bytes = 0;
    while let Some(frame) = body.as_mut().frame().await {
        // The client went away, or sent nothing for too long: nobody reads the answer.
        let Ok(frame) = frame else {
            return Err(Problem::NotAForm);
        };
        if let Ok(data) = frame.into_data() {
            bytes += data.remaining();
            if bytes <= FORM_BYTES {
                whole.put(data);
            } else if bytes > DISCARDED {
                return Err(Problem::TooLarge);
            }
        }
    }
    if bytes > FORM_BYTES {
        return Err(Problem::TooLarge);
    }
    Ok(whole.to_vec())
}
