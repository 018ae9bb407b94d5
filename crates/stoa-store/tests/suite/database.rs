//! The same rows in both databases.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use stoa_model::expression::bind::Binder;
use stoa_model::expression::{Expression, syntax};
use stoa_model::model::{Entity, Model};
use stoa_model::query::{Expand, OrderTerm, Query, ROW, Selection, Source};
use stoa_model::value::{ScalarType, Value};
use stoa_store::{Config, DatabaseUrl, Store};
use stoa_testing::postgres::TestDatabase;

pub(crate) const MODEL: &str = r#"
[enumeration.Status]
values = ["Draft", "Placed", "Cancelled", "Archived"]

[entity.Region]
key = ["Code"]
[entity.Region.attributes]
Code = { type = "String", length = 5, required = true }
Name = { type = "String", length = 40, required = true }

[entity.Customer]
key = ["Number"]
[entity.Customer.attributes]
Number = { type = "Integer", required = true }
Name = { type = "String", length = 40, required = true }
Email = { type = "String", length = 40 }
Credit = { type = "Decimal", precision = 12, scale = 2 }
Rate = { type = "Decimal", precision = 9, scale = 4, required = true }
Active = { type = "Boolean" }
Born = { type = "Date" }
Seen = { type = "DateTime" }
Opens = { type = "Time" }
Patience = { type = "Duration" }
Badge = { type = "Uuid" }
Raw = { type = "Binary", length = 20 }
Notes = { type = "Json" }
Visits = { type = "Long" }
[entity.Customer.associations]
Region = { to = "Region", inverse = "Customers" }
Friends = { to = "Customer", many_to_many = true, inverse = "FriendOf" }

[entity.Order]
key = ["Number"]
[entity.Order.attributes]
Number = { type = "Integer", required = true }
Status = { type = "Status", required = true }
Total = { type = "Decimal", precision = 12, scale = 2, required = true }
[entity.Order.associations]
Customer = { to = "Customer", required = true, inverse = "Orders" }
Lines = { to = "Line", many = true, contained = true }

[entity.Line]
key = ["Order", "Position"]
[entity.Line.attributes]
Order = { type = "Integer", required = true }
Position = { type = "Integer", required = true }
Product = { type = "String", length = 20 }
Quantity = { type = "Integer", required = true }

[entity.Person]
key = ["Number"]
[entity.Person.attributes]
Number = { type = "Integer", required = true }
Name = { type = "String", length = 20, required = true }
[entity.Person.associations]
Boss = { to = "Manager", inverse = "Reports" }

[entity.Manager]
extends = "Person"
[entity.Manager.attributes]
Budget = { type = "Decimal", precision = 10, scale = 2 }

[entity.Director]
extends = "Manager"
[entity.Director.attributes]
Car = { type = "String", length = 20 }
"#;

/// A store with the test's rows, and what keeps it alive.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) model: Arc<Model>,
    pub(crate) url: DatabaseUrl,
    _file: Option<tempfile::TempDir>,
    server: Option<TestDatabase>,
}

/// A value to insert, by attribute or column.
pub(crate) enum Cell<'a> {
    Attribute(&'a str, Value),
    Column(&'a str, Value, ScalarType),
}

pub(crate) fn model() -> Arc<Model> {
    Arc::new(Model::from_text("test", MODEL).unwrap_or_else(|faults| panic!("{faults:?}")))
}

impl Database {
    pub(crate) async fn sqlite() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let url: DatabaseUrl =
            format!("sqlite:{}", folder.path().join("test.db").display()).parse()?;
        Self::open(url, Some(folder), None).await
    }

    pub(crate) async fn postgres() -> Result<Self> {
        let server = stoa_testing::postgres::database().await?;
        let url: DatabaseUrl = server.url.parse()?;
        Self::open(url, None, Some(server)).await
    }

    async fn open(
        url: DatabaseUrl,
        file: Option<tempfile::TempDir>,
        server: Option<TestDatabase>,
    ) -> Result<Self> {
        let model = model();
        stoa_schema::apply(&url, &model, stoa_schema::Options::default()).await?;
        let config = Config {
            connections: 3,
            ..Config::default()
        };
        Ok(Self {
            store: Store::open(&url, config).await?,
            model,
            url,
            _file: file,
            server,
        })
    }

    /// A store that is open already.
    pub(crate) fn over(url: DatabaseUrl, store: Store, model: Arc<Model>) -> Self {
        Self {
            store,
            model,
            url,
            _file: None,
            server: None,
        }
    }

    /// Address of the PostgreSQL database.
    pub(crate) fn server_url(&self) -> &str {
        &self.server.as_ref().unwrap().url
    }

    /// Opens the same database with other settings.
    pub(crate) async fn reopen(&mut self, config: Config) -> Result<()> {
        self.store = Store::open(&self.url, config).await?;
        Ok(())
    }

    pub(crate) async fn execute(&self, sql: &str) -> Result<()> {
        if let Some(postgres) = self.store.postgres() {
            let connection = postgres.connection().await?;
            connection.batch_execute(sql).await?;
            connection.release();
        } else if let Some(sqlite) = self.store.sqlite() {
            let sql = sql.to_owned();
            sqlite
                .write(move |connection| Ok(connection.execute_batch(&sql)?))
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn insert(&self, entity: &str, cells: &[Cell<'_>]) -> Result<()> {
        let entity = self.entity(entity);
        let mut names = Vec::new();
        let mut values = Vec::new();
        for cell in cells {
            match cell {
                Cell::Attribute(name, value) => {
                    let attribute = &entity[entity.attributes_by_name[*name]];
                    names.push(format!("\"{}\"", attribute.column));
                    values.push(self.literal(value, attribute.scalar_type));
                }
                Cell::Column(name, value, scalar_type) => {
                    names.push(format!("\"{name}\""));
                    values.push(self.literal(value, *scalar_type));
                }
            }
        }
        for attribute in &entity.attributes {
            use stoa_model::model::Purpose;
            match attribute.purpose {
                Purpose::Version => {
                    names.push(format!("\"{}\"", attribute.column));
                    values.push("1".to_owned());
                }
                Purpose::CreatedAt | Purpose::ChangedAt => {
                    names.push(format!("\"{}\"", attribute.column));
                    values.push(self.literal(&Value::DateTime(0), ScalarType::DateTime));
                }
                _ => {}
            }
        }
        if let (Some(column), Some(name)) =
            (&entity.table.discriminator_column, &entity.discriminator)
        {
            names.push(format!("\"{column}\""));
            values.push(format!("'{name}'"));
        }
        let sql = format!(
            "INSERT INTO \"{}\" ({}) VALUES ({})",
            entity.table.name,
            names.join(", "),
            values.join(", ")
        );
        self.execute(&sql).await
    }

    fn literal(&self, value: &Value, scalar_type: ScalarType) -> String {
        let postgres = self.store.postgres().is_some();
        let hexadecimal = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        match value {
            Value::Null => "NULL".to_owned(),
            Value::Boolean(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
            Value::Integer(value) | Value::Duration(value) => value.to_string(),
            Value::Decimal(value) if postgres => value.to_string(),
            Value::Decimal(value) => {
                let ScalarType::Decimal { scale, .. } = scalar_type else {
                    unreachable!()
                };
                let mut value = *value;
                value.rescale(u32::from(scale));
                value.mantissa().to_string()
            }
            Value::Text(text) | Value::Json(text) => format!("'{}'", text.replace('\'', "''")),
            Value::DateTime(value) if postgres => {
                format!("timestamptz 'epoch' + {} * interval '1 microsecond'", value)
            }
            Value::Date(day) if postgres => format!("date '1970-01-01' + {day}"),
            Value::Time(value) if postgres => {
                format!("time '00:00' + {value} * interval '1 microsecond'")
            }
            Value::DateTime(value) | Value::Time(value) => value.to_string(),
            Value::Date(value) => value.to_string(),
            Value::Uuid(value) if postgres => format!("'{value}'"),
            Value::Uuid(value) => format!("x'{}'", hexadecimal(value.as_bytes())),
            Value::Binary(bytes) if postgres => format!("'\\x{}'", hexadecimal(bytes)),
            Value::Binary(bytes) => format!("x'{}'", hexadecimal(bytes)),
        }
    }

    pub(crate) fn entity(&self, name: &str) -> &Entity {
        &self.model[self.model.entities_by_name[name]]
    }

    /// A query for all rows with all attributes, in key order.
    pub(crate) fn query(&self, entity: &str) -> Query {
        let entity = self.entity(entity);
        Query {
            entity: entity.id,
            source: Source::All,
            single: false,
            filter: None,
            order: key_order(entity),
            after: None,
            skip: 0,
            limit: 1000,
            paged: false,
            count: false,
            selection: selection(entity, 0),
        }
    }

    pub(crate) fn filter(&self, entity: &str, text: &str) -> Result<Expression> {
        let entity = self.entity(entity);
        let node = syntax::parse(text, syntax::Limits::default())
            .map_err(|error| anyhow!("{text}: {error:?}"))?;
        Binder::new(&self.model, entity.id)
            .boolean(&node)
            .map_err(|error| anyhow!("{text}: {error:?}"))
    }

    /// `Name desc,Number`.
    pub(crate) fn order(&self, entity: &str, text: &str) -> Result<Vec<OrderTerm>> {
        let entity = self.entity(entity);
        let mut terms = Vec::new();
        for term in text.split(',') {
            let (term, descending) = match term.strip_suffix(" desc") {
                Some(term) => (term, true),
                None => (term, false),
            };
            let node = syntax::parse(term, syntax::Limits::default())
                .map_err(|error| anyhow!("{error:?}"))?;
            let (expression, _) = Binder::new(&self.model, entity.id)
                .scalar(&node)
                .map_err(|error| anyhow!("{error:?}"))?;
            terms.push(OrderTerm {
                expression,
                descending,
            });
        }
        Ok(terms)
    }

    /// An expand of a navigation, with all attributes of its targets.
    pub(crate) fn expand(&self, entity: &str, navigation: &str, node: usize) -> Expand {
        let entity = self.entity(entity);
        let id = entity.navigations_by_name[navigation];
        let target = &self.model[entity[id].target];
        Expand {
            navigation: id,
            condition: None,
            given: None,
            filter: None,
            order: if entity[id].many {
                key_order(target)
            } else {
                Vec::new()
            },
            skip: 0,
            limit: 1000,
            paged: false,
            count: false,
            count_only: false,
            selection: selection(target, node),
        }
    }
}

fn key_order(entity: &Entity) -> Vec<OrderTerm> {
    entity
        .key
        .iter()
        .map(|&attribute| OrderTerm {
            expression: Expression::Attribute {
                from: ROW,
                path: Vec::new(),
                entity: entity.id,
                attribute,
                scalar_type: entity[attribute].scalar_type,
            },
            descending: false,
        })
        .collect()
}

fn selection(entity: &Entity, node: usize) -> Selection {
    let attributes = entity
        .attributes
        .iter()
        .enumerate()
        .filter(|(_, attribute)| attribute.is_writable())
        .map(|(position, _)| stoa_model::model::AttributeId(u32::try_from(position).unwrap()))
        .collect();
    Selection {
        node,
        entity: entity.id,
        attributes,
        specialised: Vec::new(),
        expands: Vec::new(),
        masks: Vec::new(),
    }
}
