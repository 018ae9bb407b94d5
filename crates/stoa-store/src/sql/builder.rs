//! One statement in the making: placeholders, aliases, and the joins that paths need.

use stoa_model::expression::{Expression, Variable};
use stoa_model::model::{Attribute, Entity, EntityId, Model, Navigation, NavigationId, Storage};
use stoa_model::value::Value;

use super::shape::Positions;
use super::{Binding, Encoding, constant, quoted};
use crate::error::StoreError;
use crate::store::Dialect;

/// One row of nothing.
const NOTHING: &str = "(VALUES (1)) AS one(one)";

/// Makes one statement.
pub(crate) struct Builder<'m> {
    pub(crate) model: &'m Model,
    pub(crate) dialect: Dialect,
    positions: &'m Positions,
    bindings: Vec<Binding>,
    /// Placeholders that stand before ours.
    offset: usize,
    /// Whether rows are wanted in an order and not all of them: see [`Builder::row_condition`].
    pub(crate) is_page: bool,
    aliases: usize,
    scopes: Vec<Scope>,
}

/// The rows of one variable and what is joined to them.
struct Scope {
    variable: Variable,
    entity: EntityId,
    alias: String,
    joins: Vec<Join>,
    /// Where the variable stands, from the scope's own rows, while [`Builder::at_place`] lasts.
    prefix: Vec<NavigationId>,
    /// Another name for rows of that scope: joins belong there.
    owner: Option<usize>,
    optional: bool,
    /// The scope's rows are where this navigation leads from the variable's row, and paths begin with it.
    step: Option<NavigationId>,
}

impl Scope {
    /// What a navigation of rows under an alias has joined.
    fn joined(&self, from: &str, id: NavigationId, navigation: &Navigation) -> Option<&Join> {
        self.joins.iter().find(|join| {
            join.from == from && join.navigation == id && join.declared_by == navigation.declared_by
        })
    }
}

struct Join {
    from: String,
    /// Specialisations may have different navigations of one id.
    declared_by: EntityId,
    navigation: NavigationId,
    alias: String,
    entity: EntityId,
    /// Whether there may be no such row.
    optional: bool,
    /// The table and its alias.
    table: String,
    condition: String,
}

impl Join {
    fn clause(&self) -> String {
        format!(" LEFT JOIN {} ON {}", self.table, self.condition)
    }
}

/// A row that a path leads to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) alias: String,
    pub(crate) entity: EntityId,
    /// Whether there may be no such row.
    pub(crate) optional: bool,
}

impl<'m> Builder<'m> {
    pub(crate) fn new(model: &'m Model, dialect: Dialect, positions: &'m Positions) -> Self {
        Self {
            model,
            dialect,
            positions,
            bindings: Vec::new(),
            offset: 0,
            is_page: false,
            aliases: 0,
            scopes: Vec::new(),
        }
    }

    /// Numbers placeholders from the one after so many.
    pub(crate) fn after_placeholders(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// What stands behind the placeholders.
    pub(crate) fn into_bindings(self) -> Vec<Binding> {
        self.bindings
    }

    /// A placeholder.
    pub(crate) fn bind(&mut self, binding: Binding) -> String {
        let position = self
            .bindings
            .iter()
            .position(|known| *known == binding)
            .unwrap_or_else(|| {
                self.bindings.push(binding);
                self.bindings.len() - 1
            });
        let number = self.offset + position + 1;
        match self.dialect {
            Dialect::Postgres => format!("${number}"),
            Dialect::Sqlite => format!("?{number}"),
        }
    }

    /// A placeholder for a value of the query.
    pub(crate) fn bind_value(
        &mut self,
        value: &Value,
        encoding: Encoding,
    ) -> Result<String, StoreError> {
        let position = self.positions.value(value).ok_or_else(lost)?;
        Ok(self.bind(Binding::Value(position, encoding)))
    }

    /// Position of a list of literals.
    pub(crate) fn list_position(&self, list: &[Expression]) -> Result<usize, StoreError> {
        self.positions.list(list).ok_or_else(lost)
    }

    /// The most rows to give: in the text on PostgreSQL (see the shape), else a placeholder.
    pub(crate) fn limit(&mut self, limit: &u64, more: u8) -> Result<String, StoreError> {
        match self.dialect {
            Dialect::Postgres => Ok(limit
                .saturating_add(u64::from(more))
                .min(i64::MAX as u64)
                .to_string()),
            Dialect::Sqlite => self.bind_number(limit, more),
        }
    }

    /// A placeholder for a number of rows.
    pub(crate) fn bind_number(&mut self, number: &u64, more: u8) -> Result<String, StoreError> {
        let position = self.positions.number(number).ok_or_else(lost)?;
        Ok(self.bind(Binding::Number(position, more)))
    }

    /// A table alias not used before in this statement.
    pub(crate) fn new_alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases - 1)
    }

    /// Joins the table of a many-to-many navigation to its target, whose rows are `alias`: the join table's
    /// alias, and the clause.
    pub(crate) fn join_table(
        &mut self,
        target: &Entity,
        alias: &str,
        table: &str,
        theirs: &[String],
    ) -> (String, String) {
        let join = self.new_alias();
        let parts: Vec<String> = key(target)
            .zip(theirs)
            .map(|(part, theirs)| {
                format!(
                    "{} = {}",
                    column(alias, &part.column),
                    column(&join, theirs)
                )
            })
            .collect();
        let clause = format!(
            " JOIN {} AS {join} ON {}",
            quoted(table),
            parts.join(" AND ")
        );
        (join, clause)
    }

    /// Starts a scope: `variable` stands for rows of `entity`. Returns their alias.
    pub(crate) fn open(&mut self, variable: Variable, entity: EntityId) -> String {
        let alias = self.new_alias();
        self.scopes.push(Scope {
            variable,
            entity,
            alias: alias.clone(),
            joins: Vec::new(),
            prefix: Vec::new(),
            owner: None,
            optional: false,
            step: None,
        });
        alias
    }

    /// Starts a scope whose rows are the targets of a navigation of `variable`'s row: all paths from the
    /// variable must begin with it. Returns their alias.
    pub(crate) fn open_target(
        &mut self,
        variable: Variable,
        step: NavigationId,
        target: EntityId,
    ) -> String {
        let alias = self.open(variable, target);
        if let Some(scope) = self.scopes.last_mut() {
            scope.step = Some(step);
        }
        alias
    }

    /// Ends the innermost scope and gives its FROM clause: the table and the joins.
    pub(crate) fn close(&mut self) -> Result<String, StoreError> {
        let scope = self.scopes.pop().ok_or_else(lost)?;
        let mut text = table(self.model, scope.entity, &scope.alias);
        for join in &scope.joins {
            text.push_str(&join.clause());
        }
        Ok(text)
    }

    /// Does something while the row of the innermost scope stands for the row that `path` leads to.
    pub(crate) fn at_place<T>(
        &mut self,
        path: &[NavigationId],
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let scope = self.scopes.last_mut().ok_or_else(lost)?;
        let before = std::mem::replace(&mut scope.prefix, path.to_vec());
        let done = work(self);
        if let Some(scope) = self.scopes.last_mut() {
            scope.prefix = before;
        }
        done
    }

    /// Does something while `variable` is another name, and another type, for the row of a place that was
    /// reached from `from`.
    pub(crate) fn alias<T>(
        &mut self,
        from: Variable,
        place: &Place,
        entity: EntityId,
        variable: Variable,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let index = self
            .scopes
            .iter()
            .rposition(|scope| scope.variable == from)
            .ok_or_else(lost)?;
        let owner = self
            .scopes
            .get(index)
            .and_then(|scope| scope.owner)
            .unwrap_or(index);
        self.scopes.push(Scope {
            variable,
            entity,
            alias: place.alias.clone(),
            joins: Vec::new(),
            prefix: Vec::new(),
            owner: Some(owner),
            optional: place.optional,
            step: None,
        });
        let done = work(self);
        self.scopes.pop();
        done
    }

    /// Whether the rows of a variable's scope are targets: see [`Self::open_target`].
    pub(crate) fn is_at_target(&self, variable: Variable) -> bool {
        let mut scopes = self.scopes.iter().rev();
        scopes
            .find(|scope| scope.variable == variable)
            .is_some_and(|scope| scope.step.is_some())
    }

    /// Entity of the innermost scope's rows.
    pub(crate) fn innermost(&self) -> Option<EntityId> {
        self.scopes.last().map(|scope| scope.entity)
    }

    /// Whether paths from the innermost scope's rows have joined anything so far.
    pub(crate) fn has_joins(&self) -> bool {
        self.scopes
            .last()
            .is_some_and(|scope| !scope.joins.is_empty())
    }

    /// Alias of the row that a navigation of the innermost scope's row leads to, if a path has joined it.
    pub(crate) fn reached(&self, id: NavigationId) -> Option<&str> {
        let scope = self.scopes.last()?;
        let join = scope.joined(&scope.alias, id, &self.model[scope.entity][id])?;
        Some(&join.alias)
    }

    /// What paths from the innermost scope's row have joined, as a FROM clause that gives one row, and the
    /// condition that belongs to it: for where the row itself stands outside.
    pub(crate) fn joins_alone(&self) -> (String, Option<&str>) {
        let joins = self.scopes.last().map_or(&[][..], |scope| &scope.joins);
        // What is joined to something that may be missing may be missing too: this one is joined to the row itself.
        let first = joins.iter().find(|join| !join.optional);
        let mut from = first.map_or_else(|| NOTHING.to_owned(), |join| join.table.clone());
        for join in joins {
            if first.is_none_or(|first| first.alias != join.alias) {
                from.push_str(&join.clause());
            }
        }
        (from, first.map(|join| join.condition.as_str()))
    }

    /// The row that a path leads to, with the joins that it needs.
    pub(crate) fn place(
        &mut self,
        from: Variable,
        path: &[NavigationId],
    ) -> Result<Place, StoreError> {
        let model = self.model;
        let index = self
            .scopes
            .iter()
            .rposition(|scope| scope.variable == from)
            .ok_or_else(|| StoreError::internal("a variable is not in scope"))?;
        let scope = self.scopes.get(index).ok_or_else(lost)?;
        let mut place = Place {
            alias: scope.alias.clone(),
            entity: scope.entity,
            optional: scope.optional,
        };
        let path = match (scope.step, path.split_first()) {
            (None, _) => path,
            (Some(step), Some((first, rest))) if step == *first => rest,
            (Some(_), _) => return Err(lost()),
        };
        let index = scope.owner.unwrap_or(index);
        let prefix = scope.prefix.clone();
        for &id in prefix.iter().chain(path) {
            place = self.join(index, &place, id, &model[place.entity][id])?;
        }
        Ok(place)
    }

    fn join(
        &mut self,
        scope: usize,
        from: &Place,
        id: NavigationId,
        navigation: &Navigation,
    ) -> Result<Place, StoreError> {
        let optional = from.optional
            || !(navigation.required && matches!(navigation.storage, Storage::Own(_)));
        let known = self.scopes.get(scope);
        if let Some(join) = known.and_then(|scope| scope.joined(&from.alias, id, navigation)) {
            return Ok(Place {
                alias: join.alias.clone(),
                entity: join.entity,
                optional,
            });
        }
        let alias = self.new_alias();
        let condition = link(self.model, from, navigation, &alias)?;
        let table = table(self.model, navigation.target, &alias);
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.joins.push(Join {
                from: from.alias.clone(),
                declared_by: navigation.declared_by,
                navigation: id,
                alias: alias.clone(),
                entity: navigation.target,
                optional,
                table,
                condition,
            });
        }
        Ok(Place {
            alias,
            entity: navigation.target,
            optional,
        })
    }

    /// Condition that the rows are of the entity, where its table holds others too.
    pub(crate) fn type_condition(&self, entity: EntityId, alias: &str) -> Option<String> {
        let entity = &self.model[entity];
        if entity.id == entity.root {
            return None;
        }
        let names: Vec<String> = std::iter::once(entity.id)
            .chain(entity.specialisations.iter().copied())
            .filter_map(|id| self.model[id].discriminator.as_deref().map(constant))
            .collect();
        let name = entity.table.discriminator_column.as_deref()?;
        Some(match names.as_slice() {
            [one] => format!("{} = {one}", column(alias, name)),
            several => format!("{} IN ({})", column(alias, name), several.join(", ")),
        })
    }
}

/// A table and its alias.
pub(crate) fn table(model: &Model, entity: EntityId, alias: &str) -> String {
    format!("{} AS {alias}", quoted(&model[entity].table.name))
}

/// A column of an alias.
pub(crate) fn column(alias: &str, name: &str) -> String {
    format!("{alias}.{}", quoted(name))
}

/// The attributes of an entity's key.
pub(crate) fn key(entity: &Entity) -> impl Iterator<Item = &Attribute> {
    entity.key.iter().map(|&id| &entity[id])
}

/// Whether a column may hold null.
pub(crate) fn is_nullable(entity: &Entity, attribute: &Attribute) -> bool {
    let is_key = key(entity).any(|part| part.name == attribute.name);
    !(is_key || attribute.required && attribute.declared_by == entity.root)
}

/// Condition that `alias` is the target of a navigation that needs no join table.
pub(crate) fn link(
    model: &Model,
    from: &Place,
    navigation: &Navigation,
    alias: &str,
) -> Result<String, StoreError> {
    let pairs: Vec<String> = match &navigation.storage {
        Storage::Own(columns) => key(&model[navigation.target])
            .zip(columns)
            .map(|(part, own)| {
                format!(
                    "{} = {}",
                    column(alias, &part.column),
                    column(&from.alias, &own.column)
                )
            })
            .collect(),
        Storage::Target(columns) => key(&model[from.entity])
            .zip(columns)
            .map(|(part, theirs)| {
                format!(
                    "{} = {}",
                    column(alias, &theirs.column),
                    column(&from.alias, &part.column)
                )
            })
            .collect(),
        Storage::Join { .. } => return Err(StoreError::internal("a path leads over many rows")),
    };
    Ok(pairs.join(" AND "))
}

/// A defect: something of the query was not found again.
pub(crate) fn lost() -> StoreError {
    StoreError::internal("a part of the query was not found in its shape")
}
