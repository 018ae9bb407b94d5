//! The pages of administrators: users, tokens, the audit trail. They are no users of the application: they
//! see who may do what, and none of its data but what the audit trail records.

mod audit;
mod tokens;
mod users;

use std::str::FromStr;

use http::Response;
use uuid::Uuid;

use super::page::{Fault, Frame, see_other};
use super::people::Person;
use super::problem::Problem;
use super::visit::{Area, Visit};
use super::{FORM, Pages, READ, SEND, allow};
use crate::body::Body;
use crate::identity::IdentityError;

const AREA: Area = Area::Administration;

impl Pages {
    pub(super) async fn administration(
        &self,
        visit: &Visit,
        path: &str,
    ) -> Result<Response<Body>, Problem> {
        match path {
            "" => see_other(AREA.home()),
            "/" => {
                allow(visit, READ)?;
                Box::pin(self.users(visit)).await
            }
            "/users" => {
                allow(visit, SEND)?;
                Box::pin(self.add_user(visit)).await
            }
            "/tokens" => {
                allow(visit, FORM)?;
                Box::pin(self.tokens(visit)).await
            }
            "/audit" => {
                allow(visit, READ)?;
                Box::pin(self.audit(visit)).await
            }
            "/sign-in" => {
                allow(visit, FORM)?;
                Box::pin(self.sign_in(visit, AREA)).await
            }
            "/sign-out" => {
                allow(visit, FORM)?;
                Box::pin(self.sign_out(visit, AREA)).await
            }
            _ => {
                if let Some(id) = path.strip_prefix("/users/") {
                    allow(visit, FORM)?;
                    let id = Uuid::from_str(id).map_err(|_| Problem::NotFound)?;
                    return Box::pin(self.user(visit, id)).await;
                }
                match path.strip_prefix("/account") {
                    Some(rest) => Box::pin(self.account_route(visit, AREA, rest)).await,
                    None => Err(Problem::NotFound),
                }
            }
        }
    }

    /// What is wrong with a form, or why there is no page at all.
    fn form_fault(&self, error: IdentityError) -> Result<Fault, Problem> {
        Ok(match error {
            IdentityError::Name(_) => self.fault(Some("name"), "name_invalid"),
            IdentityError::NameTaken(_) => self.fault(Some("name"), "name_taken"),
            IdentityError::UnknownUser(_) => self.fault(Some("user"), "user_unknown"),
            IdentityError::UnknownRole { .. } => self.fault(None, "role_unknown"),
            IdentityError::TooLong { .. } => self.fault(None, "value_too_long"),
            IdentityError::Lifetime { .. } => self.fault(Some("days"), "token_days_invalid"),
            IdentityError::Password(fault) => self.password_fault(&fault),
            error => return Err(error.into()),
        })
    }
}

fn frame<'a>(title: &'a str, page: &'static str, person: &'a Person) -> Frame<'a> {
    let mut frame = Frame::new(AREA, title);
    frame.page = page;
    frame.person = Some(&person.name);
    frame.secret = Some(&person.secret);
    frame
}

/// A text of a form that may be left empty.
fn optional(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}
