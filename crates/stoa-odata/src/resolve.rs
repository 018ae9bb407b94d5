//! A parsed URL with the names of a model: what is asked for.
//!
//! 1. [`Target::new`]: the path → which rows, and what of them. The same for every method.
//! 2. [`Read::new`]: a target and the query options → a [`Query`] within the limits, with a total order.
//! 3. [`Paging`]: the nextLinks of the answer.
//!
//! ```ignore
//! let url = Url::parse(path, query, limits)?;
//! let target = Target::new(model, &url)?;
//! let read = Read::new(model, &url, &target, limits, maximum_page_size)?;
//! ```

mod page;
mod read;
mod selection;
mod target;

pub use page::Paging;
pub use read::Read;
pub use target::{Part, Target};

#[cfg(doc)]
use stoa_model::query::Query;

#[cfg(test)]
mod tests;
