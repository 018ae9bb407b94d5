//! URLs in bodies (`@odata.bind`, `@odata.id`): absolute, or relative to the service root.

use stoa_model::application::Limits;
use stoa_model::change::Target;
use stoa_model::model::{EntityId, Model};

use super::builder::example;
use super::faults::shown;
use crate::resolve;

/// The row that a URL means; it must be of the hierarchy of `wanted`.
///
/// # Errors
/// What is wrong with the URL, for people.
pub(super) fn parse(
    model: &Model,
    root: &str,
    limits: &Limits,
    url: &str,
    wanted: EntityId,
) -> Result<Target, String> {
    let found = resolve::Target::of_reference(model, root, url, limits).map_err(|error| {
        format!(
            "'{}' is not the URL of a row like {}: {error}",
            shown(url),
            example(model, wanted)
        )
    })?;
    if model[found.entity].root != model[wanted].root {
        let wanted = if model.is_known(wanted) {
            model[wanted].name.as_str()
        } else {
            "another"
        };
        return Err(format!(
            "'{}' is of type {}, but {wanted} is wanted",
            shown(url),
            model[found.entity].name,
        ));
    }
    Ok(super::target_of(&found.source))
}
