//! One provider: its description and keys, fetched when they are needed and kept for a while.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::http::Request;
use openidconnect::{IssuerUrl, JsonWebKeySet, ProviderMetadataWithLogout};
use tokio::sync::Mutex;

use super::SingleSignOnError;
use super::outgoing::{Outgoing, OutgoingError};
use super::settings::ProviderSettings;

/// How long a description and keys are used without a look at newer ones.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// How long they are used while the provider does not answer.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// After how long a provider that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(5);
/// How often an unknown key is a reason to look for newer ones: anybody can name a key.
const UNKNOWN_KEY: Duration = Duration::from_secs(30);

/// What a provider says of itself.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) metadata: ProviderMetadataWithLogout,
    pub(super) keys: CoreJsonWebKeySet,
    at: Instant,
}

/// When the provider was asked last, and in vain or for a key that was not known.
#[derive(Debug, Default)]
struct Asked {
    in_vain: Option<Instant>,
    for_key: Option<Instant>,
}

/// A provider that people sign in with.
#[derive(Debug)]
pub struct Provider {
    pub(super) settings: ProviderSettings,
    pub(super) outgoing: Outgoing,
    known: RwLock<Option<Arc<Known>>>,
    /// One request at a time.
    asked: Mutex<Asked>,
}

impl Provider {
    pub(super) fn new(settings: ProviderSettings) -> Result<Self, SingleSignOnError> {
        let outgoing = Outgoing::new(&settings.issuer, settings.timeout)
            .map_err(|error| SingleSignOnError::Unavailable(error.to_string()))?;
        Ok(Self {
            settings,
            outgoing,
            known: RwLock::default(),
            asked: Mutex::default(),
        })
    }

    /// How the site sees it.
    #[must_use]
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    fn current(&self) -> Option<Arc<Known>> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        let mut place = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::clone(&known));
        known
    }

    /// What the provider says of itself, fetched if need be.
    pub(super) async fn known(&self) -> Result<Arc<Known>, SingleSignOnError> {
        let fresh = |known: &Arc<Known>| known.at.elapsed() < FRESH;
        if let Some(known) = self.current().filter(fresh) {
            return Ok(known);
        }
        let mut asked = self.asked.lock().await;
        let current = self.current();
        if let Some(known) = current.clone().filter(fresh) {
            return Ok(known);
        }
        let was_in_vain = asked.in_vain.is_some_and(|at| at.elapsed() < RETRY);
        let fetched = if was_in_vain {
            Err(SingleSignOnError::Unavailable(
                "the provider did not answer a moment ago".to_owned(),
            ))
        } else {
            self.discover().await
        };
        match (fetched, current) {
            (Ok(known), _) => {
                asked.in_vain = None;
                Ok(self.remember(known))
            }
            (Err(error), Some(old)) if old.at.elapsed() < STALE => {
                tracing::warn!(provider = self.settings.name, %error, "the provider's old description is used");
                asked.in_vain.get_or_insert_with(Instant::now);
                if !was_in_vain {
                    asked.in_vain = Some(Instant::now());
                }
                Ok(old)
            }
            (Err(error), _) => {
                if !was_in_vain {
                    asked.in_vain = Some(Instant::now());
                }
                Err(error)
            }
        }
    }

    /// Newer keys than those in which a key was not found; none if there are none.
    pub(super) async fn newer(&self, than: &Arc<Known>) -> Option<Arc<Known>> {
        let mut asked = self.asked.lock().await;
        if let Some(current) = self.current()
            && !Arc::ptr_eq(&current, than)
        {
            return Some(current);
        }
        if asked.for_key.is_some_and(|at| at.elapsed() < UNKNOWN_KEY) {
            return None;
        }
        asked.for_key = Some(Instant::now());
        match JsonWebKeySet::fetch_async(than.metadata.jwks_uri(), &self.outgoing).await {
            Ok(keys) => {
                tracing::info!(
                    provider = self.settings.name,
                    "the provider's keys are fetched anew"
                );
                Some(self.remember(Known {
                    metadata: than.metadata.clone(),
                    keys,
                    at: than.at,
                }))
            }
            Err(error) => {
                let error = explain(&error);
                tracing::warn!(provider = self.settings.name, %error, "the provider's keys cannot be fetched");
                None
            }
        }
    }

    async fn discover(&self) -> Result<Known, SingleSignOnError> {
        let unavailable = |reason: String| SingleSignOnError::Unavailable(reason);
        let issuer = IssuerUrl::new(self.settings.issuer.clone())
            .map_err(|error| unavailable(error.to_string()))?;
        let metadata = ProviderMetadataWithLogout::discover_async(issuer, &self.outgoing)
            .await
            .map_err(|error| unavailable(explain(&error)))?;
        let named = [
            Some(metadata.authorization_endpoint().url()),
            metadata.token_endpoint().map(|endpoint| endpoint.url()),
            metadata.userinfo_endpoint().map(|endpoint| endpoint.url()),
            metadata
                .additional_metadata()
                .end_session_endpoint
                .as_ref()
                .map(|endpoint| endpoint.url()),
        ];
        if let Some(bad) = named
            .into_iter()
            .flatten()
            .find(|url| !self.outgoing.may_ask(url))
        {
            return Err(unavailable(format!(
                "the provider names the address {bad}, which is not reached by https"
            )));
        }
        Ok(Known {
            keys: metadata.jwks().clone(),
            metadata,
            at: Instant::now(),
        })
    }

    /// Claims of the user info endpoint, if the provider has one.
    pub(super) async fn user_info(
        &self,
        known: &Known,
        access_token: &str,
        subject: &str,
    ) -> Option<serde_json::Value> {
        let endpoint = known.metadata.userinfo_endpoint()?;
        let request = Request::builder()
            .uri(endpoint.as_str())
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {access_token}"))
            .body(Vec::new())
            .ok()?;
        let answer = match self.outgoing.ask(request).await {
            Ok(answer) if answer.status().is_success() => answer,
            Ok(answer) => {
                tracing::warn!(provider = self.settings.name, status = %answer.status(), "the provider gives no user info");
                return None;
            }
            Err(error) => {
                tracing::warn!(provider = self.settings.name, %error, "the provider gives no user info");
                return None;
            }
        };
        let claims: serde_json::Value = serde_json::from_slice(answer.body()).ok()?;
        // The answer for another token would be about somebody else.
        (claims.get("sub")?.as_str()? == subject).then_some(claims)
    }
}

/// Signatures that are accepted: asymmetric ones of today.
pub(super) fn algorithms() -> [CoreJwsSigningAlgorithm; 4] {
    [
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        CoreJwsSigningAlgorithm::RsaSsaPssSha256,
        CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        CoreJwsSigningAlgorithm::EdDsa,
    ]
}

/// Keys that may have signed something with a key id, or without one.
pub(super) fn candidates<'a>(
    keys: &'a CoreJsonWebKeySet,
    id: Option<&'a str>,
) -> impl Iterator<Item = &'a CoreJsonWebKey> {
    use openidconnect::JsonWebKey as _;
    keys.keys().iter().filter(move |key| match id {
        Some(id) => key.key_id().is_some_and(|own| own.as_str() == id),
        None => true,
    })
}

/// What went wrong, without what the provider answered: it may hold secrets.
fn explain(error: &openidconnect::DiscoveryError<OutgoingError>) -> String {
    use openidconnect::DiscoveryError as E;
    match error {
        E::Request(error) => error.to_string(),
        E::Response(status, _, reason) => format!("answered {status}: {reason}"),
        E::Parse(error) => format!("the answer cannot be understood: {error}"),
        other => other.to_string(),
    }
}
