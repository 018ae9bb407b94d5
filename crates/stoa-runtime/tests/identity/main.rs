//! People and programs, on both databases: who is let in, and that nobody stays in who should be out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[macro_use]
mod macros {
    /// Each test on SQLite and on PostgreSQL.
    macro_rules! on_both {
        ($($(#[$attribute:meta])* async fn $name:ident($site:ident: &Site) $body:block)*) => {
            $(mod $name {
                use super::*;
                async fn test($site: &Site) $body
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn sqlite() {
                    test(&Site::sqlite().await).await;
                }
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn postgres() {
                    test(&Site::postgres().await).await;
                }
            })*
        };
    }
}

mod administrators;
mod audit;
mod external;
mod sessions;
mod sign_in;
mod site;
mod tokens;
mod users;
