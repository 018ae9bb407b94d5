//! Tokens for programs.

use std::time::Duration;

use http::{Method, Response, StatusCode};
use minijinja::{Value, context};

use super::frame;
use crate::body::Body;
use crate::identity::token::{NewToken, TokenInfo};
use crate::identity::{IdentityError, TokenId};
use crate::pages::Pages;
use crate::pages::page::{Fault, see_other, with_option};
use crate::pages::people::{Person, moment};
use crate::pages::problem::Problem;
use crate::pages::visit::{Area, Visit};

/// Days that the form proposes.
const DAYS: &str = "90";
const DAY: u64 = 24 * 60 * 60;

impl Pages {
    pub(super) async fn tokens(&self, visit: &Visit) -> Result<Response<Body>, Problem> {
        let person = self.person(visit, Area::Administration).await?;
        if visit.parts.method != Method::POST {
            return self.tokens_page(visit, &person, None, Vec::new()).await;
        }
        if visit.has("revoke") {
            let id = visit
                .field("revoke")
                .parse()
                .map_err(|_| Problem::NotFound)?;
            match self.identity.revoke_token(TokenId(id), &person.actor).await {
                // Gone already: what was wanted.
                Ok(()) | Err(IdentityError::UnknownToken) => {}
                Err(error) => return Err(error.into()),
            }
            return see_other(&with_option("/-/admin/tokens", "done", "revoked"));
        }
        match self.create_token(visit, &person).await? {
            Ok(secret) => {
                self.tokens_page(visit, &person, Some(&secret), Vec::new())
                    .await
            }
            Err(fault) => self.tokens_page(visit, &person, None, vec![fault]).await,
        }
    }

    async fn create_token(
        &self,
        visit: &Visit,
        person: &Person,
    ) -> Result<Result<String, Fault>, Problem> {
        let name = visit.field("name").trim();
        if name.is_empty() {
            return Ok(Err(self.fault(Some("name"), "name_missing")));
        }
        let Some(days) = visit
            .field("days")
            .trim()
            .parse::<u64>()
            .ok()
            .filter(|days| (1..=366).contains(days))
        else {
            return Ok(Err(self.fault(Some("days"), "token_days_invalid")));
        };
        let user = match self.identity.user_by_name(visit.field("user").trim()).await {
            Ok(user) => user,
            Err(error) => return self.form_fault(error).map(Err),
        };
        let roles: Vec<String> = visit.fields("role").map(str::to_owned).collect();
        let token = NewToken {
            name: name.to_owned(),
            user: user.id,
            roles: (!roles.is_empty()).then_some(roles),
            read_only: visit.field("access") != "write",
            lifetime: Duration::from_secs(days * DAY),
            seed: visit.seed,
        };
        match self.identity.create_token(token, &person.actor).await {
            Ok((_, secret)) => Ok(Ok(secret.expose().to_owned())),
            Err(error) => self.form_fault(error).map(Err),
        }
    }

    async fn tokens_page(
        &self,
        visit: &Visit,
        person: &Person,
        secret: Option<&str>,
        faults: Vec<Fault>,
    ) -> Result<Response<Body>, Problem> {
        let tokens = self.identity.tokens(None).await?;
        // What was entered stays if it was wrong, and goes when the token is made.
        let given = |name: &'static str| {
            if secret.is_some() {
                ""
            } else {
                visit.field(name)
            }
        };
        let days = match given("days") {
            "" => DAYS,
            days => days,
        };
        let content = context! {
            tokens => tokens.iter().map(value).collect::<Vec<_>>(),
            roles => self.identity.roles().map(str::to_owned).collect::<Vec<_>>(),
            secret,
            added => context! {
                name => given("name"),
                user => given("user"),
                days,
                can_write => given("access") == "write",
                roles => visit
                    .fields("role")
                    .filter(|_| secret.is_none())
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            },
        };
        let mut frame =
            frame("tokens", "tokens", person).with_faults(faults, StatusCode::UNPROCESSABLE_ENTITY);
        frame.notice = (visit.option("done") == Some("revoked"))
            .then(|| self.text("token_revoked").to_owned());
        self.page("admin-tokens.html", frame, content)
    }
}

fn value(token: &TokenInfo) -> Value {
    context! {
        id => token.id.to_string(),
        name => &token.name,
        user => &token.user_name,
        roles => token.roles.clone(),
        read_only => token.read_only,
        expires => moment(token.expires_at),
        last_used => token.last_used.map(moment),
    }
}
