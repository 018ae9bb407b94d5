//! Somebody's own name, password and sessions.

use http::header::SET_COOKIE;
use http::{Method, Response, StatusCode};
use minijinja::{Value, context};

use super::Pages;
use super::page::{Fault, Frame, see_other, with_option};
use super::people::{self, Person};
use super::problem::Problem;
use super::return_path;
use super::visit::{Area, Visit};
use crate::body::Body;
use crate::identity::password::PasswordFault;
use crate::identity::{IdentityError, Principal, SessionId, SignInError};

impl Pages {
    pub(super) async fn account(
        &self,
        visit: &Visit,
        area: Area,
    ) -> Result<Response<Body>, Problem> {
        let person = self.person(visit, area).await?;
        if person.must_change_password {
            return Self::to_password(visit, area);
        }
        let sessions: Vec<Value> = self
            .identity
            .sessions(person.principal)
            .await?
            .iter()
            .map(|info| people::session(info, Some(person.session)))
            .collect();
        let (full_name, email, has_password) = match person.principal {
            Principal::User(id) => {
                let user = self.identity.user(id).await?;
                (user.full_name, user.email, user.has_password)
            }
            Principal::Administrator(_) => {
                let own = self.identity.administrator_by_name(&person.name).await?;
                (own.full_name, own.email, own.has_password)
            }
        };
        let content = context! {
            root => area.account(),
            name => &person.name,
            full_name,
            email,
            has_password,
            sessions,
        };
        let mut frame = Frame::new(area, "account");
        frame.page = "account";
        frame.person = Some(&person.name);
        frame.secret = Some(&person.secret);
        frame.notice = match visit.option("done") {
            Some("password") => Some("password_changed"),
            Some("session") => Some("session_ended"),
            Some("sessions") => Some("sessions_ended"),
            _ => None,
        }
        .map(|key| self.text(key).to_owned());
        self.page("account.html", frame, content)
    }

    /// Ends one's own sessions: one, or all others.
    pub(super) async fn end_sessions(
        &self,
        visit: &Visit,
        area: Area,
    ) -> Result<Response<Body>, Problem> {
        let person = self.person(visit, area).await?;
        let done = if visit.has("others") {
            self.identity
                .revoke_sessions(person.principal, Some(person.session), &person.actor)
                .await?;
            "sessions"
        } else {
            let session = visit
                .field("session")
                .parse()
                .map(SessionId)
                .map_err(|_| Problem::NotFound)?;
            let ended = self
                .identity
                .revoke_session(person.principal, session, &person.actor)
                .await;
            match ended {
                // Gone already: what was wanted.
                Ok(()) | Err(IdentityError::UnknownSession) => "session",
                Err(error) => return Err(error.into()),
            }
        };
        see_other(&with_option(area.account(), "done", done))
    }

    pub(super) async fn password(
        &self,
        visit: &Visit,
        area: Area,
    ) -> Result<Response<Body>, Problem> {
        let person = match self.person(visit, area).await {
            Err(Problem::SignInFirst) => return self.changed_password(visit, area).await,
            person => person?,
        };
        if visit.parts.method != Method::POST {
            return self.password_page(visit, area, &person, Vec::new());
        }
        let faults = self.new_password_faults(visit);
        if !faults.is_empty() {
            return self.password_page(visit, area, &person, faults);
        }
        let changed = self
            .identity
            .change_password(
                person.principal,
                person.session,
                visit.field("current"),
                visit.field("new"),
                &visit.client(),
            )
            .await;
        let fault = match changed {
            Ok(token) => {
                let target = if person.must_change_password {
                    return_path::or(Some(visit.field("return")), area.home()).to_owned()
                } else {
                    with_option(area.account(), "done", "password")
                };
                let mut response = see_other(&target)?;
                response
                    .headers_mut()
                    .append(SET_COOKIE, visit.cookies.session(area.kind(), &token));
                return Ok(response);
            }
            Err(SignInError::Failed | SignInError::Other(IdentityError::WrongPassword)) => {
                self.fault(Some("current"), "current_password_wrong")
            }
            Err(SignInError::Throttled { .. }) => self.fault(Some("current"), "sign_in_throttled"),
            Err(SignInError::Other(IdentityError::Password(fault))) => self.password_fault(&fault),
            Err(SignInError::Other(error)) => return Err(error.into()),
        };
        self.password_page(visit, area, &person, vec![fault])
    }

    /// A session that is over: unless it is this very request that has given it another token.
    async fn changed_password(&self, visit: &Visit, area: Area) -> Result<Response<Body>, Problem> {
        let before = self
            .identity
            .signed_in_before(&visit.client(), false)
            .await?;
        let Some(signed_in) = before else {
            return Err(Problem::SignInFirst);
        };
        let target = match return_path::or(Some(visit.field("return")), area.account()) {
            account if account == area.account() => with_option(account, "done", "password"),
            other => other.to_owned(),
        };
        let mut response = see_other(&target)?;
        response.headers_mut().append(
            SET_COOKIE,
            visit.cookies.session(area.kind(), &signed_in.token),
        );
        Ok(response)
    }

    fn password_page(
        &self,
        visit: &Visit,
        area: Area,
        person: &Person,
        faults: Vec<Fault>,
    ) -> Result<Response<Body>, Problem> {
        let given = visit
            .option("return")
            .or_else(|| Some(visit.field("return")));
        let otherwise = if person.must_change_password {
            area.home()
        } else {
            area.account()
        };
        let mut frame = Frame::new(area, "change_password")
            .with_faults(faults, StatusCode::UNPROCESSABLE_ENTITY);
        frame.page = "account";
        frame.person = Some(&person.name);
        frame.secret = Some(&person.secret);
        let content = context! {
            root => area.account(),
            name => &person.name,
            return_to => return_path::or(given, otherwise),
            is_forced => person.must_change_password,
        };
        self.page("password.html", frame, content)
    }

    /// What is wrong with a new password, as far as that can be said without a look at the old one.
    pub(super) fn new_password_faults(&self, visit: &Visit) -> Vec<Fault> {
        let (new, repeated) = (visit.field("new"), visit.field("repeat"));
        if new.is_empty() {
            vec![self.fault(Some("new"), "password_missing")]
        } else if new != repeated {
            vec![self.fault(Some("repeat"), "passwords_differ")]
        } else {
            Vec::new()
        }
    }

    /// Says why a password is not good enough.
    pub(super) fn password_fault(&self, fault: &PasswordFault) -> Fault {
        let key = match fault {
            PasswordFault::TooShort => "password_short",
            PasswordFault::TooLong => "password_long",
            PasswordFault::Unchanged => "password_unchanged",
            PasswordFault::Guessable { .. } => "password_guessable",
        };
        self.fault(Some("new"), key)
    }
}
