//! Access tokens of a provider for the data service: JSON Web Tokens (RFC 9068), judged here, without a
//! question to the provider.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKeyUse, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyAlgorithm};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::SingleSignOn;
use super::claims;
use super::flow::{now, payload};
use super::provider::{Known, Provider, algorithms, candidates};
use crate::identity::external::{AccessTokens, VerifiedToken};

/// Longest token that is looked at.
const TOKEN_BYTES: usize = 16 * 1024;

/// A token that was valid.
#[derive(Clone, Debug)]
pub(super) struct Valid {
    token: VerifiedToken,
    /// Seconds since the Unix epoch.
    until: u64,
}

/// What the first part of a token says.
struct Header {
    algorithm: CoreJwsSigningAlgorithm,
    key: Option<String>,
}

impl AccessTokens for SingleSignOn {
    fn verify<'a>(
        &'a self,
        token: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<VerifiedToken>> + Send + 'a>> {
        Box::pin(self.judge(token))
    }
}

impl SingleSignOn {
    async fn judge(&self, token: &str) -> Option<VerifiedToken> {
        if token.len() > TOKEN_BYTES || token.split('.').count() != 3 {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(valid) = self.tokens.get(&hash)
            && valid.until > now()
        {
            return Some(valid.token);
        }
        // What is not judged yet only tells which provider is to judge it.
        let claims = payload(token)?;
        let issuer = claims.get("iss")?.as_str()?;
        let provider = self.providers.iter().find(|provider| {
            provider.settings.issuer == issuer && !provider.settings.api_audience.is_empty()
        })?;
        let header = header(token)?;
        match provider.judge(token, &header, &claims).await {
            Ok(valid) => {
                self.tokens.insert(hash, valid.clone());
                Some(valid.token)
            }
            Err(reason) => {
                tracing::info!(
                    provider = provider.settings.name,
                    reason,
                    "an access token is refused"
                );
                None
            }
        }
    }
}

impl Provider {
    async fn judge(
        &self,
        token: &str,
        header: &Header,
        claims: &Value,
    ) -> Result<Valid, &'static str> {
        let until = self.judge_claims(claims)?;
        let known = self
            .known()
            .await
            .map_err(|_| "the provider does not answer")?;
        match is_signed(token, header, &known) {
            Some(true) => {}
            Some(false) => return Err("the signature is wrong"),
            None => {
                let newer: Arc<Known> = self.newer(&known).await.ok_or("the key is not known")?;
                if is_signed(token, header, &newer) != Some(true) {
                    return Err("the key is not known, or the signature is wrong");
                }
            }
        }
        let identity =
            claims::identity(claims, &self.settings, None).ok_or("the token names nobody")?;
        Ok(Valid {
            token: VerifiedToken {
                identity,
                unknown: self.settings.unknown(),
            },
            until,
        })
    }

    /// Whether a token is for us and for now; until when.
    fn judge_claims(&self, claims: &Value) -> Result<u64, &'static str> {
        let settings = &self.settings;
        let is_ours = |audience: &Value| {
            audience
                .as_str()
                .is_some_and(|audience| settings.api_audience.iter().any(|own| own == audience))
        };
        let audience = claims.get("aud").ok_or("there is no audience")?;
        let is_for_us = match audience {
            Value::Array(list) => list.iter().any(is_ours),
            one => is_ours(one),
        };
        if !is_for_us {
            return Err("the audience is another one");
        }
        let skew = settings.clock_skew.as_secs();
        let now = now();
        let time = |claim: &str| match claims.get(claim) {
            None | Some(Value::Null) => Ok(None),
            // Some providers write fractions of seconds.
            Some(value) => match value.as_f64() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "in range by the guard"
                )]
                Some(time) if (0.0..1e12).contains(&time) => Ok(Some(time as u64)),
                _ => Err("a time is no number"),
            },
        };
        let until = time("exp")?.ok_or("the token never expires")? + skew;
        if until <= now {
            return Err("the token has expired");
        }
        if time("nbf")?.is_some_and(|from| from > now + skew) {
            return Err("the token is not valid yet");
        }
        if time("iat")?.is_some_and(|at| at > now + skew) {
            return Err("the token is of the future");
        }
        Ok(until)
    }
}

/// What a token says of its signature, if that is something we take.
fn header(token: &str) -> Option<Header> {
    let first = token.split('.').next()?;
    let header: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(first).ok()?).ok()?;
    let kind = match header.get("typ") {
        None => "jwt",
        Some(kind) => kind.as_str()?,
    };
    let is_access_token = ["at+jwt", "application/at+jwt", "jwt"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known));
    // `crit` names what a reader must understand; we understand nothing of that.
    if !is_access_token || header.get("crit").is_some() {
        return None;
    }
    let algorithm: CoreJwsSigningAlgorithm =
        serde_json::from_value(header.get("alg")?.clone()).ok()?;
    algorithms().contains(&algorithm).then(|| Header {
        algorithm,
        key: header.get("kid").and_then(Value::as_str).map(str::to_owned),
    })
}

/// Whether one of the provider's keys signed the token; none if there is no key that may have.
fn is_signed(token: &str, header: &Header, known: &Known) -> Option<bool> {
    let (message, signature) = token.rsplit_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    let mut found = None;
    for key in candidates(&known.keys, header.key.as_deref()) {
        let is_for_signing = !matches!(key.key_use(), Some(CoreJsonWebKeyUse::Encryption));
        let is_for_this = match key.signing_alg() {
            JsonWebKeyAlgorithm::Algorithm(algorithm) => *algorithm == header.algorithm,
            JsonWebKeyAlgorithm::Unspecified => true,
            JsonWebKeyAlgorithm::Unsupported => false,
        };
        if !is_for_signing || !is_for_this {
            continue;
        }
        let is_signed = key
            .verify_signature(&header.algorithm, message.as_bytes(), &signature)
            .is_ok();
        if is_signed {
            return Some(true);
        }
        found = Some(false);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::settings::Settings;
    use super::*;

    fn provider() -> Provider {
        let text = "[[provider]]\nname = \"a\"\nissuer = \"https://a.example\"\nclient_id = \"b\"\n\
                    api_audience = [\"https://shop.example\"]\n";
        let settings = Settings::from_text("x", text, Path::new(""), &[], &|_| None).unwrap();
        Provider::new(settings.providers.into_iter().next().unwrap()).unwrap()
    }

    #[test]
    fn only_tokens_for_us_and_for_now() {
        let provider = provider();
        let now = now();
        let aud = "https://shop.example";
        for (claims, reason) in [
            (json!({"aud": aud, "exp": now + 60}), None),
            (
                json!({"aud": ["x", aud], "exp": now + 60, "nbf": now, "iat": now}),
                None,
            ),
            (json!({"aud": aud, "exp": now - 30}), None), // within the skew
            (
                json!({"aud": aud, "exp": now - 61}),
                Some("the token has expired"),
            ),
            (json!({"aud": aud}), Some("the token never expires")),
            (
                json!({"aud": aud, "exp": "soon"}),
                Some("a time is no number"),
            ),
            (json!({"aud": aud, "exp": -1}), Some("a time is no number")),
            (
                json!({"aud": aud, "exp": now + 600, "nbf": now + 120}),
                Some("the token is not valid yet"),
            ),
            (
                json!({"aud": aud, "exp": now + 600, "iat": now + 120}),
                Some("the token is of the future"),
            ),
            (
                json!({"aud": "b", "exp": now + 60}),
                Some("the audience is another one"),
            ),
            (
                json!({"aud": [], "exp": now + 60}),
                Some("the audience is another one"),
            ),
            (json!({"exp": now + 60}), Some("there is no audience")),
        ] {
            assert_eq!(provider.judge_claims(&claims).err(), reason, "{claims}");
        }
    }

    #[test]
    fn only_signatures_that_prove_something() {
        let token = |header: Value| {
            let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
            format!("{header}.e30.c2ln")
        };
        for good in [
            json!({"alg": "RS256"}),
            json!({"alg": "PS256", "typ": "at+jwt"}),
            json!({"alg": "ES256", "typ": "application/at+JWT", "kid": "k"}),
            json!({"alg": "EdDSA", "typ": "JWT"}),
        ] {
            assert!(header(&token(good.clone())).is_some(), "{good}");
        }
        for bad in [
            json!({"alg": "none"}),
            json!({"alg": "HS256"}),
            json!({"alg": "RS1"}),
            json!({"typ": "at+jwt"}),
            json!({"alg": "RS256", "typ": "dpop+jwt"}),
            json!({"alg": "RS256", "typ": "logout+jwt"}),
            json!({"alg": "RS256", "typ": 1}),
            json!({"alg": "RS256", "crit": ["b64"]}),
            json!([]),
        ] {
            assert!(header(&token(bad.clone())).is_none(), "{bad}");
        }
    }
}
