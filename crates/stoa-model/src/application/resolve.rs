//! From drafts to the model: names bound, defaults applied, rules checked. Every step goes on with what
//! the step before could make sense of, so that one run reports all faults.

mod access;
mod associations;
mod attributes;
mod constraints;
mod database;
mod foreign_keys;
mod hierarchy;
mod insertion;
mod key;
mod members;
mod values;

use std::collections::{HashMap, HashSet};

use super::draft::{Described, Drafts, EntityDraft};
use super::faults::{At, Faults};
use super::names::{NameOf, check_identifier};
use crate::diagnostic::{Code, Diagnostic, SourceFile, Span};
use crate::model::{
    Entity, EntityId, Enumeration, EnumerationId, EnumerationMember, Model, Role, RoleId, UserModel,
};

/// Resolves drafts into a model. The model is valid only if no error was reported.
pub(super) fn resolve(
    name: &str,
    drafts: &Drafts,
    files: &[SourceFile],
    faults: &mut Faults,
) -> Model {
    let mut resolver = Resolver::new(faults);
    resolver.enumerations(drafts);
    resolver.roles(drafts);
    resolver.hierarchy(&drafts.entities);
    resolver.declare_members();
    resolver.attributes();
    resolver.associations();
    resolver.constraints();
    resolver.database_names();
    resolver.insertion();
    let rules = resolver.access();
    let is_partial = !resolver.broken_members.is_empty() || resolver.rootless.contains(&true);
    let mut model = resolver.finish(name);
    access::bind(&mut model, rules, is_partial, files, faults);
    model
}

/// The model in the making.
struct Resolver<'d, 'f> {
    faults: &'f mut Faults,
    enumerations: Vec<Enumeration>,
    enumeration_ids: HashMap<&'d str, EnumerationId>,
    roles: Vec<Role>,
    role_ids: HashMap<&'d str, RoleId>,
    /// By entity id.
    drafts: Vec<&'d EntityDraft>,
    entities: Vec<Entity>,
    entity_ids: HashMap<&'d str, EntityId>,
    /// By entity id: own members by name, and where they are declared (system attributes nowhere).
    members: Vec<HashMap<String, Option<Span>>>,
    /// Members that are declared but could not be understood: not unknown, but of no use.
    broken_members: HashMap<EntityId, HashSet<&'d str>>,
    /// By entity id: what it inherits is not known.
    rootless: Vec<bool>,
    /// Columns in use, for the search for clashes.
    columns: Vec<database::ColumnUse>,
    /// Tables of many-to-many associations, for the same.
    join_tables: Vec<(At<String>, bool)>,
}

impl<'d, 'f> Resolver<'d, 'f> {
    fn new(faults: &'f mut Faults) -> Self {
        Self {
            faults,
            enumerations: Vec::new(),
            enumeration_ids: HashMap::new(),
            roles: Vec::new(),
            role_ids: HashMap::new(),
            drafts: Vec::new(),
            entities: Vec::new(),
            entity_ids: HashMap::new(),
            members: Vec::new(),
            broken_members: HashMap::new(),
            rootless: Vec::new(),
            columns: Vec::new(),
            join_tables: Vec::new(),
        }
    }

    fn ids(&self) -> impl Iterator<Item = EntityId> + use<> {
        (0..self.entities.len()).map(entity_id)
    }

    fn entity(&self, id: EntityId) -> &Entity {
        &self.entities[id.index()]
    }

    fn enumerations(&mut self, drafts: &'d Drafts) {
        let mut places: HashMap<&str, Span> = HashMap::new();
        for draft in &drafts.enumerations {
            let name = &draft.about.name;
            check_identifier(name, NameOf::Enumeration, self.faults);
            if let Some(first) = places.get(name.value.as_str()) {
                self.faults
                    .push(duplicate("the enumeration", name, Some(*first)));
                continue;
            }
            places.insert(&name.value, name.span);
            self.enumeration_ids.insert(
                &name.value,
                EnumerationId(position(self.enumerations.len())),
            );
            let members = self.enumeration_members(name, &draft.members);
            self.enumerations.push(Enumeration {
                name: name.value.clone(),
                label: draft.about.label(),
                description: draft.about.description.clone(),
                members,
            });
        }
    }

    fn enumeration_members(
        &mut self,
        owner: &At<String>,
        drafts: &'d [Described],
    ) -> Vec<EnumerationMember> {
        if drafts.is_empty() {
            self.faults.push(
                Diagnostic::error(
                    Code::MissingKey,
                    owner.span,
                    format!("the enumeration {} has no values", owner.value),
                )
                .help("write `values = [\"First\", \"Second\"]`"),
            );
        }
        let mut places: HashMap<&str, Span> = HashMap::new();
        let mut members = Vec::with_capacity(drafts.len());
        for draft in drafts {
            check_identifier(&draft.name, NameOf::EnumerationMember, self.faults);
            match places.get(draft.name.value.as_str()) {
                Some(first) => self
                    .faults
                    .push(duplicate("the value", &draft.name, Some(*first))),
                None => {
                    places.insert(&draft.name.value, draft.name.span);
                    members.push(EnumerationMember {
                        name: draft.name.value.clone(),
                        label: draft.label(),
                        renamed_from: draft
                            .renamed_from
                            .as_ref()
                            .map(|former| former.value.clone()),
                    });
                }
            }
        }
        check_renames(drafts.iter(), |name| places.contains_key(name), self.faults);
        members
    }

    fn roles(&mut self, drafts: &'d Drafts) {
        let mut places: HashMap<&str, Span> = HashMap::new();
        for draft in &drafts.roles {
            let name = &draft.about.name;
            check_identifier(name, NameOf::Role, self.faults);
            if let Some(first) = places.get(name.value.as_str()) {
                self.faults.push(duplicate("the role", name, Some(*first)));
                continue;
            }
            places.insert(&name.value, name.span);
            self.role_ids
                .insert(&name.value, RoleId(position(self.roles.len())));
            self.roles.push(Role {
                name: name.value.clone(),
                label: draft.about.label(),
                description: draft.about.description.clone(),
            });
        }
    }

    /// The entity of a name, or a fault.
    fn find_entity(&mut self, name: &At<String>) -> Option<EntityId> {
        if let Some(id) = self.entity_ids.get(name.value.as_str()) {
            return Some(*id);
        }
        let shown: String = name.value.chars().take(60).collect();
        let diagnostic = Diagnostic::error(
            Code::UnknownEntity,
            name.span,
            format!("the model has no entity `{shown}`"),
        );
        let diagnostic = if self.enumeration_ids.contains_key(name.value.as_str()) {
            diagnostic.help(format!(
                "`{shown}` is an enumeration: declare an attribute of that type"
            ))
        } else {
            diagnostic.nearest(
                self.faults
                    .nearest(&name.value, self.entity_ids.keys().copied()),
            )
        };
        self.faults.push(diagnostic);
        None
    }

    fn finish(self, name: &str) -> Model {
        let entities_by_name = self
            .entities
            .iter()
            .map(|entity| (entity.name.clone(), entity.id))
            .collect();
        let entities_by_collection = self
            .entities
            .iter()
            .filter(|entity| entity.container.is_none())
            .map(|entity| (entity.collection.clone(), entity.id))
            .collect();
        Model {
            name: name.to_owned(),
            entities: self.entities,
            enumerations: self.enumerations,
            roles: self.roles,
            entities_by_name,
            entities_by_collection,
            user: UserModel {
                entity: EntityId(0),
                values: Vec::new(),
            },
            anonymous: None,
        }
    }
}

/// A position as an id: files are limited to a few megabytes, so there are never 2^32 of anything.
#[expect(
    clippy::cast_possible_truncation,
    reason = "bounded by the size of the files"
)]
fn position(index: usize) -> u32 {
    index as u32
}

fn entity_id(index: usize) -> EntityId {
    EntityId(position(index))
}

/// A name that is taken.
fn duplicate(what: &str, name: &At<String>, first: Option<Span>) -> Diagnostic {
    Diagnostic::error(
        Code::DuplicateName,
        name.span,
        format!("{what} `{}` is given twice", name.value),
    )
    .label("given again here")
    .related(first, "first given here")
}

/// Reports former names that are still in use, the same as the name, or given twice.
fn check_renames<'d>(
    items: impl Iterator<Item = &'d Described>,
    is_in_use: impl Fn(&str) -> bool,
    faults: &mut Faults,
) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for item in items {
        let Some(former) = &item.renamed_from else {
            continue;
        };
        let problem = if former.value == item.name.value {
            Some("is the name itself".to_owned())
        } else if is_in_use(&former.value) {
            Some("is still in use".to_owned())
        } else if seen.contains_key(former.value.as_str()) {
            Some("is already the former name of another".to_owned())
        } else {
            None
        };
        if let Some(problem) = problem {
            let first = seen.get(former.value.as_str()).copied();
            faults.push(
                Diagnostic::error(
                    Code::InvalidRename,
                    former.span,
                    format!("the former name `{}` {problem}", former.value),
                )
                .help("`renamed_from` names what this was called in an earlier release")
                .related(first, "first given here"),
            );
        }
        seen.entry(&former.value).or_insert(former.span);
    }
}
