//! Keys: which attributes identify a row.

use std::collections::HashMap;

use super::Resolver;
use super::members::unknown_member;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::document::At;
use crate::model::{AttributeId, EntityId, Purpose};
use crate::value::ScalarType;

impl Resolver<'_, '_> {
    pub(super) fn key(&mut self, id: EntityId) {
        let draft = self.drafts[id.index()];
        let Some(given) = &draft.key else {
            if self.entity(id).table.external {
                self.faults.push(
                    Diagnostic::error(
                        Code::External,
                        draft.about.name.span,
                        format!(
                            "the external entity {} has no `key`",
                            draft.about.name.value
                        ),
                    )
                    .help("name the attributes of the table's primary key: `key = [\"Code\"]`"),
                );
            } else {
                self.entities[id.index()].key = vec![AttributeId(0)];
            }
            return;
        };
        if given.value.is_empty() {
            self.faults.push(
                Diagnostic::error(Code::InvalidKey, given.span, "the key names no attribute")
                    .help("name at least one, or leave out `key` for a generated `id`"),
            );
        }
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for name in &given.value {
            if let Some(first) = seen.insert(&name.value, name.span) {
                self.faults.push(
                    Diagnostic::error(
                        Code::InvalidKey,
                        name.span,
                        format!("`{}` is twice in the key", name.value),
                    )
                    .related(Some(first), "first given here"),
                );
                continue;
            }
            let Some(attribute) = self.entity(id).attributes_by_name.get(&name.value).copied()
            else {
                self.unknown_key_attribute(id, name);
                continue;
            };
            self.check_key_attribute(id, attribute, name);
            let entity = &mut self.entities[id.index()];
            entity.attributes[attribute.index()].required = true;
            entity.key.push(attribute);
        }
    }

    fn unknown_key_attribute(&mut self, id: EntityId, name: &At<String>) {
        let draft = self.drafts[id.index()];
        if draft
            .associations
            .iter()
            .any(|association| association.about.name.value == name.value)
        {
            self.faults.push(
                Diagnostic::error(Code::InvalidKey, name.span, format!("`{}` is an association: a key has attributes only", name.value))
                    .help(format!(
                        "declare an attribute for its column, name that in the key, and say `foreign_key = [\"…\"]` at `{}`",
                        name.value
                    )),
            );
        } else if !self.is_broken(id, &name.value) {
            let own = draft
                .attributes
                .iter()
                .map(|attribute| attribute.about.name.value.as_str());
            let diagnostic = unknown_member(name, &draft.about.name.value)
                .nearest(self.faults.nearest(&name.value, own));
            self.faults.push(diagnostic);
        }
    }

    fn check_key_attribute(&mut self, id: EntityId, attribute: AttributeId, name: &At<String>) {
        let draft = self.drafts[id.index()]
            .attributes
            .iter()
            .find(|draft| draft.about.name.value == name.value);
        let attribute = &self.entity(id).attributes[attribute.index()];
        let (purpose, scalar_type) = (attribute.purpose, attribute.scalar_type);
        if matches!(purpose, Purpose::CreatedAt | Purpose::ChangedAt) {
            self.faults.push(
                Diagnostic::error(
                    Code::InvalidKey,
                    name.span,
                    format!("`{}` cannot be part of a key", name.value),
                )
                .help("name attributes of the entity's own"),
            );
        }
        if matches!(
            scalar_type,
            ScalarType::Binary | ScalarType::File | ScalarType::Json
        ) {
            self.faults.push(
                Diagnostic::error(
                    Code::InvalidKey,
                    name.span,
                    format!(
                        "an attribute of type {} cannot be part of a key",
                        draft.map_or("", |draft| &draft.type_name.value)
                    ),
                )
                .related(draft.map(|draft| draft.type_name.span), "the type"),
            );
        }
        if let Some(required) = draft
            .and_then(|draft| draft.required.as_ref())
            .filter(|required| !required.value)
        {
            self.faults.push(
                Diagnostic::error(
                    Code::Contradiction,
                    required.span,
                    format!("`{}` is part of the key and never null", name.value),
                )
                .help("leave `required` out")
                .related(Some(name.span), "part of the key"),
            );
        }
    }
}
