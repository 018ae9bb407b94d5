//! Single sign-on: people whom an OpenID provider knows.
//!
//! Owns: the settings file that names providers ([`settings`]), their descriptions and keys ([`Provider`]),
//! the way of a sign-in there and back, what claims mean, access tokens for the data service.
//!
//! Does not own: users and sessions (`identity`), pages and cookies (`pages`).
//!
//! Invariants:
//! - Nothing that a provider says counts before its signature, issuer, audience, time and nonce are judged.
//! - Requests go to where the settings and the provider's description say, with TLS, and never follow a
//!   redirect.
//! - No secret and no token is ever logged.
//!
//! Start reading at `flow`.

mod access_token;
mod claims;
pub(crate) mod flow;
mod outgoing;
mod provider;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

pub use provider::Provider;
pub use settings::Settings;

/// Valid access tokens kept in memory.
const TOKENS: u64 = 10_000;
/// How long a token's judgement is kept: keys may be withdrawn.
const JUDGED: Duration = Duration::from_secs(5 * 60);

/// Why somebody could not sign in with a provider.
#[derive(Debug, thiserror::Error)]
pub enum SingleSignOnError {
    /// The provider does not answer, or not with what it should.
    #[error("the provider cannot be used: {0}")]
    Unavailable(String),
    /// The provider does not let them in.
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// What the provider says is not valid.
    #[error("what the provider says is not valid: {0}")]
    Invalid(String),
}

/// The providers of an environment.
#[derive(Debug)]
pub struct SingleSignOn {
    providers: Vec<Provider>,
    tokens: moka::sync::Cache<[u8; 32], access_token::Valid>,
}

impl SingleSignOn {
    /// Makes ready. No provider is asked yet.
    ///
    /// # Errors
    /// The machine's certificates cannot be used.
    pub fn new(settings: Settings) -> Result<Arc<Self>, SingleSignOnError> {
        let providers = settings
            .providers
            .into_iter()
            .map(Provider::new)
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            providers,
            tokens: moka::sync::Cache::builder()
                .max_capacity(TOKENS)
                .time_to_live(JUDGED)
                .build(),
        }))
    }

    /// All providers, in the order of the settings.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// A provider by its name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers
            .iter()
            .find(|provider| provider.settings().name == name)
    }

    /// Whether access tokens of any provider are accepted: then
    /// [`crate::identity::Identity::accept_access_tokens`] is to be called.
    #[must_use]
    pub fn accepts_access_tokens(&self) -> bool {
        self.providers
            .iter()
            .any(|provider| !provider.settings().api_audience.is_empty())
    }
}
