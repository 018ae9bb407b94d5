//! Upload, download and removal of the content of a File attribute.

use http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
};
use http::{Response, StatusCode};
use http_body::Body as HttpBody;
use stoa_model::access::Denial;
use stoa_model::change::{Action, Change, Operation};
use stoa_model::model::{AttributeId, Extent};
use stoa_model::query::Query;
use stoa_model::value::{ScalarType, Value};
use stoa_odata::body::target_of;
use stoa_odata::error::{Code, Error};
use stoa_odata::json::RawWriter;
use stoa_odata::negotiate::Preconditions;
use stoa_odata::resolve::{Part, Read, Target};

use crate::body::Body;
use crate::environment::{Call, Environment, set_etag};
use crate::failure::{Failure, not_found};
use crate::files::Description;
use crate::read::no_content;
use crate::repeat::Repeat;

/// Most bytes of a file when the attribute sets no length.
const LIMIT: u64 = 1024 * 1024 * 1024;

impl Environment {
    /// The File attribute that a path names, if it does.
    pub(crate) fn file_property(&self, target: &Target) -> Option<AttributeId> {
        let (Part::Property(id) | Part::Value(id)) = target.part else {
            return None;
        };
        (self.model[target.entity][id].scalar_type == ScalarType::File).then_some(id)
    }

    /// PUT: takes the content, and only then names it in the row.
    pub(crate) async fn upload<B>(
        &self,
        call: &Call<'_>,
        repeat: Option<&Repeat>,
        target: &Target,
        attribute: AttributeId,
        body: B,
    ) -> Result<Response<Body>, Failure>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let media_type = match call.headers().get(CONTENT_TYPE).map(HeaderValue::to_str) {
            None => "application/octet-stream".to_owned(),
            Some(Ok(value)) if value.len() <= 255 => value.to_owned(),
            Some(_) => {
                let error = Error::new(
                    Code::InvalidHeader,
                    "the header Content-Type is no media type",
                );
                return Err(error.at("Content-Type").into());
            }
        };
        self.expect_content(call, target, attribute).await?;
        self.expected(target, &Preconditions::from_headers(call.headers())?)?;
        let limit = self.model[target.entity][attribute]
            .length
            .map_or(LIMIT, u64::from);
        let body = http_body_util::BodyExt::map_err(
            body,
            |error| -> Box<dyn std::error::Error + Send + Sync> { error.into() },
        );
        let upload = self.files.store(body, media_type, limit).await?;
        let text = serde_json::to_string(&upload.description).map_err(Failure::internal)?;
        let call = Call {
            identity: repeat.map(|repeat| repeat.identity(text.as_bytes())),
            ..*call
        };
        let outcome = self.set(&call, target, attribute, Value::Text(text)).await;
        // When it is not known what became of the change, the content stays: a row may name it.
        if let Err(failure) = &outcome
            && failure.is_refusal()
            && let Err(error) = self.files.discard(&upload).await
        {
            tracing::warn!(
                digest = upload.description.digest,
                error = &error as &dyn std::error::Error,
                "the content of a refused upload stays until it is collected"
            );
        }
        outcome
    }

    /// Content is not even taken from those who do not see the row, or may never give it any: it would
    /// stay behind when the change is refused.
    async fn expect_content(
        &self,
        call: &Call<'_>,
        target: &Target,
        attribute: AttributeId,
    ) -> Result<(), Failure> {
        let row = Query::row(target.entity, target.source.clone(), Vec::new());
        let found = self.store.count(&self.model, &call.permit(row)).await?;
        if found.rows == 0 {
            return Err(not_found().into());
        }
        let described = &call.model()[target.entity][attribute];
        if described.reach.write == Extent::None {
            let denial = Denial::Member(described.name.clone());
            return Err(Error::from_denial(&denial, 0, &Change::default()).into());
        }
        Ok(())
    }

    /// DELETE: the row forgets the content.
    pub(crate) async fn clear(
        &self,
        call: &Call<'_>,
        target: &Target,
        attribute: AttributeId,
    ) -> Result<Response<Body>, Failure> {
        let attribute_found = &self.model[target.entity][attribute];
        if attribute_found.required {
            let name = attribute_found.name.clone();
            return Err(
                Error::new(Code::Required, format!("{name} must have content"))
                    .at(name)
                    .into(),
            );
        }
        self.set(call, target, attribute, Value::Null).await
    }

    async fn set(
        &self,
        call: &Call<'_>,
        target: &Target,
        attribute: AttributeId,
        value: Value,
    ) -> Result<Response<Body>, Failure> {
        let preconditions = Preconditions::from_headers(call.headers())?;
        let expected = self.expected(target, &preconditions)?;
        let change = Change {
            operations: vec![Operation {
                location: String::new(),
                action: Action::Update {
                    entity: target.entity,
                    target: target_of(&target.source),
                    expected,
                    values: vec![(attribute, value)],
                    references: Vec::new(),
                },
            }],
        };
        let written = self
            .write::<RawWriter>(call, change, 0, None, |error, change| {
                call.failed(error, change)
            })
            .await?;
        let mut response = no_content();
        set_etag(response.headers_mut(), written.applied().version);
        Ok(response)
    }

    /// GET: the content as it was sent.
    pub(crate) async fn download(
        &self,
        call: &Call<'_>,
        target: &Target,
        attribute: AttributeId,
    ) -> Result<Response<Body>, Failure> {
        let target = Target {
            part: Part::Property(attribute),
            ..target.clone()
        };
        let read = Read::new(call.model(), call.url, &target, self.limits(), None)?;
        let outcome = self
            .store
            .read(&self.model, &call.permit(read.query), RawWriter::new())
            .await?;
        if !outcome.writer.found() {
            return Err(not_found().into());
        }
        if outcome.writer.is_null() {
            return Ok(no_content());
        }
        let text = outcome.writer.into_bytes();
        let description: Description = serde_json::from_slice(&text).map_err(Failure::internal)?;
        let tag = format!("\"{}\"", description.digest);
        let unchanged = call
            .headers()
            .get(IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|given| {
                given
                    .split(',')
                    .any(|part| part.trim() == tag || part.trim() == "*")
            });
        let mut response = if unchanged {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            let file = self.files.open(&description).await?;
            Response::new(Body::file(file, description.size))
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, HeaderValue::try_from(tag).map_err(Failure::internal)?);
        if let Ok(media_type) = HeaderValue::try_from(&description.media_type) {
            headers.insert(CONTENT_TYPE, media_type);
        }
        // What users upload must not act as a page of the application.
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        );
        if !description.media_type.starts_with("image/") {
            headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        }
        Ok(response)
    }
}
