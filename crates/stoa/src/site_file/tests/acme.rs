//! An authority that gives certificates, as a site's file names it.

use std::path::{Path, PathBuf};

use super::super::extract;
use super::{SITE, faults_of, load_site};

/// The valid site, which gets certificates from an authority.
fn with_acme(settings: &str) -> String {
    SITE.replace(
        "\n[server.web1]",
        &format!("[site.acme]\n{settings}\n[server.web1]"),
    )
}

#[test]
fn an_authority_is_asked() {
    let site = load_site(&with_acme("terms_agreed = true")).unwrap().site;
    let acme = site.acme.as_ref().unwrap();
    assert_eq!(
        acme.directory,
        "https://acme-v02.api.letsencrypt.org/directory"
    );
    assert_eq!((&acme.contact, &acme.roots), (&None, &None));
    let web1 = site.server("web1").unwrap();
    // Two web servers share a key, which the operator brings.
    let shared = (PathBuf::from("/site/trust/acme.key"), true);
    assert_eq!(site.acme_account(web1), shared);

    let own = "terms_agreed = true\ncontact = \"it@example.com\"\n\
               directory = \"https://ca.example.com/acme/\"\nroots = \"ca.pem\"";
    let site = load_site(&with_acme(own)).unwrap().site;
    let acme = site.acme.unwrap();
    assert_eq!(acme.directory, "https://ca.example.com/acme/");
    assert_eq!(acme.contact.as_deref(), Some("it@example.com"));
    assert_eq!(acme.roots.as_deref(), Some(Path::new("/site/ca.pem")));

    // No certificate of its own is needed then.
    let bare = with_acme("terms_agreed = true").replace(
        "[[server.web1.web.certificate]]\nchain = \"certs/shop.pem\"\nkey = \"certs/shop.key\"\n",
        "",
    );
    assert_eq!(faults_of(&bare), "no faults");
}

#[test]
fn an_authority_is_asked_properly() {
    insta::assert_snapshot!(faults_of(&with_acme(
        "terms_agreed = false\ncontact = \"mailto:it@example.com,\"\ndirectory = \"http://ca.example.com\""
    )), @r#"
        error[contradiction]: no authority gives certificates to those who do not agree to its terms
         --> stoa.toml:5:16
          |
        5 | terms_agreed = false
          |                ^^^^^
          |
          = help: read them (those of Let's Encrypt are at https://letsencrypt.org/repository/) and write terms_agreed = true; or remove `[site.acme]`

        error[invalid-address]: `mailto:it@example.com,` is no e-mail address
         --> stoa.toml:6:11
          |
        6 | contact = "mailto:it@example.com,"
          |           ^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: write it alone, such as it@example.com

        error[invalid-address]: `http://ca.example.com` is no address of a directory
         --> stoa.toml:7:13
          |
        7 | directory = "http://ca.example.com"
          |             ^^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: write it with https, such as https://acme-v02.api.letsencrypt.org/directory

        3 errors
        "#);
    insta::assert_snapshot!(faults_of(&with_acme("agreed = true")), @r#"
        error[missing-key]: the key `terms_agreed` is missing
         --> stoa.toml:4:7
          |
        4 | [site.acme]
          |       ^^^^
          |
          = help: You agree to the authority's terms of service. Nothing is asked of it otherwise.

        error[unknown-key]: unknown key `agreed`
         --> stoa.toml:5:1
          |
        5 | agreed = true
          | ^^^^^^
          |
          = help: known keys here: terms_agreed, contact, directory, roots

        2 errors
        "#);
    for contact in [
        "it",
        "@example.com",
        "it@",
        "a b@example.com",
        "it@-",
        "it@example.com?x=y",
    ] {
        let text = with_acme(&format!("terms_agreed = true\ncontact = {contact:?}"));
        let shown = faults_of(&text);
        assert!(shown.contains("is no e-mail address"), "{contact}: {shown}");
    }
    let text = with_acme("terms_agreed = true\ndirectory = \"https://user:secret@ca.example.com\"");
    let shown = faults_of(&text);
    assert!(shown.contains("is no address of a directory"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    let without = with_acme("terms_agreed = true")
        .replace("https = \"0.0.0.0:443\"\n", "")
        .replace(
            "[[server.web1.web.certificate]]\nchain = \"certs/shop.pem\"\nkey = \"certs/shop.key\"\n",
            "",
        );
    let shown = faults_of(&without);
    assert!(
        shown.contains("warning[contradiction]: no web server needs a certificate"),
        "{shown}"
    );
}

#[test]
fn an_authority_is_no_matter_to_app_servers() {
    let text = with_acme("terms_agreed = true");
    let site = load_site(&text).unwrap().site;
    let part = |server| extract::extract(&text, &site, site.server(server).unwrap()).unwrap();
    assert!(part("web1").contains("[site.acme]"));
    assert!(!part("app1").contains("acme]"));
    assert_eq!(faults_of(&part("web1")), "no faults");
    assert_eq!(faults_of(&part("app1")), "no faults");
}
