//! The path of a URL → rows.

use stoa_model::application::Limits;
use stoa_model::expression::bind::{key_value, resolve_type, unknown_property};
use stoa_model::expression::error::nearest;
use stoa_model::expression::syntax::{Arguments, Kind, Literal, Node, Start};
use stoa_model::model::{AttributeId, Entity, EntityId, Model, NavigationId, Purpose};
use stoa_model::query::Source;
use stoa_model::value::Value;

use crate::address::has_entity_set;
use crate::url::{Error, ErrorKind, Place, Resource, Segment, SegmentKind, Url};

/// What a path names.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Type of the rows, after casts.
    pub entity: EntityId,
    /// Which rows.
    pub source: Source,
    /// Several rows, or one that may be missing.
    pub is_collection: bool,
    /// What the source gives, where `entity` is narrower by a type in the path: rows of other types are left
    /// out.
    pub cast_from: Option<EntityId>,
    /// Conditions of `/$filter(…)` segments.
    pub filters: Vec<Node>,
    /// What of the rows.
    pub part: Part,
}

/// What of the rows a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The rows themselves.
    Rows,
    /// `/$count`: their number, as plain text.
    Count,
    /// `/$ref`: their identities.
    References,
    /// `/Name`: a property, as JSON.
    Property(AttributeId),
    /// `/Name/$value`: a property, as it is.
    Value(AttributeId),
}

impl Target {
    /// Gives the path of a URL a meaning.
    ///
    /// # Errors
    /// It names nothing (not found), or something that is not supported.
    pub fn new(model: &Model, url: &Url) -> Result<Self, Error> {
        let segments = match &url.resource {
            Resource::Path(segments) => segments,
            Resource::EntityById { .. } => {
                return Err(Error::unsupported(Place::Path, "$entity is not supported"));
            }
            Resource::All { .. } => {
                return Err(Error::unsupported(Place::Path, "$all is not supported"));
            }
            Resource::CrossJoin(_) => {
                return Err(Error::unsupported(
                    Place::Path,
                    "$crossjoin is not supported",
                ));
            }
            Resource::ServiceDocument | Resource::Metadata | Resource::Batch => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    Place::Path,
                    None,
                    "the path names no rows",
                ));
            }
        };
        let path = Walk {
            model,
            aliases: &url.options.aliases,
        };
        let (first, rest) = segments.split_first().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, Place::Path, None, "the path is empty")
        })?;
        let mut target = path.start(first)?;
        for segment in rest {
            path.step(&mut target, segment)?;
        }
        Ok(target)
    }

    /// The one row that a reference in a body names (`Customers(1)`, absolute or relative to the service
    /// root). `root` is the external URL of the service, with a slash at its end.
    ///
    /// # Errors
    /// The text is no URL of one row of this service.
    pub fn of_reference(
        model: &Model,
        root: &str,
        text: &str,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let no_row = |message: String| Error::new(ErrorKind::NotFound, Place::Path, None, message);
        let root_path = root.find("://").and_then(|at| {
            root[at + 3..]
                .find('/')
                .map(|slash| &root[at + 3 + slash..])
        });
        let relative = match text.strip_prefix(root) {
            Some(relative) => relative,
            None if text.contains("://") => {
                return Err(no_row(format!("'{text}' is not below {root}")));
            }
            None => root_path
                .and_then(|path| text.strip_prefix(path))
                .unwrap_or(text),
        };
        let (path, query) = match relative.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (relative, None),
        };
        let target = Self::new(model, &Url::parse(path, query, limits)?)?;
        if target.is_collection || target.part != Part::Rows {
            return Err(no_row(format!("'{text}' does not name one row")));
        }
        Ok(target)
    }
}

struct Walk<'a> {
    model: &'a Model,
    aliases: &'a [(String, Node)],
}

impl Walk<'_> {
    fn start(&self, first: &Segment) -> Result<Target, Error> {
        let SegmentKind::Name {
            name,
            arguments,
            key,
        } = &first.kind
        else {
            return Err(not_found(
                first,
                "a path starts with the name of a collection".to_owned(),
            ));
        };
        let known = |id: &EntityId| has_entity_set(self.model, &self.model[*id]);
        let Some(id) = self
            .model
            .entities_by_collection
            .get(name)
            .copied()
            .filter(known)
        else {
            let names = self.model.entities.iter().filter(|entity| {
                has_entity_set(self.model, entity) && self.model.has_collection(entity.id)
            });
            let nearest = nearest(name, names.map(|entity| entity.collection.as_str()));
            return Err(
                not_found(first, format!("there is no collection '{name}'")).suggesting(nearest)
            );
        };
        let mut target = Target {
            entity: id,
            source: Source::All,
            is_collection: true,
            cast_from: None,
            filters: Vec::new(),
            part: Part::Rows,
        };
        self.key(&mut target, arguments.as_ref(), first)?;
        self.key(&mut target, key.as_ref(), first)?;
        Ok(target)
    }

    fn step(&self, target: &mut Target, segment: &Segment) -> Result<(), Error> {
        let position = segment.position;
        if let Part::Property(attribute) = target.part {
            return match &segment.kind {
                SegmentKind::Value => {
                    target.part = Part::Value(attribute);
                    Ok(())
                }
                SegmentKind::Query => {
                    Err(Error::unsupported(Place::Path, "$query is not supported"))
                }
                _ => Err(not_found(
                    segment,
                    "only $value can follow a property".to_owned(),
                )),
            };
        }
        match &segment.kind {
            SegmentKind::Name {
                name,
                arguments,
                key,
            } => {
                self.name(target, name, arguments.as_ref(), segment)?;
                self.key(target, key.as_ref(), segment)
            }
            SegmentKind::Count if target.is_collection => {
                target.part = Part::Count;
                Ok(())
            }
            SegmentKind::Count => Err(not_found(
                segment,
                "$count needs a collection before it".to_owned(),
            )),
            SegmentKind::Reference => {
                target.part = Part::References;
                Ok(())
            }
            SegmentKind::Filter(condition) if target.is_collection => {
                target.filters.push(condition.clone());
                Ok(())
            }
            SegmentKind::Filter(_) => Err(not_found(
                segment,
                "$filter needs a collection before it".to_owned(),
            )),
            SegmentKind::Value => Err(Error::unsupported(
                Place::Path,
                "$value of a row is not supported (it is no media entity)",
            )),
            SegmentKind::Each => Err(Error::unsupported(Place::Path, "$each is not supported")),
            SegmentKind::Query => Err(Error::unsupported(Place::Path, "$query is not supported")),
            SegmentKind::Literal(_) if target.is_collection => Err(Error::new(
                ErrorKind::Unsupported,
                Place::Path,
                Some(position),
                "keys as segments are not supported",
            )
            .expecting("the key in parentheses, such as Customers(1)")),
            SegmentKind::Literal(text) => {
                Err(not_found(segment, format!("'{text}' names nothing here")))
            }
        }
    }

    fn name(
        &self,
        target: &mut Target,
        name: &str,
        arguments: Option<&Arguments>,
        segment: &Segment,
    ) -> Result<(), Error> {
        let entity = &self.model[target.entity];
        if !target.is_collection {
            if let Some(id) = property(entity, name) {
                target.part = Part::Property(id);
                return match arguments {
                    None => Ok(()),
                    Some(_) => Err(not_found(
                        segment,
                        format!("'{name}' is a property and has no key"),
                    )),
                };
            }
            if let Some(id) = navigation(entity, name) {
                self.navigate(target, id);
                return self.key(target, arguments, segment);
            }
        }
        let named = resolve_type(self.model, name, 0).ok();
        if let Some(to) = named.filter(|to| is_related(entity, &self.model[*to])) {
            if to != target.entity {
                if entity.specialisations.contains(&to) {
                    target.cast_from.get_or_insert(target.entity);
                }
                target.entity = to;
            }
            return self.key(target, arguments, segment);
        }
        if name.contains('.') {
            return Err(self.no_type(entity, name, segment));
        }
        if target.is_collection {
            let is_property =
                property(entity, name).is_some() || navigation(entity, name).is_some();
            let message = if is_property {
                format!("'{name}' belongs to one row: a key has to come before it")
            } else {
                format!("'{name}' cannot follow a collection")
            };
            return Err(not_found(segment, message)
                .expecting("a key in parentheses, a type, $count or $ref"));
        }
        let unknown = unknown_property(self.model, entity, name, 0);
        Err(not_found(segment, unknown.message).suggesting(unknown.suggestion))
    }

    /// A qualified name that is no type of the rows is unknown: the service has no operations that it could be.
    fn no_type(&self, entity: &Entity, name: &str, segment: &Segment) -> Error {
        let types = self
            .model
            .entities
            .iter()
            .filter(|other| self.model.is_known(other.id) && is_related(entity, other))
            .map(|other| other.name.as_str());
        // A namespace that is right makes any name look alike.
        let bare = name.rsplit('.').next().unwrap_or(name);
        let nearest = nearest(bare, types).map(|bare| format!("{}.{bare}", self.model.name));
        not_found(segment, format!("'{name}' is no type of {}", entity.name)).suggesting(nearest)
    }

    fn navigate(&self, target: &mut Target, id: NavigationId) {
        let navigation = &self.model[target.entity][id];
        let from = std::mem::replace(&mut target.source, Source::All);
        target.source = Source::Related {
            entity: target.entity,
            from: Box::new(from),
            navigation: id,
            key: None,
        };
        target.is_collection = navigation.many;
        target.entity = navigation.target;
        target.cast_from = None;
    }

    /// Narrows a collection to the row with a key.
    fn key(
        &self,
        target: &mut Target,
        arguments: Option<&Arguments>,
        segment: &Segment,
    ) -> Result<(), Error> {
        let Some(arguments) = arguments else {
            return Ok(());
        };
        if !target.is_collection {
            return Err(not_found(
                segment,
                "a key needs a collection before it".to_owned(),
            ));
        }
        if !target.filters.is_empty() {
            return Err(Error::unsupported(
                Place::Path,
                "a key behind $filter is not supported",
            ));
        }
        let entity = &self.model[target.entity];
        let malformed = |message: String| {
            Error::new(
                ErrorKind::Malformed,
                Place::Path,
                Some(segment.position),
                message,
            )
        };
        let names = || entity.key.iter().map(|id| entity[*id].name.as_str());
        let mut values = Vec::with_capacity(entity.key.len());
        match arguments {
            Arguments::Empty => return Err(malformed("the key is empty".to_owned())),
            Arguments::Positional(node) => {
                let [id] = entity.key.as_slice() else {
                    let message =
                        format!("the key of {} has several parts: name them", entity.name);
                    let example = names()
                        .map(|name| format!("{name}=…"))
                        .collect::<Vec<_>>()
                        .join(",");
                    return Err(malformed(message).suggesting(Some(format!("({example})"))));
                };
                values.push(self.value(node, entity, *id, segment)?);
            }
            Arguments::Named(given) => {
                for id in &entity.key {
                    let name = &entity[*id].name;
                    let Some((_, node)) = given.iter().find(|(known, _)| known == name) else {
                        let stranger = given
                            .iter()
                            .find(|(known, _)| !names().any(|part| part == known));
                        let nearest = stranger.and_then(|(known, _)| nearest(known, names()));
                        return Err(malformed(format!(
                            "the key of {} needs '{name}'",
                            entity.name
                        ))
                        .suggesting(nearest));
                    };
                    values.push(self.value(node, entity, *id, segment)?);
                }
                if let Some((unknown, _)) = given
                    .iter()
                    .find(|(name, _)| !names().any(|known| known == name))
                {
                    let known = nearest(unknown, names());
                    return Err(malformed(format!(
                        "'{unknown}' is no part of the key of {}",
                        entity.name
                    ))
                    .suggesting(known));
                }
            }
        }
        match &mut target.source {
            Source::All => target.source = Source::Key(values),
            Source::Related { key, .. } => *key = Some(values),
            Source::Key(_) | Source::Where { .. } => {
                return Err(malformed("a row has one key only".to_owned()));
            }
        }
        target.is_collection = false;
        Ok(())
    }

    fn value(
        &self,
        node: &Node,
        entity: &Entity,
        id: AttributeId,
        segment: &Segment,
    ) -> Result<Value, Error> {
        let located = |error| Error::of_expression(error, Place::Path, segment.position);
        let literal = self.literal(node).ok_or_else(|| {
            Error::new(
                ErrorKind::Malformed,
                Place::Path,
                Some(segment.position),
                format!("the alias {node} has no literal as value"),
            )
        })?;
        key_value(self.model, literal, entity[id].scalar_type, node.position).map_err(located)
    }

    fn literal<'n>(&'n self, node: &'n Node) -> Option<&'n Literal> {
        match &node.kind {
            Kind::Literal(literal) => Some(literal),
            Kind::Path(path) => match &path.start {
                Start::Alias(alias) => {
                    let (_, value) = self.aliases.iter().find(|(name, _)| name == alias)?;
                    match &value.kind {
                        Kind::Literal(literal) => Some(literal),
                        _ => None,
                    }
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// An attribute that is a property of the service which the reader may see.
pub(super) fn property(entity: &Entity, name: &str) -> Option<AttributeId> {
    let id = *entity.attributes_by_name.get(name)?;
    let attribute = &entity[id];
    (attribute.purpose != Purpose::Version && attribute.reach.is_readable()).then_some(id)
}

/// A navigation that the reader may see.
pub(super) fn navigation(entity: &Entity, name: &str) -> Option<NavigationId> {
    let id = *entity.navigations_by_name.get(name)?;
    entity[id].reach.is_readable().then_some(id)
}

fn not_found(segment: &Segment, message: String) -> Error {
    Error::new(
        ErrorKind::NotFound,
        Place::Path,
        Some(segment.position),
        message,
    )
}

/// Whether one of two types is the other one or extends it.
fn is_related(one: &Entity, other: &Entity) -> bool {
    one.id == other.id
        || one.specialisations.contains(&other.id)
        || other.specialisations.contains(&one.id)
}
