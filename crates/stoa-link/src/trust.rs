//! Certificates of the links: who may be what to whom.
//!
//! A site has a small authority of its own. It issues one certificate for each server, which names the server, the
//! environments that it may serve, and by its extended key usage which side of a link it may be: a web server
//! accepts (server authentication only), an app server dials (client authentication only). So neither can pose as
//! the other, and the handshake itself refuses whoever tries.
//!
//! Invariants: TLS 1.3 only, certificates on both sides, no resumption (it would skip the check of a certificate
//! that has expired since); a private key is never shown, and written for its owner only.
//!
//! Start reading at [`Trust`], which a running server holds, or at [`Authority`], which `stoa trust` uses.

mod authority;
mod error;
mod files;
mod identity;
mod names;
mod reload;
#[cfg(test)]
mod tests;

pub use authority::{Authority, Issued};
pub use error::TrustError;
pub use files::{certificates, make_folder, private_key, write_private};
pub use identity::{LinkIdentity, peer, server_name};
pub use names::{Description, Names, Roles, describe, is_label, names};
pub use reload::{Files, Trust};

/// Protocol that both sides of a link name in the handshake.
pub const PROTOCOL: &[u8] = b"stoa/1";

/// End of the name of a server in its certificate.
const SERVER_SUFFIX: &str = ".server.stoa";
/// End of the name of an environment in an app server's certificate.
const ENVIRONMENT_SUFFIX: &str = ".environment.stoa";
