//! One certificate: order it, have its host name validated, and fetch it (RFC 8555 section 7.4).

#[cfg(test)]
mod tests;

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use stoa_link::chain;
use tokio::time::Instant;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::failure::Failure;

/// Longest wait for a validation.
const VALIDATION: Duration = Duration::from_secs(120);
/// Longest wait until it is known whether the authority makes the certificate.
const FINALIZING: Duration = Duration::from_secs(5 * 60);
/// Longest wait for a certificate that is being made. Whoever gives up earlier orders it again, and authorities count.
const MAKING: Duration = Duration::from_secs(15 * 60);

/// Obtains a certificate for a host name, with a new key. Returns both, in PEM. `permit` is held as long as the
/// authority has to be asked for anything but the certificate itself.
pub(super) async fn certificate(
    account: &Account,
    host: &str,
    permit: impl Send,
) -> Result<String, Failure> {
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    validate(&mut order).await?;
    until_ready(&mut order).await?;
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(vec![host.to_owned()])?;
    parameters.distinguished_name = DistinguishedName::new();
    let request = parameters.serialize_request(&key)?;
    let taken = finalize(&mut order, request.der()).await?;
    drop(permit);
    let chain = fetch(&mut order).await?;
    if !is_chain(&chain) {
        return Err(Failure::NoChain);
    }
    if taken == Taken::Perhaps && !is_of_key(&chain, &key) {
        return Err(Failure::Busy);
    }
    Ok(key.serialize_pem() + &chain)
}

/// Tells the authority that it may ask. Web servers with one account may get one order, so another one may have told it
/// already; what came of it is seen in the order.
async fn validate(order: &mut Order) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // One of an earlier order may be good for a while.
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let challenge = authorization.challenge(ChallengeType::Http01);
        let mut challenge = challenge.ok_or(Failure::NoHttp)?;
        if challenge.status != ChallengeStatus::Pending {
            continue;
        }
        match challenge.set_ready().await.map_err(Failure::from) {
            Err(failure @ (Failure::Unreachable(_) | Failure::RateLimited(_))) => {
                return Err(failure);
            }
            Err(failure) => {
                let reason = chain(&failure);
                tracing::debug!(reason, "the authority does not take a challenge");
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Waits until the authority has asked. A failure of the network ends nothing: validations count.
async fn until_ready(order: &mut Order) -> Result<(), Failure> {
    let mut waits = Waits::up_to(VALIDATION);
    loop {
        let failure = match status(order).await {
            Ok(OrderStatus::Ready) => return Ok(()),
            Ok(OrderStatus::Invalid) => return Err(Failure::Refused(reason(order).await)),
            Ok(OrderStatus::Processing | OrderStatus::Valid) => return Err(Failure::Busy),
            Ok(OrderStatus::Pending) => Failure::Slow,
            Err(failure) => failure,
        };
        if !waits.another().await {
            return Err(failure);
        }
    }
}

async fn status(order: &mut Order) -> Result<OrderStatus, Failure> {
    Ok(order.refresh().await?.status)
}

/// Whose request the authority has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Ours,
    /// Ours, or that of another web server with the same order.
    Perhaps,
}

/// Has the certificate made. When the answer is lost, it may be made all the same: then the order tells.
async fn finalize(order: &mut Order, request: &[u8]) -> Result<Taken, Failure> {
    let mut waits = Waits::up_to(FINALIZING);
    let mut taken = Taken::Ours;
    loop {
        let failure = match order.finalize_csr(request).await.map_err(Failure::from) {
            Ok(()) => return Ok(taken),
            Err(failure) => failure,
        };
        if taken == Taken::Ours && !matches!(failure, Failure::Unreachable(_)) {
            return Err(failure);
        }
        taken = Taken::Perhaps;
        loop {
            if !waits.another().await {
                return Err(Failure::Unfetched(Box::new(failure)));
            }
            match status(order).await {
                Ok(OrderStatus::Processing | OrderStatus::Valid) => return Ok(taken),
                Ok(OrderStatus::Invalid) => return Err(Failure::Refused(reason(order).await)),
                Ok(OrderStatus::Ready | OrderStatus::Pending) => break,
                Err(_) => {}
            }
        }
    }
}

/// Waits for the certificate and fetches it. Only the end of the order ends that: it is there, or will be.
async fn fetch(order: &mut Order) -> Result<String, Failure> {
    let mut waits = Waits::up_to(MAKING);
    loop {
        let failure = match status(order).await {
            Ok(OrderStatus::Invalid) => return Err(Failure::Refused(reason(order).await)),
            Ok(OrderStatus::Valid) => match order.certificate().await {
                Ok(Some(chain)) => return Ok(chain),
                Ok(None) => Failure::Slow,
                Err(error) => error.into(),
            },
            Ok(_) => Failure::Slow,
            Err(failure) => failure,
        };
        if !waits.another().await {
            return Err(Failure::Unfetched(Box::new(failure)));
        }
    }
}

/// What the authority found, of an order that is not valid.
async fn reason(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    reasons.extend(order.state().error.as_ref().map(ToString::to_string));
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            break;
        };
        let problems = state.challenges.iter();
        let problems = problems.filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(problems.map(ToString::to_string));
    }
    reasons.dedup();
    match &reasons[..] {
        [] => "it does not say why".to_owned(),
        reasons => reasons.join("; "),
    }
}

/// Only certificates, whatever the authority sends (section 9.1).
fn is_chain(text: &str) -> bool {
    let mut labels = text.lines().filter(|line| line.contains("-----BEGIN"));
    labels.all(|label| label.trim() == "-----BEGIN CERTIFICATE-----")
}

/// Whether the first certificate is for this key.
fn is_of_key(chain: &str, key: &KeyPair) -> bool {
    let own = CertificateDer::pem_slice_iter(chain.as_bytes()).next();
    own.and_then(Result::ok).is_some_and(|own| {
        X509Certificate::from_der(&own)
            .is_ok_and(|(_, own)| &*own.public_key().subject_public_key.data == key.der_bytes())
    })
}

/// Pauses between questions to the authority, longer each time.
struct Waits {
    pause: Duration,
    end: Instant,
}

impl Waits {
    fn up_to(longest: Duration) -> Self {
        Self {
            pause: Duration::from_millis(250),
            end: Instant::now() + longest,
        }
    }

    /// Waits. False when it has been too long.
    async fn another(&mut self) -> bool {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 3 / 2).min(Duration::from_secs(30));
        Instant::now() < self.end
    }
}
