//! Users: who there is, and everything about one of them.

use std::time::Duration;

use http::{Method, Response, StatusCode};
use minijinja::{Value, context};
use uuid::Uuid;

use super::{frame, optional};
use crate::body::Body;
use crate::identity::user::UserFilter;
use crate::identity::{IdentityError, NewUser, Principal, SessionId, User, UserId};
use crate::pages::Pages;
use crate::pages::page::{Fault, see_other, with_option};
use crate::pages::people::{self, Person, moment};
use crate::pages::problem::Problem;
use crate::pages::visit::{Area, Visit};

/// Users on a page.
const PAGE: usize = 50;
/// How long a sign-in link works.
const LINK: Duration = Duration::from_secs(24 * 60 * 60);

impl Pages {
    pub(super) async fn users(&self, visit: &Visit) -> Result<Response<Body>, Problem> {
        let person = self.person(visit, Area::Administration).await?;
        self.users_page(visit, &person, Vec::new()).await
    }

    async fn users_page(
        &self,
        visit: &Visit,
        person: &Person,
        faults: Vec<Fault>,
    ) -> Result<Response<Body>, Problem> {
        let search = visit.option("search").unwrap_or_default().trim();
        let filter = UserFilter {
            contains: optional(search).map(str::to_owned),
            ..UserFilter::default()
        };
        let mut found = self
            .identity
            .users(&filter, visit.option("after"), PAGE as u64 + 1)
            .await?;
        let more = (found.len() > PAGE).then(|| {
            found.truncate(PAGE);
            let last = found.last().map_or("", |user| user.name.as_str());
            let mut query = form_urlencoded::Serializer::new(String::new());
            query
                .append_pair("search", search)
                .append_pair("after", last);
            format!("/-/admin/?{}", query.finish())
        });
        let content = context! {
            search,
            more,
            users => found.iter().map(value).collect::<Vec<_>>(),
            roles => self.identity.roles().map(str::to_owned).collect::<Vec<_>>(),
            added => context! {
                name => visit.field("name"),
                full_name => visit.field("full_name"),
                email => visit.field("email"),
                roles => visit.fields("role").map(str::to_owned).collect::<Vec<_>>(),
            },
        };
        let frame =
            frame("users", "users", person).with_faults(faults, StatusCode::UNPROCESSABLE_ENTITY);
        self.page("admin-users.html", frame, content)
    }

    pub(super) async fn add_user(&self, visit: &Visit) -> Result<Response<Body>, Problem> {
        let person = self.person(visit, Area::Administration).await?;
        let user = NewUser {
            name: visit.field("name").to_owned(),
            full_name: optional(visit.field("full_name")).map(str::to_owned),
            email: optional(visit.field("email")).map(str::to_owned),
            roles: visit.fields("role").map(str::to_owned).collect(),
            seed: visit.seed,
            ..NewUser::default()
        };
        match self.identity.add_user(user, &person.actor).await {
            Ok(user) => see_other(&with_option(&address(user.id), "done", "added")),
            Err(error) => {
                let fault = self.form_fault(error)?;
                self.users_page(visit, &person, vec![fault]).await
            }
        }
    }

    pub(super) async fn user(&self, visit: &Visit, id: Uuid) -> Result<Response<Body>, Problem> {
        let id = UserId(id);
        let person = self.person(visit, Area::Administration).await?;
        let user = self.identity.user(id).await?;
        if visit.parts.method != Method::POST {
            return self
                .user_page(visit, &person, &user, None, Vec::new())
                .await;
        }
        let principal = Principal::User(id);
        let by = &person.actor;
        let done = match visit.field("action") {
            "roles" => {
                let roles: Vec<String> = visit.fields("role").map(str::to_owned).collect();
                self.identity.set_roles(id, &roles, by).await
            }
            "password" => {
                let password = visit.field("new");
                self.identity
                    .set_password(principal, password, true, by)
                    .await
            }
            "link" => {
                let secret = self
                    .identity
                    .create_link_once(principal, LINK, by, visit.seed.as_ref())
                    .await?;
                let origin = visit.origin().unwrap_or_default();
                let link = format!("{origin}/-/link/{}", secret.expose());
                return self
                    .user_page(visit, &person, &user, Some(&link), Vec::new())
                    .await;
            }
            "session" => {
                let session = visit
                    .field("session")
                    .parse()
                    .map_err(|_| Problem::NotFound)?;
                let ended = self
                    .identity
                    .revoke_session(principal, SessionId(session), by)
                    .await;
                match ended {
                    Err(IdentityError::UnknownSession) => Ok(()),
                    ended => ended,
                }
            }
            "sessions" => self.identity.revoke_sessions(principal, None, by).await,
            "disable" => self.identity.set_active(id, false, by).await,
            "enable" => self.identity.set_active(id, true, by).await,
            _ => return Err(Problem::NotFound),
        };
        match done {
            Ok(()) => see_other(&with_option(&address(id), "done", "saved")),
            Err(error) => {
                let fault = self.form_fault(error)?;
                self.user_page(visit, &person, &user, None, vec![fault])
                    .await
            }
        }
    }

    async fn user_page(
        &self,
        visit: &Visit,
        person: &Person,
        user: &User,
        secret: Option<&str>,
        faults: Vec<Fault>,
    ) -> Result<Response<Body>, Problem> {
        let sessions: Vec<Value> = self
            .identity
            .sessions(Principal::User(user.id))
            .await?
            .iter()
            .map(|info| people::session(info, None))
            .collect();
        // Roles that the application no longer has can be taken away here too.
        let mut roles: Vec<String> = self.identity.roles().map(str::to_owned).collect();
        for role in &user.roles {
            if !roles.contains(role) {
                roles.push(role.clone());
            }
        }
        let content = context! {
            action => address(user.id),
            user => value(user),
            roles,
            sessions,
            secret,
        };
        let mut frame =
            frame("user", "users", person).with_faults(faults, StatusCode::UNPROCESSABLE_ENTITY);
        frame.heading = Some(&user.name);
        frame.notice = match visit.option("done") {
            Some("added") => Some("user_added"),
            Some("saved") => Some("user_saved"),
            _ => None,
        }
        .map(|key| self.text(key).to_owned());
        self.page("admin-user.html", frame, content)
    }
}

fn address(id: UserId) -> String {
    format!("/-/admin/users/{id}")
}

fn value(user: &User) -> Value {
    context! {
        id => user.id.to_string(),
        name => &user.name,
        full_name => user.full_name.as_deref(),
        email => user.email.as_deref(),
        roles => user.roles.clone(),
        kind => &user.kind,
        active => user.active,
        has_password => user.has_password,
        created => moment(user.created_at),
    }
}
