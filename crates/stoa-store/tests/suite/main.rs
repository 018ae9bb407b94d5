//! One suite, two databases, the same answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[macro_use]
mod macros {
    /// The same test on both databases.
    macro_rules! on_both {
        ($(async fn $name:ident($database:ident: &Database) -> Result<()> $body:block)*) => {
            $(mod $name {
                use super::*;
                async fn test($database: &Database) -> Result<()> $body
                #[tokio::test]
                async fn sqlite() -> Result<()> {
                    test(&Database::sqlite().await?).await
                }
                #[tokio::test]
                async fn postgres() -> Result<()> {
                    test(&Database::postgres().await?).await
                }
            })*
        };
    }
}

mod connections;
mod database;
mod expressions;
mod judged;
mod northwind;
mod random;
mod reading;
mod recorder;
mod rows;
