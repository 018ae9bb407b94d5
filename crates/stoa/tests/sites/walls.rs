//! The web server in the DMZ, taken over: what its owner can reach.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use stoa_testing::network::{self, Reach};

use crate::site::{Architecture, SiteBuilder};

/// Longest wait for an answer from the other side of the firewall.
const PATIENCE: Duration = Duration::from_millis(500);

/// Ports that something could listen on.
fn ports() -> impl Iterator<Item = u16> {
    (1..1024).chain([5432, 7443, 8080, 9090, 9091])
}

#[test]
#[ignore = "needs stoa serve"]
fn nothing_inside_can_be_reached_from_the_dmz() -> Result<()> {
    network::test(async || {
        let site = SiteBuilder::new(Architecture::Dmz).start().await?;
        let web1 = site.host("web1")?;
        // The database can be reached from inside: the scan would find it.
        let database = site.host("db1")?.at(5432);
        ensure!(site.host("app1")?.can_reach(database).await?);
        for name in ["app1", "db1"] {
            let address = site.host(name)?.address();
            let targets: Vec<SocketAddr> = ports().map(|port| (address, port).into()).collect();
            let reached: Vec<_> = web1
                .scan(targets, PATIENCE)
                .await?
                .into_iter()
                .filter(|(_, reach)| *reach != Reach::Silent)
                .collect();
            ensure!(
                reached.is_empty(),
                "from the DMZ {name} answers: {reached:?}"
            );
        }
        Ok(())
    })
}

/// What is on the web server's disk would help nobody inside.
#[test]
#[ignore = "needs stoa serve"]
fn the_web_server_holds_no_secret_of_the_inside() -> Result<()> {
    network::test(async || {
        let site = SiteBuilder::new(Architecture::Dmz).start().await?;
        let secrets = ["postgres://", "db1", "[entity."];
        let mut files = vec![site.folder("web1")?.to_path_buf()];
        let mut seen = 0;
        while let Some(path) = files.pop() {
            if path.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    files.push(entry?.path());
                }
                continue;
            }
            // Sockets cannot be read.
            let Ok(content) = std::fs::read(&path) else {
                continue;
            };
            seen += 1;
            let text = String::from_utf8_lossy(&content);
            for secret in secrets {
                ensure!(!text.contains(secret), "{} has `{secret}`", path.display());
            }
        }
        ensure!(seen > 3, "only {seen} files");
        let authority = site.operator_folder().join("trust/authority.key");
        ensure!(authority.exists(), "the operator has the authority's key");
        Ok(())
    })
}
