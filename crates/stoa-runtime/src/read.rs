//! GET and HEAD.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use stoa_model::query::{Query, Source};
use stoa_odata::address::{context_path, row_path};
use stoa_odata::json::{Content, PropertyWriter, RawWriter, Writer, count_text};
use stoa_odata::negotiate::{
    PREFERENCE_APPLIED, Preconditions, Preferences, Representation, Resource as Kind,
};
use stoa_odata::resolve::{Part, Read, Target};

use crate::body::Body;
use crate::environment::{Call, Environment, json, set_etag};
use crate::failure::{Failure, not_found};

impl Environment {
    pub(crate) async fn read(
        &self,
        call: &Call<'_>,
        target: &Target,
    ) -> Result<Response<Body>, Failure> {
        let preferences = Preferences::from_headers(call.headers());
        let read = Read::new(
            call.model(),
            call.url,
            target,
            self.limits(),
            preferences.page_size,
        )?;
        match read.part {
            Part::Rows => {
                self.read_rows(call, read, Content::Entities, &preferences)
                    .await
            }
            Part::References => {
                self.read_rows(call, read, Content::References, &preferences)
                    .await
            }
            Part::Count => self.read_count(call, read.query).await,
            Part::Property(_) => self.read_property(call, read).await,
            Part::Value(_) => self.read_value(call, read.query).await,
        }
    }

    async fn read_rows(
        &self,
        call: &Call<'_>,
        read: Read,
        content: Content,
        preferences: &Preferences,
    ) -> Result<Response<Body>, Failure> {
        let Read {
            query,
            paging,
            cast_from,
            ..
        } = read;
        let format = call.json_format()?;
        let preconditions = Preconditions::from_headers(call.headers())?;
        let plan = call.view.plan(call.url, &query.selection, format, content);
        let declared = cast_from.unwrap_or(query.entity);
        let context = context_path(call.model(), declared, &query.source)
            .narrowed(call.model(), cast_from.map(|_| query.entity));
        let mut writer = Writer::new(plan, call.root, context, query.single);
        if !query.single || !query.selection.expands.is_empty() {
            let root = call.root.to_owned();
            writer = writer.with_next_link(Box::new(move |node, parent, after| {
                paging.next_link(&root, node, parent, after)
            }));
        }
        let single = query.single;
        let limit = query.limit;
        let is_optional = matches!(query.source, Source::Related { key: None, .. });
        let query = call.permit(query);
        let outcome = self.store.read(&self.model, &query, writer).await?;
        if !outcome.source_found {
            return Err(not_found().into());
        }
        if single && outcome.rows == 0 {
            return if is_optional {
                // Nothing at the end of a to-one navigation is no error.
                Ok(no_content())
            } else {
                Err(not_found().into())
            };
        }
        let version = outcome.writer.version();
        let mut response = json(format, outcome.writer.into_bytes());
        if single {
            set_etag(response.headers_mut(), version);
            let unchanged = version.is_some()
                && preconditions
                    .if_none_match
                    .is_some_and(|condition| condition.matches(version));
            if unchanged {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                *response.body_mut() = Body::empty();
                response.headers_mut().remove(CONTENT_TYPE);
            }
        } else if let Some(applied) =
            preferences.applied_to_read(preferences.page_size.filter(|size| *size == limit))
            && let Ok(value) = HeaderValue::try_from(applied)
        {
            response.headers_mut().insert(PREFERENCE_APPLIED, value);
        }
        Ok(response)
    }

    async fn read_count(&self, call: &Call<'_>, query: Query) -> Result<Response<Body>, Failure> {
        call.representation(Kind::Text)?;
        let count = self.store.count(&self.model, &call.permit(query)).await?;
        if !count.source_found {
            return Err(not_found().into());
        }
        Ok(text(
            count_text(count.rows).into_bytes(),
            "text/plain;charset=utf-8",
        ))
    }

    async fn read_property(&self, call: &Call<'_>, read: Read) -> Result<Response<Body>, Failure> {
        let Read {
            query, cast_from, ..
        } = read;
        let format = call.json_format()?;
        let attribute = self.selected(&query)?;
        let declared = cast_from.unwrap_or(query.entity);
        let mut path = row_path(call.model(), declared, &query.source);
        if cast_from.is_some() {
            path.push_str(&format!(
                "/{}.{}",
                self.model.name, self.model[query.entity].name
            ));
        }
        let writer = PropertyWriter::new(
            call.root,
            &path,
            &attribute.name,
            attribute.scalar_type,
            format,
        );
        let outcome = self
            .store
            .read(&self.model, &call.permit(query), writer)
            .await?;
        if !outcome.writer.found() {
            return Err(not_found().into());
        }
        let version = outcome.writer.version();
        let mut response = if outcome.writer.is_null() {
            no_content()
        } else {
            json(format, outcome.writer.into_bytes())
        };
        set_etag(response.headers_mut(), version);
        Ok(response)
    }

    async fn read_value(&self, call: &Call<'_>, query: Query) -> Result<Response<Body>, Failure> {
        let _: Representation = call.representation(Kind::Text)?;
        let content_type = RawWriter::content_type(self.selected(&query)?.scalar_type);
        let outcome = self
            .store
            .read(&self.model, &call.permit(query), RawWriter::new())
            .await?;
        if !outcome.writer.found() {
            return Err(not_found().into());
        }
        let version = outcome.writer.version();
        let mut response = if outcome.writer.is_null() {
            no_content()
        } else {
            text(outcome.writer.into_bytes(), content_type)
        };
        set_etag(response.headers_mut(), version);
        Ok(response)
    }

    /// The attribute that a query for one property selects.
    fn selected(&self, query: &Query) -> Result<&stoa_model::model::Attribute, Failure> {
        let id = query.selection.attributes.first();
        let id =
            id.ok_or_else(|| Failure::internal("a property is read without being selected"))?;
        Ok(&self.model[query.selection.entity][*id])
    }
}

pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn text(payload: Vec<u8>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(payload));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
