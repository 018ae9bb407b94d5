//! One certificate: order it, have its host name validated, and fetch it (RFC 8555 section 7.4).

use std::io;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::tls::TlsError;

/// How long to wait for a validation, and for the certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no room; nothing was ordered.
    #[error("there is no place for the certificate")]
    Disk(#[source] io::Error),
    /// The authority does not answer, or not as one.
    #[error("the authority cannot be asked")]
    Unreachable(#[source] Error),
    /// It will not give a certificate.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// It has been asked too often.
    #[error("the authority was asked too often: {0}")]
    RateLimited(String),
    /// It validates in other ways only.
    #[error("the authority does not validate this name over HTTP")]
    NoHttp,
    /// There is no randomness.
    #[error("cannot make a key")]
    Key(#[from] rcgen::Error),
    /// It came, and could not be written.
    #[error("the certificate could not be written")]
    Lost(#[source] io::Error),
    /// It came, and is none.
    #[error("the certificate cannot be used")]
    Unusable(#[source] TlsError),
    /// It is for another name, or is about to expire by this machine's clock.
    #[error("the certificate is for another name, or for another time: is the clock right?")]
    Useless,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => {
                let kind = problem.r#type.as_deref().unwrap_or_default();
                let text = problem.to_string();
                let text = text.strip_prefix("API error: ").unwrap_or(&text).to_owned();
                match kind.strip_prefix("urn:ietf:params:acme:error:") {
                    Some("rateLimited") => Self::RateLimited(text),
                    _ => Self::Refused(text),
                }
            }
            Error::Timeout(_) => Self::Refused("it took too long".to_owned()),
            error => Self::Unreachable(error),
        }
    }
}

/// Obtains a certificate for a host name, with a new key. Returns both, in PEM.
pub(super) async fn certificate(account: &Account, host: &str) -> Result<String, Failure> {
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    validate(&mut order).await?;
    if order.poll_ready(&PATIENCE).await? == OrderStatus::Invalid {
        return Err(Failure::Refused(reason(&mut order).await?));
    }
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(vec![host.to_owned()])?;
    parameters.distinguished_name = DistinguishedName::new();
    let request = parameters.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(key.serialize_pem() + &chain)
}

/// Tells the authority that it may ask.
async fn validate(order: &mut Order) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // One of an earlier order may be good for a while.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let challenge = authorization.challenge(ChallengeType::Http01);
        challenge.ok_or(Failure::NoHttp)?.set_ready().await?;
    }
    Ok(())
}

/// What the authority found, of an order that is not valid.
async fn reason(order: &mut Order) -> Result<String, Failure> {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let state = authorization.refresh().await?;
        let challenges = state.challenges.iter();
        reasons.extend(challenges.filter_map(|challenge| {
            let problem = challenge.error.as_ref()?;
            problem.detail.clone().or_else(|| problem.r#type.clone())
        }));
    }
    if reasons.is_empty() {
        return Ok("it does not say why".to_owned());
    }
    Ok(reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(problem: &str) -> Failure {
        Failure::from(Error::Api(serde_json::from_str(problem).unwrap()))
    }

    #[test]
    fn refusals_are_told_apart() {
        let refused = failure(
            r#"{"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "not for you"}"#,
        );
        assert!(matches!(refused, Failure::Refused(_)));
        assert_eq!(
            refused.to_string(),
            "the authority refuses: not for you (urn:ietf:params:acme:error:rejectedIdentifier)"
        );
        let limited =
            failure(r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "wait"}"#);
        assert!(matches!(limited, Failure::RateLimited(_)));
        assert!(matches!(failure("{}"), Failure::Refused(_)));
        let unreachable = Failure::from(Error::Str("no nonce"));
        assert!(matches!(unreachable, Failure::Unreachable(_)));
    }
}
