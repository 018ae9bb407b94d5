//! One user: signs in, then sends one request after the other.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::header::{
    CONTENT_TYPE, COOKIE, ETAG, HOST, HeaderMap, HeaderValue, IF_MATCH, ORIGIN, SET_COOKIE,
};
use http::{Method, Request};
use http_body_util::Full;
use rustls::ClientConfig;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, watch};

use super::connection::{Answer, Broken, Line};
use super::exchange::{Asked, broken_outcome, failure};
use super::{Load, Repeat, Stage};
use crate::history::{Kind, Operation, Outcome, Recorder};

pub(super) struct User {
    number: u16,
    load: Load,
    line: Line,
    cookies: BTreeMap<String, String>,
    recorder: Arc<Recorder>,
    row: Option<OwnRow>,
    /// Requests so far.
    turn: u64,
    /// When the next request is due.
    due: Instant,
    begun: Instant,
}

/// The row that the user changes.
struct OwnRow {
    path: String,
    tag: String,
    /// Highest value that was tried.
    value: u64,
    /// None when it is not known whether the last change took effect.
    etag: Option<String>,
}

impl User {
    pub(super) fn new(
        number: u16,
        from: Option<Ipv4Addr>,
        load: &Load,
        tls: Option<&Arc<ClientConfig>>,
        recorder: Arc<Recorder>,
    ) -> Result<Self> {
        let name = load
            .authority
            .rsplit_once(':')
            .map_or(load.authority.as_str(), |(name, _)| name);
        let line = Line::new(
            &load.addresses,
            usize::from(number),
            from,
            tls.map(|tls| (tls, name)),
            load.connecting,
            load.answering,
        )?;
        Ok(Self {
            number,
            load: load.clone(),
            line,
            cookies: BTreeMap::new(),
            recorder,
            row: None,
            turn: 0,
            due: Instant::now(),
            begun: Instant::now(),
        })
    }

    pub(super) async fn work(
        mut self,
        signing_in: Arc<Semaphore>,
        mut staged: watch::Receiver<Stage>,
    ) -> Result<()> {
        {
            let _permit = signing_in.acquire().await?;
            // Those who wait for everybody to be signed in see why not in the history.
            if !self.sign_in().await? {
                return Ok(());
            }
        }
        // An end before the beginning is one, too.
        if staged
            .wait_for(|stage| *stage != Stage::SigningIn)
            .await
            .is_err()
        {
            return Ok(());
        }
        self.begun = Instant::now();
        let share = f64::from(self.number) / f64::from(self.load.users.max(1));
        self.due = self.begun + self.load.each.mul_f64(share);
        while self.begun.elapsed() < self.load.at_most {
            let over = staged.wait_for(|stage| *stage == Stage::Over);
            if tokio::time::timeout_at(self.due.into(), over).await.is_ok()
                || *staged.borrow() == Stage::Over
            {
                break;
            }
            self.next().await?;
            self.due += self.load.each;
            self.turn += 1;
        }
        Ok(())
    }

    /// As a person does: opens the page, fills in the form, and sends it. Whether it worked.
    async fn sign_in(&mut self) -> Result<bool> {
        let page = self.load.workload.sign_in.clone();
        let start = self.recorder.now();
        let mut asked = Asked::get(Kind::SignIn, &page);
        let (mut answer, mut attempts) = self.exchange(&asked).await;
        if let Ok(form) = &answer
            && form.status == 200
        {
            let text = String::from_utf8_lossy(&form.body);
            asked.method = Method::POST;
            asked.body = Some(("application/x-www-form-urlencoded", self.filled_in(&text)?));
            (answer, attempts) = self.exchange(&asked).await;
        }
        let outcome = match &answer {
            Ok(answer) if answer.status == 303 && !self.cookies.is_empty() => {
                Outcome::Done { status: 303 }
            }
            Ok(answer) => failure(answer),
            Err(broken) => broken_outcome(broken),
        };
        let is_done = outcome.is_done();
        self.record(&asked, start, start, attempts, outcome, None);
        Ok(is_done)
    }

    fn filled_in(&self, page: &str) -> Result<String> {
        let token = page
            .split_once("name=\"token\" value=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(token, _)| token)
            .with_context(|| format!("no form to sign in: {page}"))?;
        let accounts = &self.load.accounts;
        let (name, password) = accounts
            .get(usize::from(self.number) % accounts.len())
            .context("a load has accounts")?;
        Ok(format!(
            "token={}&name={}&password={}",
            encoded(token),
            encoded(name),
            encoded(password)
        ))
    }

    /// The next request of the mix.
    pub(super) async fn next(&mut self) -> Result<()> {
        let asked = match (self.wanted()?, &self.row) {
            (Kind::Create, _) | (Kind::Update | Kind::ReadBack, None) => self.creation(),
            (Kind::Update, Some(row)) => match &row.etag {
                Some(etag) => self.update(row, etag),
                None => Self::read_back(row),
            },
            (Kind::ReadBack, Some(row)) => Self::read_back(row),
            (Kind::Read, _) => {
                let path = self.choice(&self.load.workload.reads, "a path to read")?;
                Asked::get(Kind::Read, path)
            }
            (kind, _) => {
                let file = self.choice(&self.load.workload.files, "a file")?;
                Asked::get(kind, &file.path)
            }
        };
        let due = self
            .recorder
            .now()
            .saturating_sub(Instant::now().saturating_duration_since(self.due));
        let start = self.recorder.now();
        let (answer, attempts) = self.exchange(&asked).await;
        let (outcome, seen) = match &answer {
            Ok(answer) => self.understand(&asked, answer),
            Err(broken) => (broken_outcome(broken), None),
        };
        self.remember(&asked, &outcome, answer.ok().as_ref(), seen);
        self.record(&asked, due, start, attempts, outcome, seen);
        Ok(())
    }

    /// Kinds in turn, each user beginning elsewhere.
    fn wanted(&self) -> Result<Kind> {
        let mix = self.load.workload.mix;
        let shares = [
            (Kind::Read, mix.read),
            (Kind::Create, mix.create),
            (Kind::Static, mix.file),
            (Kind::Update, mix.update),
            (Kind::ReadBack, mix.read_back),
        ];
        let whole: u32 = shares.iter().map(|(_, share)| share).sum();
        ensure!(whole > 0, "an empty mix");
        // A step that has no factor in common with most sums visits all kinds before it repeats one.
        let at = (self.turn * 7 + u64::from(self.number) * 3) % u64::from(whole);
        let mut below = 0;
        for (kind, share) in shares {
            below += u64::from(share);
            if at < below {
                return Ok(kind);
            }
        }
        bail!("a mix that does not add up")
    }

    fn choice<'a, T>(&self, among: &'a [T], what: &str) -> Result<&'a T> {
        let count = among.len().max(1) as u64;
        let index = (self.turn + u64::from(self.number)) % count;
        usize::try_from(index)
            .ok()
            .and_then(|index| among.get(index))
            .with_context(|| format!("the workload has not {what}"))
    }

    fn creation(&self) -> Asked {
        let workload = &self.load.workload;
        let tag = format!("{}{}-{}", workload.tag_prefix, self.number, self.turn);
        let mut row = workload.row.clone();
        row.insert(workload.tag_attribute.clone(), Json::from(tag.clone()));
        row.insert(workload.value_attribute.clone(), Json::from("0"));
        Asked {
            method: Method::POST,
            body: Some(("application/json", Json::Object(row).to_string())),
            tag: Some(tag),
            value: Some(0),
            ..Asked::get(Kind::Create, &workload.collection)
        }
    }

    fn update(&self, row: &OwnRow, etag: &str) -> Asked {
        let value = row.value + 1;
        let mut change = serde_json::Map::new();
        change.insert(
            self.load.workload.value_attribute.clone(),
            Json::from(value.to_string()),
        );
        Asked {
            method: Method::PATCH,
            body: Some(("application/json", Json::Object(change).to_string())),
            if_match: Some(etag.to_owned()),
            tag: Some(row.tag.clone()),
            value: Some(value),
            ..Asked::get(Kind::Update, &row.path)
        }
    }

    fn read_back(row: &OwnRow) -> Asked {
        Asked {
            tag: Some(row.tag.clone()),
            ..Asked::get(Kind::ReadBack, &row.path)
        }
    }

    /// The outcome, and the value of a row that was read.
    fn understand(&self, asked: &Asked, answer: &Answer) -> (Outcome, Option<u64>) {
        let status = answer.status;
        if !(200..300).contains(&status) {
            // A row that is not found is seen: as not there.
            let is_missing = asked.kind == Kind::ReadBack && status == 404;
            return if is_missing {
                (Outcome::Done { status }, None)
            } else {
                (failure(answer), None)
            };
        }
        let wrong = |error: &str| {
            (
                Outcome::Wrong {
                    error: format!("{}: {error}", asked.path),
                },
                None,
            )
        };
        match asked.kind {
            Kind::Static => {
                let digest: [u8; 32] = Sha256::digest(&answer.body).into();
                let mut files = self.load.workload.files.iter();
                if !files.any(|file| file.path == asked.path && file.digest == digest) {
                    return wrong("another content");
                }
            }
            Kind::Read if serde_json::from_slice::<Json>(&answer.body).is_err() => {
                return wrong("no JSON");
            }
            Kind::ReadBack => {
                let row: Json = match serde_json::from_slice(&answer.body) {
                    Ok(row) => row,
                    Err(_) => return wrong("no JSON"),
                };
                let value = row[&self.load.workload.value_attribute].as_str();
                let Some(value) = value.and_then(|value| value.parse().ok()) else {
                    return wrong("no value");
                };
                if row[&self.load.workload.tag_attribute].as_str() != asked.tag.as_deref() {
                    return wrong("another row");
                }
                return (Outcome::Done { status }, Some(value));
            }
            Kind::SignIn | Kind::Read | Kind::Create | Kind::Update => {}
        }
        (Outcome::Done { status }, None)
    }

    /// What the answer says of the user's own row.
    fn remember(
        &mut self,
        asked: &Asked,
        outcome: &Outcome,
        answer: Option<&Answer>,
        seen: Option<u64>,
    ) {
        let done = answer.filter(|_| outcome.is_done());
        let etag =
            done.and_then(|answer| Some(answer.headers.get(ETAG)?.to_str().ok()?.to_owned()));
        match (asked.kind, done) {
            (Kind::Create, Some(answer)) => {
                let id = serde_json::from_slice::<Json>(&answer.body)
                    .ok()
                    .and_then(|row| Some(row["id"].as_str()?.to_owned()));
                if let (Some(id), Some(tag)) = (id, &asked.tag) {
                    self.row = Some(OwnRow {
                        path: format!("{}({id})", self.load.workload.collection),
                        tag: tag.clone(),
                        value: 0,
                        etag,
                    });
                }
            }
            (Kind::Update, done) => {
                if let Some(row) = &mut self.row {
                    row.value = asked.value.unwrap_or(row.value).max(row.value);
                    // Without an answer the user looks before changing it again.
                    row.etag = done.and(etag);
                }
            }
            (Kind::ReadBack, Some(_)) => match (seen, &mut self.row) {
                (Some(seen), Some(row)) => {
                    row.value = row.value.max(seen);
                    row.etag = etag;
                }
                // Gone: the next one.
                _ => self.row = None,
            },
            _ => {}
        }
    }

    /// Sends a request, again if that is the way of this load; says how often.
    async fn exchange(&mut self, asked: &Asked) -> (Result<Answer, Broken>, u32) {
        let request = match self.request(asked) {
            Ok(request) => request,
            Err(error) => return (Err(Broken::NotSent(format!("{error:#}"))), 0),
        };
        let may_repeat = match self.load.repeat {
            Repeat::Never => false,
            Repeat::Safe => asked.method == Method::GET,
            Repeat::All => true,
        };
        let mut attempts = 1;
        let mut answer = self.line.send(&request).await;
        if may_repeat && matches!(answer, Err(Broken::Unanswered(_))) {
            attempts += 1;
            answer = self.line.send(&request).await;
            // The first copy may have arrived.
            if let Err(Broken::NotSent(error)) = answer {
                answer = Err(Broken::Unanswered(error));
            }
        }
        if let Ok(answer) = &answer {
            self.keep_cookies(&answer.headers);
        }
        (answer, attempts)
    }

    fn request(&self, asked: &Asked) -> Result<Request<Full<Bytes>>> {
        let authority = &self.load.authority;
        let scheme = if self.load.trust.is_some() {
            "https"
        } else {
            "http"
        };
        let mut request = Request::builder()
            .method(asked.method.clone())
            .uri(&asked.path)
            .header(HOST, authority)
            .header("Sec-Fetch-Site", "same-origin")
            .header("Accept", "*/*");
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        if asked.method != Method::GET {
            request = request.header(ORIGIN, format!("{scheme}://{authority}"));
            if self.load.repeat == Repeat::All {
                request = request
                    .header("Repeatability-Request-ID", uuid::Uuid::new_v4().to_string())
                    .header(
                        "Repeatability-First-Sent",
                        httpdate::fmt_http_date(std::time::SystemTime::now()),
                    );
            }
        }
        if let Some(etag) = &asked.if_match {
            request = request.header(IF_MATCH, etag);
        }
        let mut bytes = Bytes::new();
        if let Some((content_type, body)) = &asked.body {
            request = request.header(CONTENT_TYPE, *content_type);
            bytes = Bytes::from(body.clone());
        }
        Ok(request.body(Full::new(bytes))?)
    }

    fn keep_cookies(&mut self, headers: &HeaderMap<HeaderValue>) {
        for cookie in headers.get_all(SET_COOKIE) {
            let Ok(cookie) = cookie.to_str() else {
                continue;
            };
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            if value.is_empty() || attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn record(
        &self,
        asked: &Asked,
        due: Duration,
        start: Duration,
        attempts: u32,
        outcome: Outcome,
        seen: Option<u64>,
    ) {
        let answered_by = self
            .load
            .instance_cookie
            .as_ref()
            .and_then(|name| self.cookies.get(name).cloned());
        self.recorder.add(Operation {
            user: self.number,
            kind: asked.kind,
            tag: asked.tag.clone(),
            value: asked.value.or(seen),
            due,
            start,
            end: self.recorder.now(),
            attempts,
            outcome,
            answered_by,
        });
    }
}

/// Percent-encoded, every byte that could mean something in a form.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
