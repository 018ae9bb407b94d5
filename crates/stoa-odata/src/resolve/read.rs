//! Query options → [`Query`].

use stoa_model::application::Limits;
use stoa_model::expression::Expression;
use stoa_model::expression::bind::Binder;
use stoa_model::expression::syntax::Node;
use stoa_model::model::{EntityId, Model};
use stoa_model::query::{OrderTerm, Query, ROW, Selection, Source};

use super::page::{NodePage, Paging, fingerprint};
use super::selection::Selector;
use super::target::{Part, Target};
use crate::skiptoken;
use crate::url::{Error, ErrorKind, OptionName, Options, OrderItem, Place, Url};

/// A read, ready for the store.
#[derive(Clone, Debug)]
pub struct Read {
    /// What is read.
    pub query: Query,
    /// What the source gives, where the path narrows it by a type.
    pub cast_from: Option<EntityId>,
    /// What of it is answered.
    pub part: Part,
    /// Makes the nextLinks of the answer.
    pub paging: Paging,
}

impl Read {
    /// Gives the options of a URL a meaning for a target. `maximum_page_size` is the client's preference
    /// (`Prefer: maxpagesize=…`).
    ///
    /// # Errors
    /// The first fault, with the option and the position in it.
    pub fn new(
        model: &Model,
        url: &Url,
        target: &Target,
        limits: &Limits,
        maximum_page_size: Option<u64>,
    ) -> Result<Self, Error> {
        let options = &url.options;
        refuse_unsupported(options)?;
        if !target.is_collection {
            refuse_for_single(options)?;
        }
        let level = Level {
            model,
            entity: target.entity,
            aliases: &options.aliases,
            limits,
            is_expand: false,
        };
        let mut filter = level.filter(options)?;
        for condition in &target.filters {
            let condition = level.condition(condition, Place::Path)?;
            filter = Some(and(filter, condition));
        }
        if target.cast_from.is_some() && !matches!(target.source, Source::All) {
            let is_of = Expression::IsOf {
                from: ROW,
                path: Vec::new(),
                entity: target.entity,
            };
            filter = Some(and(filter, is_of));
        }

        let mut selector = Selector::new(model, limits, &options.aliases, &options.alias_texts);
        let mut page = NodePage::root(fingerprint(model, target.entity, options, &target.filters));
        let selection = match target.part {
            Part::Rows => selector.selection(target.entity, options, 0)?,
            Part::References if options.select.is_none() && options.expand.is_none() => {
                key_only(model, target.entity)
            }
            Part::References => return Err(no_shape("identities")),
            Part::Property(attribute) | Part::Value(attribute) => {
                if options.select.is_some() || options.expand.is_some() {
                    return Err(no_shape("a property"));
                }
                Selection {
                    attributes: vec![attribute],
                    ..key_only(model, target.entity)
                }
            }
            Part::Count => Selection {
                attributes: Vec::new(),
                ..key_only(model, target.entity)
            },
        };

        let mut query = Query {
            entity: target.entity,
            source: target.source.clone(),
            single: !target.is_collection,
            filter,
            order: Vec::new(),
            after: None,
            skip: 0,
            limit: 1,
            paged: false,
            count: false,
            selection,
        };
        if target.part == Part::Count {
            query.count = true;
            query.limit = 0;
        } else if target.is_collection {
            query.order = level.order(&options.order)?;
            let size = page_size(limits, maximum_page_size);
            (query.limit, query.paged) = page_of(options.top, size);
            page.top_left = options.top.map(|top| top.saturating_sub(query.limit));
            query.skip = options.skip.unwrap_or(0);
            query.count = options.count.unwrap_or(false);
            if let Some(token) = options.text(OptionName::SkipToken) {
                let types: Vec<_> = query
                    .order
                    .iter()
                    .map(|term| term.expression.scalar_type())
                    .collect();
                query.after = Some(skiptoken::decode(token, page.fingerprint, &types)?);
                query.skip = 0;
            }
        }
        let mut nodes = vec![page];
        nodes.append(&mut selector.pages);
        Ok(Self {
            query,
            cast_from: target.cast_from,
            part: target.part,
            paging: Paging::new(url, nodes),
        })
    }
}

/// Rows of one page.
pub(super) fn page_size(limits: &Limits, maximum_page_size: Option<u64>) -> u64 {
    limits
        .page_rows
        .min(maximum_page_size.unwrap_or(u64::MAX))
        .max(1)
}

/// Most rows to give at once, and whether more of them come by nextLink.
pub(super) fn page_of(top: Option<u64>, size: u64) -> (u64, bool) {
    match top {
        Some(top) if top <= size => (top, false),
        _ => (size, true),
    }
}

/// Most terms of an order: a page after the first compares each of them with all before it.
const MAXIMUM_ORDER_TERMS: usize = 16;

/// Binds the options of one level: the root's, or an expand's.
pub(super) struct Level<'a> {
    pub(super) model: &'a Model,
    pub(super) entity: EntityId,
    pub(super) aliases: &'a [(String, Node)],
    pub(super) limits: &'a Limits,
    pub(super) is_expand: bool,
}

impl Level<'_> {
    fn binder(&self) -> Binder<'_> {
        let binder = Binder::new(self.model, self.entity)
            .with_limit(self.limits.filter_nodes)
            .with_aliases(self.aliases);
        if self.is_expand {
            binder.in_expand()
        } else {
            binder
        }
    }

    pub(super) fn filter(&self, options: &Options) -> Result<Option<Expression>, Error> {
        options
            .filter
            .as_ref()
            .map(|node| self.condition(node, Place::Option(OptionName::Filter)))
            .transpose()
    }

    fn condition(&self, node: &Node, place: Place) -> Result<Expression, Error> {
        self.binder()
            .boolean(node)
            .map_err(|error| Error::of_expression(error, self.place(place), 0))
    }

    /// Faults inside of `$expand` are told as the expand's.
    fn place(&self, place: Place) -> Place {
        if self.is_expand {
            Place::Option(OptionName::Expand)
        } else {
            place
        }
    }

    /// The requested order, then the key: always total.
    pub(super) fn order(&self, items: &[OrderItem]) -> Result<Vec<OrderTerm>, Error> {
        if items.len() > MAXIMUM_ORDER_TERMS {
            let place = self.place(Place::Option(OptionName::OrderBy));
            let message = format!(
                "$orderby has {} terms, {MAXIMUM_ORDER_TERMS} are allowed",
                items.len()
            );
            return Err(Error::new(ErrorKind::Limit, place, None, message));
        }
        let entity = &self.model[self.entity];
        let mut order: Vec<OrderTerm> = Vec::with_capacity(items.len() + entity.key.len());
        for item in items {
            let place = self.place(Place::Option(OptionName::OrderBy));
            let bound = self.binder().scalar(&item.expression);
            let (expression, _) = bound.map_err(|error| Error::of_expression(error, place, 0))?;
            let is_constant = matches!(expression, Expression::Literal { .. });
            if !is_constant && order.iter().all(|term| term.expression != expression) {
                order.push(OrderTerm {
                    expression,
                    descending: item.descending,
                });
            }
        }
        for id in &entity.key {
            let is_there = order.iter().any(|term| {
                matches!(&term.expression, Expression::Attribute { from, path, attribute, .. }
                    if *from == ROW && path.is_empty() && attribute == id)
            });
            if !is_there {
                let expression = Expression::Attribute {
                    from: ROW,
                    path: Vec::new(),
                    entity: self.entity,
                    attribute: *id,
                    scalar_type: entity[*id].scalar_type,
                };
                order.push(OrderTerm {
                    expression,
                    descending: false,
                });
            }
        }
        Ok(order)
    }
}

fn and(filter: Option<Expression>, condition: Expression) -> Expression {
    match filter {
        None => condition,
        Some(Expression::And(mut operands)) => {
            operands.push(condition);
            Expression::And(operands)
        }
        Some(first) => Expression::And(vec![first, condition]),
    }
}

fn key_only(model: &Model, entity: EntityId) -> Selection {
    Selection {
        node: 0,
        entity,
        attributes: model[entity].key.clone(),
        specialised: Vec::new(),
        expands: Vec::new(),
        masks: Vec::new(),
    }
}

fn no_shape(what: &str) -> Error {
    let message = format!("$select and $expand have no meaning for {what}");
    Error::new(ErrorKind::Malformed, Place::Query, None, message)
}

/// Refuses what is well-formed and not supported.
pub(super) fn refuse_unsupported(options: &Options) -> Result<(), Error> {
    let unsupported = [
        OptionName::Search,
        OptionName::Compute,
        OptionName::Apply,
        OptionName::Index,
        OptionName::DeltaToken,
        OptionName::SchemaVersion,
        OptionName::Id,
    ];
    match options
        .texts
        .iter()
        .find(|(name, _)| unsupported.contains(name))
    {
        Some((OptionName::SchemaVersion, text)) if text == "*" => Ok(()),
        Some((name, _)) => {
            let message = format!("the option ${} is not supported", name.as_str());
            Err(Error::unsupported(Place::Option(*name), message))
        }
        None => Ok(()),
    }
}

/// Refuses what has a meaning for collections only.
pub(super) fn refuse_for_single(options: &Options) -> Result<(), Error> {
    let collections_only = [
        OptionName::Filter,
        OptionName::OrderBy,
        OptionName::Top,
        OptionName::Skip,
        OptionName::Count,
        OptionName::SkipToken,
    ];
    match options
        .texts
        .iter()
        .find(|(name, _)| collections_only.contains(name))
    {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!(
                "the option ${} has a meaning for collections only",
                name.as_str()
            );
            Err(Error::new(
                ErrorKind::Malformed,
                Place::Option(*name),
                None,
                message,
            ))
        }
    }
}
