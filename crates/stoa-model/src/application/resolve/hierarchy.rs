//! Entities in order, base before specialisation, with their tables and collections.

use std::borrow::Cow;
use std::collections::HashMap;

use heck::ToSnakeCase;

use super::{Resolver, check_renames, duplicate, entity_id};
use crate::application::draft::EntityDraft;
use crate::application::names::{NameOf, check_identifier};
use crate::application::plural::plural;
use crate::application::system;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::document::At;
use crate::model::{Entity, EntityId, EntityReach, Table};
use crate::physical::DISCRIMINATOR_COLUMN;

/// Most levels of `extends`.
const HIERARCHY_DEPTH: usize = 16;
/// Steps of a circle that are shown.
const SHOWN_STEPS: usize = 12;

impl<'d> Resolver<'d, '_> {
    pub(super) fn hierarchy(&mut self, drafts: &'d [EntityDraft]) {
        let distinct = self.distinct(drafts);
        let references: Vec<Cow<'d, str>> = distinct
            .iter()
            .map(|draft| {
                let name = draft.about.name.value.as_str();
                if self.is_in_system(draft.about.name.span) {
                    Cow::Owned(system::reference(name))
                } else {
                    Cow::Borrowed(name)
                }
            })
            .collect();
        let (bases, rootless) = self.bases(&distinct, &references);
        let order = base_first(&bases);
        let mut ids = vec![EntityId(0); distinct.len()];
        for (position, index) in order.iter().enumerate() {
            ids[*index] = entity_id(position);
            self.entity_ids
                .insert(references[*index].clone(), entity_id(position));
        }
        for index in order {
            let base = bases[index].map(|base| ids[base]);
            self.add_entity(distinct[index], base);
            self.rootless
                .push(rootless[index] || base.is_some_and(|base| self.rootless[base.index()]));
        }
        self.link_specialisations();
        self.collections();
    }

    fn distinct(&mut self, drafts: &'d [EntityDraft]) -> Vec<&'d EntityDraft> {
        let mut places: HashMap<&str, Span> = HashMap::new();
        let mut distinct = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let name = &draft.about.name;
            if !self.is_in_system(name.span) {
                check_identifier(name, NameOf::Entity, self.faults);
            }
            if let Some(first) = places.get(name.value.as_str()) {
                self.faults
                    .push(duplicate("the entity", name, Some(*first)));
                continue;
            }
            if self.enumeration_ids.contains_key(name.value.as_str()) {
                self.faults.push(
                    Diagnostic::error(
                        Code::DuplicateName,
                        name.span,
                        format!("`{}` is both an entity and an enumeration", name.value),
                    )
                    .help("types share one space of names in the service: rename one of them"),
                );
            }
            places.insert(&name.value, name.span);
            distinct.push(draft);
        }
        check_renames(
            distinct.iter().map(|draft| &draft.about),
            |name| places.contains_key(name),
            self.faults,
        );
        distinct
    }

    /// For each draft the position of its base, and whether its base is not known.
    fn bases(
        &mut self,
        drafts: &[&'d EntityDraft],
        references: &[Cow<'d, str>],
    ) -> (Vec<Option<usize>>, Vec<bool>) {
        let positions: HashMap<&str, usize> = drafts
            .iter()
            .zip(references)
            .enumerate()
            .filter(|(_, (draft, _))| !self.is_internal(draft))
            .map(|(index, (_, reference))| (reference.as_ref(), index))
            .collect();
        let mut bases = vec![None; drafts.len()];
        let mut rootless = vec![false; drafts.len()];
        for (index, draft) in drafts.iter().enumerate() {
            let Some(extends) = &draft.extends else {
                continue;
            };
            match positions.get(extends.value.as_str()) {
                Some(base) => bases[index] = Some(*base),
                None => {
                    rootless[index] = true;
                    self.faults.push(
                        Diagnostic::error(
                            Code::UnknownEntity,
                            extends.span,
                            format!("the model has no entity `{}`", extends.value),
                        )
                        .nearest(
                            self.faults
                                .nearest(&extends.value, positions.keys().copied()),
                        ),
                    );
                }
            }
        }
        self.cut_cycles(drafts, &mut bases, &mut rootless);
        (bases, rootless)
    }

    /// All of the system module but the entity of users.
    fn is_internal(&self, draft: &EntityDraft) -> bool {
        let name = &draft.about.name;
        self.is_in_system(name.span) && name.value != system::USER
    }

    fn cut_cycles(
        &mut self,
        drafts: &[&'d EntityDraft],
        bases: &mut [Option<usize>],
        rootless: &mut [bool],
    ) {
        // 0: not seen, 1: on the present walk, 2: known to end at a root.
        let mut state = vec![0_u8; drafts.len()];
        let mut depth = vec![0_usize; drafts.len()];
        for start in 0..drafts.len() {
            let mut walk = Vec::new();
            let mut at = Some(start);
            while let Some(index) = at.filter(|index| state[*index] == 0) {
                state[index] = 1;
                walk.push(index);
                at = bases[index];
            }
            if let Some(index) = at.filter(|index| state[*index] == 1) {
                let from = walk
                    .iter()
                    .position(|visited| *visited == index)
                    .unwrap_or_default();
                self.report_cycle(drafts, &walk[from..]);
                for member in &walk[from..] {
                    bases[*member] = None;
                    rootless[*member] = true;
                }
            }
            for index in walk.into_iter().rev() {
                state[index] = 2;
                depth[index] = bases[index].map_or(0, |base| depth[base] + 1);
                if depth[index] == HIERARCHY_DEPTH {
                    bases[index] = None;
                    rootless[index] = true;
                    self.faults.push(
                        Diagnostic::error(
                            Code::TooMany,
                            drafts[index].about.name.span,
                            "too many levels of `extends`",
                        )
                        .help(format!("at most {HIERARCHY_DEPTH} levels are possible")),
                    );
                }
            }
        }
    }

    fn report_cycle(&mut self, drafts: &[&'d EntityDraft], cycle: &[usize]) {
        let mut names: Vec<&str> = cycle
            .iter()
            .take(SHOWN_STEPS)
            .map(|index| drafts[*index].about.name.value.as_str())
            .collect();
        if cycle.len() > SHOWN_STEPS {
            names.push("…");
        }
        names.push(names[0]);
        let extends = |index: &usize| drafts[*index].extends.as_ref().map(|extends| extends.span);
        let mut diagnostic = Diagnostic::error(
            Code::ExtendsCycle,
            extends(&cycle[0]),
            format!("{} extends itself", names[0]),
        )
        .label(names.join(" → "))
        .help("a base cannot be its own specialisation: remove one `extends`");
        for index in cycle.iter().take(SHOWN_STEPS).skip(1) {
            diagnostic = diagnostic.related(extends(index), "part of the circle");
        }
        self.faults.push(diagnostic);
    }

    fn add_entity(&mut self, draft: &'d EntityDraft, base: Option<EntityId>) {
        let id = entity_id(self.entities.len());
        let root = base.map_or(id, |base| self.entity(base).root);
        let table = match base {
            Some(base) => {
                self.check_base_only(draft, base);
                self.entity(base).table.clone()
            }
            None => Table {
                name: draft.table.as_ref().map_or_else(
                    || draft.about.name.value.to_snake_case(),
                    |table| table.value.clone(),
                ),
                external: draft.is_external(),
                discriminator_column: None,
            },
        };
        if let (true, Some(former)) = (table.external, &draft.about.renamed_from) {
            self.faults.push(
                Diagnostic::error(
                    Code::External,
                    former.span,
                    "an external entity needs no `renamed_from`",
                )
                .help("its table is named by `table` and never renamed: leave it out"),
            );
        }
        self.drafts.push(draft);
        self.members.push(HashMap::new());
        self.entities.push(Entity {
            id,
            name: draft.about.name.value.clone(),
            collection: draft.collection.as_ref().map_or_else(
                || plural(&draft.about.name.value),
                |collection| collection.value.clone(),
            ),
            label: draft.about.label(),
            description: draft.about.description.clone(),
            renamed_from: draft
                .about
                .renamed_from
                .as_ref()
                .map(|former| former.value.clone()),
            base,
            root,
            specialisations: Vec::new(),
            table,
            discriminator: None,
            attributes: Vec::new(),
            navigations: Vec::new(),
            key: Vec::new(),
            version: None,
            uniques: Vec::new(),
            indexes: Vec::new(),
            access: Vec::new(),
            reach: EntityReach::ALL,
            internal: self.is_internal(draft),
            audited: match base {
                Some(base) => self.entity(base).audited,
                None => draft.audit.as_ref().is_some_and(|audit| audit.value),
            },
            container: None,
            attributes_by_name: HashMap::new(),
            navigations_by_name: HashMap::new(),
        });
    }

    fn check_base_only(&mut self, draft: &'d EntityDraft, base: EntityId) {
        let root = self.entity(self.entity(base).root).id;
        let name = &self.drafts[root.index()].about.name;
        let root = if self.is_in_system(name.span) {
            format!("`[entity.\"{}\"]`", system::reference(&name.value))
        } else {
            name.value.clone()
        };
        let named = [
            (draft.key.as_ref().map(|key| key.span), "key"),
            (draft.table.as_ref().map(|table| table.span), "table"),
            (
                draft.external.as_ref().map(|external| external.span),
                "external",
            ),
            (draft.audit.as_ref().map(|audit| audit.span), "audit"),
        ];
        for (span, key) in named {
            let Some(span) = span else { continue };
            self.faults.push(
                Diagnostic::error(
                    Code::BaseOnly,
                    span,
                    format!("a specialisation cannot have its own `{key}`"),
                )
                .help(format!(
                    "one table holds the whole hierarchy: say it at {root}, or leave it out"
                )),
            );
        }
        if self.entity(base).table.external {
            self.faults.push(
                Diagnostic::error(
                    Code::External,
                    draft.extends.as_ref().map(|extends| extends.span),
                    format!(
                        "{} is external and cannot be extended",
                        self.entity(base).name
                    ),
                )
                .help("an external table has no column that tells specialisations apart"),
            );
        }
    }

    fn link_specialisations(&mut self) {
        for id in self.ids() {
            let mut above = self.entity(id).base;
            while let Some(base) = above {
                self.entities[base.index()].specialisations.push(id);
                above = self.entity(base).base;
            }
        }
        for id in self.ids() {
            let root = self.entity(id).root;
            if !self.entity(root).specialisations.is_empty() {
                let entity = &mut self.entities[id.index()];
                entity.discriminator = Some(entity.name.clone());
                entity.table.discriminator_column = Some(DISCRIMINATOR_COLUMN.to_owned());
            }
        }
    }

    fn collections(&mut self) {
        let mut places: HashMap<&str, Span> = HashMap::new();
        for (entity, draft) in self.entities.iter().zip(&self.drafts) {
            let place = draft.collection.as_ref().unwrap_or(&draft.about.name);
            if draft.collection.is_some() {
                check_identifier(place, NameOf::Collection, self.faults);
            }
            match places.get(entity.collection.as_str()) {
                Some(first) => {
                    let name = At {
                        value: entity.collection.clone(),
                        span: place.span,
                    };
                    self.faults.push(
                        duplicate("the collection", &name, Some(*first))
                            .help("give one of them another name with `collection`"),
                    );
                }
                None => {
                    places.insert(&entity.collection, place.span);
                }
            }
        }
    }
}

/// Positions, each after that of its base, otherwise in order. There are no cycles.
fn base_first(bases: &[Option<usize>]) -> Vec<usize> {
    let mut placed = vec![false; bases.len()];
    let mut order = Vec::with_capacity(bases.len());
    for start in 0..bases.len() {
        let mut chain = Vec::new();
        let mut at = Some(start);
        while let Some(index) = at.filter(|index| !placed[*index]) {
            placed[index] = true;
            chain.push(index);
            at = bases[index];
        }
        order.extend(chain.into_iter().rev());
    }
    order
}
