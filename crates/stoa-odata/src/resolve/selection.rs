//! `$select` and `$expand` → [`Selection`].

use stoa_model::application::Limits;
use stoa_model::expression::bind::{resolve_type, unknown_property};
use stoa_model::expression::syntax::Node;
use stoa_model::model::{AttributeId, Entity, EntityId, Model, NavigationId, Purpose};
use stoa_model::query::{Expand, Selection};

use super::page::{NodePage, fingerprint_parts};
use super::read::{Level, page_of, page_size, refuse_for_single, refuse_unsupported};
use super::target::{navigation, property};
use crate::url::{
    Error, ErrorKind, ExpandItem, ExpandMode, Levels, OptionName, Options, Place, SelectKind,
    encode_value,
};

/// Most selections of one query. `$expand=*($levels=…)` could ask for very many.
const MAXIMUM_SELECTIONS: usize = 100;

const EXPAND: Place = Place::Option(OptionName::Expand);
const SELECT: Place = Place::Option(OptionName::Select);

/// Builds the selections of a query.
pub(super) struct Selector<'a> {
    model: &'a Model,
    limits: &'a Limits,
    aliases: &'a [(String, Node)],
    alias_texts: &'a [(String, String)],
    next_node: usize,
    /// Of each node but the root, in order.
    pub(super) pages: Vec<NodePage>,
}

/// A navigation to expand, with what was asked of it.
struct Wanted<'o> {
    navigation: NavigationId,
    mode: ExpandMode,
    options: &'o Options,
    levels: usize,
}

impl<'a> Selector<'a> {
    pub(super) fn new(
        model: &'a Model,
        limits: &'a Limits,
        aliases: &'a [(String, Node)],
        alias_texts: &'a [(String, String)],
    ) -> Self {
        Self {
            model,
            limits,
            aliases,
            alias_texts,
            next_node: 0,
            pages: Vec::new(),
        }
    }

    /// What the options ask of rows of `entity`, `depth` levels below the root.
    pub(super) fn selection(
        &mut self,
        entity: EntityId,
        options: &Options,
        depth: usize,
    ) -> Result<Selection, Error> {
        let mut selection = self.properties(entity, options)?;
        let wanted = self.wanted(entity, options, depth)?;
        for wanted in &wanted {
            let expand = self.expand(entity, wanted, depth)?;
            selection.expands.push(expand);
        }
        Ok(selection)
    }

    fn number(&mut self) -> Result<usize, Error> {
        let node = self.next_node;
        self.next_node += 1;
        if node >= MAXIMUM_SELECTIONS {
            let message =
                format!("$expand asks for more than {MAXIMUM_SELECTIONS} navigations in all");
            return Err(Error::new(ErrorKind::Limit, EXPAND, None, message));
        }
        Ok(node)
    }

    fn properties(&mut self, id: EntityId, options: &Options) -> Result<Selection, Error> {
        let entity = &self.model[id];
        let mut selection = Selection {
            node: self.number()?,
            entity: id,
            attributes: Vec::new(),
            specialised: Vec::new(),
            expands: Vec::new(),
            masks: Vec::new(),
        };
        let Some(items) = &options.select else {
            self.all_properties(entity, &mut selection);
            return Ok(selection);
        };
        for item in items {
            match &item.kind {
                SelectKind::All => self.all_properties(entity, &mut selection),
                // There are no operations yet, so that all of them are none.
                SelectKind::Operations(_) => {}
                SelectKind::Path {
                    path,
                    parameters,
                    options,
                } => {
                    let located = |error| Error::of_expression(error, SELECT, item.position);
                    if !parameters.is_empty()
                        || !options.texts.is_empty()
                        || !options.aliases.is_empty()
                    {
                        return Err(Error::unsupported(
                            SELECT,
                            "options of selected properties are not supported",
                        ));
                    }
                    if path.iter().any(|step| step.starts_with('@')) {
                        return Err(Error::unsupported(
                            SELECT,
                            "selecting annotations is not supported",
                        ));
                    }
                    let (name, casts) = path
                        .split_last()
                        .map_or(("", &[][..]), |(last, casts)| (last.as_str(), casts));
                    let mut reached = id;
                    for cast in casts {
                        reached = self.cast(reached, cast, entity).map_err(located)?;
                    }
                    let reached_entity = &self.model[reached];
                    match property(reached_entity, name) {
                        Some(attribute) if property(entity, name) == Some(attribute) => {
                            selection.attributes.push(attribute)
                        }
                        Some(attribute) => {
                            let declared_by = reached_entity[attribute].declared_by;
                            selection.specialised.push((declared_by, attribute));
                        }
                        // A selected navigation property is a link, which clients compute themselves.
                        None if navigation(reached_entity, name).is_some() => {}
                        None => {
                            return Err(located(unknown_property(
                                self.model,
                                reached_entity,
                                name,
                                0,
                            )));
                        }
                    }
                }
            }
        }
        // In the model's order, so that requests that differ in order only have one shape.
        selection.attributes.sort_unstable();
        selection.attributes.dedup();
        selection.specialised.sort_unstable();
        selection.specialised.dedup();
        Ok(selection)
    }

    fn all_properties(&self, entity: &Entity, selection: &mut Selection) {
        let ids = |entity: &'a Entity| {
            (0_u32..).zip(&entity.attributes).filter(|(_, attribute)| {
                attribute.purpose != Purpose::Version && attribute.reach.is_readable()
            })
        };
        let model = self.model;
        selection
            .attributes
            .extend(ids(&model[entity.id]).map(|(id, _)| AttributeId(id)));
        for special in &entity.specialisations {
            let own =
                ids(&model[*special]).filter(|(_, attribute)| attribute.declared_by == *special);
            selection
                .specialised
                .extend(own.map(|(id, _)| (*special, AttributeId(id))));
        }
    }

    fn cast(
        &self,
        from: EntityId,
        name: &str,
        root: &Entity,
    ) -> Result<EntityId, stoa_model::expression::error::Error> {
        let unknown = || unknown_property(self.model, &self.model[from], name, 0);
        let to = resolve_type(self.model, name, 0)
            .map_err(|error| if name.contains('.') { error } else { unknown() })?;
        let fits = to == from
            || self.model[from].specialisations.contains(&to)
            || (self.model[to].root == root.root && self.model[to].specialisations.contains(&from));
        if fits { Ok(to) } else { Err(unknown()) }
    }

    /// Navigations to expand, in the model's order.
    fn wanted<'o>(
        &self,
        id: EntityId,
        options: &'o Options,
        depth: usize,
    ) -> Result<Vec<Wanted<'o>>, Error> {
        let Some(items) = &options.expand else {
            return Ok(Vec::new());
        };
        let entity = &self.model[id];
        let mut wanted: Vec<Wanted<'o>> = Vec::new();
        let mut all: Option<&ExpandItem> = None;
        for item in items {
            let malformed = |message: String| {
                Error::new(ErrorKind::Malformed, EXPAND, Some(item.position), message)
            };
            let (name, casts) = item
                .path
                .split_last()
                .map_or(("", &[][..]), |(last, casts)| (last.as_str(), casts));
            if item
                .path
                .iter()
                .any(|step| step.starts_with('@') || step == "$value")
            {
                return Err(Error::unsupported(
                    EXPAND,
                    "expanding annotations and media is not supported",
                ));
            }
            if name == "*" {
                if !casts.is_empty() {
                    return Err(Error::unsupported(
                        EXPAND,
                        "'*' behind a path is not supported",
                    ));
                }
                if all.replace(item).is_some() {
                    return Err(malformed("'*' is given twice".to_owned()));
                }
                continue;
            }
            let mut reached = id;
            for cast in casts {
                if navigation(entity, cast).is_some() {
                    let nested = format!("{cast}($expand={name})");
                    return Err(Error::unsupported(
                        EXPAND,
                        format!("'{cast}/{name}' is not supported"),
                    )
                    .suggesting(Some(nested)));
                }
                let located = |error| Error::of_expression(error, EXPAND, item.position);
                reached = self.cast(reached, cast, entity).map_err(located)?;
            }
            let reached_entity = &self.model[reached];
            let Some(found) = navigation(reached_entity, name) else {
                if property(reached_entity, name).is_some() {
                    return Err(malformed(format!(
                        "'{name}' is no navigation: it comes with the row"
                    )));
                }
                return Err(Error::of_expression(
                    unknown_property(self.model, reached_entity, name, 0),
                    EXPAND,
                    item.position,
                ));
            };
            if navigation(entity, name) != Some(found) {
                let message = format!(
                    "expanding '{name}' of the specialisation {} is not supported here",
                    reached_entity.name
                );
                return Err(Error::unsupported(EXPAND, message));
            }
            if wanted.iter().any(|known| known.navigation == found) {
                return Err(malformed(format!("'{name}' is expanded twice")));
            }
            let levels = self.levels(&item.options, depth);
            wanted.push(Wanted {
                navigation: found,
                mode: item.mode,
                options: &item.options,
                levels,
            });
        }
        if let Some(item) = all {
            let levels = self.levels(&item.options, depth);
            if levels > 1 {
                return Err(Error::unsupported(
                    EXPAND,
                    "'*' with $levels above 1 is not supported",
                ));
            }
            for (number, navigation) in (0_u32..).zip(&entity.navigations) {
                let id = NavigationId(number);
                let is_named = navigation.name.is_some() && navigation.reach.is_readable();
                if is_named && wanted.iter().all(|known| known.navigation != id) {
                    wanted.push(Wanted {
                        navigation: id,
                        mode: item.mode,
                        options: &NO_OPTIONS,
                        levels: 1,
                    });
                }
            }
        }
        wanted.sort_by_key(|wanted| wanted.navigation);
        Ok(wanted)
    }

    fn levels(&self, options: &Options, depth: usize) -> usize {
        match options.levels {
            None => 1,
            Some(Levels::Number(number)) => number,
            Some(Levels::Maximum) => self.limits.expand_depth.saturating_sub(depth).max(1),
        }
    }

    fn expand(
        &mut self,
        from: EntityId,
        wanted: &Wanted<'_>,
        depth: usize,
    ) -> Result<Expand, Error> {
        let navigation = &self.model[from][wanted.navigation];
        let name = navigation.name.as_deref().unwrap_or_default();
        let (target, many) = (navigation.target, navigation.many);
        let options = wanted.options;
        if depth + wanted.levels > self.limits.expand_depth {
            let message = format!(
                "$expand is nested deeper than {} levels",
                self.limits.expand_depth
            );
            return Err(Error::new(ErrorKind::Limit, EXPAND, None, message));
        }
        let nested = |error: Error| Error {
            place: EXPAND,
            message: format!("{name}: {}", error.message),
            ..error
        };
        refuse_unsupported(options).map_err(nested)?;
        if !many {
            refuse_for_single(options).map_err(nested)?;
        }
        if wanted.mode == ExpandMode::Count && !many {
            let message = format!("'{name}' is one row: it has no $count");
            return Err(Error::new(ErrorKind::Malformed, EXPAND, None, message));
        }
        let aliases: Vec<(String, Node)> = options
            .aliases
            .iter()
            .chain(self.aliases)
            .cloned()
            .collect();
        let level = Level {
            model: self.model,
            entity: target,
            aliases: &aliases,
            limits: self.limits,
            is_expand: true,
        };
        let filter = level.filter(options)?;
        let order = if many {
            level.order(&options.order)?
        } else {
            Vec::new()
        };
        let (limit, paged) = if many {
            page_of(options.top, page_size(self.limits, None))
        } else {
            (1, false)
        };

        let page = self.page(name, target, wanted, limit);
        self.pages.push(page);
        let selection = match wanted.mode {
            ExpandMode::Rows => {
                let mut selection = self.selection(target, options, depth + 1)?;
                if wanted.levels > 1 {
                    self.deepen(&mut selection, name, wanted, depth)?;
                }
                selection
            }
            ExpandMode::References | ExpandMode::Count => {
                let node = self.number()?;
                Selection {
                    node,
                    entity: target,
                    attributes: Vec::new(),
                    specialised: Vec::new(),
                    expands: Vec::new(),
                    masks: Vec::new(),
                }
            }
        };
        Ok(Expand {
            navigation: wanted.navigation,
            condition: None,
            given: None,
            filter,
            order,
            skip: options.skip.unwrap_or(0),
            limit,
            paged: paged && wanted.mode != ExpandMode::Count,
            count: options.count.unwrap_or(false),
            count_only: wanted.mode == ExpandMode::Count,
            selection,
        })
    }

    /// `$levels`: the same navigation again, below its targets.
    fn deepen(
        &mut self,
        selection: &mut Selection,
        name: &str,
        wanted: &Wanted<'_>,
        depth: usize,
    ) -> Result<(), Error> {
        let Some(again) = navigation(&self.model[selection.entity], name) else {
            let message =
                format!("'{name}' does not lead back to rows that have it: $levels has no meaning");
            return Err(Error::new(ErrorKind::Malformed, EXPAND, None, message));
        };
        if selection
            .expands
            .iter()
            .any(|expand| expand.navigation == again)
        {
            let message = format!("'{name}' is expanded twice: by $levels and by $expand");
            return Err(Error::new(ErrorKind::Malformed, EXPAND, None, message));
        }
        let deeper = Wanted {
            navigation: again,
            levels: wanted.levels - 1,
            ..*wanted
        };
        let expand = self.expand(selection.entity, &deeper, depth + 1)?;
        selection.expands.push(expand);
        Ok(())
    }

    /// How the rest of an expanded collection is asked for.
    fn page(&self, name: &str, target: EntityId, wanted: &Wanted<'_>, limit: u64) -> NodePage {
        let options = wanted.options;
        let aliases = || options.alias_texts.iter().chain(self.alias_texts);
        let mut parts: Vec<String> = Vec::new();
        let again = (wanted.levels > 1).then(|| {
            let mut inner: Vec<String> = Vec::new();
            let kept = options
                .texts
                .iter()
                .filter(|(name, _)| *name != OptionName::Levels);
            inner.extend(kept.map(|(name, text)| format!("${}={text}", name.as_str())));
            inner.push(format!("$levels={}", wanted.levels - 1));
            format!("{name}({})", inner.join(";"))
        });
        let mut has_expand = false;
        for (option, text) in &options.texts {
            let text = match option {
                OptionName::Skip | OptionName::Top | OptionName::Levels => continue,
                OptionName::Expand => {
                    has_expand = true;
                    again
                        .as_ref()
                        .map_or_else(|| text.clone(), |again| format!("{text},{again}"))
                }
                _ => text.clone(),
            };
            parts.push(format!("${}={}", option.as_str(), encode_value(&text)));
        }
        if let Some(again) = again.filter(|_| !has_expand) {
            parts.push(format!("$expand={}", encode_value(&again)));
        }
        parts.extend(
            aliases().map(|(name, text)| format!("@{}={}", encode_value(name), encode_value(text))),
        );
        let mut segment = name.to_owned();
        if wanted.mode == ExpandMode::References {
            segment.push_str("/$ref");
        }
        NodePage {
            fingerprint: fingerprint_parts(&self.model[target].name, options, aliases(), &[]),
            top_left: options.top.map(|top| top.saturating_sub(limit)),
            segment,
            options: parts.join("&"),
        }
    }
}

/// Options of navigations that `*` stands for.
static NO_OPTIONS: Options = Options {
    filter: None,
    order: Vec::new(),
    top: None,
    skip: None,
    count: None,
    select: None,
    expand: None,
    search: None,
    compute: Vec::new(),
    levels: None,
    aliases: Vec::new(),
    texts: Vec::new(),
    alias_texts: Vec::new(),
};
