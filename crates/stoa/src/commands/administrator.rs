//! `stoa admin`: the administrators of the site.

use serde_json::{Value, json};
use stoa_runtime::identity::Principal;

use super::listing::{plain, table};
use super::opened::{Opened, failure, with};
use super::print;
use crate::Result;
use crate::command_line::people::{
    Administrator, AdministratorAdd, AdministratorLink, RoleList, UserName,
};

pub(crate) fn run(command: &Administrator) -> Result<()> {
    match command {
        Administrator::List(arguments) => list(arguments),
        Administrator::Add(arguments) => add(arguments),
        Administrator::Link(arguments) => link(arguments),
        Administrator::Disable(arguments) => set_active(arguments, false),
        Administrator::Enable(arguments) => set_active(arguments, true),
    }
}

fn list(arguments: &RoleList) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let administrators = opened.identity.administrators().await.map_err(failure)?;
        if arguments.output.json {
            let administrators: Vec<Value> = administrators
                .iter()
                .map(|administrator| {
                    json!({
                        "id": administrator.id.to_string(),
                        "name": administrator.name,
                        "fullName": administrator.full_name,
                        "email": administrator.email,
                        "active": administrator.active,
                        "hasPassword": administrator.has_password,
                    })
                })
                .collect();
            print(&format!("{:#}", Value::Array(administrators)));
            return Ok(());
        }
        let rows: Vec<[String; 4]> = administrators
            .iter()
            .map(|administrator| {
                [
                    plain(&administrator.name),
                    plain(administrator.full_name.as_deref().unwrap_or_default()),
                    if administrator.active {
                        "active"
                    } else {
                        "disabled"
                    }
                    .to_owned(),
                    if administrator.has_password {
                        "password"
                    } else {
                        ""
                    }
                    .to_owned(),
                ]
            })
            .collect();
        print(&table(["NAME", "FULL NAME", "STATE", "SIGN-IN"], &rows));
        Ok(())
    })
}

fn add(arguments: &AdministratorAdd) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let administrator = opened
            .identity
            .add_administrator(
                &arguments.name,
                arguments.full_name.as_deref(),
                arguments.email.as_deref(),
                &opened.actor,
            )
            .await
            .map_err(failure)?;
        let link = opened
            .link(
                Principal::Administrator(administrator.id),
                arguments.link.valid,
                &arguments.link.address,
            )
            .await?;
        eprintln!(
            "{} is an administrator. Signs in once:",
            plain(&administrator.name)
        );
        print(&link);
        Ok(())
    })
}

fn link(arguments: &AdministratorLink) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let administrator = opened
            .identity
            .administrator_by_name(&arguments.name)
            .await
            .map_err(failure)?;
        let link = opened
            .link(
                Principal::Administrator(administrator.id),
                arguments.link.valid,
                &arguments.link.address,
            )
            .await?;
        print(&link);
        Ok(())
    })
}

fn set_active(arguments: &UserName, active: bool) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let administrator = opened
            .identity
            .administrator_by_name(&arguments.name)
            .await
            .map_err(failure)?;
        opened
            .identity
            .set_administrator_active(administrator.id, active, &opened.actor)
            .await
            .map_err(failure)?;
        let name = plain(&administrator.name);
        print(&if active {
            format!("{name} may sign in.")
        } else {
            format!("{name} is kept out.")
        });
        Ok(())
    })
}
