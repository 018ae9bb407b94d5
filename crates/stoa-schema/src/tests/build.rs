//! Structures made by hand, databases to try them on, and what is really in a database.

use std::future::Future;

use stoa_model::physical;
use stoa_store::DatabaseUrl;
use stoa_testing::postgres::TestDatabase;

use crate::apply::{apply_structure, make_plan, with_session};
use crate::session::{Rows, Session};
use crate::structure::{
    Column, DeleteRule, Enumeration, Fill, ForeignKey, Index, IndexColumn, Named, Structure, Table,
};
use crate::{Applied, Dialect, Kind, Options, Plan, SchemaError};

pub(super) const NAME: Kind = Kind::Text { length: Some(40) };

pub(super) fn structure(tables: Vec<Table>) -> Structure {
    Structure {
        tables,
        ..Structure::empty()
    }
}

pub(super) fn enumeration(name: &str, members: &[&str]) -> Enumeration {
    Enumeration {
        name: name.to_owned(),
        members: members.iter().map(|member| named(member)).collect(),
    }
}

/// `New<Old` was renamed.
pub(super) fn named(name: &str) -> Named {
    let (name, former) = name
        .split_once('<')
        .map_or((name, None), |(name, former)| (name, Some(former)));
    Named {
        name: name.to_owned(),
        renamed_from: former.map(str::to_owned),
    }
}

/// A table with an `id` and its entity; `Client<Customer` was renamed.
pub(super) fn table(entity: &str) -> Table {
    let Named { name, renamed_from } = named(entity);
    let mut table = Table {
        name: name.to_lowercase(),
        subject: name.clone(),
        renamed_from: renamed_from.clone(),
        external: false,
        append_only: false,
        discriminator: None,
        types: vec![Named { name, renamed_from }],
        columns: Vec::new(),
        primary_key: vec!["id".to_owned()],
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
    };
    table = table.with("id", Kind::Uuid).required();
    table.columns[0].fill = Some(Fill::Uuid);
    table
}

impl Table {
    /// An optional attribute; its column has the name in small letters.
    pub(super) fn with(mut self, member: &str, kind: Kind) -> Self {
        let Named { name, renamed_from } = named(member);
        self.columns.push(Column {
            name: name.to_lowercase(),
            entity: self.subject.clone(),
            member: name,
            renamed_from,
            kind,
            nullable: true,
            fill: None,
            minimum: None,
            maximum: None,
        });
        self
    }

    fn last(&mut self) -> &mut Column {
        self.columns.last_mut().unwrap()
    }

    pub(super) fn required(mut self) -> Self {
        self.last().nullable = false;
        self
    }

    pub(super) fn default(mut self, value: &str) -> Self {
        self.last().fill = Some(Fill::Value(value.to_owned()));
        self
    }

    pub(super) fn fill(mut self, fill: Fill) -> Self {
        self.last().fill = Some(fill);
        self
    }

    pub(super) fn range(mut self, minimum: Option<&str>, maximum: Option<&str>) -> Self {
        self.last().minimum = minimum.map(str::to_owned);
        self.last().maximum = maximum.map(str::to_owned);
        self
    }

    pub(super) fn index(mut self, unique: bool, columns: &[&str]) -> Self {
        let name = if unique {
            physical::unique_name(&self.name, columns)
        } else {
            physical::index_name(&self.name, columns)
        };
        let columns = columns
            .iter()
            .map(|name| IndexColumn {
                name: (*name).to_owned(),
                descending: false,
                nullable: self.column(name).unwrap().nullable,
            })
            .collect();
        self.indexes.push(Index {
            name,
            unique,
            columns,
        });
        self
    }

    pub(super) fn refers(mut self, member: &str, target: &str, on_delete: DeleteRule) -> Self {
        let member = named(member);
        let column = format!("{}_id", member.name.to_lowercase());
        self = self.with(&member.name, Kind::Uuid);
        self.last().name.clone_from(&column);
        self.last().renamed_from = member.renamed_from;
        self.foreign_keys.push(ForeignKey {
            name: physical::foreign_key_name(&self.name, &[&column]),
            columns: vec![column.clone()],
            table: target.to_owned(),
            target: vec!["id".to_owned()],
            on_delete,
        });
        self.index(false, &[&column])
    }

    pub(super) fn hierarchy(mut self, types: &[&str]) -> Self {
        let column = physical::DISCRIMINATOR_COLUMN;
        self.types.extend(types.iter().map(|name| named(name)));
        self.discriminator = Some(column.to_owned());
        let root = self.subject.clone();
        self = self
            .with("", Kind::Text { length: None })
            .required()
            .default(&root);
        self.last().name = column.to_owned();
        self
    }
}

/// A database of one kind or the other.
pub(super) struct Database {
    pub(super) url: DatabaseUrl,
    _postgres: Option<TestDatabase>,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    pub(super) fn dialect(&self) -> Dialect {
        match self.url {
            DatabaseUrl::Postgres(_) => Dialect::Postgres,
            DatabaseUrl::Sqlite(_) => Dialect::Sqlite,
        }
    }

    pub(super) async fn apply(&self, structure: &Structure) -> Result<Applied, SchemaError> {
        self.apply_with(structure, Options::default()).await
    }

    pub(super) async fn apply_with(
        &self,
        structure: &Structure,
        options: Options,
    ) -> Result<Applied, SchemaError> {
        let structure = structure.clone();
        with_session(&self.url, true, move |session| async move {
            apply_structure(&session, "test", &structure, &options).await
        })
        .await
    }

    pub(super) async fn plan(&self, structure: &Structure) -> Result<Plan, SchemaError> {
        let structure = structure.clone();
        with_session(&self.url, false, move |session| async move {
            session.begin_reading().await?;
            make_plan(&session, "test", &structure).await
        })
        .await
    }

    pub(super) async fn session<T, F>(&self, work: impl FnOnce(Session) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = Result<T, SchemaError>>,
    {
        with_session(&self.url, true, work).await.unwrap()
    }

    pub(super) async fn execute(&self, sql: &str) {
        let sql = sql.to_owned();
        self.session(|session| async move { session.execute(&sql, "test").await })
            .await;
    }

    pub(super) async fn try_execute(&self, sql: &str) -> Result<(), SchemaError> {
        let sql = sql.to_owned();
        with_session(&self.url, true, move |session| async move {
            session.execute(&sql, "test").await
        })
        .await
    }

    pub(super) async fn rows(&self, sql: &str) -> Rows {
        let sql = sql.to_owned();
        self.session(|session| async move { session.rows(&sql, "test").await })
            .await
    }

    /// Rows on one line: `1,a | 2,-`.
    pub(super) async fn text(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        let lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let values: Vec<&str> = row
                    .iter()
                    .map(|value| value.as_deref().unwrap_or("-"))
                    .collect();
                values.join(",")
            })
            .collect();
        lines.join(" | ")
    }

    /// Everything that the database says about its tables, in an order that does not depend on history.
    pub(super) async fn introspect(&self) -> String {
        let queries: &[&str] = match self.dialect() {
            Dialect::Postgres => &[
                "SELECT 'column', relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, atthasdef, coalesce(collname, '') FROM pg_attribute JOIN pg_class c ON attrelid = c.oid LEFT JOIN pg_collation k ON k.oid = attcollation WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped AND relname NOT IN ('_stoa_ledger', '_stoa_sequence') ORDER BY 2, 3",
                "SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND conrelid::regclass::text NOT IN ('_stoa_ledger', '_stoa_sequence') ORDER BY 2, 3",
                "SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename NOT IN ('_stoa_ledger', '_stoa_sequence') ORDER BY 2, 3",
            ],
            Dialect::Sqlite => &[
                "SELECT 'column', m.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT IN ('_stoa_ledger', '_stoa_sequence') ORDER BY 2, 3",
                "SELECT 'reference', m.name, f.\"from\", f.\"table\", f.\"to\", f.on_delete, f.seq FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY 2, 3, 4",
                "SELECT 'index', m.name, i.name, i.\"unique\", c.seqno, c.name, c.\"desc\" FROM sqlite_schema m, pragma_index_list(m.name) i, pragma_index_xinfo(i.name) c WHERE m.type = 'table' AND c.key AND m.name NOT IN ('_stoa_ledger', '_stoa_sequence') AND i.origin = 'c' ORDER BY 2, 3, 5",
                "SELECT 'strict', name, strict, wr FROM pragma_table_list WHERE name NOT IN ('_stoa_ledger', '_stoa_sequence') AND schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 2",
                "SELECT 'trigger', tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY 2, 3",
                "SELECT 'sequence', name FROM _stoa_sequence ORDER BY 2",
            ],
        };
        let mut text = String::new();
        for query in queries {
            for row in self.rows(query).await {
                let values: Vec<&str> = row
                    .iter()
                    .map(|value| value.as_deref().unwrap_or("-"))
                    .collect();
                text.push_str(&values.join(" "));
                text.push('\n');
            }
        }
        text
    }
}

pub(super) async fn postgres() -> Database {
    let database = stoa_testing::postgres::database().await.unwrap();
    Database {
        url: database.url.parse().unwrap(),
        _postgres: Some(database),
        _folder: None,
    }
}

pub(super) fn sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    Database {
        url: url.parse().unwrap(),
        _postgres: None,
        _folder: Some(folder),
    }
}

/// Runs a test on both.
pub(super) async fn on_both<F: Future<Output = ()>>(test: impl Fn(Database) -> F) {
    test(sqlite()).await;
    test(postgres().await).await;
}

/// A key as a literal that both databases take.
pub(super) fn key(dialect: Dialect, number: u32) -> String {
    Kind::Uuid.literal(dialect, &format!("00000000-0000-0000-0000-{number:012}"))
}
