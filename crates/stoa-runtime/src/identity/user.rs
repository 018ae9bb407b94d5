//! Users and their roles.

use stoa_model::access::Actor;
use stoa_model::application::Limits;
use stoa_model::change::{Action, Change, Expected, Rule, Target};
use stoa_model::expression::{Comparison, Expression, Function, Quantifier, Variable};
use stoa_model::model::{AttributeId, Entity, EntityId};
use stoa_model::query::ROW;
use stoa_model::value::{ScalarType, Value};
use stoa_odata::body::{self, Method, Place};
use stoa_odata::error::{Code, Error};
use stoa_store::StoreError;
use uuid::Uuid;

use super::audit::kind;
use super::error::IdentityError;
use super::name;
use super::record::{
    Record, Select, all, ascending, attribute, change, compare, delete, equal, insert,
};
use super::seed::Seed;
use super::{Identity, Principal, now, row_id};

row_id!(
    /// `id` of a user.
    UserId
);

/// A user.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Which.
    pub id: UserId,
    /// Name to sign in with, normalised.
    pub name: String,
    /// For people.
    pub full_name: Option<String>,
    /// For people.
    pub email: Option<String>,
    /// May sign in.
    pub active: bool,
    /// What kind of user: name of the entity (`SystemUser`, or `Employee`).
    pub kind: String,
    /// Roles, as granted, by name. Roles that the model no longer has are among them.
    pub roles: Vec<String>,
    /// Has a password (else: links, single sign-on, tokens).
    pub has_password: bool,
    /// Must change the password at the next sign-in.
    pub must_change_password: bool,
    /// When it was made, microseconds since the Unix epoch.
    pub created_at: i64,
}

/// A user to be added.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// Name to sign in with; it is normalised.
    pub name: String,
    /// For people.
    pub full_name: Option<String>,
    /// For people.
    pub email: Option<String>,
    /// What kind of user: name of an entity that extends the users'; none: a plain one.
    pub kind: Option<String>,
    /// Further attributes of that entity, as text: `Region` = `North`. A to-one association takes the key
    /// of its target as in a URL.
    pub attributes: Vec<(String, String)>,
    /// Roles.
    pub roles: Vec<String>,
    /// First password; none: none.
    pub password: Option<String>,
    /// The password must be changed at the first sign-in.
    pub must_change_password: bool,
    /// What the user's key is made of, if the request may be repeated.
    pub seed: Option<Seed>,
}

/// Which users are wanted. All conditions given must hold.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Part of name, full name or e-mail address, any case.
    pub contains: Option<String>,
    /// Has this role.
    pub role: Option<String>,
    /// May sign in, or may not.
    pub active: Option<bool>,
}

/// How often it is tried when another change of the same user is in the way.
const ATTEMPTS: usize = 5;

impl Identity {
    /// Adds a user.
    ///
    /// # Errors
    /// [`IdentityError::Name`], [`IdentityError::NameTaken`], [`IdentityError::UnknownKind`],
    /// [`IdentityError::Attributes`], [`IdentityError::UnknownRole`], [`IdentityError::Password`]; the
    /// database. Nothing is done then.
    pub async fn add_user(&self, user: NewUser, by: &Actor) -> Result<User, IdentityError> {
        let system = &self.shared.system;
        let name = name::normalise(&user.name)?;
        let kind = self.kind_of_user(user.kind.as_deref())?;
        for role in &user.roles {
            self.check_role(role)?;
        }
        let hash = match &user.password {
            Some(password) => {
                let names = [
                    name.as_str(),
                    user.full_name.as_deref().unwrap_or_default(),
                    user.email.as_deref().unwrap_or_default(),
                ];
                Some(
                    self.shared
                        .passwords
                        .judge_and_hash(password, &names)
                        .await?,
                )
            }
            None => None,
        };
        let mut given = vec![("Name".to_owned(), Some(name.clone()))];
        for (attribute, value) in [("FullName", &user.full_name), ("Email", &user.email)] {
            if let Some(value) = value {
                given.push((attribute.to_owned(), Some(value.clone())));
            }
        }
        given.extend(
            user.attributes
                .iter()
                .map(|(name, value)| (name.clone(), Some(value.clone()))),
        );
        let body = self.body(kind, &given);
        let limits = Limits::default();
        let mut write = body::create(
            self.model(),
            kind,
            body.as_bytes(),
            &options(&limits),
            &Place::default(),
        )
        .map_err(|error| IdentityError::Attributes(Box::new(error)))?;
        let id = inserted_id(&mut write.change.operations[write.root].action)
            .ok_or_else(|| IdentityError::Internal("a new user has no key".to_owned()))?;
        if let Some(seed) = &user.seed {
            *id = seed.id("user");
        }
        let id = *id;
        let principal = Principal::User(UserId(id));
        let mut roles = user.roles.clone();
        roles.sort();
        roles.dedup();
        let detail =
            serde_json::json!({ "name": name, "kind": self.model()[kind].name, "roles": roles });
        let mut actions = Vec::new();
        for role in &roles {
            actions.push(insert(
                self.model(),
                system.grant.entity,
                Uuid::now_v7(),
                &[(system.grant.role, Value::Text(role.clone()))],
                vec![system.grant.user.to(id)],
            ));
        }
        if let Some(hash) = hash {
            let credential = &system.credential;
            actions.push(insert(
                self.model(),
                credential.entity,
                Uuid::now_v7(),
                &[
                    (credential.hash, Value::Text(hash)),
                    (credential.set_at, Value::DateTime(now())),
                    (
                        credential.must_change,
                        Value::Boolean(user.must_change_password),
                    ),
                ],
                vec![credential.user.to(id)],
            ));
        }
        actions.push(self.record(
            kind::USER_ADDED,
            by,
            Some(self.about(principal)),
            Some(detail),
        ));
        let mut whole = write.change;
        whole.operations.extend(change(actions).operations);
        let added = self.write(whole.clone(), Some(by)).await;
        match (added, user.seed) {
            (Ok(_), _) => self.user(UserId(id)).await,
            // The user that the request has added is there already.
            (Err(StoreError::Violations(violations)), Some(_)) => {
                let refused = refused(StoreError::Violations(violations), &whole, &name);
                self.user(UserId(id)).await.map_err(|error| match error {
                    IdentityError::UnknownUser(_) => refused,
                    error => error,
                })
            }
            (Err(error), _) => Err(refused(error, &whole, &name)),
        }
    }

    /// Users by name, after a name, at most `limit`.
    ///
    /// # Errors
    /// The database.
    pub async fn users(
        &self,
        filter: &UserFilter,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<User>, IdentityError> {
        let (model, system) = (self.model(), &self.shared.system);
        let table = &system.user;
        let of = |id| attribute(model, table.entity, id);
        let mut conditions = Vec::new();
        if let Some(part) = filter.contains.as_deref().filter(|part| !part.is_empty()) {
            let part = Value::Text(part.to_lowercase());
            let parts = [table.name, table.full_name, table.email]
                .map(|id| contains(lower(of(id)), part.clone()));
            conditions.push(Expression::Or(parts.to_vec()));
        }
        if let Some(active) = filter.active {
            conditions.push(equal(of(table.active), Value::Boolean(active)));
        }
        if let Some(role) = &filter.role {
            let grant = &system.grant;
            let rows = Variable(1);
            let has = equal(
                Expression::Attribute {
                    from: rows,
                    path: Vec::new(),
                    entity: grant.entity,
                    attribute: grant.role,
                    scalar_type: ScalarType::String,
                },
                Value::Text(role.clone()),
            );
            conditions.push(Expression::Lambda {
                quantifier: Quantifier::Any,
                from: ROW,
                path: vec![grant.user.back],
                entity: grant.entity,
                variable: rows,
                condition: Some(Box::new(has)),
            });
        }
        if let Some(after) = after {
            let after = Value::Text(after.to_owned());
            conditions.push(compare(of(table.name), Comparison::Greater, after));
        }
        let query = self.select_user().filter(
            model,
            all(conditions),
            vec![ascending(of(table.name))],
            limit,
        );
        let rows = self.read(query).await?;
        Ok(rows.iter().map(|row| self.user_from(row)).collect())
    }

    /// A user.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; the database.
    pub async fn user(&self, id: UserId) -> Result<User, IdentityError> {
        let query = self
            .select_user()
            .key(self.model(), vec![Value::Uuid(id.0)]);
        let row = self.read_one(query).await?;
        row.map(|row| self.user_from(&row))
            .ok_or_else(|| IdentityError::UnknownUser(id.to_string()))
    }

    /// The user with this name, in any case.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; the database.
    pub async fn user_by_name(&self, name: &str) -> Result<User, IdentityError> {
        let unknown = || IdentityError::UnknownUser(name.to_owned());
        let normal = name::normalise(name).map_err(|_| unknown())?;
        let table = &self.shared.system.user;
        let condition = equal(
            attribute(self.model(), table.entity, table.name),
            Value::Text(normal),
        );
        let query = self
            .select_user()
            .filter(self.model(), Some(condition), Vec::new(), 1);
        let row = self.read_one(query).await?;
        row.map(|row| self.user_from(&row)).ok_or_else(unknown)
    }

    /// Changes attributes of a user, given as text as in [`NewUser::attributes`]; `Name`, `FullName` and
    /// `Email` too. None clears one.
    ///
    /// # Errors
    /// As [`Identity::add_user`]; [`IdentityError::UnknownUser`].
    pub async fn change_user(
        &self,
        id: UserId,
        attributes: &[(String, Option<String>)],
        by: &Actor,
    ) -> Result<User, IdentityError> {
        let user = self.user(id).await?;
        let kind = self.kind_of_user(Some(&user.kind))?;
        let mut given = Vec::with_capacity(attributes.len());
        let mut new_name = None;
        for (name, value) in attributes {
            if name == "Active" {
                // Only set_active ends sessions.
                return Err(IdentityError::Attributes(Box::new(
                    Error::new(
                        Code::ReadOnly,
                        "a user is enabled and disabled, not changed, for that",
                    )
                    .at("Active"),
                )));
            }
            let value = match (name.as_str(), value) {
                ("Name", Some(value)) => {
                    let name = name::normalise(value)?;
                    new_name = Some(name.clone());
                    Some(name)
                }
                (_, value) => value.clone(),
            };
            given.push((name.clone(), value));
        }
        let body = self.body(kind, &given);
        let limits = Limits::default();
        let write = body::update(
            self.model(),
            kind,
            Target::Key(vec![Value::Uuid(id.0)]),
            Expected::Any,
            Method::Patch,
            body.as_bytes(),
            &options(&limits),
        )
        .map_err(|error| IdentityError::Attributes(Box::new(error)))?;
        let names: Vec<&str> = attributes.iter().map(|(name, _)| name.as_str()).collect();
        let detail = serde_json::json!({ "attributes": names });
        let about = self.about(Principal::User(id));
        let mut whole = write.change;
        let record = self.record(kind::USER_CHANGED, by, Some(about), Some(detail));
        whole.operations.extend(change(vec![record]).operations);
        match self.write_and_publish(whole.clone(), Some(by)).await {
            Ok(()) => self.user(id).await,
            Err(IdentityError::Store(StoreError::NotFound { .. })) => {
                Err(IdentityError::UnknownUser(id.to_string()))
            }
            Err(IdentityError::Store(error)) => Err(refused(
                error,
                &whole,
                new_name.as_deref().unwrap_or(&user.name),
            )),
            Err(error) => Err(error),
        }
    }

    /// Lets a user sign in, or no longer. In the latter case all their sessions end, and their tokens do
    /// not work until they are let in again. When it returns, that holds everywhere.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; the database.
    pub async fn set_active(
        &self,
        id: UserId,
        active: bool,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let actions = self.activation(Principal::User(id), active, by);
        self.write_user(id, actions, by).await
    }

    /// Gives a user roles. Those they have already are no error. When it returns, they hold everywhere.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`], [`IdentityError::UnknownRole`]; the database.
    pub async fn grant(
        &self,
        id: UserId,
        roles: &[String],
        by: &Actor,
    ) -> Result<(), IdentityError> {
        for role in roles {
            self.check_role(role)?;
        }
        self.change_roles(id, by, |had| had.iter().chain(roles).cloned().collect())
            .await
    }

    /// Takes roles from a user. Those they do not have are no error; nor are names that the model no longer
    /// has. When it returns, that holds everywhere.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; the database.
    pub async fn revoke(
        &self,
        id: UserId,
        roles: &[String],
        by: &Actor,
    ) -> Result<(), IdentityError> {
        self.change_roles(id, by, |had| {
            had.iter()
                .filter(|role| !roles.contains(role))
                .cloned()
                .collect()
        })
        .await
    }

    /// Gives a user exactly these roles.
    ///
    /// # Errors
    /// As [`Identity::grant`].
    pub async fn set_roles(
        &self,
        id: UserId,
        roles: &[String],
        by: &Actor,
    ) -> Result<(), IdentityError> {
        for role in roles {
            self.check_role(role)?;
        }
        self.change_roles(id, by, |_| roles.to_vec()).await
    }

    async fn change_roles(
        &self,
        id: UserId,
        by: &Actor,
        wanted: impl Fn(&[String]) -> Vec<String>,
    ) -> Result<(), IdentityError> {
        self.user(id).await?;
        let mut attempt = 1;
        loop {
            let actions = self.grants_to(id, &wanted, by).await?;
            if actions.is_empty() {
                return Ok(());
            }
            match self.write_and_publish(change(actions), Some(by)).await {
                // Another change of the same roles came first.
                Err(IdentityError::Store(
                    StoreError::Violations(_) | StoreError::NotFound { .. },
                )) if attempt < ATTEMPTS => attempt += 1,
                written => return written,
            }
        }
    }

    /// Operations that give a user the roles that are wanted, seen from those there are, and take others
    /// away; with what records it. None if nothing is to be done.
    pub(super) async fn grants_to(
        &self,
        id: UserId,
        wanted: impl Fn(&[String]) -> Vec<String>,
        by: &Actor,
    ) -> Result<Vec<Action>, IdentityError> {
        let (model, table) = (self.model(), &self.shared.system.grant);
        let condition = table.user.is(model, id.0);
        let query = Select::new(table.entity, &[table.role]).filter(
            model,
            Some(condition),
            Vec::new(),
            GRANTS,
        );
        let had = self.read(query).await?;
        let names: Vec<String> = had.iter().filter_map(|row| row.owned(0)).collect();
        let wanted = wanted(&names);
        let about = self.about(Principal::User(id));
        let (mut actions, mut granted, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
        for row in &had {
            let role = row.text(0).unwrap_or_default();
            if !wanted.iter().any(|wanted| wanted == role) {
                revoked.push(role);
                actions.push(delete(table.entity, row.id()));
            }
        }
        for role in &wanted {
            let has = had.iter().any(|row| row.text(0) == Some(role));
            if !has && !granted.contains(&role) {
                granted.push(role);
                actions.push(insert(
                    model,
                    table.entity,
                    Uuid::now_v7(),
                    &[(table.role, Value::Text(role.clone()))],
                    vec![table.user.to(id.0)],
                ));
            }
        }
        if !granted.is_empty() {
            let detail = serde_json::json!({ "roles": granted });
            actions.push(self.record(kind::ROLE_GRANTED, by, Some(about), Some(detail)));
        }
        if !revoked.is_empty() {
            let detail = serde_json::json!({ "roles": revoked });
            actions.push(self.record(kind::ROLE_REVOKED, by, Some(about), Some(detail)));
        }
        Ok(actions)
    }

    /// Deletes a user with everything of theirs. Rows of the application that refer to the user may
    /// prevent it, as its model says.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; [`IdentityError::Store`] with violations; the database.
    pub async fn delete_user(&self, id: UserId, by: &Actor) -> Result<(), IdentityError> {
        let user = self.user(id).await?;
        let detail = serde_json::json!({ "name": user.name });
        let about = self.about(Principal::User(id));
        let actions = vec![
            delete(self.shared.system.user.entity, id.0),
            self.record(kind::USER_DELETED, by, Some(about), Some(detail)),
        ];
        self.write_user(id, actions, by).await
    }

    /// A change whose first operation is about a user.
    async fn write_user(
        &self,
        id: UserId,
        actions: Vec<Action>,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        match self.write_and_publish(change(actions), Some(by)).await {
            Err(IdentityError::Store(StoreError::NotFound { operation: 0 })) => {
                Err(IdentityError::UnknownUser(id.to_string()))
            }
            written => written,
        }
    }

    /// Whether a role can be granted.
    pub(super) fn check_role(&self, name: &str) -> Result<(), IdentityError> {
        if self.roles().any(|role| role == name) {
            return Ok(());
        }
        Err(IdentityError::UnknownRole {
            name: name.to_owned(),
            roles: self.roles().map(str::to_owned).collect(),
        })
    }

    /// The entity of users that is meant: by its name, or none for a plain user.
    fn kind_of_user(&self, name: Option<&str>) -> Result<EntityId, IdentityError> {
        let model = self.model();
        let user = &model[model.user.entity];
        let Some(name) = name else {
            return Ok(user.id);
        };
        let mut kinds = std::iter::once(user.id).chain(user.specialisations.iter().copied());
        kinds
            .find(|kind| model[*kind].name == name || (*kind == user.id && name == "System.User"))
            .ok_or_else(|| IdentityError::UnknownKind {
                name: name.to_owned(),
                kinds: std::iter::once(user.id)
                    .chain(user.specialisations.iter().copied())
                    .map(|kind| model[kind].name.clone())
                    .collect(),
            })
    }

    /// A request's body that gives attributes as text: judged as any other, with the same words.
    fn body(&self, kind: EntityId, given: &[(String, Option<String>)]) -> String {
        let model = self.model();
        let entity = &model[kind];
        let members: Vec<String> = given
            .iter()
            .map(|(name, value)| {
                if let Some(id) = entity.navigations_by_name.get(name)
                    && !entity[*id].many
                {
                    let target = &model[entity[*id].target];
                    let Some(value) = value else {
                        return format!("{}:null", quoted(name));
                    };
                    let key = reference_key(target, value);
                    let url = format!("{}({key})", target.collection);
                    return format!("{}:{}", quoted(&format!("{name}@odata.bind")), quoted(&url));
                }
                let scalar_type = entity
                    .attributes_by_name
                    .get(name)
                    .map(|id| entity[*id].scalar_type);
                let value = match value {
                    None => "null".to_owned(),
                    Some(value) => json_of(scalar_type, value),
                };
                format!("{}:{value}", quoted(name))
            })
            .collect();
        format!("{{{}}}", members.join(","))
    }

    fn select_user(&self) -> Select {
        let system = &self.shared.system;
        let user = &system.user;
        Select::new(
            user.entity,
            &[
                user.name,
                user.full_name,
                user.email,
                user.active,
                user.created_at,
            ],
        )
        .expand(
            system.grant.user.back,
            Select::new(system.grant.entity, &[system.grant.role]),
        )
        .expand(
            system.credential.user.back,
            Select::new(system.credential.entity, &[system.credential.must_change]),
        )
    }

    fn user_from(&self, row: &Record) -> User {
        let model = self.model();
        let kind = row.entity.unwrap_or(model.user.entity);
        let mut roles: Vec<String> = row
            .many(0)
            .iter()
            .filter_map(|grant| grant.owned(0))
            .collect();
        roles.sort();
        let credential = row.one(1);
        User {
            id: UserId(row.id()),
            name: row.owned(0).unwrap_or_default(),
            full_name: row.owned(1),
            email: row.owned(2),
            active: row.truth(3),
            kind: model[kind].name.clone(),
            roles,
            has_password: credential.is_some(),
            must_change_password: credential.is_some_and(|credential| credential.truth(0)),
            created_at: row.instant(4).unwrap_or_default(),
        }
    }
}

/// Most grants of one user.
const GRANTS: u64 = 10_000;

fn options(limits: &Limits) -> body::Options<'_> {
    body::Options {
        limits,
        ieee754_compatible: true,
        root: "",
        now: now(),
    }
}

/// Key of the row that an action inserts.
fn inserted_id(action: &mut Action) -> Option<&mut Uuid> {
    match action {
        Action::Insert { values, .. } => values.iter_mut().find_map(|(id, value)| match value {
            Value::Uuid(uuid) if *id == AttributeId(0) => Some(uuid),
            _ => None,
        }),
        _ => None,
    }
}

/// What a refused change of a user means.
fn refused(error: StoreError, change: &Change, name: &str) -> IdentityError {
    let StoreError::Violations(violations) = &error else {
        return error.into();
    };
    let is_name = violations.iter().any(
        |violation| matches!(&violation.rule, Rule::Unique { members } if *members == ["Name"]),
    );
    if is_name {
        return IdentityError::NameTaken(name.to_owned());
    }
    IdentityError::Attributes(Box::new(Error::from_violations(violations, change)))
}

fn lower(text: Expression) -> Expression {
    Expression::Call {
        function: Function::ToLower,
        arguments: vec![text],
        scalar_type: ScalarType::String,
    }
}

fn contains(text: Expression, part: Value) -> Expression {
    let part = Expression::Literal {
        value: part,
        scalar_type: ScalarType::String,
    };
    Expression::Call {
        function: Function::Contains,
        arguments: vec![text, part],
        scalar_type: ScalarType::Boolean,
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// A text as the JSON that a client would send for a value of this type.
fn json_of(scalar_type: Option<ScalarType>, text: &str) -> String {
    let is_plain = match scalar_type {
        Some(ScalarType::Boolean) => matches!(text, "true" | "false"),
        Some(ScalarType::Integer) => serde_json::from_str::<serde_json::Number>(text).is_ok(),
        Some(ScalarType::Json) => serde_json::from_str::<serde_json::Value>(text).is_ok(),
        _ => false,
    };
    if is_plain {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// The key of a referred row, as it stands in a URL. Text is quoted unless it is already.
fn reference_key(target: &Entity, text: &str) -> String {
    let is_text = match target.key.as_slice() {
        [key] => target[*key].scalar_type == ScalarType::String,
        _ => false,
    };
    let key = if is_text && !(text.starts_with('\'') && text.ends_with('\'') && text.len() > 1) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    };
    key.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'\''
            | b','
            | b'='
            | b':' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
