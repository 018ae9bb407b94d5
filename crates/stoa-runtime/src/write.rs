//! POST, PATCH, PUT and DELETE.

mod effect;

use std::collections::BTreeSet;

use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{Method, Response, StatusCode};
use stoa_model::access::Denial;
use stoa_model::change::{Action, Applied, Change, Expected, Operation, Rule};
use stoa_model::expression::Expression;
use stoa_model::model::{Entity, EntityId, NavigationId};
use stoa_model::query::{Query, Source};
use stoa_model::value::Value;
use stoa_odata::address::context_path;
use stoa_odata::body::{self, Place, Through, Write, target_of};
use stoa_odata::error::{Code, Error};
use stoa_odata::json::{Content, Writer};
use stoa_odata::negotiate::{
    Format, ODATA_ENTITY_ID, PREFERENCE_APPLIED, Preconditions, Preferences, Return, body_format,
};
use stoa_odata::resolve::{Part, Read, Target};
use stoa_odata::url::{OptionName, Url};
use stoa_store::StoreError;

use self::effect::Written;
use crate::body::Body;
use crate::environment::{Call, Environment, json, set_etag};
use crate::failure::{Failure, not_found};
use crate::read::no_content;

/// A change that has taken effect.
struct Done {
    applied: Applied,
    /// The row as it is now, if the client wants it.
    payload: Option<(Format, Vec<u8>)>,
}

impl Environment {
    /// POST to a collection, or to `…/$ref` of a to-many navigation.
    pub(crate) async fn create(
        &self,
        call: &Call<'_>,
        target: &Target,
        payload: &[u8],
    ) -> Result<Response<Body>, Failure> {
        if target.part == Part::References {
            return self.set_reference(call, target, payload).await;
        }
        self.insert(call, target, payload, None).await
    }

    /// Inserts a row, with the key that the URL gives if it gives one.
    async fn insert(
        &self,
        call: &Call<'_>,
        target: &Target,
        payload: &[u8],
        key: Option<Vec<Value>>,
    ) -> Result<Response<Body>, Failure> {
        let place = Place {
            key,
            through: through(&target.source),
        };
        let write = body::create(
            call.model(),
            target.entity,
            payload,
            &self.options(call)?,
            &place,
        )?;
        self.expect_way(call, &target.source).await?;
        let preferences = Preferences::from_headers(call.headers());
        let wants_row = preferences.answer != Some(Return::Minimal);
        let entity = inserted_entity(&write).unwrap_or(target.entity);
        let done = self.apply(call, target, entity, write, wants_row).await?;
        let path = body::location(call.model(), done.applied.entity, &place, &done.applied.key);
        let location =
            HeaderValue::try_from(format!("{}{path}", call.root)).map_err(Failure::internal)?;
        let mut response = match done.payload {
            Some((format, payload)) => {
                let mut response = json(format, payload);
                *response.status_mut() = StatusCode::CREATED;
                response
            }
            None => {
                let mut response = no_content();
                response
                    .headers_mut()
                    .insert(ODATA_ENTITY_ID, location.clone());
                response
            }
        };
        response.headers_mut().insert(LOCATION, location);
        finish(&mut response, &preferences, done.applied.version);
        Ok(response)
    }

    /// A new row must not be what makes the row on the way to it visible: where that depends on rows related to it, it
    /// is looked at before there is one more. The transaction judges the rest.
    async fn expect_way(&self, call: &Call<'_>, source: &Source) -> Result<(), Failure> {
        let Source::Related { entity, from, .. } = source else {
            return Ok(());
        };
        let row = call.permit(Query::row(*entity, (**from).clone(), Vec::new()));
        if !depends_on_related(&row) {
            return Ok(());
        }
        let found = self.store.count(&self.model, &row).await?;
        if found.rows == 0 {
            return Err(not_found().into());
        }
        Ok(())
    }

    /// PATCH and PUT of a row, of a property or of a reference.
    pub(crate) async fn update(
        &self,
        call: &Call<'_>,
        target: &Target,
        payload: &[u8],
    ) -> Result<Response<Body>, Failure> {
        let preconditions = Preconditions::from_headers(call.headers())?;
        let preferences = Preferences::from_headers(call.headers());
        if target.part == Part::References {
            return self.set_reference(call, target, payload).await;
        }
        if preconditions.if_none_match.is_some() && preconditions.if_match.is_none() {
            // Insert only: the row must not be there.
            let Source::Key(key) = &target.source else {
                return Err(Error::new(
                    Code::InvalidHeader,
                    "If-None-Match needs a URL with the key of the new row",
                )
                .at("If-None-Match")
                .into());
            };
            return self.insert(call, target, payload, Some(key.clone())).await;
        }
        let expected = self.expected(target, &preconditions)?;
        let row = target_of(&target.source);
        let options = self.options(call)?;
        let write = match target.part {
            Part::Property(attribute) => body::update_property(
                call.model(),
                target.entity,
                row,
                expected,
                attribute,
                payload,
                &options,
            )?,
            _ => {
                let method = if call.parts.method == Method::PUT {
                    body::Method::Put
                } else {
                    body::Method::Patch
                };
                body::update(
                    call.model(),
                    target.entity,
                    row,
                    expected,
                    method,
                    payload,
                    &options,
                )?
            }
        };
        let wants_row =
            preferences.answer == Some(Return::Representation) && target.part == Part::Rows;
        let done = self
            .apply(call, target, target.entity, write, wants_row)
            .await?;
        let mut response = match done.payload {
            Some((format, payload)) => json(format, payload),
            None => no_content(),
        };
        finish(&mut response, &preferences, done.applied.version);
        Ok(response)
    }

    /// DELETE of a row, of a property's value or of a reference.
    pub(crate) async fn delete(
        &self,
        call: &Call<'_>,
        target: &Target,
    ) -> Result<Response<Body>, Failure> {
        let preconditions = Preconditions::from_headers(call.headers())?;
        let write = match target.part {
            Part::Property(attribute) => {
                let expected = self.expected(target, &preconditions)?;
                body::clear_property(
                    call.model(),
                    target.entity,
                    target_of(&target.source),
                    expected,
                    attribute,
                )?
            }
            Part::References => {
                let (from, expected) = self.referring(target, &preconditions)?;
                let id = call
                    .url
                    .options
                    .text(OptionName::Id)
                    .map(str::to_owned)
                    .or_else(|| {
                        // `Products('x')/Suppliers(1)/$ref` names the row in the path.
                        let Source::Related {
                            entity,
                            navigation,
                            key: Some(key),
                            ..
                        } = &target.source
                        else {
                            return None;
                        };
                        let to = self.model[*entity][*navigation].target;
                        Some(stoa_odata::address::canonical(call.model(), to, key))
                    });
                body::unreference(
                    call.model(),
                    from.entity,
                    target_of(from.source),
                    expected,
                    from.navigation,
                    id.as_deref(),
                    &self.options(call)?,
                )?
            }
            _ => Write {
                change: Change {
                    operations: vec![Operation {
                        location: String::new(),
                        action: Action::Delete {
                            entity: target.entity,
                            target: target_of(&target.source),
                            expected: self.expected(target, &preconditions)?,
                        },
                    }],
                },
                root: 0,
            },
        };
        let done = self
            .apply(call, target, target.entity, write, false)
            .await?;
        let mut response = no_content();
        if target.part != Part::Rows {
            set_etag(response.headers_mut(), done.applied.version);
        }
        Ok(response)
    }

    /// POST and PUT of `…/Navigation/$ref`.
    async fn set_reference(
        &self,
        call: &Call<'_>,
        target: &Target,
        payload: &[u8],
    ) -> Result<Response<Body>, Failure> {
        let preconditions = Preconditions::from_headers(call.headers())?;
        let (from, expected) = self.referring(target, &preconditions)?;
        let write = body::reference(
            call.model(),
            from.entity,
            target_of(from.source),
            expected,
            from.navigation,
            payload,
            &self.options(call)?,
        )?;
        self.apply(call, target, target.entity, write, false)
            .await?;
        Ok(no_content())
    }

    /// Sends a change to the store, and reads the row that it is about if it is wanted.
    async fn apply(
        &self,
        call: &Call<'_>,
        target: &Target,
        entity: EntityId,
        write: Write,
        wants_row: bool,
    ) -> Result<Done, Failure> {
        let Write { change, root } = write;
        let known_key = key_of(&change.operations[root].action, &self.model[entity].key);
        let url = if wants_row {
            Some(self.representation_url(call, &change, entity)?)
        } else {
            None
        };
        let url = url.as_ref().map(|url| url.as_ref().unwrap_or(call.url));
        let format = match url {
            Some(_) => call.json_format()?,
            None => Format::default(),
        };
        let reader = |key| match url {
            Some(url) => self
                .rereader(call, url, target, entity, key, format)
                .map(Some),
            None => Ok(None),
        };
        // The options are judged before anything is written.
        let along = reader(known_key.clone().unwrap_or_default())?
            .filter(|_| known_key.is_some())
            .map(|(query, writer)| (call.permit(query), writer));
        let failed = |error, change: &Change| self.failed(error, change, call, target, entity);
        let (applied, writer) = match self.write(call, change, root, along, failed).await? {
            Written::Now(applied, Some(writer)) => (applied, Some(writer)),
            // The database made the key, or the change was made before: the row is read as it is.
            Written::Now(applied, None) | Written::Before(applied) => {
                let writer = match reader(applied.key.clone())? {
                    Some((mut query, writer)) => {
                        query.source = Source::Key(applied.key.clone());
                        let query = call.permit(query);
                        Some(self.store.read(&self.model, &query, writer).await?.writer)
                    }
                    None => None,
                };
                (applied, writer)
            }
        };
        // Who may create a row need not see it.
        let payload = writer
            .filter(|writer| writer.rows() > 0)
            .map(|writer| (format, writer.into_bytes()));
        Ok(Done { applied, payload })
    }

    fn rereader(
        &self,
        call: &Call<'_>,
        url: &Url,
        target: &Target,
        entity: EntityId,
        key: Vec<Value>,
        format: Format,
    ) -> Result<(Query, Writer), Failure> {
        let source = match &target.source {
            // A contained row keeps its place in the context URL.
            Source::Related {
                entity,
                from,
                navigation,
                ..
            } if self.is_contained(&target.source) => Source::Related {
                entity: *entity,
                from: from.clone(),
                navigation: *navigation,
                key: self.model[*entity][*navigation].many.then(|| key.clone()),
            },
            _ => Source::Key(key),
        };
        let row = Target {
            entity,
            source,
            is_collection: false,
            cast_from: None,
            filters: Vec::new(),
            part: Part::Rows,
        };
        let Read {
            mut query, paging, ..
        } = Read::new(call.model(), url, &row, self.limits(), None)?;
        let context = context_path(call.model(), entity, &query.source);
        if let Source::Related { key: Some(key), .. } = &query.source {
            query.source = Source::Key(key.clone());
        }
        let plan = call
            .view
            .plan(url, &query.selection, format, Content::Entities);
        let root = call.root.to_owned();
        let writer = Writer::new(plan, call.root, context, true).with_next_link(Box::new(
            move |node, parent, after| paging.next_link(&root, node, parent, after),
        ));
        Ok((query, writer))
    }

    /// The request's URL with the navigations expanded that a deep insert has filled; none if it stays as
    /// it is.
    fn representation_url(
        &self,
        call: &Call<'_>,
        change: &Change,
        entity: EntityId,
    ) -> Result<Option<Url>, Failure> {
        if call.url.options.expand.is_some() {
            return Ok(None);
        }
        let names: BTreeSet<&str> = change
            .operations
            .iter()
            .filter(|operation| {
                matches!(
                    operation.action,
                    Action::Insert { .. } | Action::Upsert { .. }
                )
            })
            .filter_map(|operation| operation.location.split('/').next())
            .filter(|name| is_readable(&call.model()[entity], name))
            .collect();
        if names.is_empty() {
            return Ok(None);
        }
        let mut query = call.parts.uri.query().unwrap_or_default().to_owned();
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str("$expand=");
        query.push_str(&names.into_iter().collect::<Vec<_>>().join(","));
        let path = call
            .parts
            .uri
            .path()
            .strip_prefix(crate::environment::SERVICE_PATH);
        Ok(Some(Url::parse(
            path.unwrap_or_default(),
            Some(&query),
            self.limits(),
        )?))
    }

    /// What a failed change means to the client that sent it to this path.
    fn failed(
        &self,
        error: StoreError,
        change: &Change,
        call: &Call<'_>,
        target: &Target,
        entity: EntityId,
    ) -> Failure {
        let violations = match &error {
            StoreError::Violations(violations) => violations.as_slice(),
            _ => &[],
        };
        if call.headers().contains_key(http::header::IF_NONE_MATCH) {
            let described = &self.model[entity];
            let key: Vec<&str> = described
                .key
                .iter()
                .map(|id| described[*id].name.as_str())
                .collect();
            let exists = violations.iter().any(
                |violation| matches!(&violation.rule, Rule::Unique { members } if *members == key),
            );
            if exists {
                return Error::new(Code::PreconditionFailed, "the row exists already").into();
            }
        }
        if call.parts.method == Method::POST
            && let Source::Related {
                entity: from,
                navigation,
                ..
            } = &target.source
        {
            // The path itself leads through a row that is not there, or not for the caller.
            let navigation = &self.model[*from][*navigation];
            let back = &self.model[navigation.target][navigation.partner];
            let back = back.name.as_deref().unwrap_or(&self.model[*from].name);
            let is_nowhere = match &error {
                StoreError::Denied {
                    denial: Denial::Reference(reference),
                    ..
                } => reference == back || reference.is_empty(),
                _ => violations.iter().any(|violation| {
                    matches!(&violation.rule, Rule::ReferenceMissing { navigation } if navigation == back)
                }),
            };
            if is_nowhere {
                return not_found().into();
            }
        }
        call.failed(error, change)
    }

    pub(crate) fn expected(
        &self,
        target: &Target,
        preconditions: &Preconditions,
    ) -> Result<Expected, Failure> {
        let versioned = self.model[target.entity].version.is_some();
        Ok(preconditions.expected(versioned)?)
    }

    /// The row and navigation that a `$ref` path is about. A version is checked when the client names one;
    /// it need not, since a reference is set to a value that the request states whole.
    fn referring<'t>(
        &self,
        target: &'t Target,
        preconditions: &Preconditions,
    ) -> Result<(Referring<'t>, Expected), Failure> {
        let Source::Related {
            entity,
            from,
            navigation,
            ..
        } = &target.source
        else {
            return Err(not_found().into());
        };
        let expected = preconditions
            .if_match
            .as_ref()
            .map_or(Expected::Any, stoa_odata::negotiate::Condition::expected);
        Ok((
            Referring {
                entity: *entity,
                source: from,
                navigation: *navigation,
            },
            expected,
        ))
    }

    fn options<'c>(&'c self, call: &'c Call<'_>) -> Result<body::Options<'c>, Failure> {
        Ok(body::Options {
            limits: self.limits(),
            ieee754_compatible: body_format(call.headers())?.ieee754_compatible,
            root: call.root,
            now: call.now,
        })
    }

    fn is_contained(&self, source: &Source) -> bool {
        match source {
            Source::Related {
                entity, navigation, ..
            } => {
                let target = self.model[*entity][*navigation].target;
                !stoa_odata::address::has_entity_set(&self.model, &self.model[target])
            }
            Source::All | Source::Key(_) | Source::Where { .. } => false,
        }
    }
}

struct Referring<'t> {
    entity: EntityId,
    source: &'t Source,
    navigation: NavigationId,
}

/// Whether rows that a row leads to decide if it is one of a query's.
fn depends_on_related(query: &Query) -> bool {
    let depends = |condition: &Expression| {
        let mut found = false;
        condition.walk(|part| {
            found |= matches!(part, Expression::Lambda { .. } | Expression::Count { .. });
        });
        found
    };
    let mut source = &query.source;
    let mut found = query.filter.as_ref().is_some_and(depends);
    loop {
        source = match source {
            Source::Where {
                from, condition, ..
            } => {
                found |= depends(condition);
                from
            }
            Source::Related { from, .. } => from,
            Source::All | Source::Key(_) => return found,
        };
    }
}

/// The navigation that a POST goes through.
fn through(source: &Source) -> Option<Through> {
    match source {
        Source::Related {
            entity,
            from,
            navigation,
            ..
        } => Some(Through {
            entity: *entity,
            source: (**from).clone(),
            navigation: *navigation,
        }),
        Source::All | Source::Key(_) | Source::Where { .. } => None,
    }
}

/// Whether the reader knows a navigation: it may be there for writing only.
fn is_readable(entity: &Entity, navigation: &str) -> bool {
    entity
        .navigations_by_name
        .get(navigation)
        .is_some_and(|id| entity[*id].reach.is_readable())
}

/// Type of the new row: the body may name a specialisation.
fn inserted_entity(write: &Write) -> Option<EntityId> {
    match &write.change.operations.get(write.root)?.action {
        Action::Insert { entity, .. } => Some(*entity),
        _ => None,
    }
}

/// Key of the row that an action is about, if it is known before the action.
fn key_of(action: &Action, key: &[stoa_model::model::AttributeId]) -> Option<Vec<Value>> {
    match action {
        Action::Insert { values, .. } => key
            .iter()
            .map(|id| {
                values
                    .iter()
                    .find(|(given, _)| given == id)
                    .map(|(_, value)| value.clone())
            })
            .collect(),
        Action::Update {
            target: stoa_model::change::Target::Key(key),
            ..
        } => Some(key.clone()),
        _ => None,
    }
}

/// Headers that every answer to a write has.
fn finish(response: &mut Response<Body>, preferences: &Preferences, version: Option<i64>) {
    let headers = response.headers_mut();
    set_etag(headers, version);
    if let Some(applied) = preferences.applied_to_write() {
        let name: HeaderName = PREFERENCE_APPLIED;
        headers.insert(name, HeaderValue::from_static(applied));
    }
}
