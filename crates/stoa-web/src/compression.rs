//! Answers of applications, compressed as they pass.
//!
//! What is at hand is compressed as one; when the application pauses, what the client lacks is sent at once.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Body as _, Frame};

use crate::body::{Body, BodyError};
use crate::static_content::encoding::{Accepted, Coding};
use crate::static_content::names::is_compressible;

/// Below this a compressed answer saves no packet.
const SMALLEST: u64 = 1024;
/// Bytes compressed at a time.
const PIECE: usize = 32 * 1024;
/// Compressed bytes that are sent at a time, if more is to follow.
const FRAME: usize = 8 * 1024;
/// Pieces after which other tasks get their turn.
const PIECES: usize = 4;
/// Quick ones: the answer is made once and read once.
const GZIP: Level = Level::new(4);
const BROTLI: u32 = 3;
/// Window of brotli, as a power of two: more takes memory for each answer under way.
const BROTLI_WINDOW: u32 = 18;
/// Bytes that the encoder of brotli buffers.
const BROTLI_BUFFER: usize = 4096;

/// What a request allows to do with its answer: taken before the request is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    coding: Coding,
}

impl Compression {
    /// As the request with this method and these headers has it.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let coding = if method == Method::HEAD || !headers.contains_key(header::ACCEPT_ENCODING) {
            Coding::Identity
        } else {
            Accepted::of(headers)
                .choose(true, true)
                .unwrap_or(Coding::Identity)
        };
        Self { coding }
    }

    /// Compresses an answer if it is text, not short, and not yet compressed, and nobody forbids it. Streams of
    /// events are left alone: an encoder for each would take more memory than its client saves.
    #[must_use]
    pub fn apply(self, mut response: Response<Body>) -> Response<Body> {
        if !may_be_compressed(&response) {
            return response;
        }
        let headers = response.headers_mut();
        // Also if this client takes it plain: caches must know.
        vary(headers);
        let encoder = match self.coding {
            Coding::Identity => return response,
            Coding::Gzip => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                Encoder::Gzip(GzEncoder::new(Vec::new(), GZIP))
            }
            Coding::Brotli => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
                let writer =
                    CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI, BROTLI_WINDOW);
                Encoder::Brotli(Box::new(writer))
            }
        };
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::ACCEPT_RANGES);
        weaken(headers);
        response.map(|body| {
            Body::stream(Compressed {
                body,
                encoder: Some(encoder),
                input: Bytes::new(),
                is_behind: false,
                trailers: None,
            })
        })
    }
}

fn may_be_compressed(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let status = response.status();
    let has_whole_body = !status.is_informational()
        && !matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        );
    let length = response.body().size_hint().upper();
    has_whole_body
        && length.is_none_or(|length| length >= SMALLEST)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
            is_compressible(kind) && !kind.as_bytes().starts_with(b"text/event-stream")
        })
        && !headers
            .get_all(header::CACHE_CONTROL)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

fn vary(headers: &mut HeaderMap) {
    let has_it = headers
        .get_all(header::VARY)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"));
    if !has_it {
        let name = HeaderValue::from_static("accept-encoding");
        headers.append(header::VARY, name);
    }
}

/// The bytes differ from those that the application named, their meaning does not (RFC 9110 §8.8.1).
fn weaken(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get(header::ETAG)
        && tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

impl Encoder {
    /// Takes bytes in; gives some out if there are enough to be worth a frame.
    fn write(&mut self, bytes: &[u8]) -> io::Result<Option<Bytes>> {
        let ready = match self {
            Self::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                encoder.get_ref().len()
            }
            Self::Brotli(encoder) => {
                encoder.write_all(bytes)?;
                encoder.get_ref().len()
            }
        };
        Ok((ready >= FRAME).then(|| self.take()))
    }

    fn flush(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => encoder.flush()?,
            Self::Brotli(encoder) => encoder.flush()?,
        }
        Ok(self.take())
    }

    fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
        }
        .map(Bytes::from)
    }

    fn take(&mut self) -> Bytes {
        let output = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
        };
        std::mem::take(output).into()
    }
}

struct Compressed {
    body: Body,
    /// Gone at the end.
    encoder: Option<Encoder>,
    /// Not yet compressed.
    input: Bytes,
    /// The encoder holds something that the client could have.
    is_behind: bool,
    /// For after the end.
    trailers: Option<Frame<Bytes>>,
}

impl Compressed {
    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        for _ in 0..PIECES {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(Ok(None));
            };
            if !self.input.is_empty() {
                let piece = self.input.split_to(PIECE.min(self.input.len()));
                self.is_behind = true;
                if let Some(bytes) = encoder.write(&piece)? {
                    return Poll::Ready(Ok(Some(bytes)));
                }
                continue;
            }
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending if self.is_behind => {
                    self.is_behind = false;
                    let bytes = encoder.flush()?;
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.input = data,
                    Err(trailers) => self.trailers = Some(trailers),
                },
                Poll::Ready(None) => {
                    let rest = self.encoder.take().map(Encoder::finish).transpose()?;
                    return Poll::Ready(Ok(rest.filter(|rest| !rest.is_empty())));
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.poll_bytes(context).map(|result| match result {
            Ok(Some(bytes)) => Some(Ok(Frame::data(bytes))),
            Ok(None) => this.trailers.take().map(Ok),
            Err(error) => {
                // What follows would not belong to what was sent.
                this.encoder = None;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn asked(encodings: &'static str) -> Compression {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        Compression::of(&Method::GET, &headers)
    }

    fn text(length: usize) -> String {
        let numbers = (0..length).map(|number| number.to_string());
        numbers
            .flat_map(String::into_bytes)
            .map(char::from)
            .take(length)
            .collect()
    }

    fn json(body: impl Into<Body>) -> Response<Body> {
        Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.into())
            .unwrap()
    }

    fn plain(coding: &str, bytes: &[u8]) -> String {
        let mut text = String::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text),
            "br" => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text),
            _ => panic!("{coding}"),
        }
        .unwrap();
        text
    }

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        for coding in ["gzip", "br"] {
            for length in [1024, 40_000, 1_000_000] {
                let original = {
                    let mut all = text(40_000.min(length));
                    while all.len() < length {
                        all.push_str("more of the same, ");
                    }
                    all
                };
                let mut response = json(original.clone());
                let headers = response.headers_mut();
                headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(original.len()));
                let response = asked(coding).apply(response);
                let headers = response.headers().clone();
                assert_eq!(headers[header::CONTENT_ENCODING], coding);
                assert_eq!(headers[header::VARY], "accept-encoding");
                assert_eq!(headers[header::ETAG], "W/\"1\"");
                assert!(!headers.contains_key(header::CONTENT_LENGTH));
                let bytes = response.into_body().collect().await.unwrap().to_bytes();
                assert!(bytes.len() < original.len(), "{coding} {length}");
                assert_eq!(plain(coding, &bytes), original);
            }
        }
        assert_eq!(asked("gzip, br").coding, Coding::Brotli);
        assert_eq!(asked("gzip, br;q=0.5").coding, Coding::Gzip);
    }

    #[test]
    fn what_is_left_alone() {
        let long = || Body::from(text(5000));
        let is_compressed = |response: Response<Body>| {
            asked("gzip")
                .apply(response)
                .headers()
                .get(header::CONTENT_ENCODING)
                .is_some_and(|coding| coding == "gzip")
        };
        let with = |name, value| {
            let mut response = json(long());
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
            is_compressed(response)
        };
        assert!(is_compressed(json(long())));
        assert!(!is_compressed(json(text(1023))));
        assert!(!is_compressed(Response::new(long())));
        assert!(!with(header::CONTENT_TYPE, "image/png"));
        assert!(!with(header::CONTENT_TYPE, "text/event-stream"));
        assert!(!with(header::CONTENT_ENCODING, "deflate"));
        assert!(!with(header::CACHE_CONTROL, "private, No-Transform"));
        assert!(!with(header::CONTENT_RANGE, "bytes 0-1/2"));
        assert!(with(header::CACHE_CONTROL, "private"));
        let mut partial = json(long());
        *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
        assert!(!is_compressed(partial));
        for headers in [HeaderMap::new(), {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd"));
            headers
        }] {
            let compression = Compression::of(&Method::GET, &headers);
            assert_eq!(compression.coding, Coding::Identity);
        }
    }

    #[tokio::test]
    async fn a_pause_lets_everything_through() {
        for coding in ["gzip", "br"] {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
            let frames = stream::poll_fn(move |context| {
                let next = receiver.poll_recv(context);
                next.map(|next| next.map(|bytes| Ok::<_, BodyError>(Frame::data(bytes))))
            });
            let response = asked(coding).apply(json(Body::stream(StreamBody::new(frames))));
            let mut body = response.into_body();
            let mut received = Vec::new();
            for word in ["first", "second"] {
                sender.send(Bytes::from_static(word.as_bytes())).unwrap();
                received.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
                // So far it is not complete, but everything that was sent can be read.
                let mut text = Vec::new();
                let read = match coding {
                    "gzip" => flate2::read::GzDecoder::new(&received[..]).read_to_end(&mut text),
                    _ => brotli::Decompressor::new(&received[..], 4096).read_to_end(&mut text),
                };
                assert!(read.is_err(), "{coding}");
                assert!(text.ends_with(word.as_bytes()), "{coding} {text:?}");
            }
            drop(sender);
            received.extend(body.collect().await.unwrap().to_bytes());
            assert_eq!(plain(coding, &received), "firstsecond");
        }
    }

    #[tokio::test]
    async fn a_failure_is_not_an_end() {
        let frames = stream::iter([
            Ok(Frame::data(Bytes::from(text(5000)))),
            Err::<_, BodyError>("broken".into()),
        ]);
        let response = asked("gzip").apply(json(Body::stream(StreamBody::new(frames))));
        assert!(response.into_body().collect().await.is_err());
    }
}
