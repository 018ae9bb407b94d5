//! What a site's file names on disk: certificates, applications, pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};
use stoa_link::trust::{Authority, Roles};

use super::super::{LookAt, load};

/// A web server and an app server, with everything that they need.
const SITE: &str = r#"
[site]
name = "acme"
[server.web1]
roles = ["web"]
[server.web1.web]
https = "0.0.0.0:443"
link = "10.1.0.2:7443"
[[server.web1.web.certificate]]
chain = "shop.pem"
key = "shop.key"
[server.app1]
roles = ["app"]
[environment.production]
hosts = ["shop.example.com", "*.shop.example.com"]
application = "app"
"#;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(world.path("stoa.toml"), SITE).unwrap();
        fs::create_dir(world.path("app")).unwrap();
        fs::write(world.path("app/app.toml"), "name = \"App\"").unwrap();
        world.certificate(&["shop.example.com", "*.shop.example.com"], 90);
        let authority = Authority::create("acme", 3650).unwrap();
        authority.save(&world.path("trust")).unwrap();
        world.issue("web1", true, false, &[], 90);
        world.issue("app1", false, true, &["production"], 90);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn certificate(&self, names: &[&str], days: u64) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(names).unwrap();
        let end = SystemTime::now() + Duration::from_hours(24 * days) - Duration::from_secs(60);
        parameters.not_after = end.into();
        let certificate = parameters.self_signed(&key).unwrap();
        fs::write(self.path("shop.pem"), certificate.pem()).unwrap();
        fs::write(self.path("shop.key"), key.serialize_pem()).unwrap();
    }

    fn issue(&self, server: &str, web: bool, app: bool, environments: &[&str], days: u32) {
        let environments: BTreeSet<String> = environments.iter().map(ToString::to_string).collect();
        let authority = Authority::load(&self.path("trust")).unwrap();
        authority
            .issue(server, Roles { web, app }, &environments, days)
            .unwrap()
            .save(&self.path("trust"), server)
            .unwrap();
    }

    /// The messages of all faults, without the folder.
    fn check(&self, look_at: LookAt<'_>) -> String {
        let shown = match load(&self.path("stoa.toml"), look_at) {
            Ok(loaded) => loaded.warnings.render(false),
            Err(faults) => faults.render(false),
        };
        shown.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn all_is_there() {
    let world = World::new();
    assert_eq!(world.check(LookAt::Everything), "no faults");
    assert_eq!(world.check(LookAt::Server("web1")), "no faults");
    assert_eq!(world.check(LookAt::Server("app1")), "no faults");
}

#[test]
fn a_certificate_covers_the_host_names() {
    let world = World::new();
    world.certificate(&["shop.example.com"], 90);
    insta::assert_snapshot!(world.check(LookAt::Everything), @r#"
        error[certificate]: no certificate of the server `web1` covers `*.shop.example.com`
          --> stoa.toml:10:9
           |
        10 | chain = "shop.pem"
           |         ^^^^^^^^^^ covered: shop.example.com
           |
           = help: get a certificate with these names, and add it as another `certificate`

        1 error
        "#);
    // No matter to the app server.
    assert_eq!(world.check(LookAt::Server("app1")), "no faults");
    world.certificate(&["*.example.com", "*.shop.example.com"], 90);
    assert_eq!(world.check(LookAt::Everything), "no faults");
}

/// What no certificate covers, an authority is asked for, if it can be.
#[test]
fn certificates_are_obtained() {
    let world = World::new();
    let acme = |settings: &str| {
        let acme = format!("name = \"acme\"\n[site.acme]\nterms_agreed = true\n{settings}");
        let text = SITE.replacen("name = \"acme\"\n", &acme, 1);
        fs::write(world.path("stoa.toml"), text).unwrap();
    };
    let obtains = || {
        let loaded = load(&world.path("stoa.toml"), LookAt::Server("web1")).unwrap();
        let server = loaded.site.server("web1").unwrap();
        server.web.as_ref().unwrap().obtains.clone()
    };
    // All are covered: nobody is asked, and no address for HTTP is needed.
    acme("");
    assert_eq!(world.check(LookAt::Everything), "no faults");
    assert!(obtains().is_empty());

    world.certificate(&["else.example.com"], 90);
    insta::assert_snapshot!(world.check(LookAt::Everything), @r#"
        error[missing-key]: no authority can ask the server `web1` whether host names are its own
         --> stoa.toml:9:9
          |
        9 | https = "0.0.0.0:443"
          |         ^^^^^^^^^^^^^
          |
          = help: it asks over HTTP: add http = "0.0.0.0:80"

        error[certificate]: no certificate can be obtained for `*.shop.example.com`
          --> stoa.toml:17:30
           |
        17 | hosts = ["shop.example.com", "*.shop.example.com"]
           |                              ^^^^^^^^^^^^^^^^^^^^ authorities are asked for single names only
           |
           = help: add a certificate that covers it to the server `web1`: `[[server.web1.web.certificate]]`

        2 errors
        "#);
    let with_http = SITE.replace("https =", "http = \"0.0.0.0:80\"\nhttps =");
    let with_http = with_http.replace(
        "name = \"acme\"\n",
        "name = \"acme\"\n[site.acme]\nterms_agreed = true\n",
    );
    fs::write(world.path("stoa.toml"), &with_http).unwrap();
    world.certificate(&["*.shop.example.com"], 90);
    assert_eq!(world.check(LookAt::Everything), "no faults");
    assert_eq!(obtains(), ["shop.example.com"]);

    // The authority's own certificate.
    let own = with_http.replace(
        "terms_agreed = true\n",
        "terms_agreed = true\nroots = \"ca.pem\"\n",
    );
    fs::write(world.path("stoa.toml"), own).unwrap();
    let shown = world.check(LookAt::Server("web1"));
    assert!(shown.contains("cannot read ca.pem"), "{shown}");
    assert_eq!(world.check(LookAt::Server("app1")), "no faults");
    fs::write(world.path("ca.pem"), "nothing").unwrap();
    let shown = world.check(LookAt::Server("web1"));
    assert!(shown.contains("ca.pem has no certificate"), "{shown}");
    fs::copy(world.path("shop.pem"), world.path("ca.pem")).unwrap();
    assert_eq!(world.check(LookAt::Server("web1")), "no faults");

    // Two web servers share a key.
    let two = with_http.replace(
        "[server.app1]",
        "[server.web2]\nroles = [\"web\"]\n[server.web2.web]\nhttp = \"127.0.0.1:80\"\n\
         link = \"10.1.0.3:7443\"\n[server.app1]",
    );
    fs::write(world.path("stoa.toml"), two).unwrap();
    world.issue("web2", true, false, &[], 90);
    insta::assert_snapshot!(world.check(LookAt::Server("web1")), @r#"
        error[certificate]: there is no trust/acme.key
         --> stoa.toml:4:1
          |
        4 | [site.acme]
          | ^^^^^^^^^^^ web servers answer the authority for each other with one key
          |
          = help: make it with `stoa trust issue`, and copy it to each web server

        1 error
        "#);
    let shown = world.check(LookAt::Everything);
    assert!(
        shown.contains("warning[certificate]: there is no trust/acme.key"),
        "{shown}"
    );
    let key = world.path("trust/acme.key");
    fs::copy(world.path("shop.pem"), &key).unwrap();
    let shown = world.check(LookAt::Server("web1"));
    assert!(
        shown.contains("trust/acme.key holds no private key"),
        "{shown}"
    );
    stoa_web::acme::AccountKey::make(&key).unwrap();
    assert_eq!(world.check(LookAt::Server("web1")), "no faults");
}

#[test]
fn a_certificate_expires() {
    let world = World::new();
    world.certificate(&["shop.example.com", "*.shop.example.com"], 10);
    insta::assert_snapshot!(world.check(LookAt::Everything), @r#"
        warning[certificate]: the certificate expires in 9 days
          --> stoa.toml:10:9
           |
        10 | chain = "shop.pem"
           |         ^^^^^^^^^^

        1 warning
        "#);
    world.certificate(&["shop.example.com", "*.shop.example.com"], 0);
    let shown = world.check(LookAt::Everything);
    assert!(
        shown.contains("error[certificate]: the certificate has expired"),
        "{shown}"
    );
    // A server that is started again serves with it.
    let loaded = load(&world.path("stoa.toml"), LookAt::Server("web1")).unwrap();
    let shown = loaded.warnings.to_string();
    assert!(
        shown.contains("warning[certificate]: the certificate has expired"),
        "{shown}"
    );
}

#[test]
fn a_certificate_can_be_used() {
    let world = World::new();
    let key = KeyPair::generate().unwrap().serialize_pem();
    fs::write(world.path("shop.key"), key).unwrap();
    insta::assert_snapshot!(world.check(LookAt::Everything), @r#"
        error[certificate]: the key does not belong to the certificate
          --> stoa.toml:11:7
           |
        11 | key = "shop.key"
           |       ^^^^^^^^^^

        1 error
        "#);
    fs::write(world.path("shop.pem"), "nonsense").unwrap();
    let shown = world.check(LookAt::Everything);
    assert!(
        shown.contains("shop.pem has no certificate in PEM format"),
        "{shown}"
    );
    fs::remove_file(world.path("shop.pem")).unwrap();
    let shown = world.check(LookAt::Everything);
    assert!(shown.contains("cannot read shop.pem"), "{shown}");
}

#[test]
fn links_have_certificates() {
    let world = World::new();
    world.issue("web1", true, true, &[], 90);
    world.issue("app1", false, true, &["test"], 20);
    insta::assert_snapshot!(world.check(LookAt::Everything), @r#"
        error[certificate]: the certificate of `web1` for links is for other roles than the server has
         --> stoa.toml:4:9
          |
        4 | [server.web1]
          |         ^^^^
          |
          = help: make a new one with `stoa trust issue stoa.toml web1`

        error[certificate]: the certificate of `app1` for links does not name the environment `production`
          --> stoa.toml:12:9
           |
        12 | [server.app1]
           |         ^^^^
           |
           = help: make a new one with `stoa trust issue stoa.toml app1`

        warning[certificate]: the certificate of `app1` for links expires in 19 days
          --> stoa.toml:12:9
           |
        12 | [server.app1]
           |         ^^^^

        2 errors, 1 warning
        "#);

    let of_web1 = world.path("trust/web1.pem");
    fs::copy(world.path("trust/app1.pem"), &of_web1).unwrap();
    let shown = world.check(LookAt::Server("web1"));
    assert!(
        shown.contains("does not belong to the certificate"),
        "{shown}"
    );
    fs::copy(world.path("trust/app1.key"), world.path("trust/web1.key")).unwrap();
    let shown = world.check(LookAt::Server("web1"));
    assert!(
        shown.contains("is the certificate of the server `app1`"),
        "{shown}"
    );

    fs::remove_file(&of_web1).unwrap();
    let shown = world.check(LookAt::Everything);
    assert!(
        shown.contains("warning[certificate]: the server `web1` has no certificate"),
        "{shown}"
    );
    let shown = world.check(LookAt::Server("web1"));
    assert!(
        shown.contains("error[certificate]: cannot read trust/web1.pem"),
        "{shown}"
    );
    fs::remove_dir_all(world.path("trust")).unwrap();
    let shown = world.check(LookAt::Everything);
    assert!(
        shown.contains("warning[certificate]: there are no certificates of links"),
        "{shown}"
    );
}

#[test]
fn applications_and_pages_are_there() {
    let world = World::new();
    fs::remove_file(world.path("app/app.toml")).unwrap();
    let more =
        "maintenance_page = \"page.html\"\nerror_pages = \"pages\"\nsign_in = \"providers.toml\"\n";
    fs::write(world.path("stoa.toml"), format!("{SITE}{more}")).unwrap();
    insta::assert_snapshot!(world.check(LookAt::Everything), @r#"
        error[unreadable]: there is no application in the folder `app`
          --> stoa.toml:16:15
           |
        16 | application = "app"
           |               ^^^^^

        error[unreadable]: there is no page `page.html`
          --> stoa.toml:17:20
           |
        17 | maintenance_page = "page.html"
           |                    ^^^^^^^^^^^

        error[unreadable]: there is no folder `pages`
          --> stoa.toml:18:15
           |
        18 | error_pages = "pages"
           |               ^^^^^^^

        error[unreadable]: there is no file `providers.toml`
          --> stoa.toml:19:11
           |
        19 | sign_in = "providers.toml"
           |           ^^^^^^^^^^^^^^^^

        4 errors
        "#);
    let shown = world.check(LookAt::Server("web1"));
    assert!(
        shown.contains("page.html") && !shown.contains("`app`"),
        "{shown}"
    );
    let shown = world.check(LookAt::Server("app1"));
    assert!(
        shown.contains("`app`") && !shown.contains("page.html"),
        "{shown}"
    );
}

#[test]
fn a_file_that_is_not_there() {
    let shown = load(Path::new("/nonexistent/stoa.toml"), LookAt::Text).unwrap_err();
    assert!(
        shown.to_string().contains("cannot read the site's file"),
        "{shown}"
    );
}
