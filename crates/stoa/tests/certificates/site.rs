//! A site of one server, or of two web servers and an app server, whose certificates come from an authority.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use stoa_testing::eventually;
use stoa_testing::pebble::Pebble;
use stoa_testing::process::Killed;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const MODEL: &str = "
[entity.Article.attributes]
Number = { type = \"AutoNumber\" }
";
/// A file of the application's static content.
pub(crate) const LOGO: &str = "<svg/>";

/// Longest wait for anything: builds may run beside the tests.
const LONG: Duration = Duration::from_secs(90);

/// A web server's address. It listens where real ones do: the test has a network of its own.
pub(crate) struct WebServer {
    name: &'static str,
    address: IpAddr,
}

impl WebServer {
    pub(crate) fn new(name: &'static str, address: Ipv4Addr) -> Self {
        Self {
            name,
            address: address.into(),
        }
    }

    fn at(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }
}

pub(crate) struct Site {
    folder: TempDir,
    file: PathBuf,
    /// Where each listens: HTTP, HTTPS, metrics.
    web: BTreeMap<&'static str, [SocketAddr; 3]>,
    running: BTreeMap<String, Killed>,
}

fn stoa() -> Command {
    let mut command = stoa_testing::process::command().unwrap();
    command.stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    [stdout, stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}

impl Site {
    /// Writes the site's file. One web server is the app server, too.
    pub(crate) fn new(servers: &[WebServer], hosts: &[&str], pebble: &Pebble) -> Self {
        let folder = stoa_testing::process::application(&[
            ("shop/app.toml", "name = \"shop\"\n"),
            ("shop/model/shop.toml", MODEL),
            ("shop/web/logo.svg", LOGO),
        ])
        .unwrap();
        let is_alone = servers.len() == 1;
        let mut text = format!(
            r#"
            [site]
            name = "test"
            [site.acme]
            terms_agreed = true
            contact = "it@example.test"
            directory = "{}"
            roots = "{}"
            [environment.shop]
            hosts = {hosts:?}
            application = "shop"
            "#,
            pebble.directory(),
            pebble.roots().display()
        );
        for server in servers {
            let roles = if is_alone {
                r#""web", "app""#
            } else {
                r#""web""#
            };
            text += &format!(
                r#"
                [server.{name}]
                roles = [{roles}]
                [server.{name}.web]
                http = "{http}"
                https = "{https}"
                link = "{link}"
                metrics = "{metrics}"
                "#,
                name = server.name,
                http = server.at(80),
                https = server.at(443),
                link = server.at(7443),
                metrics = server.at(9090),
            );
        }
        if !is_alone {
            text += "[server.app1]\nroles = [\"app\"]\n";
        }
        let file = folder.path().join("stoa.toml");
        fs::write(&file, text).unwrap();
        let addresses = |server: &WebServer| [80, 443, 9090].map(|port| server.at(port));
        let site = Self {
            folder,
            file,
            web: servers
                .iter()
                .map(|server| (server.name, addresses(server)))
                .collect(),
            running: BTreeMap::new(),
        };
        site.command(&["trust", "init"]);
        site.issue();
        site
    }

    fn command(&self, arguments: &[&str]) {
        let output = stoa().args(arguments).arg(&self.file).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    }

    pub(crate) fn issue(&self) {
        self.command(&["trust", "issue"]);
    }

    /// Why a server cannot start.
    pub(crate) fn check(&self, server: &str) -> String {
        let mut command = stoa();
        command.args(["site", "check"]).arg(&self.file);
        let output = command.args(["--server", server]).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", text(&output));
        text(&output)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log_file(&self, server: &str) -> PathBuf {
        self.path(&format!("{server}.log"))
    }

    pub(crate) fn log(&self, server: &str) -> String {
        fs::read_to_string(self.log_file(server)).unwrap()
    }

    /// Starts a server, with a new log.
    pub(crate) fn start(&mut self, server: &str) {
        let log = File::create(self.log_file(server)).unwrap();
        let child = stoa()
            .args(["serve", "--site"])
            .arg(&self.file)
            .args(["--server", server])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.insert(server.to_owned(), Killed(child));
    }

    /// Kills it.
    pub(crate) fn kill(&mut self, server: &str) {
        drop(self.running.remove(server).unwrap());
    }

    /// Changes one place of the site's file.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.file).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}: {text}");
        fs::write(&self.file, text.replace(from, to)).unwrap();
    }

    /// What keeps a host name from a certificate, as soon as it is told in these words.
    pub(crate) async fn problem(&self, server: &str, host: &str, words: &str) -> String {
        let find = |status: &Value| {
            let certificates = status["certificates"].as_array()?;
            let found = certificates.iter().find(|one| one["names"][0] == host)?;
            let problem = found["problem"].as_str()?;
            problem.contains(words).then(|| problem.to_owned())
        };
        let what = format!("{host}: {words}");
        let told = eventually(&what, LONG, || async { find(&self.status(server)) }).await;
        self.expect(server, told)
    }

    /// What a server was waited for; with its log if that was in vain.
    fn expect<T>(&self, server: &str, waited: anyhow::Result<T>) -> T {
        waited.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log(server)))
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(&mut self, server: &str) {
        let mut process = self.running.remove(server).unwrap();
        let kill = Command::new("kill")
            .arg(process.0.id().to_string())
            .status();
        assert!(kill.unwrap().success());
        assert!(process.0.wait().unwrap().success(), "{}", self.log(server));
    }

    fn client(&self, server: &str, host: &str, root: &str) -> Client {
        let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
        Client::builder()
            .no_proxy()
            .add_root_certificate(root)
            .redirect(Policy::none())
            .timeout(LONG)
            .resolve(host, self.web[server][1])
            .build()
            .unwrap()
    }

    /// Asks over a new connection with TLS, as a client that trusts `root` only.
    pub(crate) async fn get(
        &self,
        server: &str,
        host: &str,
        path: &str,
        root: &str,
    ) -> reqwest::Result<Response> {
        let url = format!("https://{host}{path}");
        self.client(server, host, root).get(url).send().await
    }

    /// The certificate that is served, after it was judged.
    pub(crate) async fn served(&self, server: &str, host: &str, root: &str) -> io::Result<Vec<u8>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let configuration = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.web[server][1]).await?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connector = TlsConnector::from(Arc::new(configuration));
        let stream = connector.connect(name, stream).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        Ok(chain[0].to_vec())
    }

    /// The same, when there is one.
    pub(crate) async fn certificate(&self, server: &str, host: &str, root: &str) -> Vec<u8> {
        let what = format!("{server} has a certificate for {host}");
        let served = || async { self.served(server, host, root).await.ok() };
        self.expect(server, eventually(&what, LONG, served).await)
    }

    /// Asks without TLS.
    pub(crate) async fn plain(&self, server: &str, host: &str, path: &str) -> Response {
        self.try_plain(server, host, path).await.unwrap()
    }

    pub(crate) async fn try_plain(&self, server: &str, host: &str, path: &str) -> Option<Response> {
        let client = Client::builder().no_proxy().redirect(Policy::none());
        let url = format!("http://{}{path}", self.web[server][0]);
        let request = client.build().unwrap().get(url).header("host", host);
        request.send().await.ok()
    }

    pub(crate) async fn metrics(&self, server: &str) -> String {
        let url = format!("http://{}/metrics", self.web[server][2]);
        let client = Client::builder().no_proxy().build().unwrap();
        let request = client.get(url).header("host", "localhost");
        request.send().await.unwrap().text().await.unwrap()
    }

    /// What `stoa status` tells; null while the server does not listen.
    pub(crate) fn status(&self, server: &str) -> Value {
        let mut command = stoa();
        command.args(["status", server, "--json", "--site"]);
        let output = command.arg(&self.file).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Files with certificates, by name.
    pub(crate) fn files(&self, server: &str) -> Vec<(String, PathBuf)> {
        let folder = self.path(&format!(".stoa/{server}/certificates"));
        let authority = fs::read_dir(folder).unwrap();
        let mut authority = authority.map(|entry| entry.unwrap().path());
        let authority = authority.find(|path| path.is_dir()).unwrap();
        let mut files: Vec<_> = fs::read_dir(authority)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
            .collect();
        files.sort();
        files
    }

    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        let is_so = || async { condition(self).await.then_some(()) };
        eventually(what, LONG, is_so).await.unwrap();
    }
}
