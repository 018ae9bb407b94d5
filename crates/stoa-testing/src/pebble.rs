//! An authority that speaks ACME: Pebble, with which Let's Encrypt has its clients tested, and the names it looks up.
//!
//! It listens at the same ports of 127.0.0.1 each time and asks web servers at port 80, so each one needs a network of
//! its own: [`crate::network::test`].

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::process::{Killed, collect};

/// Where it is asked for certificates.
const DIRECTORY: &str = "127.0.0.1:14000";
/// Where tests ask it for its root.
const MANAGEMENT: &str = "127.0.0.1:15000";
/// Where it looks up names.
const LOOKUPS: &str = "127.0.0.1:8053";
/// Where tests lead names.
const NAMES: &str = "127.0.0.1:8055";
/// Longest wait for it to start.
const START: Duration = Duration::from_secs(30);

/// An authority; killed with the value.
#[derive(Debug)]
pub struct Pebble {
    folder: TempDir,
    http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
    resolver: Option<Killed>,
    process: Option<Killed>,
}

impl Pebble {
    /// One whose certificates are valid for so long. It does not run yet, but names can be led: all lead to 127.0.0.1 at
    /// first.
    ///
    /// # Errors
    /// Its files cannot be written, or it is not installed.
    pub async fn new(validity: Duration) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new()?;
        let certificate = authority.issue(&["localhost", "127.0.0.1"])?;
        fs::write(folder.path().join("roots.pem"), &authority.certificate)?;
        fs::write(folder.path().join("own.pem"), certificate.chain)?;
        fs::write(folder.path().join("own.key"), certificate.key)?;
        let configuration = json!({ "pebble": {
            "listenAddress": DIRECTORY,
            "managementListenAddress": MANAGEMENT,
            "certificate": "own.pem",
            "privateKey": "own.key",
            "httpPort": 80,
            "tlsPort": 1,
            "certificateValidityPeriod": validity.as_secs(),
        }});
        fs::write(folder.path().join("pebble.json"), configuration.to_string())?;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let root = reqwest::Certificate::from_pem(authority.certificate.as_bytes())?;
        let http = reqwest::Client::builder()
            .add_root_certificate(root)
            .timeout(START)
            .no_proxy()
            .build()?;
        let mut pebble = Self {
            folder,
            http,
            log: Arc::default(),
            resolver: None,
            process: None,
        };
        pebble.resolver = Some(pebble.start_resolver()?);
        let localhost = [127, 0, 0, 1].into();
        let is_up = || async { pebble.lead("started.test", localhost).await.ok() };
        crate::eventually("names can be led", START, is_up)
            .await
            .with_context(|| pebble.log())?;
        Ok(pebble)
    }

    fn start_resolver(&self) -> Result<Killed> {
        let arguments = [
            ["-dns01", LOOKUPS],
            ["-management", NAMES],
            ["-http01", ""],
            ["-https01", ""],
            ["-tlsalpn01", ""],
            ["-defaultIPv4", "127.0.0.1"],
            ["-defaultIPv6", ""],
        ];
        self.spawn("pebble-challtestsrv", arguments.as_flattened())
    }

    /// Starts it.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn start(&mut self) -> Result<()> {
        let arguments = ["-strict", "-config", "pebble.json", "-dnsserver", LOOKUPS];
        self.process = Some(self.spawn("pebble", &arguments)?);
        let is_up = || async {
            let answer = self.http.get(self.directory()).send().await;
            answer.ok().filter(|answer| answer.status() == 200)
        };
        crate::eventually("pebble is up", START, is_up)
            .await
            .with_context(|| self.log())?;
        Ok(())
    }

    /// Stops it. It knows nothing of what it was asked when it is started again.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Address of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://{DIRECTORY}/dir")
    }

    /// File with the certificate by which it is trusted when it is asked.
    #[must_use]
    pub fn roots(&self) -> PathBuf {
        self.folder.path().join("roots.pem")
    }

    /// The root of what it issues, in PEM.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn root(&self) -> Result<String> {
        let url = format!("https://{MANAGEMENT}/roots/0");
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    /// Leads a name to an address.
    ///
    /// # Errors
    /// The resolver does not answer.
    pub async fn lead(&self, name: &str, address: IpAddr) -> Result<()> {
        let answer = self
            .http
            .post(format!("http://{NAMES}/add-a"))
            .body(json!({ "host": format!("{name}."), "addresses": [address] }).to_string())
            .send()
            .await?;
        ensure!(answer.status() == 200, "add-a: {answer:?}");
        Ok(())
    }

    /// How many certificates it was asked for.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.log().matches("POST /order-plz").count()
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.join("\n")
    }

    fn spawn(&self, program: &str, arguments: &[&str]) -> Result<Killed> {
        // Gone also when the test is killed.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments)
            .current_dir(self.folder.path())
            // Otherwise it waits for some seconds before each validation, leaves out half of them, and refuses some
            // requests for nothing.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("running setpriv: is util-linux installed?")?;
        collect(child.stdout.take(), &self.log);
        collect(child.stderr.take(), &self.log);
        Ok(Killed(child))
    }
}
