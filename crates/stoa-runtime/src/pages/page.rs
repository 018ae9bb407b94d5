//! From a template and what is in it to an answer.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use minijinja::{Value, context};

use super::Pages;
use super::problem::Problem;
use super::theme::Styles;
use super::visit::{Area, Visit, new_form_secret, set_form_secret};
use crate::body::Body;
use crate::csrf;

/// The product's pages run no scripts at all.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// Something wrong with what somebody entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Id of the field, if it is one field's.
    field: Option<&'static str>,
    text: String,
}

/// What stands around every page.
pub(super) struct Frame<'a> {
    pub(super) area: Area,
    /// Key of the title's text.
    pub(super) title: &'a str,
    /// A title that is no text of ours, in its place.
    pub(super) heading: Option<&'a str>,
    /// Entry of the menu.
    pub(super) page: &'static str,
    pub(super) person: Option<&'a str>,
    /// Secret that forms are bound to; none: a page without a form.
    pub(super) secret: Option<&'a str>,
    pub(super) notice: Option<String>,
    pub(super) faults: Vec<Fault>,
    pub(super) status: StatusCode,
}

impl<'a> Frame<'a> {
    pub(super) fn new(area: Area, title: &'a str) -> Self {
        Self {
            area,
            title,
            heading: None,
            page: "",
            person: None,
            secret: None,
            notice: None,
            faults: Vec::new(),
            status: StatusCode::OK,
        }
    }

    /// Says what is wrong with a form.
    pub(super) fn with_faults(mut self, faults: Vec<Fault>, status: StatusCode) -> Self {
        if !faults.is_empty() {
            self.status = status;
            self.faults = faults;
        }
        self
    }
}

impl Pages {
    /// A text by its key.
    pub(super) fn text<'a>(&'a self, key: &'a str) -> &'a str {
        self.theme.texts.get(key).map_or(key, String::as_str)
    }

    /// A fault with a text by its key.
    pub(super) fn fault(&self, field: Option<&'static str>, key: &str) -> Fault {
        Fault {
            field,
            text: self.text(key).to_owned(),
        }
    }

    /// A page.
    pub(super) fn page(
        &self,
        template: &'static str,
        frame: Frame<'_>,
        content: Value,
    ) -> Result<Response<Body>, Problem> {
        let context = context! {
            text => self.texts.clone(),
            styles => &self.theme.styles.address,
            theme_styles => self.theme.theme_styles.as_ref().map(|styles| &styles.address),
            application => &self.application,
            area => frame.area.name(),
            title => frame.heading.unwrap_or_else(|| self.text(frame.title)),
            page => frame.page,
            person => frame.person,
            token => frame.secret.map(csrf::token),
            notice => frame.notice,
            faults => frame
                .faults
                .iter()
                .map(|fault| context! { field => fault.field, text => &fault.text })
                .collect::<Vec<_>>(),
            ..content
        };
        let html = self
            .theme
            .render(template, context)
            .map_err(Problem::internal)?;
        let mut response = Response::new(Body::from(html.into_bytes()));
        *response.status_mut() = frame.status;
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        Ok(response)
    }

    /// A page with a form for somebody who is not signed in; the form is bound to a cookie.
    pub(super) fn open_page(
        &self,
        visit: &Visit,
        template: &'static str,
        frame: Frame<'_>,
        content: Value,
    ) -> Result<Response<Body>, Problem> {
        let new = visit.form_secret().is_none().then(new_form_secret);
        let frame = Frame {
            secret: new.as_deref().or_else(|| visit.form_secret()),
            ..frame
        };
        let mut response = self.page(template, frame, content)?;
        if let Some(new) = &new
            && let Some(cookie) = set_form_secret(visit.cookies, new)
        {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// The page for a problem.
    pub(super) fn problem(&self, problem: &Problem, area: Area) -> Response<Body> {
        let (title, text, status) = problem.say();
        let mut frame = Frame::new(area, title);
        frame.status = status;
        let content = context! {
            message => text.map(|key| self.text(key)),
            return_to => matches!(problem, Problem::Unconfirmed | Problem::NotFound)
                .then(|| area.home()),
        };
        let mut response = self
            .page("message.html", frame, content)
            .unwrap_or_else(|_| {
                // The template for problems has one itself.
                let mut response = Response::new(Body::from(Bytes::from_static(b"error\n")));
                *response.status_mut() = status;
                response
            });
        match problem {
            Problem::NotAllowed(allowed) => {
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static(allowed));
            }
            Problem::Unavailable(after) => {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
            }
            _ => {}
        }
        response
    }
}

/// Headers of every answer with something personal in it.
pub(super) fn finish(headers: &mut HeaderMap) {
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers
        .entry(REFERRER_POLICY)
        .or_insert(HeaderValue::from_static("same-origin"));
}

/// On to another page, with GET.
pub(super) fn see_other(location: &str) -> Result<Response<Body>, Problem> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::try_from(location).map_err(Problem::internal)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// A path with one option.
pub(super) fn with_option(path: &str, name: &str, value: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair(name, value);
    format!("{path}?{}", query.finish())
}

/// A style sheet. Its address changes with its content, so it may be kept for long.
pub(super) fn styles(styles: &Styles, visit: &Visit) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let is_known = visit
        .headers()
        .get(IF_NONE_MATCH)
        .is_some_and(|given| given.as_bytes() == styles.etag.as_bytes());
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(styles.bytes.clone());
    }
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/css; charset=utf-8"),
    );
    let is_marked = visit
        .parts
        .uri
        .query()
        .is_some_and(|query| styles.address.ends_with(&format!("?{query}")));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static(if is_marked {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        }),
    );
    if let Ok(etag) = HeaderValue::from_str(&styles.etag) {
        headers.insert(ETAG, etag);
    }
    response
}
