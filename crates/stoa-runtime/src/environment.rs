//! An application in motion, and the way of a request through it.
//!
//! Headers → parsed URL → target → query or change → store → answer. Each step is one call below; none of
//! them calls back up. Errors of every step meet in [`Environment::respond`] and become an answer there.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{ALLOW, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use stoa_model::access::{Actor, Permitted};
use stoa_model::application::{Application, Limits, Manifest};
use stoa_model::change::Change;
use stoa_model::model::Model;
use stoa_model::query::Query;
use stoa_model::value::Value;
use stoa_odata::error::{Code, Error};
use stoa_odata::metadata::Document;
use stoa_odata::negotiate::{self, Format, Representation, Resource as Kind, Version};
use stoa_odata::resolve::{Part, Target};
use stoa_odata::url::{Resource, Url};
use stoa_store::{RequestIdentity, Store, StoreError};

use crate::body::Body;
use crate::csrf;
use crate::failure::{self, Failure};
use crate::files::FileStore;
use crate::files::collection::{Collected, Collecting, Collection, CollectionError};
use crate::identity::{Caller, Identity, Means, Refusal};
use crate::repeat::{self, Repeat};
use crate::view::{View, Views};

/// Path of the data service.
pub const SERVICE_PATH: &str = "/odata/";
/// Path of the description of the service for tools that know OpenAPI.
pub const OPEN_API_PATH: &str = "/openapi.json";

/// Bytes beyond the limit that are still read and thrown away: a client that sends its whole body before it
/// looks for an answer gets the 413 instead of a broken connection.
const DISCARDED: usize = 16 * 1024 * 1024;

/// Where the outside world reaches the server: `http://localhost:8080`, without a slash at its end. A
/// request without this extension is answered for its `Host`.
#[derive(Clone, Debug)]
pub struct Origin(pub String);

/// Where a request comes from: an extension that the server sets.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Address of the client.
    pub address: Option<IpAddr>,
    /// Identity of the request, as in logs.
    pub request: Option<String>,
}

/// An application served from its database.
pub struct Environment {
    manifest: Manifest,
    pub(crate) model: Arc<Model>,
    pub(crate) store: Store,
    pub(crate) files: FileStore,
    identity: Option<Identity>,
    views: Views,
    /// Ends with the environment.
    _collecting: Option<Collecting>,
}

/// A request under way.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) url: &'a Url,
    /// External URL of the service with a slash at its end.
    pub(crate) root: &'a str,
    pub(crate) version: Version,
    pub(crate) caller: &'a Caller,
    /// What the caller sees of the application.
    pub(crate) view: &'a View,
    /// When the request came, microseconds since the Unix epoch: one instant for all that it does.
    pub(crate) now: i64,
    /// What it is known by if it arrives again; none if it may take effect again then.
    pub(crate) identity: Option<RequestIdentity>,
}

impl Call<'_> {
    /// The model as the caller sees it.
    pub(crate) fn model(&self) -> &Model {
        self.view.model()
    }

    /// The query with the caller's access rules in it.
    pub(crate) fn permit(&self, query: Query) -> Permitted<Query> {
        self.view.access.query(query, &self.caller.values)
    }

    /// Who does it, for the audit trail.
    pub(crate) fn actor(&self) -> Actor {
        let peer = self.parts.extensions.get::<Peer>();
        self.caller
            .actor(peer.and_then(|peer| peer.request.as_deref()))
    }

    /// What a failed change means to the caller, who hears of nothing that the caller may not see.
    pub(crate) fn failed(&self, error: StoreError, change: &Change) -> Failure {
        let error = match error {
            StoreError::Violations(violations) => {
                StoreError::Violations(self.view.access.redact(change, violations))
            }
            other => other,
        };
        Failure::from_store(error, Some(change))
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// How a JSON answer is written.
    pub(crate) fn json_format(&self) -> Result<Format, Error> {
        match self.representation(Kind::Data)? {
            Representation::Json(format) => Ok(format),
            Representation::Xml(version) | Representation::Text(version) => Ok(Format {
                version,
                ..Format::default()
            }),
        }
    }

    pub(crate) fn representation(&self, kind: Kind) -> Result<Representation, Error> {
        negotiate::representation(
            self.headers(),
            self.url.options.format(),
            kind,
            self.version,
        )
    }
}

impl Environment {
    /// Serves an application from a database whose structure fits its model. `files` is the folder for
    /// the content of File attributes; `identity` knows who makes a request: without it everybody is
    /// anonymous, except for requests with a [`Caller`] among their extensions.
    #[must_use]
    pub fn new(
        application: Application,
        store: Store,
        files: PathBuf,
        identity: Option<Identity>,
    ) -> Self {
        let Application {
            manifest, model, ..
        } = application;
        let model = Arc::new(model);
        let files = FileStore::new(files);
        let collection = Collection {
            files: files.clone(),
            store: store.clone(),
            model: Arc::clone(&model),
        };
        Self {
            views: Views::new(Arc::clone(&model)),
            manifest,
            model,
            store,
            files,
            identity,
            _collecting: collection.start(),
        }
    }

    /// Takes content of File attributes away that no row names: one round in one of the 256 folders, as it
    /// runs by itself every few minutes with a grace period of a day.
    ///
    /// # Errors
    /// See [`CollectionError`]; what is not yet collected stays.
    pub async fn collect_files(
        &self,
        folder: u8,
        grace: Duration,
    ) -> Result<Collected, CollectionError> {
        let collection = Collection {
            files: self.files.clone(),
            store: self.store.clone(),
            model: Arc::clone(&self.model),
        };
        collection.round(folder, grace).await
    }

    /// The model served.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// How long what came of a request is kept.
    fn kept(&self) -> Duration {
        self.identity
            .as_ref()
            .map_or(repeat::KEPT, |identity| identity.settings().outcomes_kept)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.manifest.limits
    }

    /// Answers a request below [`SERVICE_PATH`], or for [`OPEN_API_PATH`]. Never fails: errors are answers.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let mut version = Version::default();
        let answered = match negotiate::version(&parts.headers) {
            Ok(negotiated) => {
                version = negotiated;
                self.answer(&parts, body, negotiated).await
            }
            Err(error) => Err(error.into()),
        };
        let mut response = answered.unwrap_or_else(|failure| failure::answer(failure, version));
        repeat::accept(&parts, &mut response);
        let headers = response.headers_mut();
        headers.insert(
            negotiate::ODATA_VERSION,
            HeaderValue::from_static(version.as_str()),
        );
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-cache, private"));
        // A browser must not show to one person what it keeps of the answer to another.
        headers.append(
            header::VARY,
            HeaderValue::from_static("Authorization, Cookie"),
        );
        csrf::answer_fetch(&parts.headers, headers);
        response
    }

    async fn answer<B>(
        &self,
        parts: &Parts,
        body: B,
        version: Version,
    ) -> Result<Response<Body>, Failure>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(identity) = &self.identity
            && !identity.may_serve()
        {
            return Err(failure::lease_over());
        }
        let caller = self.caller(parts).await?;
        if !parts.method.is_safe() {
            csrf::check(parts, csrf::session_secret(&parts.headers, &caller))?;
            if caller.is_read_only() {
                let message = "the token is for reading only";
                return Err(Error::new(Code::Forbidden, message).into());
            }
        }
        let view = self.views.of(&caller.roles);
        let path = parts.uri.path();
        if path == OPEN_API_PATH {
            return self.open_api(parts, &view);
        }
        let path = path.strip_prefix(SERVICE_PATH).unwrap_or_default();
        let url = Url::parse(path, parts.uri.query(), self.limits()).map_err(Error::from)?;
        let root = service_root(parts)?;
        let now = now();
        let repeat = Repeat::of(parts, &caller, now, self.kept())?;
        let call = Call {
            parts,
            url: &url,
            root: &root,
            version,
            caller: &caller,
            view: &view,
            now,
            identity: repeat.as_ref().map(|repeat| repeat.identity(&[])),
        };
        match &url.resource {
            Resource::ServiceDocument => {
                allow_only(&parts.method, &[Method::GET, Method::HEAD])?;
                let format = call.json_format()?;
                Ok(json(
                    format,
                    view.metadata().service_document(&root, format),
                ))
            }
            Resource::Metadata => {
                allow_only(&parts.method, &[Method::GET, Method::HEAD])?;
                Self::describe(&call)
            }
            Resource::Batch => Err(Error::not_implemented("$batch").into()),
            _ => {
                let target = Target::new(call.model(), &url).map_err(Error::from)?;
                self.at_target(&call, repeat.as_ref(), &target, body).await
            }
        }
    }

    /// Somebody who is not signed in, if the application lets such people in.
    fn anonymous(&self) -> Option<Caller> {
        self.model.anonymous.map(|role| Caller {
            user: None,
            name: Arc::from("anonymous"),
            roles: Arc::from([role]),
            values: self.model.user.values.iter().map(|_| Value::Null).collect(),
            means: Means::Anonymous,
            address: None,
        })
    }

    /// Who makes the request.
    async fn caller(&self, parts: &Parts) -> Result<Caller, Failure> {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(caller.clone());
        }
        let Some(identity) = &self.identity else {
            return self
                .anonymous()
                .ok_or_else(|| Failure::from_refusal(&Refusal::NotSignedIn, &parts.headers));
        };
        let address = parts.extensions.get::<Peer>().and_then(|peer| peer.address);
        identity
            .caller(&parts.headers, address)
            .await
            .map_err(|refusal| Failure::from_refusal(&refusal, &parts.headers))
    }

    /// Dispatches on the method and on what the path names.
    async fn at_target<B>(
        &self,
        call: &Call<'_>,
        repeat: Option<&Repeat>,
        target: &Target,
        body: B,
    ) -> Result<Response<Body>, Failure>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let allowed = self.methods(target);
        let method = &call.parts.method;
        if method == Method::OPTIONS {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, allow_value(allowed));
            return Ok(response);
        }
        allow_only(method, allowed)?;
        if let Some(file) = self.file_property(target) {
            return match *method {
                Method::PUT => Box::pin(self.upload(call, repeat, target, file, body)).await,
                Method::DELETE => Box::pin(self.clear(call, target, file)).await,
                _ => self.download(call, target, file).await,
            };
        }
        // What writes is boxed: it is larger than what reads.
        match *method {
            Method::GET | Method::HEAD => self.read(call, target).await,
            Method::DELETE => Box::pin(self.delete(call, target)).await,
            _ => {
                let body = collect(body, self.limits().body_bytes).await?;
                let call = Call {
                    identity: repeat.map(|repeat| repeat.identity(&body)),
                    ..*call
                };
                match *method {
                    Method::POST => Box::pin(self.create(&call, target, &body)).await,
                    _ => Box::pin(self.update(&call, target, &body)).await,
                }
            }
        }
    }

    /// Methods that a target has.
    fn methods(&self, target: &Target) -> &'static [Method] {
        const READ: &[Method] = &[Method::GET, Method::HEAD];
        const COLLECTION: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
        const ROW: &[Method] = &[
            Method::GET,
            Method::HEAD,
            Method::PATCH,
            Method::PUT,
            Method::DELETE,
        ];
        const PROPERTY: &[Method] = &[
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        const REFERENCES: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::DELETE];
        const REFERENCE: &[Method] = &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE];
        let is_related = matches!(target.source, stoa_model::query::Source::Related { .. });
        match target.part {
            Part::Rows if target.is_collection && target.filters.is_empty() => COLLECTION,
            Part::Rows if !target.is_collection => ROW,
            Part::References if is_related && target.is_collection => REFERENCES,
            Part::References if is_related => REFERENCE,
            Part::Property(_) => PROPERTY,
            Part::Value(_) if self.file_property(target).is_some() => PROPERTY,
            Part::Rows | Part::References | Part::Count | Part::Value(_) => READ,
        }
    }

    /// `$metadata`.
    fn describe(call: &Call<'_>) -> Result<Response<Body>, Failure> {
        let as_json = matches!(
            call.representation(Kind::Metadata)?,
            Representation::Json(_)
        );
        let document = call.view.metadata().document(call.version, as_json);
        unchanging(call.headers(), document)
    }

    /// The service as OpenAPI describes it, as far as the caller sees it.
    fn open_api(&self, parts: &Parts, view: &View) -> Result<Response<Body>, Failure> {
        allow_only(&parts.method, &[Method::GET, Method::HEAD])?;
        unchanging(&parts.headers, view.open_api(&self.manifest))
    }
}

/// A document that stays the same, or that it has not changed.
fn unchanging(headers: &HeaderMap, document: &Document) -> Result<Response<Body>, Failure> {
    let mut response = Response::new(Body::from(document.bytes.clone()));
    let tag = HeaderValue::from_str(&document.etag).map_err(Failure::internal)?;
    let unchanged = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|given| given.trim() == "*" || given.trim().trim_start_matches("W/") == document.etag);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
    } else {
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static(document.content_type),
        );
    }
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

/// External URL of the service.
fn service_root(parts: &Parts) -> Result<String, Error> {
    if let Some(Origin(origin)) = parts.extensions.get::<Origin>() {
        return Ok(format!("{origin}{SERVICE_PATH}"));
    }
    // A proxy in front says how the outside world reaches it; the first name is the outermost one's.
    let forwarded = |name: &str| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        value.split(',').next().map(str::trim)
    };
    let host = forwarded("x-forwarded-host")
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok()))
        .unwrap_or("localhost");
    let scheme = match forwarded("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    // The host goes into URLs of the answer: nothing but a host may stand there.
    let sane = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    if !sane {
        return Err(Error::new(Code::InvalidHeader, "the header Host is no host name").at("Host"));
    }
    Ok(format!("{scheme}://{host}{SERVICE_PATH}"))
}

fn allow_value(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("GET"))
}

fn allow_only(method: &Method, allowed: &[Method]) -> Result<(), Failure> {
    if allowed.contains(method) {
        return Ok(());
    }
    let error = Error::new(
        Code::MethodNotAllowed,
        format!("this resource does not support {method}"),
    );
    Err(Failure::from(error).with_header(ALLOW, allow_value(allowed)))
}

/// The whole body, within the limit.
async fn collect<B>(body: B, limit: usize) -> Result<Bytes, Error>
where
    B: HttpBody,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        Error::new(
            Code::BodyTooLarge,
            format!("the body is larger than the {limit} bytes allowed"),
        )
    };
    let mut is_too_large = body.size_hint().lower() > limit as u64;
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    let mut read = 0;
    while let Some(frame) = body.as_mut().frame().await {
        let frame = frame.map_err(|error| {
            let error: Box<dyn std::error::Error + Send + Sync> = error.into();
            Error::new(
                Code::InvalidBody,
                format!("the body could not be read: {error}"),
            )
        })?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        read += data.remaining();
        is_too_large |= read > limit;
        if !is_too_large && whole.is_empty() && body.is_end_stream() {
            // All of it came at once, as nearly always.
            return Ok(data.copy_to_bytes(data.remaining()));
        }
        if !is_too_large {
            whole.put(data);
        } else if read > limit.saturating_add(DISCARDED) {
            break;
        }
    }
    if is_too_large {
        return Err(too_large());
    }
    Ok(whole.freeze())
}

/// An answer with JSON.
pub(crate) fn json(format: Format, payload: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(payload));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    response
}

/// The header `ETag` of a row's version.
pub(crate) fn set_etag(headers: &mut HeaderMap, version: Option<i64>) {
    if let Some(version) = version
        && let Ok(value) = HeaderValue::try_from(negotiate::etag(version))
    {
        headers.insert(ETAG, value);
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}
