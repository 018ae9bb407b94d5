use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};
use rustls::CipherSuite;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Writes a certificate for these names.
fn write(folder: &Path, name: &str, hosts: &[&str]) -> CertificateFiles {
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let certificate = CertificateParams::new(hosts)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let files = CertificateFiles {
        chain: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    };
    std::fs::write(&files.chain, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// Takes any certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// TLS with certificates that are there.
fn given(files: Vec<CertificateFiles>) -> Result<Tls, TlsError> {
    Tls::load(files, BTreeMap::new())
}

fn client(versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    Arc::new(config)
}

/// Names of the certificate that the client gets, and how the handshake went.
async fn greet(tls: &Tls, client: &Arc<ClientConfig>, name: &str) -> (Vec<String>, HandshakeKind) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let server = async {
        let mut stream = tls.accept(far).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        stream.read_u8().await.unwrap();
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(client));
    let asking = async {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = connector.connect(name, near).await.unwrap();
        // Tickets come after the handshake.
        stream.read_u8().await.unwrap();
        let connection = stream.get_ref().1;
        let kind = connection.handshake_kind().unwrap();
        let certificate = connection.peer_certificates().unwrap()[0].clone();
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        (certificate, kind)
    };
    let ((), (certificate, kind)) = tokio::join!(server, asking);
    let known = tls.certificates();
    let chain = |files: &CertificateFiles| {
        use rustls::pki_types::pem::PemObject as _;
        CertificateDer::from_pem_file(&files.chain).unwrap()
    };
    let found = known
        .iter()
        .find(|known| chain(&known.files) == certificate)
        .map(|known| known.names.clone());
    (found.unwrap_or_default(), kind)
}

#[tokio::test]
async fn names_choose_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let tls = given(vec![
        write(folder.path(), "first", &["first.example"]),
        write(folder.path(), "wild", &["*.a.example"]),
        write(folder.path(), "exact", &["x.a.example", "192.0.2.1"]),
    ])
    .unwrap();
    let client = client(rustls::ALL_VERSIONS);
    for (asked, expected) in [
        ("first.example", "first.example"),
        ("x.a.example", "x.a.example"),
        ("X.A.Example", "x.a.example"),
        ("y.a.example", "*.a.example"),
        ("z.y.a.example", "first.example"),
        ("a.example", "first.example"),
        ("elsewhere.example", "first.example"),
        ("192.0.2.1", "first.example"),
    ] {
        let (names, _) = greet(&tls, &client, asked).await;
        assert_eq!(names.first().map(String::as_str), Some(expected), "{asked}");
    }
    assert!(tls.certificates()[0].expires > SystemTime::now() + Duration::from_secs(3600));
}

#[tokio::test]
async fn the_server_chooses_the_cipher() {
    let folder = tempfile::tempdir().unwrap();
    let tls = given(vec![write(folder.path(), "a", &["a.example"])]).unwrap();
    for (version, expected) in [
        (
            &rustls::version::TLS12,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            &rustls::version::TLS13,
            CipherSuite::TLS13_AES_128_GCM_SHA256,
        ),
    ] {
        // It would rather have AES-256.
        let connector = tokio_rustls::TlsConnector::from(client(&[version]));
        let (near, far) = tokio::io::duplex(16 * 1024);
        let name = ServerName::try_from("a.example").unwrap();
        let (server, client) = tokio::join!(tls.accept(far), connector.connect(name, near));
        server.unwrap();
        let client = client.unwrap();
        let chosen = client.get_ref().1.negotiated_cipher_suite();
        assert_eq!(chosen.map(|suite| suite.suite()), Some(expected));
    }
}

#[tokio::test]
async fn sessions_are_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let tls = given(vec![write(folder.path(), "a", &["a.example"])]).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = client(&[version]);
        let (_, first) = greet(&tls, &client, "a.example").await;
        assert_ne!(first, HandshakeKind::Resumed, "{version:?}");
        let (_, second) = greet(&tls, &client, "a.example").await;
        assert_eq!(second, HandshakeKind::Resumed, "{version:?}");
    }
}

#[tokio::test]
async fn new_files_are_used_and_bad_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = write(folder.path(), "a", &["a.example"]);
    let tls = given(vec![files.clone()]).unwrap();
    let names = || tls.certificates()[0].names.clone();
    assert!(!tls.reload().unwrap());
    write(folder.path(), "a", &["a.example", "b.example"]);
    assert!(tls.reload().unwrap());
    assert_eq!(names(), ["a.example", "b.example"]);
    let (served, _) = greet(&tls, &client(rustls::ALL_VERSIONS), "b.example").await;
    assert_eq!(served, ["a.example", "b.example"]);

    std::fs::write(&files.chain, "nothing").unwrap();
    let reload = || tls.reload().unwrap_err().remove(0);
    assert!(matches!(reload(), TlsError::Content { .. }));
    // Told once.
    assert!(!tls.reload().unwrap());
    std::fs::remove_file(&files.key).unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(names(), ["a.example", "b.example"]);
    // A key of another certificate.
    write(folder.path(), "a", &["c.example"]);
    let other = write(folder.path(), "other", &["c.example"]);
    std::fs::copy(&other.key, &files.key).unwrap();
    assert!(matches!(reload(), TlsError::Key { .. }));
    write(folder.path(), "a", &["c.example"]);
    assert!(tls.reload().unwrap());
    assert_eq!(names(), ["c.example"]);
}

#[tokio::test]
async fn awaited_certificates_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let obtain = |name: &str, names: &[&str]| {
        let files = write(folder.path(), "obtained", names);
        let key = std::fs::read_to_string(files.key).unwrap();
        let chain = std::fs::read_to_string(files.chain).unwrap();
        std::fs::write(path("new"), key + &chain).unwrap();
        std::fs::rename(path("new"), path(name)).unwrap();
    };
    // Damaged while nobody looked: it is obtained again.
    std::fs::write(path("b.pem"), "nothing").unwrap();
    let awaited = ["a", "b"].map(|name| (format!("{name}.example"), path(&format!("{name}.pem"))));
    let tls = Tls::load(Vec::new(), awaited.into()).unwrap();
    assert!(tls.certificates().is_empty());
    std::fs::remove_file(path("b.pem")).unwrap();
    let versions = client(rustls::ALL_VERSIONS);

    // Nothing to show yet: the handshake fails, and nobody gets used to a warning.
    let fails = async |name: &'static str| {
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&versions));
        let (near, far) = tokio::io::duplex(16 * 1024);
        let name = ServerName::try_from(name).unwrap();
        let (accepted, connected) = tokio::join!(tls.accept(far), connector.connect(name, near));
        assert!(accepted.is_err() && connected.is_err());
    };
    fails("a.example").await;

    obtain("a.pem", &["a.example"]);
    assert!(tls.reload().unwrap());
    assert_eq!(greet(&tls, &versions, "a.example").await.0, ["a.example"]);
    // Nor is that of another name shown.
    fails("b.example").await;
    fails("B.Example").await;
    assert_eq!(greet(&tls, &versions, "c.example").await.0, ["a.example"]);
    obtain("b.pem", &["b.example"]);
    assert!(tls.reload().unwrap());
    assert_eq!(greet(&tls, &versions, "b.example").await.0, ["b.example"]);

    // What is damaged or lost later does not take away what was there, nor keep others from being taken up.
    let names = || {
        let certificates = tls.certificates().into_iter();
        certificates
            .map(|one| one.names.clone())
            .collect::<Vec<_>>()
    };
    std::fs::write(path("b.pem"), "nothing").unwrap();
    obtain("a.pem", &["a.example", "c.example"]);
    assert_eq!(tls.reload().unwrap_err().len(), 1);
    let expected = [&["a.example", "c.example"][..], &["b.example"]];
    assert_eq!(names(), expected);
    std::fs::remove_file(path("b.pem")).unwrap();
    assert!(!tls.reload().unwrap());
    assert_eq!(names(), expected);
}

#[test]
fn what_cannot_be_used_is_refused() {
    assert!(matches!(given(Vec::new()), Err(TlsError::NoCertificate)));
    let folder = tempfile::tempdir().unwrap();
    let nameless = write(folder.path(), "nameless", &[]);
    assert!(matches!(
        given(vec![nameless]),
        Err(TlsError::NoName { .. })
    ));
}
