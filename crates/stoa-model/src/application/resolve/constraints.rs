//! Unique constraints and indexes.

use super::Resolver;
use crate::application::draft::EntityDraft;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::document::At;
use crate::model::{EntityId, IndexDefinition, Member, Storage, Unique};
use crate::value::ScalarType;

/// Most members of one constraint or index (PostgreSQL's limit of columns).
const MEMBERS: usize = 32;
/// Most constraints, and most indexes, of one entity.
const LISTS: usize = 100;
/// Ending of a descending member of an index.
const DESCENDING: &str = " desc";
/// Ending of an ascending member, which is the default.
const ASCENDING: &str = " asc";

impl<'d> Resolver<'d, '_> {
    pub(super) fn constraints(&mut self) {
        for id in self.ids() {
            let draft = self.drafts[id.index()];
            self.single_uniques(id, draft);
            self.uniques(id, draft);
            self.indexes(id, draft);
        }
    }

    fn single_uniques(&mut self, id: EntityId, draft: &'d EntityDraft) {
        for attribute in &draft.attributes {
            let Some(unique) = attribute.unique.as_ref().filter(|unique| unique.value) else {
                continue;
            };
            let Some(found) = self
                .entity(id)
                .attributes_by_name
                .get(&attribute.about.name.value)
            else {
                continue;
            };
            let member = Member::Attribute(*found);
            let entity = self.entity(id);
            if entity.key.len() == 1 && entity.key[0] == *found {
                self.faults.push(
                    Diagnostic::warning(Code::Repeated, unique.span, "the key is unique anyway")
                        .help("leave `unique` out"),
                );
                continue;
            }
            if self.check_indexable(id, member, &attribute.about.name) {
                self.entities[id.index()].uniques.push(Unique {
                    members: vec![member],
                });
            }
        }
    }

    fn uniques(&mut self, id: EntityId, draft: &'d EntityDraft) {
        let mut seen: Vec<(Vec<Member>, Span)> = Vec::new();
        self.check_number(&draft.unique);
        for list in draft.unique.iter().take(LISTS) {
            let members = self.member_list(id, list, false);
            let Some(members) = members else { continue };
            let members: Vec<Member> = members.into_iter().map(|(member, _)| member).collect();
            let first = seen
                .iter()
                .find(|(other, _)| *other == members)
                .map(|(_, span)| *span);
            let is_known = self
                .entity(id)
                .uniques
                .iter()
                .any(|unique| unique.members == members);
            if first.is_some() || is_known {
                self.faults.push(
                    Diagnostic::error(
                        Code::Repeated,
                        list.span,
                        "the unique constraint is given twice",
                    )
                    .help("leave it out")
                    .related(first, "first given here"),
                );
                continue;
            }
            seen.push((members.clone(), list.span));
            self.entities[id.index()].uniques.push(Unique { members });
        }
    }

    fn indexes(&mut self, id: EntityId, draft: &'d EntityDraft) {
        let mut seen: Vec<(Vec<(Member, bool)>, Span)> = Vec::new();
        self.check_number(&draft.index);
        for list in draft.index.iter().take(LISTS) {
            if self.entity(id).table.external {
                self.faults.push(
                    Diagnostic::error(
                        Code::External,
                        list.span,
                        "an external entity cannot have indexes",
                    )
                    .help("its table belongs to somebody else: leave it out"),
                );
                continue;
            }
            let Some(members) = self.member_list(id, list, true) else {
                continue;
            };
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == members) {
                self.faults.push(
                    Diagnostic::error(Code::Repeated, list.span, "the index is given twice")
                        .help("leave it out")
                        .related(Some(*first), "first given here"),
                );
                continue;
            }
            if self.is_foreign_key(id, &members) {
                self.faults.push(
                    Diagnostic::warning(
                        Code::Repeated,
                        list.span,
                        "the columns of an association are indexed anyway",
                    )
                    .help("leave it out"),
                );
                continue;
            }
            seen.push((members.clone(), list.span));
            self.entities[id.index()]
                .indexes
                .push(IndexDefinition { members });
        }
    }

    fn check_number(&mut self, lists: &[At<Vec<At<String>>>]) {
        if let Some(first) = lists.get(LISTS) {
            self.faults.push(
                Diagnostic::error(Code::TooMany, first.span, "too many constraints or indexes")
                    .help(format!(
                        "at most {LISTS} of each are possible for one entity"
                    )),
            );
        }
    }

    /// Whether members are just the columns of a to-one association, which are indexed anyway.
    fn is_foreign_key(&self, id: EntityId, members: &[(Member, bool)]) -> bool {
        if let [(Member::Navigation(_), false)] = members {
            return true;
        }
        self.entity(id)
            .navigations
            .iter()
            .any(|navigation| match &navigation.storage {
                Storage::Own(columns) => {
                    columns.len() == members.len()
                        && columns
                            .iter()
                            .zip(members)
                            .all(|(column, (member, descending))| {
                                !descending
                                    && column.attribute.map(Member::Attribute) == Some(*member)
                            })
                }
                Storage::Target(_) | Storage::Join { .. } => false,
            })
    }

    /// Members of a list, true for descending; none if one of them is at fault.
    fn member_list(
        &mut self,
        id: EntityId,
        list: &At<Vec<At<String>>>,
        directions: bool,
    ) -> Option<Vec<(Member, bool)>> {
        if list.value.is_empty() || list.value.len() > MEMBERS {
            let problem = if list.value.is_empty() {
                "the list is empty"
            } else {
                "the list is too long"
            };
            self.faults.push(
                Diagnostic::error(Code::OutOfRange, list.span, problem)
                    .help(format!("name 1 to {MEMBERS} members")),
            );
            return None;
        }
        let mut members: Vec<(Member, bool)> = Vec::with_capacity(list.value.len());
        let mut is_sound = true;
        for written in &list.value {
            let (name, descending) = if directions {
                direction(written)
            } else {
                (written.clone(), false)
            };
            let Some(member) = self.find_member(id, &name) else {
                is_sound = false;
                continue;
            };
            is_sound &= self.check_indexable(id, member, &name);
            if members.iter().any(|(other, _)| *other == member) {
                self.faults.push(
                    Diagnostic::error(
                        Code::Repeated,
                        name.span,
                        format!("`{}` is twice in the list", name.value),
                    )
                    .help("leave it out once"),
                );
                is_sound = false;
            }
            members.push((member, descending));
        }
        is_sound.then_some(members)
    }

    fn check_indexable(&mut self, id: EntityId, member: Member, name: &At<String>) -> bool {
        let entity = self.entity(id);
        let problem = match member {
            Member::Attribute(attribute) => {
                match entity.attributes[attribute.index()].scalar_type {
                    ScalarType::File => Some("a File"),
                    ScalarType::Json => Some("a Json"),
                    // Digests of secrets are found by their value.
                    ScalarType::Binary if !self.is_in_system(name.span) => Some("a Binary"),
                    _ => None,
                }
            }
            Member::Navigation(navigation) => {
                match entity.navigations[navigation.index()].storage {
                    Storage::Own(_) => None,
                    Storage::Target(_) | Storage::Join { .. } => Some("kept in another table"),
                }
            }
        };
        let Some(problem) = problem else { return true };
        self.faults.push(
            Diagnostic::error(Code::NotIndexable, name.span, format!("`{}` is {problem} and cannot be indexed or unique", name.value))
                .help("use attributes with values that can be compared, and to-one associations kept in this entity's table"),
        );
        false
    }
}

fn direction(written: &At<String>) -> (At<String>, bool) {
    let text = written.value.as_str();
    let (name, descending) = match (text.strip_suffix(DESCENDING), text.strip_suffix(ASCENDING)) {
        (Some(name), _) => (name, true),
        (None, Some(name)) => (name, false),
        (None, None) => (text, false),
    };
    (
        At {
            value: name.trim_end().to_owned(),
            span: written.span,
        },
        descending,
    )
}
