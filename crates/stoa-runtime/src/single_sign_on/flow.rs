//! Signing in with a provider: away to it with a question, back with a code, and the code for an identity.
//!
//! What must be known when somebody comes back is in a cookie of theirs, sealed with a key that every
//! instance derives from the settings: any instance can finish what another one began.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenVerifier,
};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, EndpointNotSet, EndpointSet, LogoutRequest, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, RedirectUrl, RequestTokenError,
    Scope, SignatureVerificationError, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use super::SingleSignOnError;
use super::claims;
use super::provider::{Known, Provider, algorithms};
use crate::identity::external::ExternalIdentity;

/// How long somebody may take at the provider.
pub(crate) const SECONDS: u32 = 15 * 60;
/// How old a token may be that comes right from the provider.
const TOKEN_AGE: TimeDelta = TimeDelta::minutes(10);
/// Longest ID token that is kept for the sign-out.
const ID_TOKEN_BYTES: usize = 16_000;
/// Longest path to go on to that fits into a cookie with the rest.
const RETURN_BYTES: usize = 1024;
const PURPOSE: &[u8] = b"stoa sign-in flow 1";

/// A sign-in under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    #[serde(rename = "p")]
    pub(crate) provider: String,
    #[serde(rename = "s")]
    pub(crate) state: String,
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "v")]
    verifier: String,
    /// Where to go on to.
    #[serde(rename = "r")]
    pub(crate) return_to: String,
    /// To the pages of administrators.
    #[serde(rename = "a")]
    pub(crate) is_administrator: bool,
    #[serde(rename = "e")]
    expires: u64,
}

/// Somebody has to go to the provider.
pub(crate) struct Start {
    /// Its address with the question.
    pub(crate) address: String,
    /// What must be known afterwards.
    pub(crate) flow: Flow,
    /// The same for a cookie.
    pub(crate) sealed: String,
}

/// Who came back.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) identity: ExternalIdentity,
    /// The claims make an administrator of the site.
    pub(crate) is_administrator: bool,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

impl Provider {
    /// Begins a sign-in. `redirect` is where the provider sends people back to.
    pub(crate) async fn start(
        &self,
        redirect: String,
        return_to: &str,
        is_administrator: bool,
    ) -> Result<Start, SingleSignOnError> {
        let known = self.known().await?;
        let client = self.client(&known, redirect)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge);
        for scope in self
            .settings
            .scopes
            .iter()
            .filter(|scope| *scope != "openid")
        {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (address, state, nonce) = request.url();
        let flow = Flow {
            provider: self.settings.name.clone(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            return_to: if return_to.len() <= RETURN_BYTES {
                return_to.to_owned()
            } else {
                String::new()
            },
            is_administrator,
            expires: now() + u64::from(SECONDS),
        };
        Ok(Start {
            address: address.into(),
            sealed: self.seal(&flow)?,
            flow,
        })
    }

    fn seal(&self, flow: &Flow) -> Result<String, SingleSignOnError> {
        let text = serde_json::to_vec(flow)
            .map_err(|error| SingleSignOnError::Invalid(error.to_string()))?;
        let hash = self.sealing(&text)?.finalize().into_bytes();
        Ok(format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(text),
            BASE64_URL_SAFE_NO_PAD.encode(hash)
        ))
    }

    /// What a cookie holds, if this provider's settings made it and it is not too old.
    pub(crate) fn open(&self, sealed: &str) -> Option<Flow> {
        let (text, hash) = sealed.split_once('.')?;
        let text = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let hash = BASE64_URL_SAFE_NO_PAD.decode(hash).ok()?;
        self.sealing(&text).ok()?.verify_slice(&hash).ok()?;
        let flow: Flow = serde_json::from_slice(&text).ok()?;
        (flow.expires > now() && flow.provider == self.settings.name).then_some(flow)
    }

    /// The same key on every instance: it follows from the settings. (Of a public client it is no secret;
    /// then the cookie's own prefix is what keeps others from setting it.)
    fn sealing(&self, text: &[u8]) -> Result<Hmac<Sha256>, SingleSignOnError> {
        let settings = &self.settings;
        let secret = settings
            .client_secret
            .as_ref()
            .map_or("", |secret| secret.expose());
        let mut key = PURPOSE.to_vec();
        for part in [&settings.issuer, &settings.client_id, secret] {
            key.extend_from_slice(&(part.len() as u64).to_be_bytes());
            key.extend_from_slice(part.as_bytes());
        }
        let mut hash = Hmac::<Sha256>::new_from_slice(&key)
            .map_err(|error| SingleSignOnError::Invalid(error.to_string()))?;
        hash.update(text);
        Ok(hash)
    }

    /// Exchanges the code for who somebody is.
    pub(crate) async fn finish(
        &self,
        flow: &Flow,
        code: &str,
        redirect: String,
    ) -> Result<Arrived, SingleSignOnError> {
        let known = self.known().await?;
        let client = self.client(&known, redirect)?;
        let tokens = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| SingleSignOnError::Unavailable(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone()))
            .request_async(&self.outgoing)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(error) => {
                    SingleSignOnError::Unavailable(error.to_string())
                }
                RequestTokenError::ServerResponse(answer) => {
                    SingleSignOnError::Refused(answer.error().to_string())
                }
                RequestTokenError::Parse(error, _) => {
                    SingleSignOnError::Invalid(format!("the answer cannot be understood: {error}"))
                }
                RequestTokenError::Other(reason) => SingleSignOnError::Invalid(reason),
            })?;
        let token = tokens
            .id_token()
            .ok_or_else(|| SingleSignOnError::Invalid("there is no ID token".to_owned()))?;
        let nonce = Nonce::new(flow.nonce.clone());
        let known = self
            .check(known, token, &nonce, tokens.access_token())
            .await?;
        let text = token.to_string();
        let mut claims = payload(&text)
            .ok_or_else(|| SingleSignOnError::Invalid("the ID token has no claims".to_owned()))?;
        if claims::are_missing(&claims, &self.settings) {
            let subject = claims["sub"].as_str().unwrap_or_default().to_owned();
            let access = tokens.access_token().secret();
            if let Some(more) = self.user_info(&known, access, &subject).await {
                claims::complete(&mut claims, more);
            }
        }
        let id_token = (text.len() <= ID_TOKEN_BYTES).then_some(text);
        let identity = claims::identity(&claims, &self.settings, id_token)
            .ok_or_else(|| SingleSignOnError::Invalid("the ID token names nobody".to_owned()))?;
        Ok(Arrived {
            is_administrator: claims::is_administrator(&claims, &self.settings),
            identity,
        })
    }

    /// Judges an ID token; with newer keys if its key is not known. Gives what it was judged with.
    async fn check(
        &self,
        known: Arc<Known>,
        token: &CoreIdToken,
        nonce: &Nonce,
        access: &openidconnect::AccessToken,
    ) -> Result<Arc<Known>, SingleSignOnError> {
        let judge = |known: &Known| -> Result<(), ClaimsVerificationError> {
            let verifier = self.verifier(known)?;
            let claims = token.claims(&verifier, nonce)?;
            if let Some(expected) = claims.access_token_hash() {
                let key = token
                    .signing_key(&verifier)
                    .map_err(ClaimsVerificationError::SignatureVerification)?;
                let algorithm = token
                    .signing_alg()
                    .map_err(ClaimsVerificationError::SignatureVerification)?;
                let actual = AccessTokenHash::from_token(access, algorithm, key)
                    .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
                if actual != *expected {
                    let reason = "the access token is another one's";
                    return Err(ClaimsVerificationError::Other(reason.to_owned()));
                }
            }
            Ok(())
        };
        let invalid = |error: ClaimsVerificationError| {
            let mut reason = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                reason = format!("{reason}: {source}");
            }
            SingleSignOnError::Invalid(reason)
        };
        match judge(&known) {
            Ok(()) => Ok(known),
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => match self.newer(&known).await {
                Some(newer) => judge(&newer).map(|()| newer).map_err(invalid),
                None => Err(SingleSignOnError::Invalid(
                    "the key of the ID token is not known".to_owned(),
                )),
            },
            Err(error) => Err(invalid(error)),
        }
    }

    fn verifier(
        &self,
        known: &Known,
    ) -> Result<CoreIdTokenVerifier<'static>, ClaimsVerificationError> {
        let skew = TimeDelta::from_std(self.settings.clock_skew)
            .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        let issued = move |at: DateTime<Utc>| {
            let now = Utc::now();
            if at > now + skew {
                Err("the token is of the future".to_owned())
            } else if at < now - skew - TOKEN_AGE {
                Err("the token is old".to_owned())
            } else {
                Ok(())
            }
        };
        // As a public client: no signature with the shared secret is accepted.
        Ok(CoreIdTokenVerifier::new_public_client(
            ClientId::new(self.settings.client_id.clone()),
            known.metadata.issuer().clone(),
            known.keys.clone(),
        )
        .set_allowed_algs(algorithms())
        .set_time_fn(move || Utc::now() - skew)
        .set_issue_time_verifier_fn(issued))
    }

    fn client(&self, known: &Known, redirect: String) -> Result<Client, SingleSignOnError> {
        let settings = &self.settings;
        let secret = settings
            .client_secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let redirect = RedirectUrl::new(redirect)
            .map_err(|error| SingleSignOnError::Invalid(error.to_string()))?;
        let client_id = ClientId::new(settings.client_id.clone());
        let client = CoreClient::from_provider_metadata(known.metadata.clone(), client_id, secret)
            .set_redirect_uri(redirect);
        let ways = known.metadata.token_endpoint_auth_methods_supported();
        let takes_basic =
            ways.is_none_or(|ways| ways.contains(&CoreClientAuthMethod::ClientSecretBasic));
        Ok(if takes_basic {
            client
        } else {
            client.set_auth_type(AuthType::RequestBody)
        })
    }

    /// Where to sign out at the provider, if it has such a place.
    pub(crate) async fn sign_out_address(
        &self,
        id_token: Option<&str>,
        return_to: String,
    ) -> Option<String> {
        let known = match self.known().await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(provider = self.settings.name, %error, "nobody can sign out at the provider");
                return None;
            }
        };
        let endpoint = known
            .metadata
            .additional_metadata()
            .end_session_endpoint
            .clone()?;
        let mut request = LogoutRequest::from(endpoint)
            .set_client_id(ClientId::new(self.settings.client_id.clone()));
        if let Some(token) = id_token.and_then(|token| token.parse::<CoreIdToken>().ok()) {
            request = request.set_id_token_hint(&token);
        }
        if let Ok(return_to) = PostLogoutRedirectUrl::new(return_to) {
            request = request.set_post_logout_redirect_uri(return_to);
        }
        Some(request.http_get_url().into())
    }
}

/// The claims of a token whose signature has been judged.
pub(super) fn payload(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Seconds since the Unix epoch.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::settings::Settings;
    use super::*;

    fn provider(secret: &str) -> Provider {
        let text = format!(
            "[[provider]]\nname = \"a\"\nissuer = \"https://a.example\"\nclient_id = \"b\"\nclient_secret = \"{secret}\"\n"
        );
        let settings = Settings::from_text("x", &text, Path::new(""), &[], &|_| None).unwrap();
        Provider::new(settings.providers.into_iter().next().unwrap()).unwrap()
    }

    fn flow(expires: u64) -> Flow {
        Flow {
            provider: "a".to_owned(),
            state: "state".to_owned(),
            nonce: "nonce".to_owned(),
            verifier: "verifier".to_owned(),
            return_to: "/".to_owned(),
            is_administrator: false,
            expires,
        }
    }

    #[test]
    fn a_flow_can_be_finished_by_any_instance_with_the_same_settings() {
        let (one, other) = (provider("secret"), provider("secret"));
        let sealed = one.seal(&flow(now() + 60)).unwrap();
        assert_eq!(other.open(&sealed).unwrap().state, "state");
        assert!(provider("another").open(&sealed).is_none());
    }

    #[test]
    fn a_flow_cannot_be_bent_and_ends() {
        let provider = provider("secret");
        assert!(
            provider
                .open(&provider.seal(&flow(now())).unwrap())
                .is_none()
        );
        let sealed = provider.seal(&flow(now() + 60)).unwrap();
        let (text, hash) = sealed.split_once('.').unwrap();
        let mut bent: Flow =
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        bent.is_administrator = true;
        let bent = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&bent).unwrap());
        for wrong in [
            format!("{bent}.{hash}"),
            format!("{text}."),
            text.to_owned(),
            String::new(),
            format!("{text}.{hash}A"),
        ] {
            assert!(provider.open(&wrong).is_none(), "{wrong}");
        }
    }
}
