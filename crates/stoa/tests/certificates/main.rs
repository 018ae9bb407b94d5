//! Certificates from an authority that speaks ACME, obtained by the built binary from Pebble.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod site;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use site::{Site, WebServer, free_port};
use stoa_testing::pebble::Pebble;

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOSTS: [&str; 2] = ["shop.example.test", "old.example.test"];

fn one_server(http: u16) -> [WebServer; 1] {
    [WebServer::new("main", Ipv4Addr::LOCALHOST, http)]
}

#[tokio::test]
async fn obtained_and_kept() {
    let http = free_port();
    let mut pebble = Pebble::new(http, DAY).unwrap();
    pebble.start().await.unwrap();
    let mut site = Site::new(&one_server(http), &HOSTS, &pebble);
    site.start("main");
    let root = pebble.root().await.unwrap();
    for host in HOSTS {
        let certificate = site.certificate("main", host, &root).await;
        let answer = site.get("main", host, "/logo.svg", &root).await.unwrap();
        assert_eq!(answer.text().await.unwrap(), site::LOGO, "{host}");
        // Each has one of its own.
        let other = HOSTS.into_iter().find(|other| *other != host).unwrap();
        assert_ne!(certificate, site.certificate("main", other, &root).await);
    }

    // Everything else goes where it went before.
    let asked = site.plain("main", HOSTS[0], "/x?y=1").await;
    assert_eq!(asked.status(), 308);
    let path = "/.well-known/acme-challenge/token";
    let asked = site.plain("main", HOSTS[0], path).await;
    assert_eq!(asked.status(), 200);
    assert!(asked.text().await.unwrap().starts_with("token."));
    let asked = site.plain("main", HOSTS[0], &format!("{path}%20x")).await;
    assert_eq!(asked.status(), 308);
    assert_eq!(site.plain("main", "else.test", path).await.status(), 421);

    // Keys are private, and nothing of an order is left.
    let files = site.files("main");
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["old.example.test.pem", "shop.example.test.pem"]);
    for (name, path) in &files {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let status = site.status("main");
    for (index, host) in HOSTS.iter().enumerate() {
        let certificate = &status["certificates"][index];
        assert_eq!(certificate["names"][0], *host, "{status}");
        assert_eq!(certificate["from"], "authority", "{status}");
        assert_eq!(certificate["days_left"], 0, "{status}");
        assert!(certificate["problem"].is_null(), "{status}");
    }
    let metrics = site.metrics("main").await;
    for host in HOSTS {
        let failures = format!("stoa_certificate_failures{{name=\"{host}\"}} 0\n");
        assert!(metrics.contains(&failures), "{metrics}");
        let expiry = format!("stoa_certificate_expiry_timestamp_seconds{{name=\"{host}\"}} 1");
        assert!(metrics.contains(&expiry), "{metrics}");
    }

    // A restart uses what is there, even without the authority.
    let before = site.certificate("main", HOSTS[0], &root).await;
    pebble.stop();
    site.stop("main");
    site.start("main");
    assert_eq!(site.certificate("main", HOSTS[0], &root).await, before);
    assert!(!site.log("main").contains("ERROR"), "{}", site.log("main"));
}

/// With 15 s of validity, renewed when 10 s have passed: nobody notices.
#[tokio::test]
async fn renewed_while_clients_connect() {
    let http = free_port();
    let validity = Duration::from_secs(15);
    let mut pebble = Pebble::new(http, validity).unwrap();
    pebble.start().await.unwrap();
    let mut site = Site::new(&one_server(http), &HOSTS, &pebble);
    site.start("main");
    let root = pebble.root().await.unwrap();
    let mut first = Vec::new();
    for host in HOSTS {
        first.push(site.certificate("main", host, &root).await);
    }
    let start = std::time::Instant::now();
    let mut renewed = [0; HOSTS.len()];
    while renewed.iter().any(|renewals| *renewals < 2) {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "{}",
            site.log("main")
        );
        for (index, host) in HOSTS.iter().enumerate() {
            // A new connection each time, judged as a browser does.
            let served = site.served("main", host, &root).await;
            let served = served.unwrap_or_else(|error| panic!("{error:?}\n{}", site.log("main")));
            if served != first[index] {
                first[index] = served;
                renewed[index] += 1;
            }
        }
    }
}

/// The authority asks another web server than the one that has ordered.
#[tokio::test]
async fn web_servers_answer_for_each_other() {
    let http = free_port();
    let mut pebble = Pebble::new(http, DAY).unwrap();
    pebble.start().await.unwrap();
    let second = Ipv4Addr::new(127, 0, 0, 2);
    let servers = [
        WebServer::new("web1", Ipv4Addr::LOCALHOST, http),
        WebServer::new("web2", second, http),
    ];
    let mut site = Site::new(&servers, &HOSTS, &pebble);
    // Without a key in common they cannot.
    fs::remove_file(site.path("trust/acme.key")).unwrap();
    let refused = site.check("web1");
    assert!(refused.contains("acme.key"), "{refused}");
    assert!(refused.contains("stoa trust issue"), "{refused}");
    site.issue();
    for host in HOSTS {
        pebble.lead(host, second.into()).await.unwrap();
    }
    site.start("web2");
    site.until("web2 listens", async |site| {
        site.try_plain("web2", HOSTS[0], "/").await.is_some()
    })
    .await;
    for server in ["web1", "app1"] {
        site.start(server);
    }
    let root = pebble.root().await.unwrap();
    for host in HOSTS {
        let one = site.certificate("web1", host, &root).await;
        let two = site.certificate("web2", host, &root).await;
        // Keys do not leave their server.
        assert_ne!(one, two);
    }
    // The site's key is made once.
    let key = fs::read(site.path("trust/acme.key")).unwrap();
    site.issue();
    assert_eq!(fs::read(site.path("trust/acme.key")).unwrap(), key);
}

/// It is asked again within seconds, and a name that leads elsewhere does not keep the other from its certificate.
#[tokio::test]
async fn troubles_are_told_and_tried_again() {
    let http = free_port();
    let mut pebble = Pebble::new(http, DAY).unwrap();
    let mut site = Site::new(&one_server(http), &HOSTS, &pebble);
    site.start("main");
    site.until("the trouble is told", async |site| {
        let status = site.status("main");
        let problem = status["certificates"][0]["problem"].as_str();
        problem.is_some_and(|problem| problem.contains("the authority cannot be asked"))
    })
    .await;
    // Nothing to show: no warning that people could get used to. All else works.
    let other = stoa_testing::certificates::Authority::new().unwrap();
    let served = site.served("main", HOSTS[0], &other.certificate).await;
    let alert = served.unwrap_err().to_string();
    assert!(alert.contains("alert"), "{alert}");
    assert_eq!(site.plain("main", HOSTS[0], "/").await.status(), 308);

    pebble.start().await.unwrap();
    let nobody = Ipv4Addr::new(127, 0, 0, 9);
    pebble.lead(HOSTS[1], nobody.into()).await.unwrap();
    let root = pebble.root().await.unwrap();
    site.certificate("main", HOSTS[0], &root).await;
    site.until("the refusal is told", async |site| {
        let status = site.status("main");
        let certificate = &status["certificates"][1];
        let problem = certificate["problem"].as_str().unwrap_or_default();
        certificate["expires"].is_null()
            && problem.contains("the authority refuses")
            && problem.contains("127.0.0.9")
    })
    .await;
    let metrics = site.metrics("main").await;
    let expiry = |host| format!("stoa_certificate_expiry_timestamp_seconds{{name=\"{host}\"}} ");
    assert!(
        metrics.contains(&format!("{}1", expiry(HOSTS[0]))),
        "{metrics}"
    );
    assert!(
        metrics.contains(&format!("{}0\n", expiry(HOSTS[1]))),
        "{metrics}"
    );
    assert!(
        !metrics.contains(&format!("failures{{name=\"{}\"}} 0\n", HOSTS[1])),
        "{metrics}"
    );
}
