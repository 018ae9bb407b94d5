//! Who is signed in, for scripts of the application's own pages.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::Pages;
use super::problem::Problem;
use super::visit::{Area, Visit};
use crate::body::Body;
use crate::identity::{Principal, UserId};

impl Pages {
    /// `{"name": …, "fullName": …, "roles": […]}`; 401 if nobody is signed in and the application lets nobody
    /// else in.
    pub(super) async fn session(&self, visit: &Visit) -> Result<Response<Body>, Problem> {
        let person = self.visitor(visit, Area::User).await?;
        let (status, content) = match person.map(|person| person.principal) {
            Some(Principal::User(user)) => (StatusCode::OK, self.describe(user).await?),
            Some(Principal::Administrator(_)) | None => {
                let model = self.identity.model();
                let anonymous = model.anonymous.map(|role| &model.roles[role.index()].name);
                let content = json!({
                    "name": null,
                    "fullName": null,
                    "roles": anonymous.into_iter().collect::<Vec<_>>(),
                });
                let status = match anonymous {
                    Some(_) => StatusCode::OK,
                    None => StatusCode::UNAUTHORIZED,
                };
                (status, content)
            }
        };
        let mut response = Response::new(Body::from(Bytes::from(content.to_string())));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn describe(&self, user: UserId) -> Result<Value, Problem> {
        let user = self.identity.user(user).await?;
        let granted = |role: &&str| user.roles.iter().any(|granted| granted == role);
        Ok(json!({
            "name": user.name,
            "fullName": user.full_name,
            "roles": self.identity.roles().filter(granted).collect::<Vec<_>>(),
        }))
    }
}
