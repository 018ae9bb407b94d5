//! Administrators of the site. They are no users of the application and have no access to its data.

use stoa_model::access::Actor;
use stoa_model::change::Action;
use stoa_model::value::Value;
use stoa_store::StoreError;
use uuid::Uuid;

use super::audit::kind;
use super::error::IdentityError;
use super::name;
use super::record::{
    Record, Select, ascending, attribute, change, delete, equal, insert, text, update,
};
use super::{Identity, Principal, row_id};

row_id!(
    /// `id` of an administrator.
    AdministratorId
);

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// Which.
    pub id: AdministratorId,
    /// Name to sign in with, normalised.
    pub name: String,
    /// For people.
    pub full_name: Option<String>,
    /// For people.
    pub email: Option<String>,
    /// May sign in.
    pub active: bool,
    /// Has a password (else: links or single sign-on).
    pub has_password: bool,
}

/// Most administrators that are listed.
const LISTED: u64 = 1000;
/// Longest texts, in characters (the columns' lengths).
const FULL_NAME: usize = 200;
const EMAIL: usize = 320;

impl Identity {
    /// All administrators, by name.
    ///
    /// # Errors
    /// The database.
    pub async fn administrators(&self) -> Result<Vec<Administrator>, IdentityError> {
        let table = &self.shared.system.administrator;
        let by_name = ascending(attribute(self.model(), table.entity, table.name));
        let query = self
            .select_administrator()
            .filter(self.model(), None, vec![by_name], LISTED);
        let rows = self.read(query).await?;
        Ok(rows.iter().map(administrator_from).collect())
    }

    /// The administrator with this name.
    ///
    /// # Errors
    /// [`IdentityError::UnknownAdministrator`]; the database.
    pub async fn administrator_by_name(&self, name: &str) -> Result<Administrator, IdentityError> {
        let unknown = || IdentityError::UnknownAdministrator(name.to_owned());
        let normal = name::normalise(name).map_err(|_| unknown())?;
        let table = &self.shared.system.administrator;
        let condition = equal(
            attribute(self.model(), table.entity, table.name),
            Value::Text(normal),
        );
        let query =
            self.select_administrator()
                .filter(self.model(), Some(condition), Vec::new(), 1);
        let row = self.read_one(query).await?;
        row.as_ref().map(administrator_from).ok_or_else(unknown)
    }

    /// Adds an administrator, without a password.
    ///
    /// # Errors
    /// [`IdentityError::Name`], [`IdentityError::NameTaken`]; the database.
    pub async fn add_administrator(
        &self,
        name: &str,
        full_name: Option<&str>,
        email: Option<&str>,
        by: &Actor,
    ) -> Result<Administrator, IdentityError> {
        let table = &self.shared.system.administrator;
        let name = name::normalise(name)?;
        for (what, given, maximum) in [
            ("the full name", full_name, FULL_NAME),
            ("the e-mail address", email, EMAIL),
        ] {
            if given.is_some_and(|given| given.chars().count() > maximum) {
                return Err(IdentityError::TooLong { what, maximum });
            }
        }
        let id = AdministratorId(Uuid::now_v7());
        let detail = serde_json::json!({ "name": name });
        let actions = vec![
            insert(
                self.model(),
                table.entity,
                id.0,
                &[
                    (table.name, Value::Text(name.clone())),
                    (table.full_name, text(full_name)),
                    (table.email, text(email)),
                    (table.active, Value::Boolean(true)),
                ],
                Vec::new(),
            ),
            self.record(
                kind::ADMINISTRATOR_ADDED,
                by,
                Some(self.about(Principal::Administrator(id))),
                Some(detail),
            ),
        ];
        match self.write(change(actions), Some(by)).await {
            Ok(_) => Ok(Administrator {
                id,
                name,
                full_name: full_name.map(str::to_owned),
                email: email.map(str::to_owned),
                active: true,
                has_password: false,
            }),
            Err(StoreError::Violations(_)) => Err(IdentityError::NameTaken(name)),
            Err(error) => Err(error.into()),
        }
    }

    /// The first administrator, made if there is none at all (first start). Of two instances that start at
    /// once one makes it; the other gets none.
    ///
    /// # Errors
    /// The database.
    pub async fn first_administrator(
        &self,
        name: &str,
        by: &Actor,
    ) -> Result<Option<Administrator>, IdentityError> {
        if !self.administrators().await?.is_empty() {
            return Ok(None);
        }
        match self.add_administrator(name, None, None, by).await {
            Ok(administrator) => Ok(Some(administrator)),
            Err(IdentityError::NameTaken(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets an administrator sign in, or no longer; in the latter case all sessions end.
    ///
    /// # Errors
    /// [`IdentityError::LastAdministrator`], [`IdentityError::UnknownAdministrator`]; the database.
    pub async fn set_administrator_active(
        &self,
        id: AdministratorId,
        active: bool,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let mut actions = self.activation(Principal::Administrator(id), active, by);
        if !active {
            actions.extend(self.another_administrator(id).await?);
        }
        self.write_administrator(id, actions, by).await
    }

    /// Deletes an administrator with everything of theirs.
    ///
    /// # Errors
    /// [`IdentityError::LastAdministrator`], [`IdentityError::UnknownAdministrator`]; the database.
    pub async fn delete_administrator(
        &self,
        id: AdministratorId,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let table = &self.shared.system.administrator;
        let about = self.about(Principal::Administrator(id));
        let mut actions = vec![delete(table.entity, id.0)];
        actions.extend(self.another_administrator(id).await?);
        actions.push(self.record(kind::ADMINISTRATOR_DELETED, by, Some(about), None));
        self.write_administrator(id, actions, by).await
    }

    /// An operation that fails if another administrator who can sign in does not stay that: so that two who
    /// disable each other at once do not both succeed.
    async fn another_administrator(
        &self,
        id: AdministratorId,
    ) -> Result<Option<Action>, IdentityError> {
        let table = &self.shared.system.administrator;
        let query = self
            .select_administrator()
            .filter(self.model(), None, Vec::new(), LISTED);
        let rows = self.read(query).await?;
        let this = rows.iter().find(|row| row.id() == id.0);
        let Some(this) = this else {
            return Err(IdentityError::UnknownAdministrator(id.to_string()));
        };
        if !this.truth(ACTIVE) {
            return Ok(None);
        }
        let other = rows
            .iter()
            .find(|row| row.id() != id.0 && row.truth(ACTIVE))
            .ok_or(IdentityError::LastAdministrator)?;
        Ok(Some(update(
            table.entity,
            other.id(),
            other.version,
            Vec::new(),
        )))
    }

    async fn write_administrator(
        &self,
        id: AdministratorId,
        actions: Vec<Action>,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        match self.write_and_publish(change(actions), Some(by)).await {
            Err(IdentityError::Store(StoreError::NotFound { operation: 0 })) => {
                Err(IdentityError::UnknownAdministrator(id.to_string()))
            }
            Err(IdentityError::Store(
                StoreError::VersionMismatch { .. } | StoreError::NotFound { .. },
            )) => Err(StoreError::Busy { source: None }.into()),
            written => written,
        }
    }

    fn select_administrator(&self) -> Select {
        let table = &self.shared.system.administrator;
        Select::new(
            table.entity,
            &[
                table.name,
                table.full_name,
                table.email,
                table.active,
                table.hash,
            ],
        )
    }
}

/// Position of `active` in what `select_administrator` reads.
const ACTIVE: usize = 3;

fn administrator_from(row: &Record) -> Administrator {
    Administrator {
        id: AdministratorId(row.id()),
        name: row.owned(0).unwrap_or_default(),
        full_name: row.owned(1),
        email: row.owned(2),
        active: row.truth(ACTIVE),
        has_password: row.text(4).is_some(),
    }
}
