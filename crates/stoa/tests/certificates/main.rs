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
use std::time::{Duration, Instant};

use anyhow::Result;
use site::{Site, WebServer};
use stoa_testing::certificates::Authority;
use stoa_testing::disk::SmallDisk;
use stoa_testing::network;
use stoa_testing::pebble::Pebble;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// In the order in which they are shown.
const HOSTS: [&str; 2] = ["old.example.test", "shop.example.test"];

fn one_server() -> [WebServer; 1] {
    [WebServer::new("main", Ipv4Addr::LOCALHOST)]
}

/// A running authority whose certificates are valid for so long, and a site of one server that is to ask it.
async fn authority_and_site(validity: Duration) -> Result<(Pebble, Site)> {
    let mut pebble = Pebble::new(validity).await?;
    pebble.start().await?;
    let site = Site::new(&one_server(), &HOSTS, &pebble);
    Ok((pebble, site))
}

#[test]
fn obtained_and_kept() -> Result<()> {
    network::test(|| async {
        let (mut pebble, mut site) = authority_and_site(DAY).await?;
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
        Ok(())
    })
}

/// With 30 s of validity, renewed when 20 s have passed: nobody notices.
#[test]
fn renewed_while_clients_connect() -> Result<()> {
    network::test(|| async {
        let validity = Duration::from_secs(30);
        let (pebble, mut site) = authority_and_site(validity).await?;
        site.start("main");
        let root = pebble.root().await.unwrap();
        let mut first = Vec::new();
        for host in HOSTS {
            first.push(site.certificate("main", host, &root).await);
        }
        let start = Instant::now();
        let mut renewed = [false; HOSTS.len()];
        while renewed.contains(&false) {
            assert!(start.elapsed() < 4 * validity, "{}", site.log("main"));
            for (index, host) in HOSTS.iter().enumerate() {
                // A new connection each time, judged as a browser does.
                let served = site.served("main", host, &root).await;
                let served =
                    served.unwrap_or_else(|error| panic!("{error:?}\n{}", site.log("main")));
                renewed[index] |= served != first[index];
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
}

/// Whenever the server is killed, the next start obtains what is missing, and leaves nothing else behind.
#[test]
fn killed_while_it_obtains() -> Result<()> {
    network::test(|| async {
        let (pebble, mut site) = authority_and_site(DAY).await?;
        for _ in 0..3 {
            let before = pebble.orders();
            site.start("main");
            site.until("a certificate is ordered", async |_| {
                pebble.orders() > before
            })
            .await;
            site.kill("main");
            // What was obtained before all the same.
            for (_, path) in site.files("main") {
                if path.extension().is_some_and(|extension| extension == "pem") {
                    fs::remove_file(path)?;
                }
            }
        }
        site.start("main");
        let root = pebble.root().await.unwrap();
        for host in HOSTS {
            site.certificate("main", host, &root).await;
        }
        site.until("nothing else is left", async |site| {
            site.files("main").len() == HOSTS.len()
        })
        .await;
        Ok(())
    })
}

/// A full disk is found before anything is ordered.
#[test]
fn a_full_disk_orders_nothing() -> Result<()> {
    network::test(|| async {
        let Some(disk) = SmallDisk::mount(16 << 20)? else {
            return Ok(());
        };
        let mut pebble = Pebble::new(DAY).await.unwrap();
        let mut site = Site::new(&one_server(), &HOSTS, &pebble);
        let data = format!("[server.main]\ndata = {:?}", disk.path());
        site.edit("[server.main]", &data);
        site.start("main");
        site.problem("main", HOSTS[0], "the authority cannot be asked")
            .await;
        let ballast = disk.fill().unwrap();
        pebble.start().await.unwrap();
        for host in HOSTS {
            site.problem("main", host, "there is no place for the certificate")
                .await;
        }
        assert_eq!(pebble.orders(), 0, "{}", pebble.log());

        fs::remove_file(ballast).unwrap();
        site.stop("main");
        site.start("main");
        let root = pebble.root().await.unwrap();
        for host in HOSTS {
            site.certificate("main", host, &root).await;
        }
        assert_eq!(pebble.orders(), HOSTS.len(), "{}", pebble.log());
        Ok(())
    })
}

/// The authority asks another web server than the one that has ordered.
#[test]
fn web_servers_answer_for_each_other() -> Result<()> {
    network::test(|| async {
        let mut pebble = Pebble::new(DAY).await.unwrap();
        pebble.start().await.unwrap();
        let second = Ipv4Addr::new(127, 0, 0, 2);
        let servers = [
            WebServer::new("web1", Ipv4Addr::LOCALHOST),
            WebServer::new("web2", second),
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
        Ok(())
    })
}

/// It is asked again within seconds, and a name that leads elsewhere does not keep the other from its certificate.
#[test]
fn troubles_are_told_and_tried_again() -> Result<()> {
    network::test(|| async {
        let mut pebble = Pebble::new(DAY).await.unwrap();
        let mut site = Site::new(&one_server(), &HOSTS, &pebble);
        site.start("main");
        site.problem("main", HOSTS[0], "the authority cannot be asked")
            .await;
        // Nothing to show: no warning that people could get used to. All else works.
        let other = Authority::new().unwrap();
        let served = site.served("main", HOSTS[0], &other.certificate).await;
        let alert = served.unwrap_err().to_string();
        assert!(alert.contains("alert"), "{alert}");
        assert_eq!(site.plain("main", HOSTS[0], "/").await.status(), 308);

        let nobody = Ipv4Addr::new(127, 0, 0, 9);
        pebble.lead(HOSTS[1], nobody.into()).await.unwrap();
        pebble.start().await.unwrap();
        let root = pebble.root().await.unwrap();
        site.certificate("main", HOSTS[0], &root).await;
        let problem = site
            .problem("main", HOSTS[1], "the authority refuses")
            .await;
        assert!(problem.contains("127.0.0.9"), "{problem}");
        let metrics = site.metrics("main").await;
        let expiry =
            |host| format!("stoa_certificate_expiry_timestamp_seconds{{name=\"{host}\"}} ");
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
        Ok(())
    })
}

/// A web server with a certificate of its own for a name answers for the other, which obtains one.
#[test]
fn a_web_server_with_files_answers_for_another() -> Result<()> {
    network::test(|| async {
        let mut pebble = Pebble::new(DAY).await.unwrap();
        pebble.start().await.unwrap();
        let first = Ipv4Addr::LOCALHOST;
        let servers = [
            WebServer::new("web1", first),
            WebServer::new("web2", Ipv4Addr::new(127, 0, 0, 2)),
        ];
        let mut site = Site::new(&servers, &HOSTS, &pebble);
        let authority = Authority::new().unwrap();
        let certificate = authority.issue(&HOSTS).unwrap();
        fs::write(site.path("own.pem"), certificate.chain).unwrap();
        fs::write(site.path("own.key"), certificate.key).unwrap();
        let own = "[[server.web1.web.certificate]]\nchain = \"own.pem\"\nkey = \"own.key\"\n[server.app1]";
        site.edit("[server.app1]", own);
        site.start("web1");
        let root = &authority.certificate;
        let shown = site.certificate("web1", HOSTS[0], root).await;
        for host in HOSTS {
            pebble.lead(host, first.into()).await.unwrap();
        }
        site.start("web2");
        let root = pebble.root().await.unwrap();
        for host in HOSTS {
            assert_ne!(site.certificate("web2", host, &root).await, shown);
        }
        let status = site.status("web1");
        let certificates = status["certificates"].as_array().unwrap();
        assert_eq!(certificates.len(), 1, "{status}");
        assert_eq!(certificates[0]["from"], "file", "{status}");
        Ok(())
    })
}
