//! Somebody with a browser: cookies, forms, and what browsers say of the pages that send requests.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use stoa_runtime::pages::{Pages, respond};

pub(crate) const HOST: &str = "127.0.0.1:8080";

pub(crate) struct Browser<'a> {
    pages: &'a Pages,
    pub(crate) host: String,
    pub(crate) cookies: Mutex<BTreeMap<String, String>>,
    /// What the browser says of the page that sends a form.
    pub(crate) site: &'static str,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(pages: &'a Pages) -> Self {
        Self {
            pages,
            host: HOST.to_owned(),
            cookies: Mutex::default(),
            site: "same-origin",
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send("GET", path, &[], None).await
    }

    /// Sends a form as it is.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let site = [("sec-fetch-site", self.site)];
        self.send("POST", path, &site, Some(form.finish())).await
    }

    /// Fetches the page with a form and sends it, with the token that is in it.
    pub(crate) async fn fill(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.get(page).await.token();
        let mut all = vec![("token", token.as_str())];
        all.extend_from_slice(fields);
        self.post(action, &all).await
    }

    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Page {
        let fields = [("name", name), ("password", password)];
        self.fill("/-/sign-in", "/-/sign-in", &fields).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        form: Option<String>,
    ) -> Page {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header(
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
            );
        let cookies: Vec<String> = self
            .cookies
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if form.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::from(form.unwrap_or_default()));
        let response = respond(self.pages, request.body(body).unwrap()).await;
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        Page {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    fn keep(&self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        assert!(
            attributes.contains("HttpOnly") && attributes.contains("SameSite=Lax"),
            "{cookie}"
        );
        assert!(attributes.contains("Path=/"), "{cookie}");
        assert_eq!(
            name.starts_with("__Host-"),
            attributes.contains("Secure"),
            "{cookie}"
        );
        let mut cookies = self.cookies.lock().unwrap();
        if attributes.contains("Max-Age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    /// The token of the first form.
    pub(crate) fn token(&self) -> String {
        self.value("token")
    }

    /// Value of a hidden field.
    pub(crate) fn value(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let Some(at) = self.text.find(&mark) else {
            panic!("there is no {name} in {}", self.text);
        };
        let rest = &self.text[at + mark.len()..];
        rest.split('"').next().unwrap().to_owned()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

/// Text of HTML as a reader sees it.
pub(crate) fn unescaped(text: &str) -> String {
    text.replace("&#x2f;", "/").replace("&amp;", "&")
}
