//! `stoa user`.

use std::time::Duration;

use serde_json::{Value, json};
use stoa_runtime::identity::user::UserFilter;
use stoa_runtime::identity::{NewUser, Principal, SessionId, User};

use super::listing::{instant, plain, table};
use super::opened::{Opened, failure, with};
use super::{password, print};
use crate::Result;
use crate::command_line::people::{
    self, UserAdd, UserLink, UserList, UserName, UserNameList, UserRoles, UserSetPassword,
    UserSignOut,
};
use crate::failure::{Exit, Failure};

/// Users read at once.
const PAGE: u64 = 500;
/// How long the link of a new user works.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn run(command: &people::User) -> Result<()> {
    match command {
        people::User::Add(arguments) => add(arguments),
        people::User::List(arguments) => list(arguments),
        people::User::Disable(arguments) => set_active(arguments, false),
        people::User::Enable(arguments) => set_active(arguments, true),
        people::User::SetPassword(arguments) => set_password(arguments),
        people::User::Link(arguments) => link(arguments),
        people::User::Grant(arguments) => grant(arguments),
        people::User::Revoke(arguments) => revoke(arguments),
        people::User::Sessions(arguments) => sessions(arguments),
        people::User::SignOut(arguments) => sign_out(arguments),
    }
}

fn add(arguments: &UserAdd) -> Result<()> {
    let attributes = arguments
        .attributes
        .iter()
        .map(|attribute| match attribute.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(Failure::new(
                Exit::Configuration,
                format!("--set: `{attribute}` is no NAME=VALUE"),
            )),
        })
        .collect::<Result<Vec<_>>>()?;
    let first = &arguments.first;
    let password = if first.password_stdin {
        Some(password::from_stdin()?)
    } else if first.link || first.no_password {
        None
    } else {
        Some(password::from_terminal(
            "give it to --password-stdin, or say --link or --no-password",
        )?)
    };
    with(&arguments.place, async |opened: &Opened| {
        let user = opened
            .identity
            .add_user(
                NewUser {
                    name: arguments.name.clone(),
                    full_name: arguments.full_name.clone(),
                    email: arguments.email.clone(),
                    kind: arguments.kind.clone(),
                    attributes: attributes.clone(),
                    roles: arguments.roles.clone(),
                    password: password.clone(),
                    must_change_password: arguments.must_change,
                    seed: None,
                },
                &opened.actor,
            )
            .await
            .map_err(failure)?;
        let mut link = None;
        if arguments.first.link {
            let principal = Principal::User(user.id);
            link = Some(opened.link(principal, DAY, &arguments.address).await?);
        }
        if arguments.output.json {
            let mut json = as_json(&user);
            if let Some(link) = link {
                json["link"] = link.into();
            }
            print(&format!("{json:#}"));
        } else {
            print(&format!("{} is added.", plain(&user.name)));
            if user.roles.is_empty() {
                print("Without a role nothing can be seen: stoa user grant APP NAME ROLE");
            }
            if let Some(link) = link {
                print(&format!("Signs in once, within a day:\n{link}"));
            }
        }
        Ok(())
    })
}

fn list(arguments: &UserList) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let filter = UserFilter {
            contains: arguments.contains.clone(),
            role: arguments.role.clone(),
            active: arguments.disabled.then_some(false),
        };
        let mut users: Vec<User> = Vec::new();
        loop {
            let after = users.last().map(|user| user.name.clone());
            let page = opened
                .identity
                .users(&filter, after.as_deref(), PAGE)
                .await
                .map_err(failure)?;
            let is_last = (page.len() as u64) < PAGE;
            users.extend(page);
            if is_last {
                break;
            }
        }
        if arguments.output.json {
            let users: Vec<Value> = users.iter().map(as_json).collect();
            print(&format!("{:#}", Value::Array(users)));
            return Ok(());
        }
        let rows: Vec<[String; 5]> = users
            .iter()
            .map(|user| {
                [
                    plain(&user.name),
                    plain(user.full_name.as_deref().unwrap_or_default()),
                    plain(&user.roles.join(", ")),
                    if user.active { "active" } else { "disabled" }.to_owned(),
                    if user.has_password { "password" } else { "" }.to_owned(),
                ]
            })
            .collect();
        print(&table(
            ["NAME", "FULL NAME", "ROLES", "STATE", "SIGN-IN"],
            &rows,
        ));
        Ok(())
    })
}

fn as_json(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "name": user.name,
        "fullName": user.full_name,
        "email": user.email,
        "kind": user.kind,
        "roles": user.roles,
        "active": user.active,
        "hasPassword": user.has_password,
        "mustChangePassword": user.must_change_password,
        "createdAt": instant(user.created_at),
    })
}

fn set_active(arguments: &UserName, active: bool) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let user = opened.user(&arguments.name).await?;
        opened
            .identity
            .set_active(user, active, &opened.actor)
            .await
            .map_err(failure)?;
        let name = plain(&arguments.name);
        print(&if active {
            format!("{name} may sign in.")
        } else {
            format!("{name} is kept out: no session and no token of theirs works any more.")
        });
        Ok(())
    })
}

fn set_password(arguments: &UserSetPassword) -> Result<()> {
    let password = if arguments.password_stdin {
        password::from_stdin()?
    } else {
        password::from_terminal("give it to --password-stdin")?
    };
    with(&arguments.place, async |opened: &Opened| {
        let user = Principal::User(opened.user(&arguments.name).await?);
        opened
            .identity
            .set_password(user, &password, arguments.must_change, &opened.actor)
            .await
            .map_err(failure)?;
        print(&format!(
            "The password of {} is set; sessions they had have ended.",
            plain(&arguments.name)
        ));
        Ok(())
    })
}

fn link(arguments: &UserLink) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let user = Principal::User(opened.user(&arguments.name).await?);
        print(
            &opened
                .link(user, arguments.link.valid, &arguments.link.address)
                .await?,
        );
        Ok(())
    })
}

fn grant(arguments: &UserRoles) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let user = opened.user(&arguments.name).await?;
        opened
            .identity
            .grant(user, &arguments.roles, &opened.actor)
            .await
            .map_err(failure)?;
        show_roles(opened, &arguments.name).await
    })
}

fn revoke(arguments: &UserRoles) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let user = opened.user(&arguments.name).await?;
        opened
            .identity
            .revoke(user, &arguments.roles, &opened.actor)
            .await
            .map_err(failure)?;
        show_roles(opened, &arguments.name).await
    })
}

async fn show_roles(opened: &Opened, name: &str) -> Result<()> {
    let user = opened.identity.user_by_name(name).await.map_err(failure)?;
    let roles = if user.roles.is_empty() {
        "no role".to_owned()
    } else {
        user.roles.join(", ")
    };
    print(&format!("{} has {}.", plain(&user.name), plain(&roles)));
    Ok(())
}

fn sessions(arguments: &UserNameList) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let user = Principal::User(opened.user(&arguments.name).await?);
        let sessions = opened.identity.sessions(user).await.map_err(failure)?;
        if arguments.output.json {
            let sessions: Vec<Value> = sessions
                .iter()
                .map(|session| {
                    json!({
                        "id": session.id.to_string(),
                        "signedInAt": instant(session.created_at),
                        "lastUsed": instant(session.last_used),
                        "expiresAt": instant(session.expires_at),
                        "address": session.address,
                        "agent": session.agent,
                        "provider": session.provider,
                    })
                })
                .collect();
            print(&format!("{:#}", Value::Array(sessions)));
            return Ok(());
        }
        let rows: Vec<[String; 6]> = sessions
            .iter()
            .map(|session| {
                [
                    session.id.to_string(),
                    instant(session.created_at),
                    instant(session.last_used),
                    plain(session.address.as_deref().unwrap_or_default()),
                    plain(session.provider.as_deref().unwrap_or_default()),
                    plain(session.agent.as_deref().unwrap_or_default()),
                ]
            })
            .collect();
        print(&table(
            [
                "SESSION",
                "SIGNED IN",
                "LAST USED",
                "ADDRESS",
                "PROVIDER",
                "BROWSER",
            ],
            &rows,
        ));
        Ok(())
    })
}

fn sign_out(arguments: &UserSignOut) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let user = Principal::User(opened.user(&arguments.name).await?);
        let name = plain(&arguments.name);
        match arguments.session {
            Some(session) => {
                opened
                    .identity
                    .revoke_session(user, SessionId(session), &opened.actor)
                    .await
                    .map_err(failure)?;
                print(&format!("The session of {name} has ended, everywhere."));
            }
            None => {
                opened
                    .identity
                    .revoke_sessions(user, None, &opened.actor)
                    .await
                    .map_err(failure)?;
                print(&format!("All sessions of {name} have ended, everywhere."));
            }
        }
        Ok(())
    })
}
