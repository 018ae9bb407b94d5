//! One-time links. Mail programs look at links before people do: looking at one does not use it up.

use http::{Method, Response, StatusCode};
use minijinja::context;

use super::Pages;
use super::page::{Fault, Frame};
use super::problem::Problem;
use super::sign_in::welcome;
use super::visit::{Area, Visit};
use crate::body::Body;
use crate::identity::{IdentityError, Principal, SignInError, SignedIn};

impl Pages {
    pub(super) async fn link(
        &self,
        visit: &Visit,
        secret: &str,
    ) -> Result<Response<Body>, Problem> {
        let Some((principal, name)) = self.identity.link(secret).await? else {
            return self.used_link(visit).await;
        };
        let area = area_of(principal);
        let show = |faults: Vec<Fault>, status| {
            let frame = Frame::new(area, "link").with_faults(faults, status);
            let content = context! { action => format!("/-/link/{secret}"), name => &name };
            self.open_page(visit, "link.html", frame, content)
        };
        if visit.parts.method != Method::POST {
            return show(Vec::new(), StatusCode::OK);
        }
        let is_ours = visit
            .form_secret()
            .is_some_and(|secret| visit.check_form(secret).is_ok());
        if !is_ours {
            let faults = vec![self.fault(None, "form_expired")];
            return show(faults, StatusCode::FORBIDDEN);
        }
        let client = visit.client();
        if visit.has("skip") {
            let signed_in = self.identity.use_link(secret, &client).await?;
            return welcome(visit, area, &signed_in, area.home());
        }
        let faults = self.new_password_faults(visit);
        if !faults.is_empty() {
            return show(faults, StatusCode::UNPROCESSABLE_ENTITY);
        }
        let password = visit.field("new");
        let signed_in = match self
            .identity
            .use_link_for_password(secret, password, &client)
            .await
        {
            // The link is still there for the next attempt.
            Err(SignInError::Other(IdentityError::Password(fault))) => {
                let faults = vec![self.password_fault(&fault)];
                return show(faults, StatusCode::UNPROCESSABLE_ENTITY);
            }
            outcome => outcome?,
        };
        welcome(visit, area, &signed_in, area.home())
    }

    /// A link that cannot be used (any more): unless it is this very request that has used it up.
    async fn used_link(&self, visit: &Visit) -> Result<Response<Body>, Problem> {
        let before = self
            .identity
            .signed_in_before(&visit.client(), !visit.has("skip"))
            .await?;
        let Some(signed_in) = before else {
            return Err(Problem::Link);
        };
        let signed_in = SignedIn {
            must_change_password: false,
            ..signed_in
        };
        let area = area_of(signed_in.principal);
        welcome(visit, area, &signed_in, area.home())
    }
}

fn area_of(principal: Principal) -> Area {
    match principal {
        Principal::User(_) => Area::User,
        Principal::Administrator(_) => Area::Administration,
    }
}
