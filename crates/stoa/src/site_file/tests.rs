//! Faults of a site's file as people see them, and what a valid one comes to.

mod acme;
mod files;

use std::path::Path;

use super::*;

/// Two web servers, two app servers, an application and a foreign one.
const SITE: &str = r#"
[site]
name = "acme"

[server.web1]
roles = ["web"]
data = "/var/lib/stoa"
[server.web1.web]
http = "0.0.0.0:80"
https = "0.0.0.0:443"
link = "0.0.0.0:7443"
link_address = "10.1.0.2:7443"
trusted_proxies = ["10.9.0.0/16"]
proxy_protocol = true
metrics = "127.0.0.1:9090"
[[server.web1.web.certificate]]
chain = "certs/shop.pem"
key = "certs/shop.key"

[server.web2]
roles = ["web"]
[server.web2.web]
http = "127.0.0.1:8080"
link = "10.1.0.3:7443"

[server.app1]
roles = ["app"]
[server.app1.app]
environments = ["production"]
capacity = 2
requests = 100
metrics = "127.0.0.1:9091"

[server.app2]
roles = ["app"]

[environment.production]
hosts = ["Shop.example.com", "*.shop.example.com"]
application = "apps/wholesale"
database = "postgres://stoa:secret@db1,db2/shop"
database_connections = 10

[environment.legacy]
hosts = ["old.example.com"]
upstream = ["http://127.0.0.1:8080"]
sticky_cookie = "JSESSIONID"
static = "legacy/static"
health = "/health"
"#;

fn load_site(text: &str) -> std::result::Result<Loaded, Diagnostics> {
    load_text(
        Path::new("/site/stoa.toml"),
        "stoa.toml",
        text.to_owned(),
        LookAt::Text,
    )
}

/// The valid site.
fn site() -> SiteFile {
    let loaded = load_site(SITE).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.site
}

/// Faults of the valid site with one piece of text replaced by another.
fn faults(from: &str, to: &str) -> String {
    assert_eq!(SITE.matches(from).count(), 1, "{from}");
    faults_of(&SITE.replace(from, to))
}

fn faults_of(text: &str) -> String {
    match load_site(text) {
        Ok(loaded) => loaded.warnings.render(false),
        Err(faults) => faults.render(false),
    }
}

/// The first line of each fault.
fn messages(from: &str, to: &str) -> Vec<String> {
    let shown = faults(from, to);
    let is_message = |line: &&str| line.starts_with("error[") || line.starts_with("warning[");
    shown
        .lines()
        .filter(is_message)
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_valid_site_is_resolved() {
    let site = site();
    assert_eq!(site.name, "acme");
    assert_eq!(site.trust, Path::new("/site/trust"));
    let web1 = site.server("web1").unwrap();
    assert_eq!(web1.data, Path::new("/var/lib/stoa"));
    let web = web1.web.as_ref().unwrap();
    assert_eq!(web.https.unwrap().to_string(), "0.0.0.0:443");
    assert_eq!(
        web.link_address.as_ref().unwrap().to_string(),
        "10.1.0.2:7443"
    );
    assert_eq!(web.trusted_proxies[0].to_string(), "10.9.0.0/16");
    assert_eq!(web.certificates[0].chain, Path::new("/site/certs/shop.pem"));
    let web2 = site.server("web2").unwrap();
    assert_eq!(web2.data, Path::new("/site/.stoa/web2"));
    let link = &web2.web.as_ref().unwrap().link_address;
    assert_eq!(link.as_ref().unwrap().to_string(), "10.1.0.3:7443");

    let (app1, app2) = (site.server("app1").unwrap(), site.server("app2").unwrap());
    let app = app1.app.as_ref().unwrap();
    assert_eq!((app.capacity, app.requests), (2, 100));
    let app = app2.app.as_ref().unwrap();
    assert_eq!((app.capacity, app.requests), (1, 512));
    let names = |server| {
        let environments = site.environments_of(server);
        environments
            .map(|one| one.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(app1), ["production"]);
    assert_eq!(names(app2), ["production", "legacy"]);
    assert!(names(web1).is_empty());
    let links: Vec<String> = site
        .links_of(app1)
        .map(|(web, address)| format!("{} {address}", web.name))
        .collect();
    assert_eq!(links, ["web1 10.1.0.2:7443", "web2 10.1.0.3:7443"]);

    let [production, legacy] = &site.environments[..] else {
        panic!("{:?}", site.environments);
    };
    let hosts: Vec<String> = production.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["shop.example.com", "*.shop.example.com"]);
    assert_eq!(
        production.data(app2),
        Path::new("/site/.stoa/app2/production")
    );
    assert_eq!(
        site.database(production, app1).unwrap().to_string(),
        "postgres://stoa:***@db1,db2/shop"
    );
    let Serves::Upstream(upstream) = &legacy.serves else {
        panic!("{legacy:?}");
    };
    assert_eq!(upstream.addresses[0].to_string(), "127.0.0.1:8080");
    assert_eq!(
        upstream.static_content.as_deref(),
        Some(Path::new("/site/legacy/static"))
    );
    assert!(!format!("{site:?}").contains("secret"));
    assert!(site.server("web3").unwrap_err().message().contains("web3"));
}

#[test]
fn the_smallest_site_is_one_server() {
    let text = r#"
        site.name = "small"
        server.one = { roles = ["web", "app"], web = { http = "127.0.0.1:8080" } }
        environment.production = { hosts = ["localhost"], application = "app" }
    "#;
    let loaded = load_site(text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let site = loaded.site;
    let one = site.server("one").unwrap();
    assert_eq!(site.links_of(one).count(), 0);
    assert_eq!(
        site.database(&site.environments[0], one)
            .unwrap()
            .to_string(),
        "sqlite:/site/.stoa/one/production/data.sqlite"
    );
}

#[test]
fn unknown_keys_are_shown_with_what_was_meant() {
    insta::assert_snapshot!(faults("capacity = 2", "capasity = 2\nnonsense = 1"), @r#"
        error[unknown-key]: unknown key `capasity`
          --> stoa.toml:30:1
           |
        30 | capasity = 2
           | ^^^^^^^^
           |
           = help: did you mean `capacity`?

        error[unknown-key]: unknown key `nonsense`
          --> stoa.toml:31:1
           |
        31 | nonsense = 1
           | ^^^^^^^^
           |
           = help: known keys here: environments, capacity, requests, metrics

        2 errors
        "#);
}

#[test]
fn all_faults_are_found_at_once() {
    insta::assert_snapshot!(faults_of(r#"
[site]
name = "Acme Ltd"
[server.web1]
roles = ["web", "wep"]
[server.web1.web]
https = "443"
link = "0.0.0.0:7443"
[server.app1]
roles = ["app"]
[server.app1.app]
environments = ["prodution"]
[environment.production]
hosts = ["https://shop.example.com"]
application = "app"
"#), @r#"
        error[invalid-name]: `Acme Ltd` is no name of a site
         --> stoa.toml:3:8
          |
        3 | name = "Acme Ltd"
          |        ^^^^^^^^^^
          |
          = help: names have 1 to 63 of a–z, 0–9 and -, with no - at either end

        error[unknown-choice]: `wep` is no legal value of `roles`
         --> stoa.toml:5:17
          |
        5 | roles = ["web", "wep"]
          |                 ^^^^^
          |
          = help: did you mean `web`?

        error[invalid-address]: `443` is no address
         --> stoa.toml:7:9
          |
        7 | https = "443"
          |         ^^^^^
          |
          = help: write IP:PORT, such as 0.0.0.0:443, 10.1.0.2:7443 or [::]:443

        error[unknown-environment]: there is no environment `prodution`
          --> stoa.toml:12:17
           |
        12 | environments = ["prodution"]
           |                 ^^^^^^^^^^^
           |
           = help: did you mean `production`?

        error[invalid-host]: `https://shop.example.com` is no host name
          --> stoa.toml:14:10
           |
        14 | hosts = ["https://shop.example.com"]
           |          ^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: write the name alone, without scheme and path

        5 errors
        "#);
}

#[test]
fn syntax_is_shown_where_it_breaks() {
    insta::assert_snapshot!(faults_of("[site\nname = 1\n"), @r#"
        error[syntax]: not TOML: unclosed table, expected `]`
         --> stoa.toml:1:6
          |
        1 | [site
          |      ^

        1 error
        "#);
}

#[test]
fn a_host_name_belongs_to_one_environment() {
    insta::assert_snapshot!(
        faults("\"old.example.com\"", "\"old.example.com\", \"shop.example.COM\", \"old.example.com\""),
        @r#"
        error[duplicate-name]: `shop.example.com` belongs to the environments `production` and `legacy`
          --> stoa.toml:44:29
           |
        38 | hosts = ["Shop.example.com", "*.shop.example.com"]
           |          ------------------ first here
        ...
        44 | hosts = ["old.example.com", "shop.example.COM", "old.example.com"]
           |                             ^^^^^^^^^^^^^^^^^^ a host name leads to one environment

        error[duplicate-name]: `old.example.com` is given twice
          --> stoa.toml:44:49
           |
        44 | hosts = ["old.example.com", "shop.example.COM", "old.example.com"]
           |          ----------------- first here           ^^^^^^^^^^^^^^^^^ a host name leads to one environment

        2 errors
        "#);
    // A wildcard and a name below it are different: the exact one wins.
    assert_eq!(
        faults("\"old.example.com\"", "\"old.shop.example.com\""),
        "no faults"
    );
}

#[test]
fn host_names_are_host_names() {
    for host in [
        "shop.example.com:443",
        "http://shop",
        "*",
        "*.com",
        "a.*.com",
        "sh_op.com",
        "schöner.example",
        "-a.com",
        "",
    ] {
        let shown = faults("\"old.example.com\"", &format!("{host:?}"));
        assert!(shown.contains("error[invalid-host]"), "{host}: {shown}");
    }
    assert!(faults("[\"old.example.com\"]", "[]").contains("`hosts` is empty"));
}

#[test]
fn roles_and_settings_agree() {
    insta::assert_snapshot!(faults("[server.app2]\nroles = [\"app\"]", "[server.app2]\nroles = [\"app\"]\n[server.app2.web]\nhttp = \"127.0.0.1:80\""), @r#"
        error[contradiction]: `app2` has settings of the role `web`, but not the role
          --> stoa.toml:34:9
           |
        34 | [server.app2]
           |         ^^^^
           |
           = help: add "web" to its roles, or remove `[server.app2.web]`

        1 error
        "#);
    insta::assert_snapshot!(
        messages("roles = [\"web\"]\ndata", "roles = []\ndata").join("\n"), @r#"
        error[missing-key]: `web1` has no role
        "#);
    let without = SITE.replace("\"app\"", "\"web\"");
    assert!(faults_of(&without).contains("the site has no app server"));
}

#[test]
fn browsers_reach_a_web_server_safely() {
    insta::assert_snapshot!(faults("http = \"127.0.0.1:8080\"", "http = \"0.0.0.0:8080\""), @r#"
        error[contradiction]: passwords and sessions would travel in the clear
          --> stoa.toml:23:8
           |
        23 | http = "0.0.0.0:8080"
           |        ^^^^^^^^^^^^^^ other machines can reach this
           |
           = help: add `https` and a certificate; or, if a load balancer in front adds TLS, name it in `trusted_proxies`

        1 error
        "#);
    // Behind a load balancer that adds TLS.
    assert_eq!(
        faults(
            "http = \"127.0.0.1:8080\"",
            "http = \"0.0.0.0:8080\"\ntrusted_proxies = [\"10.0.0.1\"]"
        ),
        "no faults"
    );
    assert_eq!(
        messages("http = \"127.0.0.1:8080\"\n", ""),
        ["error[missing-key]: the web server `web2` listens for no browser"]
    );
    assert_eq!(
        messages("http = \"127.0.0.1:8080\"\n", "https = \"0.0.0.0:443\"\n"),
        ["error[missing-key]: there is no certificate for HTTPS"]
    );
    assert_eq!(
        messages("https = \"0.0.0.0:443\"\n", ""),
        ["error[contradiction]: a certificate, but no `https` to use it for"]
    );
    assert_eq!(
        messages("trusted_proxies = [\"10.9.0.0/16\"]\n", ""),
        [
            "error[contradiction]: the PROXY protocol is believed from trusted proxies only, and there are none"
        ]
    );
    assert_eq!(
        messages("10.9.0.0/16", "0.0.0.0/0"),
        ["warning[contradiction]: everybody is believed to be a load balancer"]
    );
    for network in ["10.9.0.1/16", "10.0.0.0/33", "10.9", "fd00::/129", "::1/64"] {
        let shown = faults("10.9.0.0/16", network);
        assert!(
            shown.contains("error[invalid-address]"),
            "{network}: {shown}"
        );
    }
    assert_eq!(
        messages("metrics = \"127.0.0.1:9090\"", "metrics = \"0.0.0.0:9090\""),
        ["warning[invalid-address]: metrics can be read by everybody who reaches this server"]
    );
}

#[test]
fn app_servers_reach_every_web_server() {
    insta::assert_snapshot!(faults("link_address = \"10.1.0.2:7443\"\n", ""), @r#"
        error[invalid-address]: app servers cannot know how to reach the web server `web1`
          --> stoa.toml:11:8
           |
        11 | link = "0.0.0.0:7443"
           |        ^^^^^^^^^^^^^^ this stands for all addresses of the server
           |
           = help: add `link_address`, how app servers reach it, such as "10.1.0.2:7443"

        1 error
        "#);
    insta::assert_snapshot!(faults("link = \"10.1.0.3:7443\"\n", ""), @r#"
        error[missing-key]: app servers cannot reach the web server `web2`
          --> stoa.toml:20:9
           |
        20 | [server.web2]
           |         ^^^^
           |
           = help: give it `link`, the address where app servers dial in, such as "0.0.0.0:7443"

        1 error
        "#);
    for (from, to, expected) in [
        (
            "link_address = \"10.1.0.2:7443\"",
            "link_address = \"0.0.0.0:7443\"",
            "nobody can dial a wildcard",
        ),
        (
            "link_address = \"10.1.0.2:7443\"",
            "link_address = \"10.1.0.2\"",
            "`10.1.0.2` is no address",
        ),
        (
            "link = \"0.0.0.0:7443\"\n",
            "",
            "how to reach a link that is not there",
        ),
        (
            "link = \"10.1.0.3:7443\"",
            "link = \"10.1.0.3:0\"",
            "any free port",
        ),
    ] {
        let shown = faults(from, to);
        assert!(shown.contains(expected), "{to}: {shown}");
    }
}

#[test]
fn two_listeners_need_two_addresses() {
    insta::assert_snapshot!(faults("link = \"0.0.0.0:7443\"", "link = \"127.0.0.1:80\""), @r#"
        error[invalid-address]: `link` and `http` of the server `web1` listen at the same address
          --> stoa.toml:11:8
           |
         9 | http = "0.0.0.0:80"
           |        ------------ `http`
        10 | https = "0.0.0.0:443"
        11 | link = "127.0.0.1:80"
           |        ^^^^^^^^^^^^^^

        1 error
        "#);
    assert_eq!(
        faults("link = \"0.0.0.0:7443\"", "link = \"127.0.0.1:81\""),
        "no faults"
    );
}

#[test]
fn an_embedded_database_belongs_to_one_app_server() {
    insta::assert_snapshot!(
        faults("database = \"postgres://stoa:secret@db1,db2/shop\"\ndatabase_connections = 10\n", ""), @r#"
        error[contradiction]: 2 app servers serve the environment `production`, but its database is embedded
          --> stoa.toml:37:14
           |
        37 | [environment.production]
           |              ^^^^^^^^^^ SQLite belongs to one server
           |
           = help: give it a PostgreSQL database: database = "postgres://USER@HOST/DATABASE", or { file = "…" }

        1 error
        "#);
    let one = "database = \"postgres://stoa:secret@db1,db2/shop\"";
    assert_eq!(
        messages(one, "database = \"sqlite:shop.sqlite\""),
        [
            "error[contradiction]: 2 app servers serve the environment `production`, but its database is embedded"
        ]
    );
    assert_eq!(messages(one, "database = { file = \"secret\" }"), [""; 0]);
    assert_eq!(
        messages(one, "database = { variable = \"DATABASE\" }"),
        [""; 0]
    );
    assert_eq!(
        messages(one, "database = { variable = \"A B\" }"),
        ["error[invalid-value]: this is no name of an environment variable"]
    );
    assert_eq!(
        messages(one, "database = { variable = \"A\", file = \"b\" }"),
        ["error[contradiction]: the address of a database is in one place"]
    );
    // Found late, since the address is not in the site's file.
    let text = SITE.replace(one, "database = { variable = \"STOA_NO_SUCH_VARIABLE\" }");
    let site = load_site(&text).unwrap().site;
    let app1 = site.server("app1").unwrap();
    let error = site.database(&site.environments[0], app1).unwrap_err();
    assert!(
        error.message().contains("STOA_NO_SUCH_VARIABLE"),
        "{error:?}"
    );
    assert!(error.message().contains("production"), "{error:?}");
}

#[test]
fn a_password_is_not_shown() {
    let shown = faults(
        "postgres://stoa:secret@db1,db2/shop",
        "postgres://stoa:secret@db1/shop?nonsense=1",
    );
    assert!(!shown.contains("secret"), "{shown}");
    insta::assert_snapshot!(shown, @r#"
        error[invalid-address]: this is no address of a database for the environment `production`
          --> stoa.toml:40:12
           |
        40 | database = "postgres://stoa:******@db1/shop?nonsense=1"
           |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: unknown parameter “nonsense” in the database address; known are application_name, channel_binding, connect_timeout, dbname, host, hostaddr, keepalives, keepalives_idle, keepalives_interval, keepalives_retries, load_balance_hosts, options, password, port, sslmode, sslnegotiation, sslrootcert, target_session_attrs, tcp_user_timeout, user

        1 error
        "#);
}

#[test]
fn every_app_server_needs_connections() {
    insta::assert_snapshot!(faults("database_connections = 10", "database_connections = 3"), @r#"
        error[out-of-range]: 3 database connections are too few for 2 app servers
          --> stoa.toml:41:24
           |
        41 | database_connections = 3
           |                        ^
           |
           = help: each needs 2: at least database_connections = 4

        1 error
        "#);
}

#[test]
fn an_environment_is_served_by_one_thing() {
    insta::assert_snapshot!(faults("application = \"apps/wholesale\"", "application = \"apps/wholesale\"\nupstream = [\"http://a\"]"), @r#"
        error[contradiction]: the environment `production` has an application and an upstream
          --> stoa.toml:40:12
           |
        39 | application = "apps/wholesale"
           |               ---------------- the application
        40 | upstream = ["http://a"]
           |            ^^^^^^^^^^^^
           |
           = help: keep one: two environments can stand side by side, each with its own host names

        1 error
        "#);
    assert_eq!(
        messages(
            "upstream = [\"http://127.0.0.1:8080\"]\nsticky_cookie = \"JSESSIONID\"\nstatic = \"legacy/static\"\nhealth = \"/health\"\n",
            ""
        ),
        ["error[missing-key]: the environment `legacy` serves nothing"]
    );
    assert_eq!(
        messages("database_connections = 10", "sticky_cookie = \"a\""),
        [
            "error[not-applicable]: `sticky_cookie` means nothing for an environment with an `application`"
        ]
    );
    assert_eq!(
        messages("health = \"/health\"", "sign_in = \"providers.toml\""),
        ["error[not-applicable]: `sign_in` means nothing for an environment with an `upstream`"]
    );
    for (from, to, expected) in [
        (
            "http://127.0.0.1:8080",
            "https://a",
            "`https://a` is no address",
        ),
        (
            "http://127.0.0.1:8080",
            "http://a/b",
            "`http://a/b` is no address",
        ),
        ("JSESSIONID", "a b", "`a b` is no cookie"),
        ("\"/health\"", "\"health\"", "`health` is no path"),
    ] {
        let shown = faults(from, to);
        assert!(shown.contains(expected), "{to}: {shown}");
    }
}

#[test]
fn every_environment_is_served() {
    let text = SITE.replace("[server.app2]\nroles = [\"app\"]\n", "");
    insta::assert_snapshot!(faults_of(&text), @r#"
        error[missing-key]: no app server serves the environment `legacy`
          --> stoa.toml:41:14
           |
        41 | [environment.legacy]
           |              ^^^^^^
           |
           = help: add it to `environments` of an app server

        1 error
        "#);
}

#[test]
fn names_stand_in_certificates_and_folders() {
    for name in ["Web2", "web_2", "authority", "acme", "\"-\""] {
        let text = SITE.replace("server.web2", &format!("server.{name}"));
        let shown = faults_of(&text);
        assert!(
            shown.contains("error[invalid-name]") || shown.contains("error[reserved-name]"),
            "{name}: {shown}"
        );
    }
    for name in ["content", "certificates"] {
        let text = SITE.replace("environment.legacy", &format!("environment.{name}"));
        let shown = faults_of(&text);
        assert!(shown.contains("error[reserved-name]"), "{name}: {shown}");
    }
}

#[test]
fn what_a_web_server_may_know() {
    let site = site();
    let web1 = site.server("web1").unwrap();
    let error = site.refuse_databases(web1).unwrap_err();
    assert!(
        format!("{error:?}").contains("stoa site extract /site/stoa.toml --server web1"),
        "{error:?}"
    );
    site.refuse_databases(site.server("app1").unwrap()).unwrap();

    let text = extract::extract(SITE, &site, web1).unwrap();
    insta::assert_snapshot!(text, @r#"
        # What the server web1 may know of the site acme. Written by
        # `stoa site extract … --server web1`: change the site's own file and do it again.

        [site]
        name = "acme"
        extracted_for = "web1"

        [server.web1]
        roles = ["web"]
        data = "/var/lib/stoa"

        [server.web1.web]
        http = "0.0.0.0:80"
        https = "0.0.0.0:443"
        link = "0.0.0.0:7443"
        link_address = "10.1.0.2:7443"
        trusted_proxies = ["10.9.0.0/16"]
        proxy_protocol = true
        metrics = "127.0.0.1:9090"

        [[server.web1.web.certificate]]
        chain = "certs/shop.pem"
        key = "certs/shop.key"

        [server.web2]
        roles = ["web"]

        [server.web2.web]
        link_address = "10.1.0.3:7443"

        [server.app1]
        roles = ["app"]

        [server.app1.app]
        environments = ["production"]

        [server.app2]
        roles = ["app"]

        [environment.production]
        hosts = ["Shop.example.com", "*.shop.example.com"]

        [environment.legacy]
        hosts = ["old.example.com"]
        sticky_cookie = "JSESSIONID"
        static = "legacy/static"
        "#);
    let loaded = load_site(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let own = loaded.site;
    own.refuse_databases(own.server("web1").unwrap()).unwrap();
    assert_eq!(own.environments[0].hosts, site.environments[0].hosts);

    // Somebody copies a database into it.
    let worse = text.replace(
        "[environment.production]",
        "[environment.production]\ndatabase = \"postgres://a@b/c\"",
    );
    let shown = faults_of(&worse);
    assert!(
        shown.contains("error[not-for-this-server]: `database`"),
        "{shown}"
    );
}

#[test]
fn what_an_app_server_may_know() {
    let site = site();
    let text = extract::extract(SITE, &site, site.server("app1").unwrap()).unwrap();
    insta::assert_snapshot!(text, @r#"
        # What the server app1 may know of the site acme. Written by
        # `stoa site extract … --server app1`: change the site's own file and do it again.

        [site]
        name = "acme"
        extracted_for = "app1"

        [server.web1]
        roles = ["web"]

        [server.web1.web]
        link_address = "10.1.0.2:7443"

        [server.web2]
        roles = ["web"]

        [server.web2.web]
        link_address = "10.1.0.3:7443"

        [server.app1]
        roles = ["app"]

        [server.app1.app]
        environments = ["production"]
        capacity = 2
        requests = 100
        metrics = "127.0.0.1:9091"

        [server.app2]
        roles = ["app"]

        [environment.production]
        hosts = ["Shop.example.com", "*.shop.example.com"]
        application = "apps/wholesale"
        database = "postgres://stoa:secret@db1,db2/shop"
        database_connections = 10
        "#);
    let loaded = load_site(&text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let own = loaded.site;
    let app1 = own.server("app1").unwrap();
    assert_eq!(own.links_of(app1).count(), 2);
    assert_eq!(own.environments_of(app1).count(), 1);
    let shown = faults_of(&text.replace("extracted_for = \"app1\"", "extracted_for = \"app3\""));
    assert!(shown.contains("error[unknown-server]"), "{shown}");
}

#[test]
fn the_schema_of_the_documentation_is_this() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/site.schema.json");
    let wanted = format!("{:#}\n", schema());
    if std::env::var_os("STOA_WRITE_SCHEMAS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == wanted,
        "docs/schema/site.schema.json is not up to date: run this test with STOA_WRITE_SCHEMAS=1"
    );
}

/// The guide names every key and every rule.
#[test]
fn the_guide_is_complete() {
    fn keys(schema: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(properties) = schema["properties"].as_object() {
            found.extend(properties.keys().cloned());
        }
        match schema {
            serde_json::Value::Object(members) => {
                members.values().for_each(|member| keys(member, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }
    let guide = include_str!("../../../../docs/guide/sites.md");
    let mut found = Vec::new();
    keys(&schema(), &mut found);
    assert!(found.iter().any(|key| key == "sticky_cookie"), "{found:?}");
    for key in found.iter().filter(|key| *key != "url") {
        let is_named = guide.contains(&format!("`{key}`"))
            || guide.contains(&format!("[{key}"))
            || guide.contains(&format!(".{key}]"))
            || guide.contains(&format!("{{ {key} ="));
        assert!(is_named, "docs/guide/sites.md does not name `{key}`");
    }
    for code in Code::ALL.iter().filter(|code| code.is_of_site()) {
        assert!(
            guide.contains(&format!("`{code}`")),
            "docs/guide/sites.md does not name `{code}`"
        );
    }
}
