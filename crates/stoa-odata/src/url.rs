//! A request's URL as a tree that knows no model.
//!
//! The raw path is split on `/`, then each segment is percent-decoded, then parsed, so that encoded
//! slashes, quotes and parentheses in keys mean what they should. Query options are taken with and without
//! `$` and in any case. [`crate::resolve`] gives the tree a meaning.
//!
//! Start reading at [`Url::parse`].

mod decode;
mod error;
mod expand;
mod options;
mod path;

use stoa_model::application::Limits;

pub use decode::{decode_segment, encode_value};
pub use error::{Error, ErrorKind, Place};
pub use expand::{ExpandItem, ExpandMode, SelectItem, SelectKind};
pub use options::{Levels, OptionName, Options, OrderItem};
pub use path::{Resource, Segment, SegmentKind};

/// A parsed URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Url {
    /// What the path names.
    pub resource: Resource,
    /// What the query says.
    pub options: Options,
    /// The path as it was sent, without a slash at its start.
    pub raw_path: String,
    /// The query as it was sent.
    pub raw_query: String,
}

impl Url {
    /// Parses the raw path below the service root and the raw query.
    ///
    /// # Errors
    /// Malformed, or larger than the limits allow. That something is not supported is said when it is
    /// resolved.
    pub fn parse(path: &str, query: Option<&str>, limits: &Limits) -> Result<Self, Error> {
        let length = path.len() + query.map_or(0, |query| query.len() + 1);
        if length > limits.url_bytes {
            let message = format!(
                "the URL has {length} bytes, {} are allowed",
                limits.url_bytes
            );
            return Err(Error::new(ErrorKind::TooLong, Place::Path, None, message));
        }
        let resource = path::parse(path, limits)?;
        let options = options::parse(query.unwrap_or_default(), limits)?;
        check_options(&resource, &options)?;
        Ok(Self {
            resource,
            options,
            raw_path: path.strip_prefix('/').unwrap_or(path).to_owned(),
            raw_query: query.unwrap_or_default().to_owned(),
        })
    }
}

/// Refuses options that a resource never has.
fn check_options(resource: &Resource, options: &Options) -> Result<(), Error> {
    let allowed: &[OptionName] = match resource {
        Resource::Metadata | Resource::Batch => &[OptionName::Format],
        Resource::EntityById { cast: None } => &[OptionName::Format, OptionName::Id],
        Resource::EntityById { cast: Some(_) } => &[
            OptionName::Format,
            OptionName::Id,
            OptionName::Expand,
            OptionName::Select,
        ],
        Resource::ServiceDocument
        | Resource::All { .. }
        | Resource::CrossJoin(_)
        | Resource::Path(_) => {
            return Ok(());
        }
    };
    if let Some((name, _)) = options
        .texts
        .iter()
        .find(|(name, _)| !allowed.contains(name))
    {
        let message = format!("the option ${} has no meaning here", name.as_str());
        return Err(Error::new(
            ErrorKind::Malformed,
            Place::Option(*name),
            None,
            message,
        ));
    }
    if matches!(resource, Resource::EntityById { .. }) && options.text(OptionName::Id).is_none() {
        let message = "$entity needs the option $id".to_owned();
        return Err(Error::new(ErrorKind::Malformed, Place::Path, None, message));
    }
    Ok(())
}
