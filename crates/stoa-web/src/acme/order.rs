//! One certificate: order it, have its host name validated, and fetch it (RFC 8555 section 7.4).

use std::time::{Duration, Instant};

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::failure::Failure;

/// Longest wait for a validation.
const VALIDATION: Duration = Duration::from_secs(120);
/// Longest wait for a certificate that is being made. Whoever gives up earlier orders it again, and authorities count.
const MAKING: Duration = Duration::from_secs(15 * 60);

/// Obtains a certificate for a host name, with a new key. Returns both, in PEM.
pub(super) async fn certificate(account: &Account, host: &str) -> Result<String, Failure> {
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    validate(&mut order).await?;
    until_ready(&mut order).await?;
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(vec![host.to_owned()])?;
    parameters.distinguished_name = DistinguishedName::new();
    let request = parameters.serialize_request(&key)?;
    if let Err(error) = order.finalize_csr(request.der()).await {
        let failure = Failure::from(error);
        let Failure::Unreachable(_) = failure else {
            return Err(failure);
        };
        // The answer may be lost, and the certificate made all the same.
        match order.refresh().await.map(|state| state.status) {
            Ok(OrderStatus::Processing | OrderStatus::Valid) => {}
            Ok(_) => return Err(failure),
            Err(error) => return Err(Failure::Unfetched(error)),
        }
    }
    let chain = fetch(&mut order).await?;
    if is_chain(&chain) {
        Ok(key.serialize_pem() + &chain)
    } else {
        Err(Failure::NoChain)
    }
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

/// Waits until the authority has asked.
async fn until_ready(order: &mut Order) -> Result<(), Failure> {
    let mut waits = Waits::up_to(VALIDATION);
    loop {
        match order.refresh().await?.status {
            OrderStatus::Ready => return Ok(()),
            OrderStatus::Invalid => return Err(Failure::Refused(reason(order).await)),
            // Authorities give one order to all who ask for the same with one account.
            OrderStatus::Processing | OrderStatus::Valid => return Err(Failure::Busy),
            OrderStatus::Pending => {}
        }
        if !waits.another().await {
            return Err(Failure::Slow);
        }
    }
}

/// Waits for the certificate and fetches it. Failures of the network change nothing: it is there, or will be.
async fn fetch(order: &mut Order) -> Result<String, Failure> {
    let mut waits = Waits::up_to(MAKING);
    loop {
        let failure = match look(order).await {
            Ok(Some(chain)) => return Ok(chain),
            Ok(None) => Failure::Slow,
            Err(failure @ Failure::Unreachable(_)) => failure,
            Err(failure) => return Err(failure),
        };
        if !waits.another().await {
            return Err(match failure {
                Failure::Unreachable(error) => Failure::Unfetched(error),
                failure => failure,
            });
        }
    }
}

/// The certificate; none if it is not made yet.
async fn look(order: &mut Order) -> Result<Option<String>, Failure> {
    if order.refresh().await?.status == OrderStatus::Invalid {
        return Err(Failure::Refused(reason(order).await));
    }
    Ok(order.certificate().await?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_hold_certificates_only() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
        assert!(is_chain(certificate));
        assert!(is_chain(&certificate.repeat(3).replace('\n', "\r\n")));
        let key = certificate.replace("CERTIFICATE", "PRIVATE KEY");
        assert!(!is_chain(&(certificate.to_owned() + &key)));
        assert!(!is_chain(&(key + certificate)));
    }
}
