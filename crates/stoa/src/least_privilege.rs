//! Whether the database user that serves requests may do more than that.

use stoa_store::Store;

/// Warns in one line if the database user may do more than serving requests needs.
pub(crate) async fn warn(store: &Store) {
    match stoa_schema::excess(store).await {
        Ok(excess) if excess.is_empty() => {}
        Ok(excess) => tracing::warn!(
            "the database user {}: whoever takes over this server could do that, too; `stoa db init` makes a user \
             for `stoa run` who can only read and write rows",
            excess.join(", ")
        ),
        // The database has just been used: whatever it is will show.
        Err(error) => tracing::debug!(
            error = &error as &dyn std::error::Error,
            "cannot see what the database user may do"
        ),
    }
}
