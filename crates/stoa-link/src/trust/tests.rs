use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::cryptography::provider;

const WEB: Roles = Roles {
    web: true,
    app: false,
};
const APP: Roles = Roles {
    web: false,
    app: true,
};
const BOTH: Roles = Roles {
    web: true,
    app: true,
};

fn environments(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn issue(authority: &Authority, folder: &Path, server: &str, roles: Roles) {
    authority
        .issue(server, roles, &environments(&["production", "test"]), 90)
        .unwrap()
        .save(folder, server)
        .unwrap();
}

/// A folder with an authority and the certificates of a web server, an app server and one that is both.
fn site() -> (tempfile::TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create("acme", 3650).unwrap();
    authority.save(folder.path()).unwrap();
    issue(&authority, folder.path(), "web1", WEB);
    issue(&authority, folder.path(), "app1", APP);
    issue(&authority, folder.path(), "one", BOTH);
    (folder, authority)
}

fn identity(folder: &Path, server: &str) -> LinkIdentity {
    LinkIdentity::load(&Files::of(folder, server)).unwrap()
}

/// A handshake and one byte each way: what the accepting and the dialling side learn of each other.
async fn meet(
    client: Arc<ClientConfig>,
    accepting: &LinkIdentity,
    expected: &str,
) -> (Result<Description, String>, Result<Description, String>) {
    let (near, far) = duplex(64 * 1024);
    let accept = async {
        let mut stream = TlsAcceptor::from(accepting.server())
            .accept(far)
            .await
            .map_err(|error| error.to_string())?;
        stream
            .write_all(b"!")
            .await
            .map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        peer(stream.get_ref().1).map_err(|error| error.to_string())
    };
    let dial = async {
        let mut stream = TlsConnector::from(client)
            .connect(server_name(expected).unwrap(), near)
            .await
            .map_err(|error| error.to_string())?;
        // In TLS 1.3 a refused certificate shows at the first read only.
        stream.read_u8().await.map_err(|error| error.to_string())?;
        peer(stream.get_ref().1).map_err(|error| error.to_string())
    };
    tokio::join!(accept, dial)
}

#[tokio::test]
async fn an_app_server_dials_a_web_server() {
    let (folder, _) = site();
    let (app, web) = (
        identity(folder.path(), "app1"),
        identity(folder.path(), "web1"),
    );
    let (seen_by_web, seen_by_app) = meet(app.client(), &web, "web1").await;
    let (app, web) = (seen_by_web.unwrap(), seen_by_app.unwrap());
    assert_eq!(app.names.server, "app1");
    assert_eq!(
        app.names.environments,
        environments(&["production", "test"])
    );
    assert_eq!(app.roles, APP);
    assert_eq!(web.names.server, "web1");
    assert_eq!(web.names.environments, environments(&[]));
    assert_eq!(web.roles, WEB);
    let days = app.remaining(SystemTime::now()).unwrap().as_secs() / (24 * 3600);
    assert_eq!(days, 89);

    let one = identity(folder.path(), "one");
    let (seen, other) = meet(one.client(), &one, "one").await;
    assert_eq!(seen.unwrap().roles, BOTH);
    assert_eq!(other.unwrap().names.server, "one");
}

#[tokio::test]
async fn a_web_server_cannot_dial_and_an_app_server_cannot_accept() {
    let (folder, _) = site();
    let (app, web) = (
        identity(folder.path(), "app1"),
        identity(folder.path(), "web1"),
    );
    let (accepted, dialled) = meet(web.client(), &web, "web1").await;
    let refusal = accepted.unwrap_err();
    assert!(refusal.contains("extended key usage"), "{refusal}");
    dialled.unwrap_err();
    let (accepted, dialled) = meet(app.client(), &app, "app1").await;
    accepted.unwrap_err();
    let refusal = dialled.unwrap_err();
    assert!(refusal.contains("extended key usage"), "{refusal}");
}

#[tokio::test]
async fn another_web_server_is_not_the_one_that_was_dialled() {
    let (folder, authority) = site();
    issue(&authority, folder.path(), "web2", WEB);
    let (app, web) = (
        identity(folder.path(), "app1"),
        identity(folder.path(), "web2"),
    );
    let (accepted, dialled) = meet(app.client(), &web, "web1").await;
    accepted.unwrap_err();
    let refusal = dialled.unwrap_err();
    assert!(refusal.contains("web1.server.stoa"), "{refusal}");
}

#[tokio::test]
async fn another_authority_is_refused_by_both_sides() {
    let ((ours, _), (theirs, _)) = (site(), site());
    let (app, web) = (
        identity(theirs.path(), "app1"),
        identity(ours.path(), "web1"),
    );
    let (accepted, dialled) = meet(app.client(), &web, "web1").await;
    accepted.unwrap_err();
    dialled.unwrap_err();

    // A dialling side that believes everybody still needs a certificate of ours.
    let files = Files {
        authority: Authority::certificate_file(ours.path()),
        ..Files::of(theirs.path(), "app1")
    };
    let Err(error) = LinkIdentity::load(&files) else {
        panic!("a certificate of another authority was read");
    };
    assert!(
        matches!(error, TrustError::OtherAuthority { .. }),
        "{error}"
    );
    let mut believing = ClientConfig::clone(&client_without_certificate(ours.path()));
    let theirs = Files::of(theirs.path(), "app1").read().unwrap();
    let chain = certificates(Path::new(""), &theirs.certificate).unwrap();
    let key = private_key(Path::new(""), &theirs.key).unwrap();
    believing.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(
        rustls::sign::CertifiedKey::from_der(chain, key, &provider()).unwrap(),
    ));
    let (accepted, _) = meet(Arc::new(believing), &web, "web1").await;
    let refusal = accepted.unwrap_err();
    assert!(
        refusal.contains("UnknownIssuer") || refusal.contains("BadSignature"),
        "{refusal}"
    );
}

fn client_without_certificate(authority: &Path) -> Arc<ClientConfig> {
    let path = Authority::certificate_file(authority);
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&path, &fs::read(&path).unwrap()).unwrap() {
        roots.add(certificate).unwrap();
    }
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![PROTOCOL.to_vec()];
    Arc::new(client)
}

#[tokio::test]
async fn a_certificate_is_mandatory() {
    let (folder, _) = site();
    let web = identity(folder.path(), "web1");
    let client = client_without_certificate(folder.path());
    let (accepted, dialled) = meet(client, &web, "web1").await;
    let refusal = accepted.unwrap_err();
    assert!(refusal.contains("sent no certificates"), "{refusal}");
    dialled.unwrap_err();
}

#[tokio::test]
async fn older_tls_and_other_protocols_are_refused() {
    let (folder, _) = site();
    let (app, web) = (
        identity(folder.path(), "app1"),
        identity(folder.path(), "web1"),
    );
    let files = Files::of(folder.path(), "app1").read().unwrap();
    let with = |versions: &[&'static rustls::SupportedProtocolVersion], protocols: &[&[u8]]| {
        let path = Authority::certificate_file(folder.path());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&path, &files.authority).unwrap() {
            roots.add(certificate).unwrap();
        }
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                certificates(&path, &files.certificate).unwrap(),
                private_key(&path, &files.key).unwrap(),
            )
            .unwrap();
        client.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(client)
    };
    let tls_12 = with(&[&rustls::version::TLS12], &[PROTOCOL]);
    let (accepted, _) = meet(tls_12, &web, "web1").await;
    let refusal = accepted.unwrap_err();
    assert!(refusal.contains("Tls12NotOfferedOrEnabled"), "{refusal}");

    let tls_13 = &[&rustls::version::TLS13];
    let (accepted, _) = meet(with(tls_13, &[b"h2"]), &web, "web1").await;
    let refusal = accepted.unwrap_err();
    assert!(refusal.contains("protocol"), "{refusal}");
    let (accepted, _) = meet(with(tls_13, &[]), &web, "web1").await;
    assert_eq!(
        accepted.unwrap_err(),
        "the other side does not speak the protocol of links"
    );
    // The same with what is right passes, so each of these was refused for its own reason.
    let (accepted, dialled) = meet(with(tls_13, &[PROTOCOL]), &web, "web1").await;
    assert!(accepted.is_ok() && dialled.is_ok());
    assert!(!app.client().alpn_protocols.is_empty());
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_the_other_side() {
    let (folder, authority) = site();
    let day = Duration::from_hours(24);
    let past = (SystemTime::now() - day / 2, SystemTime::now() - day / 4);
    for (server, roles) in [("web1", WEB), ("app1", APP)] {
        let expired = tempfile::tempdir().unwrap();
        fs::copy(
            Authority::certificate_file(folder.path()),
            Authority::certificate_file(expired.path()),
        )
        .unwrap();
        authority
            .issue_for(server, roles, &environments(&[]), past)
            .unwrap()
            .save(expired.path(), server)
            .unwrap();
        let of = |name: &str| {
            let folder = if name == server {
                expired.path()
            } else {
                folder.path()
            };
            identity(folder, name)
        };
        assert_eq!(of(server).description().remaining(SystemTime::now()), None);
        let (accepted, dialled) = meet(of("app1").client(), &of("web1"), "web1").await;
        let refusal = if server == "app1" {
            accepted.unwrap_err()
        } else {
            dialled.unwrap_err()
        };
        assert!(refusal.contains("expired"), "{server}: {refusal}");
    }
}

#[test]
fn keys_are_for_their_owner_only() {
    let (folder, authority) = site();
    let mode = |name: &str| {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    for name in ["authority", "web1", "app1"] {
        assert_eq!(mode(&format!("{name}.key")), 0o600, "{name}");
        assert_eq!(mode(&format!("{name}.pem")), 0o644, "{name}");
    }
    // So is the key of a renewed certificate, and nothing else is left behind.
    issue(&authority, folder.path(), "web1", WEB);
    assert_eq!(mode("web1.key"), 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 8);
}

#[test]
fn an_authority_is_made_once_and_found_again() {
    let (folder, _) = site();
    let another = Authority::create("acme", 1).unwrap();
    let error = another.save(folder.path()).unwrap_err();
    assert!(
        matches!(error, TrustError::AuthorityExists { .. }),
        "{error}"
    );

    let again = Authority::load(folder.path()).unwrap();
    issue(&again, folder.path(), "web2", WEB);
    assert_eq!(
        identity(folder.path(), "web2").description().names.server,
        "web2"
    );

    fs::write(
        Authority::certificate_file(folder.path()),
        another.certificate(),
    )
    .unwrap();
    let Err(error) = Authority::load(folder.path()) else {
        panic!("an authority with the key of another was read");
    };
    assert!(matches!(error, TrustError::KeyMismatch { .. }), "{error}");
}

/// Servers move from one authority to the next one by one, while both are believed.
#[tokio::test]
async fn two_authorities_can_be_believed_at_once() {
    let ((former, _), (next, _)) = (site(), site());
    let both = [former.path(), next.path()]
        .map(|folder| fs::read_to_string(Authority::certificate_file(folder)).unwrap())
        .concat();
    for folder in [former.path(), next.path()] {
        fs::write(Authority::certificate_file(folder), &both).unwrap();
    }
    let (app, web) = (
        identity(next.path(), "app1"),
        identity(former.path(), "web1"),
    );
    let (accepted, dialled) = meet(app.client(), &web, "web1").await;
    assert!(accepted.is_ok() && dialled.is_ok());
    let authority = Authority::load(next.path()).unwrap();
    issue(&authority, next.path(), "web9", WEB);
    identity(next.path(), "web9");
}

#[test]
fn names_of_a_server_are_labels() {
    let authority = Authority::create("acme", 1).unwrap();
    for name in ["", "Web", "web.1", "*", "web_1", "-web", "web-", "wéb"] {
        let error = authority.issue(name, WEB, &environments(&[]), 1).err();
        assert!(
            matches!(error, Some(TrustError::Label { .. })),
            "{name}: {error:?}"
        );
        let error = authority.issue("app", APP, &environments(&[name]), 1).err();
        assert!(
            matches!(error, Some(TrustError::Label { .. })),
            "{name}: {error:?}"
        );
    }
    let error = authority
        .issue("web", Roles::default(), &environments(&[]), 1)
        .err();
    assert!(
        matches!(error, Some(TrustError::NoRole { .. })),
        "{error:?}"
    );
}

#[test]
fn other_names_are_no_server() {
    for (alternative, expected) in [
        (&[][..], "names no server"),
        (&["a.server.stoa", "b.server.stoa"], "more than one server"),
        (&["a.server.stoa", "shop.example.com"], "`shop.example.com`"),
        (
            &["a.server.stoa", "*.environment.stoa"],
            "`*.environment.stoa`",
        ),
        (&["a.server.stoa", "10.0.0.1"], "no DNS name"),
        (&["x.a.server.stoa"], "`x.a.server.stoa`"),
    ] {
        let alternative: Vec<String> = alternative.iter().map(ToString::to_string).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(alternative)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let error = names(certificate.der()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = names(&vec![1, 2, 3].into()).unwrap_err();
    assert!(
        matches!(error, TrustError::NotACertificate { .. }),
        "{error}"
    );
}

#[test]
fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    let (folder, authority) = site();
    let files = Files::of(folder.path(), "web1");
    let trust = Trust::open(files.clone()).unwrap();
    let first = trust.not_after();
    assert!(!trust.reload().unwrap());

    let issue = |days| {
        authority
            .issue("web1", WEB, &environments(&[]), days)
            .unwrap()
    };
    issue(30).save(folder.path(), "web1").unwrap();
    assert!(trust.reload().unwrap());
    let second = trust.not_after();
    assert!(second < first);
    assert!(!trust.reload().unwrap());

    // Half of a new pair.
    let third = issue(60);
    fs::write(&files.certificate, &third.certificate).unwrap();
    let error = trust.reload().unwrap_err();
    assert!(matches!(error, TrustError::KeyMismatch { .. }), "{error}");
    // A file that is half written.
    fs::write(&files.key, &third.key[..third.key.len() / 2]).unwrap();
    let error = trust.reload().unwrap_err();
    assert!(matches!(error, TrustError::NotPem { .. }), "{error}");
    assert!(!error.to_string().contains(&third.key[40..80]), "{error}");
    // A file that is gone.
    fs::remove_file(&files.key).unwrap();
    let error = trust.reload().unwrap_err();
    assert!(matches!(error, TrustError::Read { .. }), "{error}");
    // One that has expired.
    let past = SystemTime::now() - Duration::from_secs(60);
    authority
        .issue_for("web1", WEB, &environments(&[]), (past, past))
        .unwrap()
        .save(folder.path(), "web1")
        .unwrap();
    let error = trust.reload().unwrap_err();
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
    assert_eq!(trust.not_after(), second);

    third.save(folder.path(), "web1").unwrap();
    assert!(trust.reload().unwrap());
    assert!(trust.not_after() > second);
}

#[tokio::test]
async fn a_running_server_watches_its_files() {
    let (folder, authority) = site();
    let trust = Arc::new(Trust::open(Files::of(folder.path(), "web1")).unwrap());
    let first = trust.not_after();
    let watch = tokio::spawn(trust.clone().watch(Duration::from_millis(5)));
    authority
        .issue("web1", WEB, &environments(&[]), 200)
        .unwrap()
        .save(folder.path(), "web1")
        .unwrap();
    tokio::time::timeout(Duration::from_secs(60), async {
        while trust.not_after() == first {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    watch.abort();
}
