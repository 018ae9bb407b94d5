//! Violations tell no names that the reader does not know.

use crate::change::{Action, Change, Rule, Violation};
use crate::model::{EntityId, Model};

/// `view` is the model as the reader sees it.
pub(super) fn redact(view: &Model, change: &Change, violation: Violation) -> Violation {
    let entities = change
        .operations
        .get(violation.operation)
        .map(|operation| entities(view, &operation.action))
        .unwrap_or_default();
    let is_known = |name: &String| {
        entities.iter().any(|entity| {
            let entity = &view[*entity];
            entity.attributes_by_name.contains_key(name)
                || entity.navigations_by_name.contains_key(name)
        })
    };
    let or_nothing = |name: String| if is_known(&name) { name } else { String::new() };
    let rule = match violation.rule {
        Rule::Unique { mut members } => {
            members.retain(is_known);
            Rule::Unique { members }
        }
        Rule::ReferenceMissing { navigation } => Rule::ReferenceMissing {
            navigation: or_nothing(navigation),
        },
        Rule::Required { member } => Rule::Required {
            member: or_nothing(member),
        },
        Rule::Check { member } => Rule::Check {
            member: or_nothing(member),
        },
        Rule::ReferencedBy { entity, navigation } => match view.entities_by_name.get(&entity) {
            None => Rule::ReferencedBy {
                entity: String::new(),
                navigation: String::new(),
            },
            Some(id) if view[*id].navigations_by_name.contains_key(&navigation) => {
                Rule::ReferencedBy { entity, navigation }
            }
            // As where the navigation has no name.
            Some(_) => Rule::ReferencedBy {
                navigation: entity.clone(),
                entity,
            },
        },
    };
    Violation { rule, ..violation }
}

/// Entities whose rows an operation touches.
fn entities(view: &Model, action: &Action) -> Vec<EntityId> {
    let (entity, other) = match action {
        Action::Insert { entity, .. }
        | Action::Update { entity, .. }
        | Action::Upsert { entity, .. }
        | Action::Delete { entity, .. } => (*entity, None),
        Action::Retain {
            entity, navigation, ..
        }
        | Action::Link {
            entity, navigation, ..
        }
        | Action::Unlink {
            entity, navigation, ..
        } => (*entity, Some(view[*entity][*navigation].target)),
    };
    // The row may be of a specialisation.
    let root = |entity: EntityId| view[entity].root;
    view.entities
        .iter()
        .filter(|known| {
            known.root == root(entity) || other.is_some_and(|id| known.root == root(id))
        })
        .map(|known| known.id)
        .collect()
}
