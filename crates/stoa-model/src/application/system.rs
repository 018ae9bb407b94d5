//! The system module: users, and what the runtime keeps for itself. Part of every model.

use toml::de::DeTable;

use super::draft::{self, Drafts, EntityDraft};
use super::keys::{SYSTEM_PREFIX, USER_ENTITY};
use crate::diagnostic::{Code, Diagnostic, SourceFile};
use crate::document::{At, Faults};
use crate::model::SYSTEM_NAMES;

/// Name of the entity of users in the service.
pub(super) const USER: &str = "SystemUser";

/// The module's text, so that places in it can be shown.
pub(super) fn source() -> SourceFile {
    SourceFile::new(
        "stoa:system.toml".to_owned(),
        include_str!("system.toml").to_owned(),
    )
}

/// Adds the system's entities behind those of the application, and what the application says about users.
pub(super) fn add(source: &SourceFile, file: usize, drafts: &mut Drafts, faults: &mut Faults) {
    // The text is our own; that it has no fault is tested.
    let (table, errors) = DeTable::parse_recoverable(source.text());
    debug_assert!(errors.is_empty(), "{errors:?}");
    let mut system = Drafts::default();
    draft::read(table.get_ref(), file, &mut system);
    for mut entity in system.entities {
        if entity.about.name.value == USER {
            add_to_user(&mut entity, std::mem::take(&mut drafts.user), faults);
        }
        drafts.entities.push(entity);
    }
}

/// Several files may give rules about users, each its own; other things are said once.
fn add_to_user(user: &mut EntityDraft, given: Vec<EntityDraft>, faults: &mut Faults) {
    let mut audit: Option<At<bool>> = None;
    let mut described = [None, None];
    for draft in given {
        let name = &draft.about.name;
        let texts = [
            ("label", draft.about.label, &mut user.about.label),
            (
                "description",
                draft.about.description,
                &mut user.about.description,
            ),
        ];
        for ((key, text, place), first) in texts.into_iter().zip(&mut described) {
            let Some(text) = text else { continue };
            *place = Some(text);
            if let Some(first) = first.replace(name.span) {
                faults.push(
                    Diagnostic::error(
                        Code::DuplicateName,
                        name.span,
                        format!("the {key} of {USER_ENTITY} is given twice"),
                    )
                    .related(Some(first), "first given here"),
                );
            }
        }
        user.access.extend(draft.access);
        audit = audit.or(draft.audit);
    }
    user.audit = audit;
}

/// What the files of a model call a system's entity.
pub(super) fn reference(name: &str) -> String {
    name.strip_prefix(SYSTEM_NAMES)
        .map_or_else(|| name.to_owned(), |rest| format!("{SYSTEM_PREFIX}{rest}"))
}
