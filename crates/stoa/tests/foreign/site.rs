//! Two processes of the application, and a site before them, on loopback.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use stoa_testing::process::Killed;

/// Longest wait for something that takes a moment.
const LONG: Duration = Duration::from_secs(30);
pub(crate) const HOST: &str = "legacy.example.com";

/// How the site is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One server in both roles.
    OneServer,
    /// A web server and an app server that dials it.
    WebServer,
}

struct Application {
    name: &'static str,
    port: u16,
    process: Killed,
}

pub(crate) struct Site {
    port: u16,
    applications: Vec<Application>,
    client: Client,
    _servers: Vec<Killed>,
    _folder: tempfile::TempDir,
}

/// The folder of the application, with its packages. `make` installs them; if nobody has, the first test does.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/application");
    let lock = File::open(folder.join("package.json")).unwrap();
    lock.lock().unwrap();
    if !folder.join("node_modules/express-session").is_dir() {
        let status = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "npm ci in {}", folder.display());
    }
    folder
}

impl Application {
    fn start(name: &'static str) -> Self {
        let mut child = Command::new("node")
            .arg("application.mjs")
            .arg(name)
            .current_dir(installed())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        let process = Killed(child);
        BufReader::new(output).read_line(&mut line).unwrap();
        Self {
            name,
            port: line.trim().parse().unwrap(),
            process,
        }
    }
}

fn free_port() -> u16 {
    stoa_testing::free_address().unwrap().port()
}

fn stoa() -> Command {
    let mut command = stoa_testing::process::command().unwrap();
    command.stdin(Stdio::null());
    command
}

fn run(file: &Path, arguments: &[&str]) {
    let (group, rest) = arguments.split_at(2);
    let output = stoa().args(group).arg(file).args(rest).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

impl Site {
    pub(crate) async fn start(shape: Shape) -> Self {
        let applications: Vec<_> = ["one", "two"].map(Application::start).into();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("static")).unwrap();
        fs::write(folder.path().join("static/logo.svg"), "<svg/>").unwrap();
        let (port, link) = (free_port(), free_port());
        let servers = match shape {
            Shape::OneServer => format!(
                r#"
                [server.main]
                roles = ["web", "app"]
                [server.main.web]
                http = "127.0.0.1:{port}"
                "#
            ),
            Shape::WebServer => format!(
                r#"
                [server.web1]
                roles = ["web"]
                [server.web1.web]
                http = "127.0.0.1:{port}"
                link = "127.0.0.1:{link}"
                [server.app1]
                roles = ["app"]
                "#
            ),
        };
        let [one, two] = &applications[..] else {
            panic!("two applications");
        };
        let text = format!(
            r#"
            [site]
            name = "acme"
            {servers}
            [environment.legacy]
            hosts = ["{HOST}"]
            upstream = ["http://127.0.0.1:{}", "http://127.0.0.1:{}"]
            sticky_cookie = "connect.sid"
            static = "static"
            health = "/health"
            "#,
            one.port, two.port
        );
        let file = folder.path().join("stoa.toml");
        fs::write(&file, text).unwrap();
        let names: &[&str] = match shape {
            Shape::OneServer => &["main"],
            Shape::WebServer => {
                run(&file, &["trust", "init"]);
                for server in ["web1", "app1"] {
                    run(&file, &["trust", "issue", server]);
                }
                &["web1", "app1"]
            }
        };
        let servers = names
            .iter()
            .map(|name| {
                let child = stoa()
                    .args(["serve", "--site"])
                    .arg(&file)
                    .args(["--server", name])
                    .spawn()
                    .unwrap();
                Killed(child)
            })
            .collect();
        let site = Self {
            port,
            applications,
            client: Client::builder().no_proxy().build().unwrap(),
            _servers: servers,
            _folder: folder,
        };
        site.until(
            "both applications are asked, and the content is there",
            async |site| {
                let Ok(answer) = site.ask("/logo.svg").send().await else {
                    return false;
                };
                if !answer.headers().contains_key("etag") {
                    return false;
                }
                let mut names = std::collections::BTreeSet::new();
                for _ in 0..20 {
                    names.insert(site.get("/me", None).await.text().await.unwrap());
                }
                names.len() == 2
            },
        )
        .await;
        site
    }

    fn ask(&self, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        self.client.get(url).header("host", HOST)
    }

    pub(crate) async fn get(&self, path: &str, cookie: Option<&str>) -> Response {
        let mut request = self.ask(path);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        request.send().await.unwrap()
    }

    /// Says something to one of the applications itself.
    pub(crate) async fn tell(&self, name: &str, path: &str) {
        let mut applications = self.applications.iter();
        let application = applications.find(|application| application.name == name);
        let url = format!("http://127.0.0.1:{}{path}", application.unwrap().port);
        let answer = self.client.post(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    pub(crate) fn kill(&mut self, name: &str) {
        let mut applications = self.applications.iter_mut();
        let application = applications.find(|application| application.name == name);
        let child = &mut application.unwrap().process.0;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What a client of the WebSocket hears.
    pub(crate) async fn talk(&self) -> String {
        let port = self.port.to_string();
        let talk = tokio::task::spawn_blocking(move || {
            Command::new("node")
                .args(["client.mjs", &port, HOST])
                .current_dir(installed())
                .output()
                .unwrap()
        });
        let output = tokio::time::timeout(LONG, talk).await.unwrap().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self).await {
            assert!(start.elapsed() < LONG, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
