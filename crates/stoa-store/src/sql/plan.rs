//! Statements of a query, and how their rows are read.

mod attached;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use stoa_model::expression::Expression;
use stoa_model::model::{AttributeId, ColumnType, EntityId, Model, NavigationId, Storage};
use stoa_model::query::{Expand, OrderTerm, Query, ROW, Selection, Source};
use stoa_model::value::{ScalarType, Value};
use tokio_postgres::types::Type;

use self::attached::{Attached, Attachment, arrays};
use super::builder::{Builder, column, key, lost};
use super::demand::concerns_itself_only;
use super::shape::{Positions, Purpose};
use super::source::known_key;
use super::{Binding, Encoding};
use crate::error::StoreError;
use crate::postgres::StatementText;
use crate::store::Dialect;

/// SQL and what to bind.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) text: Arc<StatementText>,
    pub(crate) bindings: Vec<Binding>,
    /// How often it has run, until it is worth preparing.
    pub(crate) uses: AtomicU64,
}

/// Everything that a query of one shape needs.
pub(crate) struct Plan {
    /// Keeps the model alive, whose address is part of the cache's key.
    pub(crate) model: Arc<Model>,
    /// The rows; none when only their number was asked for.
    pub(crate) rows: Option<Rows>,
    pub(crate) count: Option<Statement>,
    /// How an insert gives the row itself, if it can.
    pub(crate) returning: Option<Returning>,
    /// Finds the row at which the last navigation starts.
    pub(crate) source_row: Option<Statement>,
    pub(crate) single: bool,
    pub(crate) paged: bool,
    /// Position of the limit among the arguments.
    pub(crate) limit: usize,
}

/// One statement's rows.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) statement: Statement,
    pub(crate) layout: Layout,
    /// To-many expands of these rows, wherever in the layout they are.
    pub(crate) many: Vec<Many>,
    /// Values to continue after, when paged.
    pub(crate) next: Vec<Column>,
}

/// What an insert may return instead of its row being read again (PostgreSQL). The row's table is
/// [`ROOT_ALIAS`].
#[derive(Debug)]
pub(crate) struct Returning {
    /// The select list of [`Rows::statement`].
    pub(crate) columns: String,
    /// How many columns those are.
    pub(crate) width: usize,
    /// Whether the row is one that the query finds; none: it is.
    pub(crate) found: Option<String>,
    pub(crate) bindings: Vec<Binding>,
}

/// Alias of the table that a query's rows come from.
pub(crate) const ROOT_ALIAS: &str = "t0";

/// A column of a statement's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) index: usize,
    pub(crate) encoding: Encoding,
}

/// Where in a row the parts of one entity are.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) node: usize,
    pub(crate) kind: Kind,
    /// Key. For a to-one target, null in its first part means that there is none.
    pub(crate) key: Vec<Column>,
    pub(crate) version: Option<Column>,
    pub(crate) values: Vec<Column>,
    /// Types that have the value, and the value.
    pub(crate) specialised: Vec<(Vec<EntityId>, Column)>,
    pub(crate) expands: Vec<Expanded>,
}

/// Type of a row.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Always this one.
    Fixed(EntityId),
    /// Named by a column; the first one when the name is unknown.
    Named(Column, Vec<(String, EntityId)>),
}

/// An expand in a layout.
#[derive(Debug)]
pub(crate) enum Expanded {
    /// In the same row. If the column is given and null, there is no target whatever the layout finds.
    One(Layout, Option<Column>),
    /// Position in [`Rows::many`].
    Many(usize),
    /// Only a number.
    Count(usize, Column),
}

/// An expand that has a statement of its own.
#[derive(Debug)]
pub(crate) struct Many {
    pub(crate) node: usize,
    /// Columns of the parent's row that the targets are found by; null where there are none.
    pub(crate) parent: Vec<Column>,
    /// Number of all targets, in the parent's row.
    pub(crate) count: Option<Column>,
    pub(crate) paged: bool,
    /// Position of the limit among the arguments.
    pub(crate) limit: usize,
    /// Whether rows are left out for each parent.
    pub(crate) skips: bool,
    pub(crate) rows: Rows,
    /// PostgreSQL: all parents' targets in one scan, right when there are no more than the limit.
    pub(crate) together: Option<Statement>,
    /// PostgreSQL: columns of the target's row that say whose it is.
    pub(crate) child: Vec<Column>,
}

impl Plan {
    /// Whether its rows take one statement and nothing else is asked.
    pub(crate) fn is_one_statement(&self) -> bool {
        self.count.is_none()
            && self.source_row.is_none()
            && self.rows.as_ref().is_some_and(|rows| rows.many.is_empty())
    }
}

/// A column as it is.
struct Plain {
    sql: String,
    encoding: Encoding,
}

/// A select list in the making.
#[derive(Default)]
struct Columns(Vec<String>);

impl Columns {
    fn add(&mut self, sql: String, encoding: Encoding) -> Column {
        let index = self
            .0
            .iter()
            .position(|known| *known == sql)
            .unwrap_or_else(|| {
                self.0.push(sql);
                self.0.len() - 1
            });
        Column { index, encoding }
    }

    fn list(&self) -> String {
        if self.0.is_empty() {
            "1".to_owned()
        } else {
            self.0.join(", ")
        }
    }
}

/// What the rows of a query and those of an expand have in common.
struct Wanted<'q> {
    selection: &'q Selection,
    filter: Option<&'q Expression>,
    /// Another condition on the rows.
    beside: Option<&'q Expression>,
    order: &'q [OrderTerm],
    after: Option<&'q [Value]>,
    skip: &'q u64,
    limit: &'q u64,
    paged: bool,
    single: bool,
}

/// Turns a query into statements.
pub(crate) struct Planner<'a> {
    pub(crate) model: &'a Arc<Model>,
    pub(crate) dialect: Dialect,
    pub(crate) positions: &'a Positions,
}

impl Planner<'_> {
    pub(crate) fn plan(&self, query: &Query, purpose: Purpose) -> Result<Plan, StoreError> {
        let rows = match purpose {
            Purpose::Rows => Some(self.root(query)?),
            Purpose::Count => None,
        };
        let count = if query.count || purpose == Purpose::Count {
            Some(self.count(query)?)
        } else {
            None
        };
        let mut builder = self.builder();
        let source_row = builder
            .source_row(&query.source)?
            .map(|sql| self.statement(sql, builder));
        Ok(Plan {
            model: Arc::clone(self.model),
            returning: match purpose {
                Purpose::Rows => self.returning(query)?,
                Purpose::Count => None,
            },
            rows,
            count,
            source_row,
            single: query.single,
            paged: query.paged,
            limit: self.positions.number(&query.limit).unwrap_or_default(),
        })
    }

    fn builder(&self) -> Builder<'_> {
        Builder::new(self.model, self.dialect, self.positions)
    }

    fn statement(&self, sql: String, builder: Builder<'_>) -> Statement {
        let bindings = builder.into_bindings();
        let types = match self.dialect {
            Dialect::Postgres => bindings.iter().map(parameter_type).collect(),
            Dialect::Sqlite => Vec::new(),
        };
        Statement {
            text: StatementText::new(sql, types),
            bindings,
            uses: AtomicU64::new(0),
        }
    }

    fn count(&self, query: &Query) -> Result<Statement, StoreError> {
        let mut builder = self.builder();
        let alias = builder.open(ROW, query.entity);
        let mut conditions = builder.source(&query.source, query.entity, &alias)?;
        conditions.extend(builder.type_condition(query.entity, &alias));
        if let Some(filter) = &query.filter {
            conditions.push(builder.condition(filter, false)?);
        }
        let from = builder.close()?;
        let sql = format!("SELECT count(*) FROM {from}{}", filter_clause(&conditions));
        Ok(self.statement(sql, builder))
    }

    fn root(&self, query: &Query) -> Result<Rows, StoreError> {
        let mut builder = self.builder();
        builder.is_page = !query.single;
        let alias = builder.open(ROW, query.entity);
        let mut conditions = builder.source(&query.source, query.entity, &alias)?;
        conditions.extend(builder.type_condition(query.entity, &alias));
        let wanted = Wanted {
            selection: &query.selection,
            filter: query.filter.as_ref(),
            beside: None,
            order: &query.order,
            after: query.after.as_deref(),
            skip: &query.skip,
            limit: &query.limit,
            paged: query.paged,
            single: query.single,
        };
        self.finish(builder, &wanted, conditions, Columns::default(), "", None)
    }

    /// Completes a statement whose row scope is open.
    fn finish(
        &self,
        mut builder: Builder<'_>,
        wanted: &Wanted<'_>,
        mut conditions: Vec<String>,
        mut columns: Columns,
        joined: &str,
        attached: Option<&Attached<'_>>,
    ) -> Result<Rows, StoreError> {
        let attachment = attached.map(|attached| attached.attachment);
        let mut many = Vec::new();
        let layout = self.layout(
            &mut builder,
            wanted.selection,
            &mut Vec::new(),
            &mut columns,
            &mut many,
        )?;
        for filter in wanted.beside.iter().chain(&wanted.filter) {
            conditions.push(builder.row_condition(filter)?);
        }
        let terms = builder.sort_terms(wanted.order)?;
        if let Some(after) = wanted.after {
            conditions.push(builder.after(&terms, after)?);
        }
        let next = if wanted.paged && !wanted.single {
            terms
                .iter()
                .map(|term| columns.add(term.shown.sql.clone(), term.shown.encoding))
                .collect()
        } else {
            Vec::new()
        };
        if let Some(attached) = attached.filter(|one| one.attachment == Attachment::Together) {
            conditions.push(self.of_parents(&mut builder, attached));
        }
        let mut sql = String::from("SELECT ");
        sql.push_str(&columns.list());
        sql.push_str(" FROM ");
        let place = builder.place(ROW, &[])?;
        let first = super::builder::table(self.model, place.entity, &place.alias);
        let from = builder.close()?;
        // A join table stands right after its target, before what paths add.
        sql.push_str(&first);
        sql.push_str(joined);
        sql.push_str(from.strip_prefix(first.as_str()).unwrap_or_default());
        sql.push_str(&filter_clause(&conditions));
        if !wanted.single {
            sql.push_str(&builder.order_by(&terms));
            let more = u8::from(wanted.paged || attachment == Some(Attachment::Together));
            let limit = builder.limit(wanted.limit, more)?;
            sql.push_str(&format!(" LIMIT {limit}"));
            if *wanted.skip > 0 {
                let skip = builder.bind_number(wanted.skip, 0)?;
                sql.push_str(&format!(" OFFSET {skip}"));
            }
        }
        if let Some(attached) = attached.filter(|one| one.attachment == Attachment::Lateral) {
            // Each parent's rows come in order: a subquery with a limit is run once for each parent.
            let arrays = arrays(&mut builder, attached.found_by);
            let parts = 0..attached.found_by.len();
            let names: Vec<String> = parts.map(|part| format!("k{part}")).collect();
            sql = format!(
                "SELECT c.* FROM unnest({}) AS p({}) CROSS JOIN LATERAL ({sql}) AS c",
                arrays.join(", "),
                names.join(", ")
            );
        }
        Ok(Rows {
            statement: self.statement(sql, builder),
            layout,
            many,
            next,
        })
    }

    fn layout(
        &self,
        builder: &mut Builder<'_>,
        selection: &Selection,
        path: &mut Vec<NavigationId>,
        columns: &mut Columns,
        many: &mut Vec<Many>,
    ) -> Result<Layout, StoreError> {
        let place = builder.place(ROW, path)?;
        let alias = place.alias.as_str();
        let entity = &self.model[selection.entity];
        let attribute = |entity: EntityId, id: AttributeId| {
            let attribute = &self.model[entity][id];
            let name = column(alias, &attribute.column);
            let encoding = match (attribute.column_type, attribute.scalar_type) {
                (
                    Some(ColumnType::Real | ColumnType::Double),
                    ScalarType::Decimal { scale, .. },
                ) => Encoding::Float(scale),
                (_, scalar_type) => Encoding::of(scalar_type),
            };
            let external_json = encoding == Encoding::Json && self.model[entity].table.external;
            let sql = if external_json && self.dialect == Dialect::Postgres {
                format!("{name}::text")
            } else {
                name
            };
            Plain { sql, encoding }
        };
        let mut plain = |column: Plain| columns.add(column.sql, column.encoding);
        let key = entity
            .key
            .iter()
            .map(|&id| plain(attribute(entity.id, id)))
            .collect();
        let version = entity.version.map(|id| plain(attribute(entity.id, id)));
        let kind = match (
            &entity.table.discriminator_column,
            entity.specialisations.is_empty(),
        ) {
            (Some(name), false) => {
                let names = std::iter::once(entity.id)
                    .chain(entity.specialisations.iter().copied())
                    .filter_map(|id| Some((self.model[id].discriminator.clone()?, id)))
                    .collect();
                Kind::Named(columns.add(column(alias, name), Encoding::Text), names)
            }
            _ => Kind::Fixed(entity.id),
        };
        let mut masks = selection.masks.iter().peekable();
        let mut masked = |builder: &mut Builder<'_>, columns: &mut Columns, at, column: Plain| {
            let Some(mask) = masks.next_if(|mask| mask.position == at) else {
                return Ok(columns.add(column.sql, column.encoding));
            };
            let visible =
                builder.at_place(path, |builder| builder.condition(&mask.condition, false))?;
            let sql = format!("CASE WHEN {visible} THEN {} END", column.sql);
            Ok::<_, StoreError>(columns.add(sql, column.encoding))
        };
        let mut values = Vec::with_capacity(selection.attributes.len());
        for (position, &id) in selection.attributes.iter().enumerate() {
            let column = attribute(entity.id, id);
            values.push(masked(builder, columns, position, column)?);
        }
        let mut specialised = Vec::with_capacity(selection.specialised.len());
        for (position, &(owner, id)) in (values.len()..).zip(&selection.specialised) {
            let mut types = vec![owner];
            types.extend(&self.model[owner].specialisations);
            let column = attribute(owner, id);
            specialised.push((types, masked(builder, columns, position, column)?));
        }
        if masks.next().is_some() {
            return Err(StoreError::internal(
                "masks are for values that are selected, in their order",
            ));
        }
        let mut expands = Vec::with_capacity(selection.expands.len());
        for expand in &selection.expands {
            expands.push(self.expand(builder, selection.entity, expand, path, columns, many)?);
        }
        Ok(Layout {
            node: selection.node,
            kind,
            key,
            version,
            values,
            specialised,
            expands,
        })
    }

    fn expand(
        &self,
        builder: &mut Builder<'_>,
        parent: EntityId,
        expand: &Expand,
        path: &mut Vec<NavigationId>,
        columns: &mut Columns,
        many: &mut Vec<Many>,
    ) -> Result<Expanded, StoreError> {
        let navigation = &self.model[parent][expand.navigation];
        let shown = match &expand.condition {
            Some(condition) => {
                Some(builder.at_place(path, |builder| builder.condition(condition, false))?)
            }
            None => None,
        };
        if !navigation.many && !expand.count_only {
            path.push(expand.navigation);
            let one = self.to_one(builder, expand, shown, path, columns, many);
            path.pop();
            return one;
        }
        let count = if expand.count || expand.count_only {
            path.push(expand.navigation);
            let term = builder.count(ROW, path, navigation.target, ROW, expand.filter.as_ref());
            path.pop();
            let sql = match &shown {
                Some(shown) => format!("CASE WHEN {shown} THEN {} ELSE 0 END", term?.sql),
                None => term?.sql,
            };
            Some(columns.add(sql, Encoding::Integer))
        } else {
            None
        };
        if let (true, Some(count)) = (expand.count_only, count) {
            return Ok(Expanded::Count(expand.selection.node, count));
        }
        let place = builder.place(ROW, path)?;
        // What the targets are found by: the parent's key, or its reference to the one target.
        let found_by: Vec<(String, Encoding)> = match &navigation.storage {
            Storage::Own(own) => key(&self.model[navigation.target])
                .zip(own)
                .map(|(part, own)| {
                    (
                        column(&place.alias, &own.column),
                        Encoding::of(part.scalar_type),
                    )
                })
                .collect(),
            Storage::Target(_) | Storage::Join { .. } => key(&self.model[parent])
                .map(|part| {
                    (
                        column(&place.alias, &part.column),
                        Encoding::of(part.scalar_type),
                    )
                })
                .collect(),
        };
        let parent_columns = found_by
            .iter()
            .map(|(sql, encoding)| match &shown {
                // What is found by null is nothing.
                Some(shown) => columns.add(format!("CASE WHEN {shown} THEN {sql} END"), *encoding),
                None => columns.add(sql.clone(), *encoding),
            })
            .collect();
        let attachment = match self.dialect {
            Dialect::Sqlite => Attachment::Parent,
            Dialect::Postgres => Attachment::Lateral,
        };
        let (rows, child) = self.attached(parent, expand, &found_by, attachment)?;
        let together = if self.dialect == Dialect::Postgres && expand.skip == 0 {
            Some(
                self.attached(parent, expand, &found_by, Attachment::Together)?
                    .0
                    .statement,
            )
        } else {
            None
        };
        many.push(Many {
            node: expand.selection.node,
            parent: parent_columns,
            count,
            paged: expand.paged,
            limit: self.positions.number(&expand.limit).ok_or_else(lost)?,
            skips: expand.skip > 0,
            rows,
            together,
            child,
        });
        Ok(Expanded::Many(many.len() - 1))
    }

    /// A target in its parent's row.
    fn to_one(
        &self,
        builder: &mut Builder<'_>,
        expand: &Expand,
        shown: Option<String>,
        path: &mut Vec<NavigationId>,
        columns: &mut Columns,
        many: &mut Vec<Many>,
    ) -> Result<Expanded, StoreError> {
        let mut conditions: Vec<String> = shown.into_iter().collect();
        if let Some(filter) = &expand.filter {
            conditions.push(builder.at_place(path, |builder| builder.condition(filter, false))?);
        }
        let shown = (!conditions.is_empty()).then(|| {
            let sql = format!("CASE WHEN {} THEN 1 END", conditions.join(" AND "));
            columns.add(sql, Encoding::Integer)
        });
        let layout = self.layout(builder, &expand.selection, path, columns, many)?;
        Ok(Expanded::One(layout, shown))
    }

    /// How an insert gives the row that a query asks for, if that takes nothing but the row itself and rows
    /// of other tables that it refers to.
    fn returning(&self, query: &Query) -> Result<Option<Returning>, StoreError> {
        let suits = self.dialect == Dialect::Postgres
            && query.single
            && !query.count
            && query.selection.expands.is_empty()
            && known_key(&query.source).is_some();
        if !suits {
            return Ok(None);
        }
        let mut conditions: Vec<&Expression> = query.filter.iter().collect();
        let mut source = &query.source;
        while let Source::Where {
            from, condition, ..
        } = source
        {
            conditions.push(condition);
            source = from;
        }
        let looks_no_further =
            |condition: &Expression| concerns_itself_only(self.model, query.entity, condition);
        let masks = query.selection.masks.iter().map(|mask| &mask.condition);
        if !conditions
            .iter()
            .copied()
            .chain(masks)
            .all(looks_no_further)
        {
            return Ok(None);
        }
        let mut builder = self.builder();
        builder.open(ROW, query.entity);
        let mut columns = Columns::default();
        self.layout(
            &mut builder,
            &query.selection,
            &mut Vec::new(),
            &mut columns,
            &mut Vec::new(),
        )?;
        if builder.has_joins() {
            return Ok(None);
        }
        let found = if conditions.is_empty() {
            None
        } else {
            Some(builder.detached(&conditions)?)
        };
        builder.close()?;
        Ok(Some(Returning {
            columns: columns.list(),
            width: columns.0.len().max(1),
            found,
            bindings: builder.into_bindings(),
        }))
    }
}

fn filter_clause(conditions: &[String]) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    format!(" WHERE {}", conditions.join(" AND "))
}

/// Type of a placeholder. All integers are 64-bit: PostgreSQL compares them with smaller columns by index.
fn parameter_type(binding: &Binding) -> Type {
    match binding {
        Binding::Value(_, encoding) | Binding::Item(_, _, encoding) => scalar(*encoding),
        Binding::List(_, encoding) | Binding::Parents(_, encoding) => array(*encoding),
        Binding::Number(..) | Binding::Parent(_) => Type::INT8,
        Binding::Now => Type::TIMESTAMPTZ,
    }
}

pub(crate) fn scalar(encoding: Encoding) -> Type {
    match encoding {
        Encoding::Boolean => Type::BOOL,
        Encoding::Integer | Encoding::Duration | Encoding::Ordinal(_) => Type::INT8,
        Encoding::Decimal(_) | Encoding::Float(_) => Type::NUMERIC,
        Encoding::Text | Encoding::Json => Type::TEXT,
        Encoding::DateTime => Type::TIMESTAMPTZ,
        Encoding::Date => Type::DATE,
        Encoding::Time => Type::TIME,
        Encoding::Uuid => Type::UUID,
        Encoding::Binary => Type::BYTEA,
    }
}

pub(crate) fn array(encoding: Encoding) -> Type {
    match encoding {
        Encoding::Boolean => Type::BOOL_ARRAY,
        Encoding::Integer | Encoding::Duration | Encoding::Ordinal(_) => Type::INT8_ARRAY,
        Encoding::Decimal(_) | Encoding::Float(_) => Type::NUMERIC_ARRAY,
        Encoding::Text | Encoding::Json => Type::TEXT_ARRAY,
        Encoding::DateTime => Type::TIMESTAMPTZ_ARRAY,
        Encoding::Date => Type::DATE_ARRAY,
        Encoding::Time => Type::TIME_ARRAY,
        Encoding::Uuid => Type::UUID_ARRAY,
        Encoding::Binary => Type::BYTEA_ARRAY,
    }
}
