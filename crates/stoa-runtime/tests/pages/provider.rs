//! A real OpenID provider in a process of its own, and its pages.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use reqwest::redirect::Policy;

pub(crate) struct Provider {
    process: Child,
    pub(crate) issuer: String,
    client: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Provider {
    /// For the server at this origin. `claims_in` says where the provider gives claims: `token`, `userinfo`.
    pub(crate) fn start(origin: &str, claims_in: &str) -> Self {
        let folder = installed();
        let mut process = Command::new("node")
            .arg("provider.mjs")
            .arg(origin)
            .env("CLAIMS", claims_in)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut issuer = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut issuer).unwrap();
        assert!(issuer.starts_with("http://127.0.0.1:"), "{issuer:?}");
        Self {
            process,
            issuer: issuer.trim().to_owned(),
            client: reqwest::Client::builder()
                .redirect(Policy::none())
                .build()
                .unwrap(),
            cookies: Mutex::default(),
        }
    }

    /// Turns a knob.
    pub(crate) async fn knob(&self, path: &str) {
        let answer = self
            .client
            .get(format!("{}/test/{path}", self.issuer))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success());
    }

    pub(crate) async fn claims(&self, name: &str, claims: &serde_json::Value) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("name", name)
            .append_pair("claims", &claims.to_string());
        self.knob(&format!("claims?{}", query.finish())).await;
    }

    /// Signs somebody in at the provider, from the address it was asked at to the one it sends back to; if
    /// they are signed in there already, no form is shown.
    pub(crate) async fn sign_in(&self, address: &str, name: &str) -> Result<String, String> {
        let mut next = address.to_owned();
        for _ in 0..10 {
            let (status, location, text) = self.request(&next, None).await;
            if let Some(location) = location {
                next = self.absolute(&location);
                if !next.starts_with(&self.issuer) {
                    return Ok(next);
                }
                continue;
            }
            if status != 200 || !text.contains("name=\"login\"") {
                return Err(text);
            }
            let form = format!("prompt=login&login={name}&password=any");
            let (_, location, text) = self.request(&next, Some(form)).await;
            next = self.absolute(&location.ok_or(text)?);
        }
        Err("too many steps".to_owned())
    }

    /// Signs out at the provider; gives where it sends back to.
    pub(crate) async fn sign_out(&self, address: &str) -> String {
        let (_, _, text) = self.request(address, None).await;
        let mark = "name=\"xsrf\" value=\"";
        let at = text.find(mark).unwrap_or_else(|| panic!("{text}"));
        let token = text[at + mark.len()..].split('"').next().unwrap();
        let confirm = format!("{}/session/end/confirm", self.issuer);
        let (_, location, text) = self
            .request(&confirm, Some(format!("xsrf={token}&logout=yes")))
            .await;
        location.unwrap_or_else(|| panic!("{text}"))
    }

    /// An access token for the data service, for a program.
    pub(crate) async fn access_token(&self, audience: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("resource", audience)
            .append_pair("scope", "read");
        let answer = self
            .client
            .post(format!("{}/token", self.issuer))
            .basic_auth(
                "report",
                Some("secret of the client, long enough for a key"),
            )
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish())
            .send()
            .await
            .unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    fn absolute(&self, location: &str) -> String {
        if location.starts_with('/') {
            format!("{}{location}", self.issuer)
        } else {
            location.to_owned()
        }
    }

    async fn request(&self, address: &str, form: Option<String>) -> (u16, Option<String>, String) {
        let mut request = match form {
            Some(form) => self
                .client
                .post(address)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form),
            None => self.client.get(address),
        };
        let cookies: Vec<String> = self
            .cookies
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        request = request.header("cookie", cookies.join("; "));
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let status = answer.status().as_u16();
        let location = answer
            .headers()
            .get("location")
            .map(|location| location.to_str().unwrap().to_owned());
        (status, location, answer.text().await.unwrap())
    }
}

/// The folder of the provider, with its packages. `make` installs them; if nobody has, the first test does.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
    let lock = File::open(folder.join("package.json")).unwrap();
    lock.lock().unwrap();
    if !folder.join("node_modules/oidc-provider").is_dir() {
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
