//! Builds and starts a site: its network, its file, its certificates, its database, its servers.

mod architecture;
mod file;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value as Json;
use stoa_link::trust;
use stoa_testing::certificates::Authority;
use stoa_testing::disk::SmallDisk;
use stoa_testing::history::Row;
use stoa_testing::load::Load;
use stoa_testing::network::{Host, Network, Process};
use stoa_testing::postgres::{Cluster, Durability};
use stoa_testing::{eventually, process};

pub(crate) use architecture::Architecture;
use architecture::Server;

use crate::shop;

/// Longest wait for a site to be ready: the first instance loads the sample data.
const START: Duration = Duration::from_secs(60);

/// The environment that all sites have.
pub(crate) const ENVIRONMENT: &str = "production";

/// Databases of the two environments.
const DATABASES: [&str; 2] = ["shop", "second"];

/// How a site is to be.
#[derive(Debug)]
pub(crate) struct SiteBuilder {
    architecture: Architecture,
    has_second_environment: bool,
    certificate_lifetime: Duration,
    /// Server whose data is on a disk of so many bytes.
    small_disk: Option<(&'static str, u64)>,
}

/// A running site.
#[derive(Debug)]
pub(crate) struct SiteUnderTest {
    pub(crate) architecture: Architecture,
    pub(crate) authority: Authority,
    /// None: SQLite.
    pub(crate) primary: Option<Cluster>,
    pub(crate) replica: Option<Cluster>,
    pub(crate) small_disk: Option<SmallDisk>,
    servers: BTreeMap<String, Running>,
    folder: PathBuf,
    pub(crate) network: Network,
}

#[derive(Debug)]
struct Running {
    server: Server,
    host: Host,
    folder: PathBuf,
    /// None: stopped.
    process: Option<Process>,
}

impl SiteBuilder {
    pub(crate) fn new(architecture: Architecture) -> Self {
        Self {
            architecture,
            has_second_environment: false,
            certificate_lifetime: Duration::from_secs(24 * 60 * 60),
            small_disk: None,
        }
    }

    /// One more environment, `second`, with a database and a host name of its own.
    pub(crate) fn second_environment(mut self) -> Self {
        self.has_second_environment = true;
        self
    }

    /// The certificate for users expires after so long.
    pub(crate) fn certificate_lifetime(mut self, time: Duration) -> Self {
        self.certificate_lifetime = time;
        self
    }

    /// A server's data is on a disk of so many bytes.
    pub(crate) fn small_disk(mut self, server: &'static str, bytes: u64) -> Self {
        self.small_disk = Some((server, bytes));
        self
    }

    /// The site, with all instances ready and people who can sign in.
    pub(crate) async fn start(self) -> Result<SiteUnderTest> {
        let network = self.architecture.network().build()?;
        let authority = Authority::new()?;
        let folder = std::env::temp_dir().join("site");
        self.write_site(&folder, &authority, &network)?;
        let (primary, replica) = self.databases(&network).await?;
        let mut small_disk = None;
        let mut servers = BTreeMap::new();
        for server in self.architecture.servers() {
            let host = network.host(server.name)?.clone();
            let own = std::env::temp_dir().join(server.name);
            if let Some((name, bytes)) = self.small_disk
                && name == server.name
            {
                let disk = host.small_disk(bytes)?;
                fs::create_dir_all(&own)?;
                std::os::unix::fs::symlink(disk.path(), own.join("data"))?;
                small_disk = Some(disk);
            }
            self.furnish(&folder, &own, &server)?;
            servers.insert(
                server.name.to_owned(),
                Running {
                    server,
                    host,
                    folder: own,
                    process: None,
                },
            );
        }
        let mut site = SiteUnderTest {
            architecture: self.architecture,
            authority,
            primary,
            replica,
            small_disk,
            servers,
            folder,
            network,
        };
        let names: Vec<String> = site.servers.keys().cloned().collect();
        for name in names {
            site.start(&name)?;
        }
        // An instance is one environment on one app server.
        let environments = if self.has_second_environment { 2 } else { 1 };
        site.until_ready(site.architecture.instances() * environments, START)
            .await?;
        site.add_people(DATABASES[0])?;
        if self.has_second_environment {
            site.add_people(DATABASES[1])?;
        }
        Ok(site)
    }

    /// The site's file and all that it names, as its operator has them.
    fn write_site(&self, folder: &Path, authority: &Authority, network: &Network) -> Result<()> {
        fs::create_dir_all(folder.join("certificates"))?;
        process::copy_folder(&shop::application(), &folder.join("applications/wholesale"))?;
        let certificate = authority.issue_for(
            &[shop::NAME, &format!("*.{}", shop::NAME)],
            self.certificate_lifetime,
        )?;
        fs::write(folder.join("certificates/shop.pem"), &certificate.chain)?;
        fs::write(folder.join("certificates/shop.key"), &certificate.key)?;
        fs::write(
            folder.join("stoa.toml"),
            file::text(self.architecture, self.has_second_environment, network)?,
        )?;
        if self.architecture.servers().len() > 1 {
            for verb in ["init", "issue"] {
                let mut command = process::command()?;
                command.args(["trust", verb]).arg(folder.join("stoa.toml"));
                shop::stoa(command)?;
            }
        }
        Ok(())
    }

    /// What is copied to a server: its part of the file, and only what it may know.
    fn furnish(&self, site: &Path, own: &Path, server: &Server) -> Result<()> {
        process::copy_folder(&site.join("certificates"), &own.join("certificates"))?;
        if server.is_app {
            process::copy_folder(&site.join("applications"), &own.join("applications"))?;
        }
        if self.architecture.servers().len() == 1 {
            fs::copy(site.join("stoa.toml"), own.join("stoa.toml"))?;
            return Ok(());
        }
        let mut command = process::command()?;
        command
            .args(["site", "extract"])
            .arg(site.join("stoa.toml"))
            .args(["--server", server.name, "--output"])
            .arg(own.join("stoa.toml"));
        shop::stoa(command)?;
        fs::create_dir_all(own.join("trust"))?;
        for file in [
            "authority.pem".to_owned(),
            format!("{}.pem", server.name),
            format!("{}.key", server.name),
        ] {
            fs::copy(
                site.join("trust").join(&file),
                own.join("trust").join(&file),
            )
            .with_context(|| format!("trust/{file}"))?;
        }
        Ok(())
    }

    async fn databases(&self, network: &Network) -> Result<(Option<Cluster>, Option<Cluster>)> {
        if !self.architecture.has_postgres() {
            return Ok((None, None));
        }
        let primary = Cluster::start_on(network.host("db1")?, Durability::Full).await?;
        for name in DATABASES {
            primary
                .with("postgres", async move |client| {
                    Ok(client
                        .batch_execute(&format!("CREATE DATABASE {name}"))
                        .await?)
                })
                .await?;
        }
        let mut replica = None;
        if self.architecture.has_replica() {
            replica = Some(primary.replicate_to(network.host("db2")?).await?);
            primary.wait_for_replica(true).await?;
        }
        Ok((Some(primary), replica))
    }
}

impl SiteUnderTest {
    /// Starts a server that is stopped.
    pub(crate) fn start(&mut self, name: &str) -> Result<()> {
        let running = self.running_mut(name)?;
        ensure!(running.process.is_none(), "{name} runs already");
        let mut command = process::command()?;
        command
            .args(["serve", "--site"])
            .arg(running.folder.join("stoa.toml"))
            .args(["--server", name]);
        running.process = Some(running.host.spawn(command)?);
        Ok(())
    }

    /// The process of a server, to do something with.
    pub(crate) fn process(&mut self, name: &str) -> Result<&mut Process> {
        let process = self.running_mut(name)?.process.as_mut();
        process.with_context(|| format!("{name} does not run"))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, name: &str) -> Result<()> {
        let process = self.running_mut(name)?.process.take();
        process
            .with_context(|| format!("{name} does not run"))?
            .kill()
    }

    /// SIGTERM, and its end: what it was asked is finished first.
    pub(crate) async fn stop(&mut self, name: &str, deadline: Duration) -> Result<()> {
        let process = self.running_mut(name)?.process.take();
        let mut process = process.with_context(|| format!("{name} does not run"))?;
        process.terminate()?;
        let process = std::cell::RefCell::new(&mut process);
        eventually(&format!("{name} ends"), deadline, async || {
            let is_running = process.borrow_mut().is_running();
            (!is_running.unwrap_or(true)).then_some(())
        })
        .await
    }

    /// A command to a server that runs.
    pub(crate) fn command(&self, command: &str, name: &str) -> Result<()> {
        let mut process = process::command()?;
        process
            .args([command, name, "--site"])
            .arg(self.folder(name)?.join("stoa.toml"));
        shop::stoa(process).map(|_| ())
    }

    fn running_mut(&mut self, name: &str) -> Result<&mut Running> {
        self.servers
            .get_mut(name)
            .with_context(|| format!("the site has no server {name}"))
    }

    /// The host of a server, or of something else.
    pub(crate) fn host(&self, name: &str) -> Result<&Host> {
        self.network.host(name)
    }

    /// The folder of a server: its file, its certificates, its data.
    pub(crate) fn folder(&self, name: &str) -> Result<&Path> {
        let running = self.servers.get(name);
        Ok(&running
            .with_context(|| format!("the site has no server {name}"))?
            .folder)
    }

    /// Makes new certificates for users and gives them to all web servers.
    pub(crate) fn renew_certificate(&self) -> Result<()> {
        let certificate = self
            .authority
            .issue(&[shop::NAME, &format!("*.{}", shop::NAME)])?;
        for running in self
            .servers
            .values()
            .filter(|running| running.server.is_web)
        {
            let folder = running.folder.join("certificates");
            fs::write(folder.join("shop.key"), &certificate.key)?;
            fs::write(folder.join("shop.pem"), &certificate.chain)?;
        }
        Ok(())
    }

    /// Gives an app server a new certificate for links, which is good for so many days. With none it has expired.
    pub(crate) fn issue(&self, server: &str, days: u32) -> Result<()> {
        let authority = trust::Authority::load(&self.folder.join("trust"))?;
        let roles = trust::Roles {
            web: false,
            app: true,
        };
        let environments = [ENVIRONMENT.to_owned()].into();
        let issued = authority.issue(server, roles, &environments, days)?;
        Ok(issued.save(&self.folder(server)?.join("trust"), server)?)
    }

    /// What a server says of the site.
    pub(crate) fn status(&self, name: &str) -> Result<Json> {
        let mut command = process::command()?;
        command
            .args(["status", "--json", "--site"])
            .arg(self.folder(name)?.join("stoa.toml"))
            .args(["--server", name]);
        serde_json::from_str(&shop::stoa(command)?).context("stoa status")
    }

    /// Waits until every running web server sees so many ready instances.
    pub(crate) async fn until_ready(&self, instances: usize, deadline: Duration) -> Result<()> {
        let web: Vec<&String> = self
            .servers
            .iter()
            .filter(|(_, running)| running.server.is_web && running.process.is_some())
            .map(|(name, _)| name)
            .collect();
        ensure!(!web.is_empty(), "no web server runs");
        for name in web {
            let what = format!("{name} sees {instances} ready instances");
            eventually(&what, deadline, async || {
                // A server that is about to start has no socket to ask at.
                let status = self.status(name).ok()?;
                let ready = status["instances"]
                    .as_array()?
                    .iter()
                    .filter(|instance| instance["state"] == "ready")
                    .count();
                (ready == instances).then_some(())
            })
            .await?;
        }
        Ok(())
    }

    fn add_people(&self, database: &str) -> Result<()> {
        let app = self
            .servers
            .values()
            .find(|running| running.server.is_app)
            .context("a site has an app server")?;
        let application = app.folder.join("applications/wholesale");
        let place = if self.architecture.has_postgres() {
            vec![
                "--database".to_owned(),
                self.architecture.database(database),
            ]
        } else {
            vec!["--data".to_owned(), self.data()?.display().to_string()]
        };
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        app.host.run(|| shop::add_people(&application, &place))?
    }

    /// Folder of the environment's data on the only app server.
    fn data(&self) -> Result<PathBuf> {
        let app = self
            .servers
            .values()
            .find(|running| running.server.is_app)
            .context("a site has an app server")?;
        Ok(app.folder.join("data").join(ENVIRONMENT))
    }

    /// Where users find the site.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers
            .values()
            .filter(|running| running.server.is_web)
            .map(|running| running.host.at(443))
            .collect()
    }

    /// Users, not yet started.
    pub(crate) fn load(&self) -> Result<Load> {
        shop::load(&self.authority, &self.addresses())
    }

    /// Users of the second environment, not yet started.
    pub(crate) fn second_load(&self) -> Result<Load> {
        let mut load = self.load()?;
        load.authority = file::second_host();
        Ok(load)
    }

    /// Rows that users made, in the database that takes writes.
    pub(crate) async fn rows(&self) -> Result<Vec<Row>> {
        self.rows_in(DATABASES[0]).await
    }

    /// Rows that users of the second environment made.
    pub(crate) async fn second_rows(&self) -> Result<Vec<Row>> {
        self.rows_in(DATABASES[1]).await
    }

    async fn rows_in(&self, database: &'static str) -> Result<Vec<Row>> {
        match (&self.replica, &self.primary) {
            (Some(replica), _) if is_primary(replica).await => shop::rows(replica, database).await,
            (_, Some(primary)) => shop::rows(primary, database).await,
            (_, None) => shop::rows_of_file(&self.data()?.join("data.sqlite")),
        }
    }

    /// The folder in which the operator keeps the site, authority included.
    pub(crate) fn operator_folder(&self) -> &Path {
        &self.folder
    }
}

/// Whether a replica has been promoted.
async fn is_primary(cluster: &Cluster) -> bool {
    let asked = cluster
        .with("postgres", async |client| {
            let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await?;
            Ok(!row.get::<_, bool>(0))
        })
        .await;
    asked.unwrap_or(false)
}
