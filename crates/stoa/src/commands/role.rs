//! `stoa role`.

use serde_json::{Value, json};
use stoa_runtime::identity::user::UserFilter;

use super::listing::{plain, table};
use super::opened::{Opened, failure, with};
use super::print;
use crate::Result;
use crate::command_line::people::{Role, RoleList};

/// Users read at once.
const PAGE: u64 = 500;

pub(crate) fn run(command: &Role) -> Result<()> {
    match command {
        Role::List(arguments) => list(arguments),
    }
}

fn list(arguments: &RoleList) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let model = opened.identity.model();
        let mut roles = Vec::new();
        for (position, role) in model.roles.iter().enumerate() {
            let is_anonymous = model
                .anonymous
                .is_some_and(|anonymous| anonymous.index() == position);
            let users = if is_anonymous {
                None
            } else {
                Some(users_with(opened, &role.name).await?)
            };
            roles.push((role, users));
        }
        if arguments.output.json {
            let roles: Vec<Value> = roles
                .iter()
                .map(|(role, users)| {
                    json!({
                        "name": role.name,
                        "label": role.label,
                        "description": role.description,
                        "users": users,
                    })
                })
                .collect();
            print(&format!("{:#}", Value::Array(roles)));
            return Ok(());
        }
        let rows: Vec<[String; 3]> = roles
            .iter()
            .map(|(role, users)| {
                [
                    plain(&role.name),
                    users.map_or_else(|| "nobody signed in".to_owned(), |users| users.to_string()),
                    plain(role.description.as_deref().unwrap_or(&role.label)),
                ]
            })
            .collect();
        print(&table(["ROLE", "USERS", "WHAT"], &rows));
        Ok(())
    })
}

async fn users_with(opened: &Opened, role: &str) -> Result<u64> {
    let filter = UserFilter {
        role: Some(role.to_owned()),
        ..UserFilter::default()
    };
    let mut number = 0;
    let mut after: Option<String> = None;
    loop {
        let page = opened
            .identity
            .users(&filter, after.as_deref(), PAGE)
            .await
            .map_err(failure)?;
        number += page.len() as u64;
        if (page.len() as u64) < PAGE {
            return Ok(number);
        }
        after = page.last().map(|user| user.name.clone());
    }
}
