//! Orders at an authority that answers as a test wants.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Key};
use rcgen::{CertificateSigningRequestParams, Issuer};
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::*;
use crate::acme::failure::Kind;

/// What comes of a request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The order with this status.
    Order(&'static str),
    /// Nothing: the network.
    Nothing,
    /// A problem.
    Problem(u16, &'static str),
}

use Answer::{Nothing, Order as Is, Problem};

#[derive(Debug)]
struct Script {
    authorization: &'static str,
    challenge: Answer,
    /// To questions for the order. The last one stays.
    order: VecDeque<Answer>,
    /// To requests for the certificate. The last one stays.
    finalize: VecDeque<Answer>,
    /// The certificate is for somebody else's key.
    is_foreign: bool,
    request: Vec<u8>,
    asked: Vec<String>,
}

#[derive(Clone, Debug)]
struct Authority(Arc<Mutex<Script>>);

fn next(answers: &mut VecDeque<Answer>) -> Answer {
    match answers.len() {
        0 => panic!("nothing more was expected"),
        1 => answers[0],
        _ => answers.pop_front().unwrap(),
    }
}

impl Authority {
    fn new(order: &[Answer], finalize: &[Answer]) -> Self {
        Self(Arc::new(Mutex::new(Script {
            authorization: "pending",
            challenge: Is("pending"),
            order: order.to_vec().into(),
            finalize: finalize.to_vec().into(),
            is_foreign: false,
            request: Vec::new(),
            asked: Vec::new(),
        })))
    }

    fn with(self, change: impl FnOnce(&mut Script)) -> Self {
        change(&mut self.0.lock().unwrap());
        self
    }

    fn asked(&self, path: &str) -> usize {
        let script = self.0.lock().unwrap();
        script.asked.iter().filter(|asked| *asked == path).count()
    }

    async fn obtain(&self) -> Result<String, Failure> {
        let (key, pkcs8) = Key::generate_pkcs8().unwrap();
        let (account, _) = Account::builder_with_http(Box::new(self.clone()))
            .create_from_key(
                (key, PrivateKeyDer::Pkcs8(pkcs8)),
                "https://ca.test/directory".to_owned(),
            )
            .await
            .unwrap();
        certificate(&account, "a.example", ()).await
    }

    fn answer(&self, path: &str, payload: &Value) -> Result<Response<String>, Error> {
        let mut script = self.0.lock().unwrap();
        script.asked.push(path.to_owned());
        let order = |status: &str| {
            json!({
                "status": status,
                "authorizations": ["https://ca.test/authorization"],
                "finalize": "https://ca.test/finalize",
                "certificate": "https://ca.test/certificate",
            })
        };
        let challenge = json!({
            "type": "http-01",
            "url": "https://ca.test/challenge",
            "token": "token",
            "status": "pending",
            "error": { "detail": "nobody listens there" },
        });
        let found = match path {
            "/directory" => {
                let body = json!({
                    "newNonce": "https://ca.test/nonce",
                    "newAccount": "https://ca.test/account",
                    "newOrder": "https://ca.test/orders",
                });
                return Ok(answer(200, &body.to_string()));
            }
            "/nonce" | "/account" => return Ok(answer(200, "{}")),
            "/orders" => Is("pending"),
            "/authorization" => {
                let body = json!({
                    "identifier": { "type": "dns", "value": "a.example" },
                    "status": script.authorization,
                    "challenges": [challenge],
                });
                return Ok(answer(200, &body.to_string()));
            }
            "/challenge" => match script.challenge {
                Is(_) => return Ok(answer_with(200, &challenge)),
                other => other,
            },
            "/order" => next(&mut script.order),
            "/finalize" => {
                let request = payload["csr"].as_str().unwrap();
                script.request = URL_SAFE_NO_PAD.decode(request).unwrap();
                next(&mut script.finalize)
            }
            "/certificate" => return Ok(answer(200, &script.issue())),
            other => panic!("{other}"),
        };
        match found {
            Is(status) => Ok(answer_with(200, &order(status))),
            Nothing => Err(Error::Str("the network is down")),
            Problem(status, kind) => Ok(answer_with(
                status,
                &json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "status": status }),
            )),
        }
    }
}

fn answer_with(status: u16, body: &Value) -> Response<String> {
    answer(status, &body.to_string())
}

fn answer(status: u16, body: &str) -> Response<String> {
    Response::builder()
        .status(status)
        .header("Replay-Nonce", "nonce")
        .header("Location", "https://ca.test/order")
        .body(body.to_owned())
        .unwrap()
}

impl Script {
    fn issue(&self) -> String {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(CertificateParams::default(), key);
        if self.is_foreign {
            let key = KeyPair::generate().unwrap();
            let parameters = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            return parameters.signed_by(&key, &issuer).unwrap().pem();
        }
        let request = CertificateSigningRequestDer::from(self.request.clone());
        let request = CertificateSigningRequestParams::from_der(&request).unwrap();
        request.signed_by(&issuer).unwrap().pem()
    }
}

impl HttpClient for Authority {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let authority = self.clone();
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let payload = body["payload"].as_str().unwrap_or_default();
            let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
            let payload = serde_json::from_slice(&payload).unwrap_or_default();
            let answer = authority.answer(&path, &payload)?;
            Ok(answer.map(|body| Full::new(Bytes::from(body))).into())
        })
    }
}

const MADE: [Answer; 2] = [Is("processing"), Is("valid")];

fn is_whole(text: &str) -> bool {
    let key = KeyPair::from_pem(text).unwrap();
    is_of_key(text, &key)
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_obtained() {
    let order = [Is("pending"), Is("ready"), MADE[0], MADE[1]];
    let authority = Authority::new(&order, &[Is("processing")]);
    assert!(is_whole(&authority.obtain().await.unwrap()));
    assert_eq!(authority.asked("/challenge"), 1);
    assert_eq!(authority.asked("/finalize"), 1);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_pending_is_validated() {
    for (status, kind) in [("valid", None), ("invalid", Some(Kind::Refused))] {
        let order = match kind {
            None => vec![Is("ready"), Is("valid")],
            Some(_) => vec![Is("invalid")],
        };
        let authority = Authority::new(&order, &[Is("processing")]);
        let authority = authority.with(|script| script.authorization = status);
        let outcome = authority.obtain().await;
        assert_eq!(
            outcome.err().map(|failure| failure.kind()),
            kind,
            "{status}"
        );
        assert_eq!(authority.asked("/challenge"), 0, "{status}");
    }
    // Another web server was faster.
    let order = [Is("ready"), Is("valid")];
    let authority = Authority::new(&order, &[Is("processing")]);
    let authority = authority.with(|script| script.challenge = Problem(400, "malformed"));
    assert!(is_whole(&authority.obtain().await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_why() {
    let authority = Authority::new(&[Is("pending"), Is("invalid")], &[]);
    let failure = authority.obtain().await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Refused);
    assert!(
        failure.to_string().contains("nobody listens there"),
        "{failure}"
    );
    // It never asks.
    let authority = Authority::new(&[Is("pending")], &[]);
    let failure = authority.obtain().await.unwrap_err();
    assert!(matches!(failure, Failure::Slow), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn the_network_may_fail_while_it_validates() {
    let order = [
        Nothing,
        Nothing,
        Is("pending"),
        Nothing,
        Is("ready"),
        Is("valid"),
    ];
    let authority = Authority::new(&order, &[Is("processing")]);
    assert!(is_whole(&authority.obtain().await.unwrap()));
    assert_eq!(authority.asked("/orders"), 1);
    let failure = Authority::new(&[Nothing], &[]).obtain().await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn another_server_has_the_same_order() {
    for status in ["processing", "valid"] {
        let failure = Authority::new(&[Is(status)], &[])
            .obtain()
            .await
            .unwrap_err();
        assert_eq!(failure.kind(), Kind::Busy, "{status}");
    }
    let authority = Authority::new(&[Is("ready")], &[Problem(403, "orderNotReady")]);
    let failure = authority.obtain().await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Busy);
    // The answer was lost, and what comes is for the other.
    let authority = Authority::new(&[Is("ready"), MADE[0], MADE[1]], &[Nothing]);
    let authority = authority.with(|script| script.is_foreign = true);
    let failure = authority.obtain().await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Busy);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_made_is_not_ordered_again() {
    let lost = [Nothing];
    let busy = [Problem(503, "rateLimited")];
    for (order, finalize) in [
        // The answer is lost, and the network stays away for a while.
        (
            vec![Is("ready"), Nothing, Nothing, Is("processing"), Is("valid")],
            &lost,
        ),
        (vec![Is("ready"), Is("valid")], &lost),
        (vec![Is("ready"), Is("processing"), Is("valid")], &busy),
        // It breaks while the certificate is made.
        (
            vec![
                Is("ready"),
                Nothing,
                busy[0],
                Problem(429, "rateLimited"),
                Is("valid"),
            ],
            &[Is("processing")],
        ),
    ] {
        let authority = Authority::new(&order, finalize);
        let obtained = authority.obtain().await;
        assert!(is_whole(&obtained.unwrap()), "{order:?} {finalize:?}");
        assert_eq!(authority.asked("/orders"), 1, "{order:?}");
        assert_eq!(authority.asked("/finalize"), 1, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_taken_is_asked_for_again() {
    let order = [Is("ready"), Is("ready"), Is("ready"), Is("valid")];
    let finalize = [Nothing, Nothing, Is("processing")];
    let authority = Authority::new(&order, &finalize);
    assert!(is_whole(&authority.obtain().await.unwrap()));
    assert_eq!(authority.asked("/finalize"), 3);
    assert_eq!(authority.asked("/orders"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_never_comes_is_not_ordered_again_soon() {
    for (order, finalize) in [
        (vec![Is("ready"), Is("processing")], Is("processing")),
        (vec![Is("ready"), Nothing], Is("processing")),
        (vec![Is("ready"), Nothing], Nothing),
    ] {
        let begun = tokio::time::Instant::now();
        let failure = Authority::new(&order, &[finalize]).obtain().await;
        assert_eq!(failure.unwrap_err().kind(), Kind::Spent, "{order:?}");
        assert!(begun.elapsed() >= FINALIZING, "{order:?}");
    }
    let authority = Authority::new(&[Is("ready"), Is("invalid")], &[Is("processing")]);
    let failure = authority.obtain().await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Refused);
}

#[test]
fn chains_hold_certificates_only() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
    assert!(is_chain(certificate));
    assert!(is_chain(&certificate.repeat(3).replace('\n', "\r\n")));
    let key = certificate.replace("CERTIFICATE", "PRIVATE KEY");
    assert!(!is_chain(&(certificate.to_owned() + &key)));
    assert!(!is_chain(&(key + certificate)));
}
