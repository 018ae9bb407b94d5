//! Signing in with name and password, and signing out.

use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use minijinja::context;

use super::Pages;
use super::page::{Fault, Frame, see_other, with_option};
use super::problem::Problem;
use super::return_path;
use super::visit::{Area, Visit};
use crate::body::Body;
use crate::csrf::{self, Sender};
use crate::identity::{SignInError, SignedIn};

/// Says a browser what to forget.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

impl Pages {
    pub(super) async fn sign_in(
        &self,
        visit: &Visit,
        area: Area,
    ) -> Result<Response<Body>, Problem> {
        let given = if visit.parts.method == Method::POST {
            Some(visit.field("return"))
        } else {
            visit.option("return")
        };
        let return_to = return_path::or(given, area.home());
        if visit.parts.method != Method::POST {
            let is_signed_in = self.visitor(visit, area).await?.is_some();
            return self.sign_in_page(
                visit,
                area,
                return_to,
                is_signed_in,
                Vec::new(),
                StatusCode::OK,
            );
        }
        let again =
            |faults, status| self.sign_in_page(visit, area, return_to, false, faults, status);
        let is_ours = visit
            .form_secret()
            .is_some_and(|secret| visit.check_form(secret).is_ok());
        if !is_ours {
            // Without the cookie of the form there will be none of a session either.
            let is_plain = visit.form_secret().is_none()
                && visit.cookies.are_secure()
                && visit
                    .origin()
                    .is_some_and(|origin| origin.starts_with("http:"));
            let key = if is_plain {
                "sign_in_needs_tls"
            } else {
                "form_expired"
            };
            return again(vec![self.fault(None, key)], StatusCode::FORBIDDEN);
        }
        let mut faults = Vec::new();
        for (field, key) in [("name", "name_missing"), ("password", "password_missing")] {
            if !visit.has(field) {
                faults.push(self.fault(Some(field), key));
            }
        }
        if !faults.is_empty() {
            return again(faults, StatusCode::UNPROCESSABLE_ENTITY);
        }
        let (name, password) = (visit.field("name"), visit.field("password"));
        let client = visit.client();
        let outcome = match area {
            Area::User => self.identity.sign_in(name, password, &client).await,
            Area::Administration => {
                self.identity
                    .administrator_sign_in(name, password, &client)
                    .await
            }
        };
        match outcome {
            Ok(signed_in) => welcome(visit, area, &signed_in, return_to),
            Err(SignInError::Failed) => again(
                vec![self.fault(None, "sign_in_failed")],
                StatusCode::FORBIDDEN,
            ),
            Err(SignInError::Throttled { retry_after }) => {
                let faults = vec![self.fault(None, "sign_in_throttled")];
                let mut response = again(faults, StatusCode::TOO_MANY_REQUESTS)?;
                let seconds = retry_after.as_secs().max(1);
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(seconds));
                Ok(response)
            }
            Err(SignInError::Other(error)) => Err(error.into()),
        }
    }

    fn sign_in_page(
        &self,
        visit: &Visit,
        area: Area,
        return_to: &str,
        is_signed_in: bool,
        faults: Vec<Fault>,
        status: StatusCode,
    ) -> Result<Response<Body>, Problem> {
        let title = match area {
            Area::User => "sign_in",
            Area::Administration => "sign_in_administrator",
        };
        let content = context! {
            action => area.sign_in(),
            return_to,
            name => visit.field("name"),
            is_signed_in,
            providers => self.providers(area, return_to),
            demonstration => (area == Area::User).then_some(&self.demonstration),
        };
        let frame = Frame::new(area, title).with_faults(faults, status);
        self.open_page(visit, "sign-in.html", frame, content)
    }

    pub(super) async fn sign_out(
        &self,
        visit: &Visit,
        area: Area,
    ) -> Result<Response<Body>, Problem> {
        let Some(person) = self.visitor(visit, area).await? else {
            // Also what is left of a session that has ended goes.
            return self.signed_out_page(visit, area, false, None);
        };
        if visit.parts.method != Method::POST {
            let mut frame = Frame::new(area, "sign_out");
            frame.person = Some(&person.name);
            frame.secret = Some(&person.secret);
            let return_to = return_path::or(visit.option("return"), area.home());
            let content = context! { action => area.sign_out(), return_to };
            return self.page("sign-out.html", frame, content);
        }
        // A page of this server may have a button of its own: the browser says that it is one.
        if csrf::sender(&visit.parts) != Sender::Own {
            visit.check_form(&person.secret)?;
        }
        let provider = self
            .identity
            .sign_out(person.session, &person.actor)
            .await?;
        let address = match provider {
            Some(provider) => self.sign_out_at_provider(visit, area, &provider).await,
            None => None,
        };
        self.signed_out_page(visit, area, true, address.as_deref())
    }

    fn signed_out_page(
        &self,
        visit: &Visit,
        area: Area,
        is_over: bool,
        provider_address: Option<&str>,
    ) -> Result<Response<Body>, Problem> {
        let content = context! { provider_address, return_to => area.sign_in() };
        let mut response = self.page("signed-out.html", Frame::new(area, "signed_out"), content)?;
        let headers = response.headers_mut();
        // A page of another site can send people here without their cookies. That takes nothing from them.
        if is_over || csrf::sender(&visit.parts) != Sender::Foreign {
            headers.append(SET_COOKIE, visit.cookies.remove(area.kind()));
            headers.insert(
                CLEAR_SITE_DATA,
                HeaderValue::from_static("\"cache\", \"storage\""),
            );
        }
        Ok(response)
    }

    /// To the page where somebody signs in and comes back from.
    pub(super) fn to_sign_in(visit: &Visit, area: Area) -> Result<Response<Body>, Problem> {
        let path = visit
            .parts
            .uri
            .path_and_query()
            .map_or("", http::uri::PathAndQuery::as_str);
        let is_page = visit.parts.method.is_safe();
        let return_to = return_path::or(is_page.then_some(path), area.home());
        see_other(&with_option(area.sign_in(), "return", return_to))
    }

    /// To the page where somebody must choose a new password.
    pub(super) fn to_password(visit: &Visit, area: Area) -> Result<Response<Body>, Problem> {
        let path = visit.parts.uri.path();
        let is_page = visit.parts.method.is_safe() && !path.ends_with("/password");
        let return_to = return_path::or(is_page.then_some(path), area.home());
        let page = format!("{}/password", area.account());
        see_other(&with_option(&page, "return", return_to))
    }
}

/// The answer to somebody who has just signed in.
pub(super) fn welcome(
    visit: &Visit,
    area: Area,
    signed_in: &SignedIn,
    return_to: &str,
) -> Result<Response<Body>, Problem> {
    let mut response = if signed_in.must_change_password {
        let page = format!("{}/password", area.account());
        see_other(&with_option(&page, "return", return_to))?
    } else {
        see_other(return_to)?
    };
    let headers = response.headers_mut();
    headers.append(
        SET_COOKIE,
        visit.cookies.session(area.kind(), &signed_in.token),
    );
    if let Some(device) = &signed_in.device {
        headers.append(SET_COOKIE, visit.cookies.device(device));
    }
    Ok(response)
}
