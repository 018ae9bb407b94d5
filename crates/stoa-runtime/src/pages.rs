//! The product's own pages: signing in and out, one's own account, one-time links, administration.
//!
//! Owns: everything below [`ROOT`], what these pages look like, and how an application changes that.
//!
//! Does not own: who may sign in and what that means (`identity`), how a provider is talked to
//! (`single_sign_on`), headers that every answer of the server has (stoa-web).
//!
//! Invariants:
//! - Every page works without scripts; none runs any.
//! - A form changes something only if it was made for the session that sends it ([`crate::csrf`]).
//! - No answer tells whether somebody exists, and none sends a browser to another site but to the provider
//!   that the settings name.
//! - Nothing here is kept by a browser or a proxy, but for style sheets.
//!
//! Start reading at [`respond`].

mod account;
mod administration;
mod link;
mod page;
mod people;
mod problem;
mod provider;
mod return_path;
mod samples;
mod session;
mod sign_in;
mod texts;
mod theme;
mod visit;

use std::sync::Arc;

use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use minijinja::{Value, context};
use stoa_model::application::Demonstration;

pub use theme::{FOLDER, Theme};

use crate::body::Body;
use crate::identity::Identity;
use crate::repeat;
use crate::single_sign_on::SingleSignOn;
use problem::Problem;
use visit::{Area, Visit};

/// Where the pages are.
pub const ROOT: &str = "/-/";

const READ: &str = "GET, HEAD";
const FORM: &str = "GET, HEAD, POST";
const SEND: &str = "POST";

/// The pages of an environment, made once.
pub struct Pages {
    application: String,
    identity: Identity,
    single_sign_on: Option<Arc<SingleSignOn>>,
    theme: Theme,
    /// The theme's texts as templates take them.
    texts: Value,
    /// Users for demonstration, for the page where they sign in.
    demonstration: Value,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Pages")
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

impl Pages {
    /// For the application with this label.
    #[must_use]
    pub fn new(label: &str, theme: Theme, identity: Identity) -> Self {
        Self {
            application: label.to_owned(),
            identity,
            single_sign_on: None,
            texts: texts::value(&theme.texts),
            theme,
            demonstration: Value::from(()),
        }
    }

    /// Tells everybody who comes to sign in how to do so as a user for demonstration.
    #[must_use]
    pub fn with_demonstration(mut self, demonstration: &Demonstration) -> Self {
        let users: Vec<Value> = demonstration
            .users
            .iter()
            .map(|user| context! { name => &user.name, role => &user.role })
            .collect();
        self.demonstration = context! { password => &demonstration.password, users };
        self
    }

    /// Offers these providers to sign in with.
    #[must_use]
    pub fn with_single_sign_on(mut self, single_sign_on: Arc<SingleSignOn>) -> Self {
        self.single_sign_on = Some(single_sign_on);
        self
    }

    async fn answer<B: HttpBody>(&self, request: Request<B>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let path = path.strip_prefix(ROOT).unwrap_or_default();
        if !self.identity.may_serve() {
            return self.problem(&Problem::lease_over(), Area::User);
        }
        let area = if path == "admin" || path.starts_with("admin/") {
            Area::Administration
        } else {
            Area::User
        };
        let visit = match Visit::new(parts, body).await {
            Ok(visit) => visit,
            Err(problem) => return self.problem(&problem, area),
        };
        let may_repeat = visit.seed.is_some();
        let outcome = match self.route(&visit, path).await {
            Err(Problem::SignInFirst) => Self::to_sign_in(&visit, area),
            Err(Problem::PasswordFirst) => Self::to_password(&visit, area),
            outcome => outcome,
        };
        let mut response = outcome.unwrap_or_else(|problem| self.problem(&problem, area));
        if may_repeat {
            repeat::accept(&visit.parts, &mut response);
        }
        response
    }

    async fn route(&self, visit: &Visit, path: &str) -> Result<Response<Body>, Problem> {
        let area = Area::User;
        match path {
            "pages.css" => {
                allow(visit, READ)?;
                Ok(page::styles(&self.theme.styles, visit))
            }
            "theme.css" => {
                allow(visit, READ)?;
                let styles = self.theme.theme_styles.as_ref().ok_or(Problem::NotFound)?;
                Ok(page::styles(styles, visit))
            }
            "sign-in" => {
                allow(visit, FORM)?;
                Box::pin(self.sign_in(visit, area)).await
            }
            "sign-out" => {
                allow(visit, FORM)?;
                Box::pin(self.sign_out(visit, area)).await
            }
            "oidc/start" => {
                allow(visit, READ)?;
                Box::pin(self.provider_start(visit)).await
            }
            "oidc/callback" => {
                allow(visit, READ)?;
                Box::pin(self.provider_callback(visit)).await
            }
            "session" => {
                allow(visit, READ)?;
                self.session(visit).await
            }
            "account" | "account/password" | "account/sessions" => {
                self.account_route(
                    visit,
                    area,
                    path.strip_prefix("account").unwrap_or_default(),
                )
                .await
            }
            _ if path == "admin" || path.starts_with("admin/") => {
                let rest = path.strip_prefix("admin").unwrap_or_default();
                Box::pin(self.administration(visit, rest)).await
            }
            _ => match path.strip_prefix("link/") {
                Some(secret) => {
                    allow(visit, FORM)?;
                    Box::pin(self.link(visit, secret)).await
                }
                None => Err(Problem::NotFound),
            },
        }
    }

    async fn account_route(
        &self,
        visit: &Visit,
        area: Area,
        rest: &str,
    ) -> Result<Response<Body>, Problem> {
        match rest {
            "" => {
                allow(visit, READ)?;
                Box::pin(self.account(visit, area)).await
            }
            "/password" => {
                allow(visit, FORM)?;
                Box::pin(self.password(visit, area)).await
            }
            "/sessions" => {
                allow(visit, SEND)?;
                Box::pin(self.end_sessions(visit, area)).await
            }
            _ => Err(Problem::NotFound),
        }
    }
}

/// Answers a request below [`ROOT`]. Never fails: errors are pages.
pub async fn respond<B: HttpBody>(pages: &Pages, request: Request<B>) -> Response<Body> {
    // The ways of all pages in one future would be a large one: it is not for the stack.
    let mut response = Box::pin(pages.answer(request)).await;
    page::finish(response.headers_mut());
    response
}

/// Refuses methods that a page is not for.
fn allow(visit: &Visit, allowed: &'static str) -> Result<(), Problem> {
    let method = &visit.parts.method;
    let is_allowed = match *method {
        Method::GET | Method::HEAD => allowed != SEND,
        Method::POST => allowed != READ,
        _ => false,
    };
    if is_allowed {
        Ok(())
    } else {
        Err(Problem::NotAllowed(allowed))
    }
}
