//! Databases with the test's model, short ways to state changes, and rows as text.

use std::fmt::Write as _;
use std::sync::Arc;

use stoa_model::access::{JudgedChange, Permitted};
use stoa_model::change::{Action, Applied, Change, Expected, Operation, Reference, Target};
use stoa_model::expression::Expression;
use stoa_model::model::{AttributeId, EntityId, Model, NavigationId};
use stoa_model::query::{Expand, OrderTerm, Query, ROW, Row, RowWriter, Selection, Source};
use stoa_model::value::{Value, ValueRef};
use stoa_store::tokio_postgres::Client;
use stoa_store::{Config, DatabaseUrl, Store, StoreError};
use stoa_testing::postgres::TestDatabase;
use stoa_testing::proxy::Proxy;
use uuid::Uuid;

pub(crate) const MODEL: &str = r#"
[enumeration.Status]
values = ["Draft", "Placed"]

[entity.Customer]
unique = [["City", "Street"]]
[entity.Customer.attributes]
Number = { type = "AutoNumber" }
Name = { type = "String", length = 40, required = true }
Email = { type = "String", length = 40, unique = true }
City = { type = "String", length = 40 }
Street = { type = "String", length = 40 }
Credit = { type = "Decimal", precision = 12, scale = 2 }
Born = { type = "Date" }
Seen = { type = "DateTime" }
Opens = { type = "Time" }
Patience = { type = "Duration" }
Badge = { type = "Uuid" }
Raw = { type = "Binary", length = 20 }
Notes = { type = "Json" }
Visits = { type = "Long" }
Active = { type = "Boolean" }
[entity.Customer.associations]
Friends = { to = "Customer", many_to_many = true, inverse = "FriendOf" }

[entity.Order]
[entity.Order.attributes]
Status = { type = "Status", required = true }
Note = { type = "String", length = 20 }
[entity.Order.associations]
Customer = { to = "Customer", required = true, inverse = "Orders", on_delete = "prevent" }
Agent = { to = "Employee", inverse = "Orders", on_delete = "clear" }
Lines = { to = "Line", many = true, contained = true, inverse = "Order" }

[entity.Line]
[entity.Line.attributes]
Position = { type = "Integer", required = true }

[entity.Employee]
[entity.Employee.attributes]
Name = { type = "String", length = 20, required = true }
[entity.Employee.associations]
Boss = { to = "Manager", inverse = "Reports" }

[entity.Manager]
extends = "Employee"
[entity.Manager.attributes]
Budget = { type = "Decimal", precision = 10, scale = 2 }

[entity.Account]
audit = true
[entity.Account.attributes]
Name = { type = "String", length = 40, required = true }
Balance = { type = "Decimal", precision = 12, scale = 2 }
Data = { type = "Json" }
Raw = { type = "Binary", length = 20 }
[entity.Account.associations]
Owner = { to = "Customer" }
Entries = { to = "Entry", many = true, contained = true, inverse = "Account" }

[entity.Savings]
extends = "Account"
[entity.Savings.attributes]
Term = { type = "Date" }

[entity.Entry]
audit = true
[entity.Entry.attributes]
Text = { type = "String", length = 20 }

[entity.Shelf]
[entity.Shelf.attributes]
Name = { type = "String", length = 20 }

[entity.Document]
audit = true
[entity.Document.attributes]
Title = { type = "String", length = 20 }
[entity.Document.associations]
Shelf = { to = "Shelf", inverse = "Documents", on_delete = "cascade" }
Replaces = { to = "Document", inverse = "ReplacedBy", on_delete = "clear" }
Pages = { to = "Page", many = true, contained = true, inverse = "Document" }
Readers = { to = "Customer", many_to_many = true, inverse = "Documents" }
Topics = { to = "Topic", many_to_many = true }

[entity.Paper]
extends = "Document"
[entity.Paper.attributes]
Journal = { type = "String", length = 20 }

[entity.Page]
[entity.Page.associations]
Marks = { to = "Mark", many = true, contained = true, inverse = "Page" }

[entity.Mark]
audit = true
[entity.Mark.attributes]
Colour = { type = "String", length = 20 }

[entity.Topic]
audit = true
key = ["Area", "Name"]
[entity.Topic.attributes]
Area = { type = "Integer", required = true }
Name = { type = "String", length = 20, required = true }

[entity.Ticket]
key = ["Number"]
[entity.Ticket.attributes]
Number = { type = "AutoNumber" }
Text = { type = "String", length = 20 }
"#;

pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) model: Arc<Model>,
    _postgres: Option<TestDatabase>,
    _folder: Option<tempfile::TempDir>,
}

pub(crate) fn id(number: u32) -> Value {
    Value::Uuid(Uuid::from_u128(u128::from(number)))
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn key(number: u32) -> Target {
    Target::Key(vec![id(number)])
}

impl Database {
    async fn open(
        url: DatabaseUrl,
        postgres: Option<TestDatabase>,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let model = Arc::new(Model::from_text("writing", MODEL).unwrap());
        let applied = stoa_schema::apply(&url, &model, stoa_schema::Options::default())
            .await
            .unwrap();
        assert!(applied.created);
        let store = Store::open(&url, Config::default()).await.unwrap();
        Self {
            store,
            model,
            _postgres: postgres,
            _folder: folder,
        }
    }

    pub(crate) async fn postgres() -> Self {
        let database = stoa_testing::postgres::database().await.unwrap();
        Self::open(database.url.parse().unwrap(), Some(database), None).await
    }

    /// With a connection of its own that does not go through the proxy.
    pub(crate) async fn postgres_behind_proxy() -> (Self, Proxy, Client) {
        let database = stoa_testing::postgres::database().await.unwrap();
        let client = database.connect().await.unwrap();
        let start = database.url.find('@').unwrap() + 1;
        let end = start + database.url[start..].find('/').unwrap();
        let proxy = Proxy::start(&database.url[start..end]).await.unwrap();
        let url = proxy.through(&database.url).parse().unwrap();
        (Self::open(url, Some(database), None).await, proxy, client)
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        Self::open(url.parse().unwrap(), None, Some(folder)).await
    }

    pub(crate) fn entity(&self, name: &str) -> EntityId {
        self.model.entities_by_name[name]
    }

    pub(crate) fn navigation(&self, entity: &str, name: &str) -> NavigationId {
        self.model[self.entity(entity)].navigations_by_name[name]
    }

    fn values(&self, entity: EntityId, values: &[(&str, Value)]) -> Vec<(AttributeId, Value)> {
        values
            .iter()
            .map(|(name, value)| (self.model[entity].attributes_by_name[*name], value.clone()))
            .collect()
    }

    fn references(
        &self,
        entity: EntityId,
        references: &[(&str, Option<Target>)],
    ) -> Vec<Reference> {
        references
            .iter()
            .map(|(name, to)| Reference {
                navigation: self.model[entity].navigations_by_name[*name],
                to: to.clone(),
            })
            .collect()
    }

    pub(crate) fn insert(
        &self,
        name: &str,
        values: &[(&str, Value)],
        to: &[(&str, Option<Target>)],
    ) -> Action {
        let entity = self.entity(name);
        Action::Insert {
            entity,
            values: self.values(entity, values),
            references: self.references(entity, to),
        }
    }

    pub(crate) fn update(
        &self,
        name: &str,
        target: Target,
        expected: Expected,
        values: &[(&str, Value)],
        to: &[(&str, Option<Target>)],
    ) -> Action {
        let entity = self.entity(name);
        Action::Update {
            entity,
            target,
            expected,
            values: self.values(entity, values),
            references: self.references(entity, to),
        }
    }

    pub(crate) fn upsert(
        &self,
        name: &str,
        number: u32,
        insert: &[(&str, Value)],
        update: &[(&str, Value)],
    ) -> Action {
        let entity = self.entity(name);
        Action::Upsert {
            entity,
            target: key(number),
            insert: self.values(entity, insert),
            update: self.values(entity, update),
            references: Vec::new(),
        }
    }

    pub(crate) fn delete(&self, name: &str, target: Target) -> Action {
        Action::Delete {
            entity: self.entity(name),
            target,
            expected: Expected::Any,
        }
    }

    pub(crate) fn link(&self, name: &str, from: u32, navigation: &str, to: u32) -> Action {
        Action::Link {
            entity: self.entity(name),
            from: key(from),
            navigation: self.navigation(name, navigation),
            to: key(to),
        }
    }

    pub(crate) fn unlink(
        &self,
        name: &str,
        from: u32,
        navigation: &str,
        to: Option<u32>,
    ) -> Action {
        Action::Unlink {
            entity: self.entity(name),
            from: key(from),
            navigation: self.navigation(name, navigation),
            to: to.map(key),
        }
    }

    pub(crate) async fn write(&self, actions: Vec<Action>) -> Result<Vec<Applied>, StoreError> {
        let (applied, _) = self
            .store
            .write::<Text>(&self.model, by_system(actions), None)
            .await?;
        Ok(applied)
    }

    /// A connection of its own (PostgreSQL).
    pub(crate) async fn connect(&self) -> Client {
        self._postgres.as_ref().unwrap().connect().await.unwrap()
    }

    /// A customer with a name.
    pub(crate) async fn customer(&self, number: u32, name: &str) {
        let action = self.insert("Customer", &[("id", id(number)), ("Name", text(name))], &[]);
        self.write(vec![action]).await.unwrap();
    }

    /// A query for all rows in key order, with these attributes and the key of one expand's targets.
    pub(crate) fn query(
        &self,
        name: &str,
        attributes: &[&str],
        expand: Option<&str>,
        source: Source,
    ) -> Query {
        let entity = self.entity(name);
        let single = source != Source::All;
        let expands = expand
            .iter()
            .map(|name| {
                let navigation = self.model[entity].navigations_by_name[*name];
                let target = &self.model[self.model[entity][navigation].target];
                Expand {
                    navigation,
                    condition: None,
                    given: None,
                    filter: None,
                    order: if self.model[entity][navigation].many {
                        self.key_order(target.id)
                    } else {
                        Vec::new()
                    },
                    skip: 0,
                    limit: 100,
                    paged: false,
                    count: false,
                    count_only: false,
                    selection: Selection {
                        node: 1,
                        entity: target.id,
                        attributes: target.key.clone(),
                        specialised: Vec::new(),
                        expands: Vec::new(),
                        masks: Vec::new(),
                    },
                }
            })
            .collect();
        Query {
            entity,
            source,
            single,
            filter: None,
            order: if single {
                Vec::new()
            } else {
                self.key_order(entity)
            },
            after: None,
            skip: 0,
            limit: 1000,
            paged: false,
            count: false,
            selection: Selection {
                node: 0,
                entity,
                attributes: attributes
                    .iter()
                    .map(|name| self.model[entity].attributes_by_name[*name])
                    .collect(),
                specialised: Vec::new(),
                expands,
                masks: Vec::new(),
            },
        }
    }

    fn key_order(&self, entity: EntityId) -> Vec<OrderTerm> {
        self.model[entity]
            .key
            .iter()
            .map(|id| OrderTerm {
                expression: Expression::Attribute {
                    from: ROW,
                    path: Vec::new(),
                    entity,
                    attribute: *id,
                    scalar_type: self.model[entity][*id].scalar_type,
                },
                descending: false,
            })
            .collect()
    }

    /// Rows as text.
    pub(crate) async fn rows(
        &self,
        name: &str,
        attributes: &[&str],
        expand: Option<&str>,
    ) -> String {
        let query = self.query(name, attributes, expand, Source::All);
        let read = self
            .store
            .read(&self.model, &Permitted::by_system(query), Text::default())
            .await
            .unwrap();
        read.writer.0
    }
}

pub(crate) fn change(actions: Vec<Action>) -> Change {
    Change {
        operations: actions
            .into_iter()
            .map(|action| Operation {
                location: String::new(),
                action,
            })
            .collect(),
    }
}

/// A change that nobody's rules apply to.
pub(crate) fn by_system(actions: Vec<Action>) -> Permitted<JudgedChange> {
    Permitted::by_system(change(actions).into())
}

/// Writes rows as `(a, b, [c])`.
#[derive(Default)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    fn separate(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with(['(', '[']) {
            self.0.push(' ');
        }
    }
}

impl RowWriter for Text {
    fn begin_collection(&mut self, _: usize, _: Option<u64>) {
        self.separate();
        self.0.push('[');
    }
    fn end_collection(&mut self, _: usize, _: Option<&[Value]>) {
        self.0.push(']');
    }
    fn begin_row(&mut self, _: usize, row: Row<'_>) {
        self.separate();
        self.0.push('(');
        if let Some(version) = row.version {
            write!(self.0, "v{version}").unwrap();
        }
    }
    fn value(&mut self, _: usize, _: usize, value: ValueRef<'_>) {
        self.separate();
        match value {
            ValueRef::Null => self.0.push('-'),
            ValueRef::Boolean(value) => write!(self.0, "{value}").unwrap(),
            ValueRef::Decimal(value) => write!(self.0, "{value}").unwrap(),
            ValueRef::Text(value) | ValueRef::Json(value) => self.0.push_str(value),
            ValueRef::Integer(value)
            | ValueRef::DateTime(value)
            | ValueRef::Time(value)
            | ValueRef::Duration(value) => write!(self.0, "{value}").unwrap(),
            ValueRef::Date(value) => write!(self.0, "{value}").unwrap(),
            ValueRef::Uuid(value) => write!(self.0, "#{}", value.as_u128()).unwrap(),
            ValueRef::Binary(value) => write!(self.0, "{value:?}").unwrap(),
        }
    }
    fn null_target(&mut self, _: usize) {
        self.separate();
        self.0.push('-');
    }
    fn count_only(&mut self, _: usize, count: u64) {
        write!(self.0, " {count}").unwrap();
    }
    fn end_row(&mut self, _: usize) {
        self.0.push(')');
    }
    fn written(&self) -> usize {
        self.0.len()
    }
}

/// Runs a test on both.
pub(crate) async fn on_both<F: Future<Output = ()>>(test: impl Fn(Database) -> F) {
    test(Database::sqlite().await).await;
    test(Database::postgres().await).await;
}
