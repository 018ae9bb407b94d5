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

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::draft::{Described, Drafts, EntityDraft};
use super::keys::{ANONYMOUS_ROLE, USER_ENTITY};
use super::names::{NameOf, check_identifier};
use crate::diagnostic::{Code, Diagnostic, SourceFile, Span};
use crate::document::{At, Faults};
use crate::model::{
    Entity, EntityId, Enumeration, EnumerationId, EnumerationMember, Model, Role, RoleId, UserModel,
};

/// What a model is made of beside its drafts.
pub(super) struct About<'a> {
    /// Namespace of the service.
    pub name: &'a str,
    /// Whether those who are not signed in have a role.
    pub anonymous: bool,
    /// The files that places are in.
    pub files: &'a [SourceFile],
    /// Which of them is the system module.
    pub system_file: usize,
}

/// Resolves drafts into a model. The model is valid only if no error was reported.
pub(super) fn resolve(about: &About<'_>, drafts: &Drafts, faults: &mut Faults) -> Model {
    let mut resolver = Resolver::new(about.system_file, faults);
    resolver.enumerations(drafts);
    resolver.roles(drafts);
    let anonymous = about.anonymous.then(|| resolver.anonymous());
    resolver.hierarchy(&drafts.entities);
    resolver.declare_members();
    resolver.attributes();
    resolver.associations();
    resolver.constraints();
    resolver.database_names();
    resolver.insertion();
    let rules = resolver.access();
    let is_partial = !resolver.broken_members.is_empty() || resolver.rootless.contains(&true);
    let mut model = resolver.finish(about.name);
    model.anonymous = anonymous;
    access::bind(&mut model, rules, is_partial, about.files, faults);
    model
}

/// The model in the making.
struct Resolver<'d, 'f> {
    faults: &'f mut Faults,
    /// File of the system module.
    system_file: usize,
    enumerations: Vec<Enumeration>,
    enumeration_ids: HashMap<&'d str, EnumerationId>,
    roles: Vec<Role>,
    role_ids: HashMap<&'d str, RoleId>,
    /// By entity id.
    drafts: Vec<&'d EntityDraft>,
    entities: Vec<Entity>,
    /// By what the files call them.
    entity_ids: HashMap<Cow<'d, str>, EntityId>,
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
    fn new(system_file: usize, faults: &'f mut Faults) -> Self {
        Self {
            faults,
            system_file,
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

    /// The role of everybody who is not signed in.
    fn anonymous(&mut self) -> RoleId {
        let id = RoleId(position(self.roles.len()));
        self.role_ids.insert(ANONYMOUS_ROLE, id);
        self.roles.push(Role {
            name: ANONYMOUS_ROLE.to_owned(),
            label: ANONYMOUS_ROLE.to_owned(),
            description: Some("Everybody who is not signed in.".to_owned()),
        });
        id
    }

    /// Whether something of the system module can be named here.
    fn is_in_system(&self, place: Span) -> bool {
        place.file() == self.system_file
    }

    /// The entity of a name, or a fault.
    fn find_entity(&mut self, name: &At<String>) -> Option<EntityId> {
        let may_be_internal = self.is_in_system(name.span);
        let found = self.entity_ids.get(name.value.as_str()).copied();
        if let Some(id) = found.filter(|id| may_be_internal || !self.entity(*id).internal) {
            return Some(id);
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
            let known = self
                .entity_ids
                .iter()
                .filter(|(_, id)| !self.entity(**id).internal)
                .map(|(known, _)| known.as_ref());
            diagnostic.nearest(self.faults.nearest(&name.value, known))
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
            .filter(|entity| entity.container.is_none() && !entity.internal)
            .map(|entity| (entity.collection.clone(), entity.id))
            .collect();
        let user = UserModel {
            // Always there, but for a system module with faults.
            entity: self
                .entity_ids
                .get(USER_ENTITY)
                .copied()
                .unwrap_or(EntityId(0)),
            values: Vec::new(),
        };
        Model {
            name: name.to_owned(),
            entities: self.entities,
            enumerations: self.enumerations,
            roles: self.roles,
            entities_by_name,
            entities_by_collection,
            user,
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
