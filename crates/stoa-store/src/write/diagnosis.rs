//! After a refusal: all rules that a change would break, one by one, on both databases alike.
//!
//! The change is tried again, each operation behind a mark; what is refused is explained and undone. The
//! transaction is rolled back in any case.

use stoa_model::access::JudgedChange;
use stoa_model::change::{Action, Change, Reference, Rule, Target, Violation};
use stoa_model::model::{Entity, EntityId, Member, Model, NavigationId, OnDelete, Storage, Unique};
use stoa_model::physical;
use stoa_model::value::Value;

use super::engine::Engine;
use super::source::{equal_columns, key_columns, key_forms, of_type};
use super::statement::{Connection, Failure, Refusal, Writer};
use crate::error::StoreError;

/// Levels of cascades looked through for the row that prevents a delete.
const CASCADE_LEVELS: usize = 6;

/// Finds all violations of a change. Rows are judged as they were: what a user may not see or do is not
/// explained.
pub(super) async fn diagnose<C: Connection>(
    model: &Model,
    connection: &mut C,
    judged: &JudgedChange,
) -> Result<Vec<Violation>, StoreError> {
    let mut engine = Engine::new(model, connection, judged);
    let change = &judged.change;
    let mut violations = Vec::new();
    for position in 0..change.operations.len() {
        if depends_on_failed(&engine, change, position) {
            let rules = faults_of_values(&mut engine, change, position)
                .await
                .map_err(unrefused)?;
            violations.extend(rules.into_iter().map(|rule| Violation {
                operation: position,
                rule,
            }));
            engine.applied.push(None);
            continue;
        }
        engine.connection.mark().await.map_err(unrefused)?;
        match engine.one(change, position).await {
            Ok(applied) => {
                let rules = invisible(&mut engine, change, position)
                    .await
                    .map_err(unrefused)?;
                if rules.is_empty() {
                    engine.applied.push(Some(applied));
                    continue;
                }
                engine.connection.back().await.map_err(unrefused)?;
                violations.extend(rules.into_iter().map(|rule| Violation {
                    operation: position,
                    rule,
                }));
                engine.applied.push(None);
            }
            Err(Failure::Error(error)) => return Err(error),
            Err(Failure::Refused(refusal)) => {
                engine.connection.back().await.map_err(unrefused)?;
                let rules = explain(&mut engine, change, position, &refusal)
                    .await
                    .map_err(unrefused)?;
                violations.extend(rules.into_iter().map(|rule| Violation {
                    operation: position,
                    rule,
                }));
                engine.applied.push(None);
            }
        }
    }
    Ok(violations)
}

/// References to rows that are there, but not for the user: beside other violations they are told like those
/// to rows that are not there.
async fn invisible<C: Connection>(
    engine: &mut Engine<'_, C>,
    change: &Change,
    position: usize,
) -> Result<Vec<Rule>, Failure> {
    let is_judged = engine
        .judgement(position)
        .is_some_and(|judgement| !judgement.targets.is_empty());
    match change.operations.get(position) {
        Some(operation) if is_judged => {
            let entity = entity_of(&operation.action);
            references(engine, entity, position, &operation.action).await
        }
        _ => Ok(Vec::new()),
    }
}

/// A refusal where none can be.
fn unrefused(failure: Failure) -> StoreError {
    match failure {
        Failure::Error(error) => error,
        Failure::Refused(refusal) => {
            StoreError::internal(format!("refused while looking: {refusal:?}"))
        }
    }
}

/// Whether the operation is about a row that a refused operation would have made.
fn depends_on_failed<C: Connection>(
    engine: &Engine<'_, C>,
    change: &Change,
    position: usize,
) -> bool {
    let failed = |target: &Target| matches!(target, Target::Inserted(other) if engine.applied.get(*other).is_some_and(Option::is_none));
    let any = |references: &[Reference]| {
        references
            .iter()
            .filter_map(|reference| reference.to.as_ref())
            .any(failed)
    };
    let Some(operation) = change.operations.get(position) else {
        return false;
    };
    match &operation.action {
        Action::Insert { references, .. } => any(references),
        Action::Update {
            target, references, ..
        }
        | Action::Upsert {
            target, references, ..
        } => failed(target) || any(references),
        Action::Delete { target, .. } => failed(target),
        Action::Retain { from, .. } => failed(from),
        Action::Link { from, to, .. } => failed(from) || failed(to),
        Action::Unlink { from, to, .. } => failed(from) || to.as_ref().is_some_and(failed),
    }
}

async fn explain<C: Connection>(
    engine: &mut Engine<'_, C>,
    change: &Change,
    position: usize,
    refusal: &Refusal,
) -> Result<Vec<Rule>, Failure> {
    let Some(operation) = change.operations.get(position) else {
        return Ok(Vec::new());
    };
    let model = engine.model;
    let entity = &model[entity_of(&operation.action)];
    match refusal {
        Refusal::Unique {
            table,
            columns,
            constraint,
        } => {
            let mut rules = faults_of_values(engine, change, position).await?;
            if !rules.iter().any(|rule| matches!(rule, Rule::Unique { .. })) {
                rules.insert(0, unique(model, entity, table, columns, constraint));
            }
            Ok(rules)
        }
        Refusal::NotNull { column } => {
            let mut rules = vec![Rule::Required {
                member: member_of(model, entity, &operation.action, column),
            }];
            rules.extend(faults_of_values(engine, change, position).await?);
            Ok(rules)
        }
        Refusal::Check { constraint } => Ok(vec![Rule::Check {
            member: constraint.clone(),
        }]),
        Refusal::TooLarge => Ok(vec![Rule::Check {
            member: String::new(),
        }]),
        Refusal::Reference { table, constraint } => {
            let mut rules = taken(engine, entity, &operation.action).await?;
            rules.extend(references(engine, entity.id, position, &operation.action).await?);
            if !rules.is_empty() {
                return Ok(rules);
            }
            Ok(vec![by_constraint(model, entity, table, constraint)])
        }
    }
}

/// Whether the action gives values to a row of its own.
fn is_of_row(action: &Action) -> bool {
    matches!(
        action,
        Action::Insert { .. } | Action::Update { .. } | Action::Upsert { .. }
    )
}

/// Faults of the values of a row to insert or to change: databases report the first only, and not the same one.
async fn faults_of_values<C: Connection>(
    engine: &mut Engine<'_, C>,
    change: &Change,
    position: usize,
) -> Result<Vec<Rule>, Failure> {
    let Some(operation) = change.operations.get(position) else {
        return Ok(Vec::new());
    };
    let action = &operation.action;
    // Where there is no row to change, because it could not be made, only a new one can be looked at.
    let is_new = matches!(action, Action::Insert { .. });
    if !is_of_row(action) || (!is_new && depends_on_failed(engine, change, position)) {
        return Ok(Vec::new());
    }
    let entity = &engine.model[entity_of(action)];
    let mut rules = taken(engine, entity, action).await?;
    rules.extend(references(engine, entity.id, position, action).await?);
    Ok(rules)
}

/// Unique constraints whose values another row has already.
async fn taken<'a, C: Connection>(
    engine: &mut Engine<'a, C>,
    entity: &'a Entity,
    action: &Action,
) -> Result<Vec<Rule>, Failure> {
    let (values, references, own) = match action {
        Action::Insert {
            values, references, ..
        } => (values, references, None),
        Action::Update {
            target,
            values,
            references,
            ..
        } => match engine.find(entity.id, target).await? {
            Some(key) => (values, references, Some(key)),
            None => return Ok(Vec::new()),
        },
        Action::Upsert {
            target,
            insert,
            update,
            references,
            ..
        } => match engine.find(entity.id, target).await? {
            Some(key) if engine.exists(entity, &key).await? => (update, references, Some(key)),
            _ => (insert, references, None),
        },
        Action::Retain { .. }
        | Action::Delete { .. }
        | Action::Link { .. }
        | Action::Unlink { .. } => return Ok(Vec::new()),
    };
    let mut cells = engine.cells(entity, values, &[]).await?.cells;
    for reference in references {
        match engine
            .cells(entity, &[], std::slice::from_ref(reference))
            .await
        {
            Ok(row) => cells.extend(row.cells),
            // Leads nowhere: that is a fault of its own.
            Err(Failure::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let model = engine.model;
    let table = &entity.table.name;
    let mut rules = Vec::new();
    for columns in constraints(model, entity, own.is_none()) {
        let given = |column: &&str| cells.iter().any(|cell| cell.column == *column);
        let complete = columns.iter().all(given);
        if !(complete || (own.is_some() && columns.iter().any(given))) {
            continue;
        }
        let mut writer = Writer::new(engine.connection.dialect());
        writer.text("SELECT ");
        for (position, column) in key_columns(entity).enumerate() {
            writer
                .text(if position > 0 { ", " } else { "" })
                .name(column);
        }
        writer.text(" FROM ").name(table).text(" WHERE ");
        for (position, column) in columns.iter().enumerate() {
            writer
                .text(if position > 0 { " AND " } else { "" })
                .name(column);
            writer.text(" = ");
            // A change keeps the values that it does not name. Null is equal to nothing.
            match (cells.iter().find(|cell| cell.column == *column), &own) {
                (Some(cell), _) => {
                    writer.bind(cell.value.clone(), cell.form);
                }
                (None, Some(key)) => {
                    writer.text("(SELECT ").name(column);
                    writer.text(" FROM ").name(table).text(" WHERE ");
                    equal_columns(&mut writer, "", key_columns(entity), key_forms(entity), key);
                    writer.text(")");
                }
                (None, None) => {
                    writer.text("NULL");
                }
            }
        }
        writer.text(" LIMIT 2");
        let statement = writer.finish(key_forms(entity).collect());
        let rows = engine.connection.query(statement).await?;
        if rows.iter().any(|row| Some(row) != own.as_ref()) {
            let columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
            rules.push(unique(model, entity, table, &columns, ""));
        }
    }
    Ok(rules)
}

/// Columns of the unique constraints of an entity and what it extends; the key first, if asked for.
fn constraints<'m>(model: &'m Model, entity: &'m Entity, with_key: bool) -> Vec<Vec<&'m str>> {
    let mut constraints = Vec::new();
    if with_key {
        constraints.push(key_columns(entity).collect());
    }
    let mut line = vec![entity];
    while let Some(base) = line.last().and_then(|entity| entity.base) {
        line.push(&model[base]);
    }
    for entity in line.into_iter().rev() {
        constraints.extend(
            entity
                .uniques
                .iter()
                .map(|unique| unique_columns(entity, unique)),
        );
    }
    constraints
}

fn unique_columns<'m>(entity: &'m Entity, unique: &Unique) -> Vec<&'m str> {
    unique
        .members
        .iter()
        .flat_map(|member| match member {
            Member::Attribute(id) => vec![entity[*id].column.as_str()],
            Member::Navigation(id) => own_columns(entity, *id),
        })
        .collect()
}

fn entity_of(action: &Action) -> EntityId {
    match action {
        Action::Insert { entity, .. }
        | Action::Update { entity, .. }
        | Action::Upsert { entity, .. }
        | Action::Retain { entity, .. }
        | Action::Delete { entity, .. }
        | Action::Link { entity, .. }
        | Action::Unlink { entity, .. } => *entity,
    }
}

/// The entity and its specialisations.
fn family<'a>(model: &'a Model, entity: &'a Entity) -> impl Iterator<Item = &'a Entity> {
    std::iter::once(entity).chain(entity.specialisations.iter().map(|id| &model[*id]))
}

/// Property that a column shows: an attribute, or the navigation whose key it holds.
fn property(model: &Model, entity: &Entity, column: &str) -> Option<String> {
    for entity in family(model, entity) {
        if let Some(attribute) = entity
            .attributes
            .iter()
            .find(|attribute| attribute.column == column)
        {
            return Some(attribute.name.clone());
        }
        for navigation in &entity.navigations {
            if let Storage::Own(columns) = &navigation.storage
                && columns.iter().any(|own| own.column == column)
            {
                return Some(navigation_name(
                    model,
                    navigation.name.as_deref(),
                    navigation.target,
                ));
            }
        }
    }
    None
}

fn navigation_name(model: &Model, name: Option<&str>, target: EntityId) -> String {
    name.map_or_else(|| model[target].name.clone(), str::to_owned)
}

fn unique(
    model: &Model,
    entity: &Entity,
    table: &str,
    columns: &[String],
    constraint: &str,
) -> Rule {
    let root = &model[entity.root];
    let known = if columns.is_empty() {
        columns_of(model, root, table, constraint)
    } else {
        columns.to_vec()
    };
    // A constraint may be of another table: of the rows that a link changes.
    let holder = model
        .entities
        .iter()
        .find(|other| other.base.is_none() && other.table.name == table)
        .unwrap_or(root);
    let mut members: Vec<String> = Vec::new();
    for column in &known {
        let member = property(model, holder, column).unwrap_or_else(|| column.clone());
        if !members.contains(&member) {
            members.push(member);
        }
    }
    Rule::Unique { members }
}

/// Columns of a unique constraint by its name.
fn columns_of(model: &Model, root: &Entity, table: &str, constraint: &str) -> Vec<String> {
    let key = || key_columns(root).map(str::to_owned).collect();
    if constraint == physical::primary_key_name(table) {
        return key();
    }
    for entity in family(model, root) {
        for unique in &entity.uniques {
            let columns = unique_columns(entity, unique);
            if physical::unique_name(table, &columns) == constraint {
                return columns.into_iter().map(str::to_owned).collect();
            }
        }
        for (position, _) in entity.navigations.iter().enumerate() {
            let columns = own_columns(
                entity,
                NavigationId(u32::try_from(position).unwrap_or_default()),
            );
            if !columns.is_empty() && physical::unique_name(table, &columns) == constraint {
                return columns.into_iter().map(str::to_owned).collect();
            }
        }
    }
    // Somebody else's name in an external table: most likely the key.
    key()
}

fn own_columns(entity: &Entity, navigation: NavigationId) -> Vec<&str> {
    match &entity[navigation].storage {
        Storage::Own(columns) => columns
            .iter()
            .map(|column| column.column.as_str())
            .collect(),
        Storage::Target(_) | Storage::Join { .. } => Vec::new(),
    }
}

/// What may not be null. Unlinking touches the rows at the other end.
fn member_of(model: &Model, entity: &Entity, action: &Action, column: &str) -> String {
    let holder = match action {
        Action::Unlink { navigation, .. } | Action::Link { navigation, .. } => {
            &model[entity[*navigation].target]
        }
        _ => entity,
    };
    property(model, holder, column)
        .or_else(|| property(model, &model[entity.root], column))
        .unwrap_or_else(|| column.to_owned())
}

/// Which references lead nowhere, or which rows refer to the deleted one.
async fn references<C: Connection>(
    engine: &mut Engine<'_, C>,
    entity: EntityId,
    position: usize,
    action: &Action,
) -> Result<Vec<Rule>, Failure> {
    match action {
        Action::Insert {
            values, references, ..
        }
        | Action::Update {
            values, references, ..
        } => missing(engine, entity, position, values, references).await,
        Action::Upsert {
            insert, references, ..
        } => missing(engine, entity, position, insert, references).await,
        Action::Link { navigation, .. } => {
            let name = engine.model[entity][*navigation]
                .name
                .clone()
                .unwrap_or_default();
            Ok(vec![Rule::ReferenceMissing { navigation: name }])
        }
        Action::Delete { target, .. } => {
            let Some(key) = engine.find(entity, target).await? else {
                return Ok(Vec::new());
            };
            let model = engine.model;
            referring(engine, &model[entity], &key).await
        }
        Action::Retain { .. } | Action::Unlink { .. } => Ok(Vec::new()),
    }
}

/// References among the values whose row does not exist, or not for the user.
async fn missing<C: Connection>(
    engine: &mut Engine<'_, C>,
    entity: EntityId,
    operation: usize,
    values: &[(stoa_model::model::AttributeId, Value)],
    references: &[Reference],
) -> Result<Vec<Rule>, Failure> {
    let model = engine.model;
    let entity = &model[entity];
    let mut rules = Vec::new();
    for (position, navigation) in entity.navigations.iter().enumerate() {
        let Storage::Own(columns) = &navigation.storage else {
            continue;
        };
        let given = references
            .iter()
            .find(|reference| reference.navigation.index() == position);
        let key: Option<Vec<Value>> = match given {
            Some(Reference { to: None, .. }) => continue,
            // Made by this change, or reported as what could not be made.
            Some(Reference {
                to: Some(Target::Inserted(_)),
                ..
            }) => continue,
            Some(Reference { to: Some(to), .. }) => engine.find(navigation.target, to).await?,
            None => {
                let shown: Option<Vec<Value>> = columns
                    .iter()
                    .map(|column| {
                        let (_, value) = values
                            .iter()
                            .find(|(id, _)| Some(*id) == column.attribute)?;
                        (!value.is_null()).then(|| value.clone())
                    })
                    .collect();
                match shown {
                    Some(key) => Some(key),
                    None => continue,
                }
            }
        };
        let target = &model[navigation.target];
        let visible = engine
            .judgement(operation)
            .into_iter()
            .flat_map(|judgement| &judgement.targets)
            .find(|(own, _)| own.index() == position)
            .map(|(_, visible)| visible);
        let exists = match (&key, visible) {
            (Some(key), None) => engine.exists(target, key).await?,
            (Some(key), Some(visible)) => {
                engine.holds(target.id, key, Some(visible)).await? == Some(true)
            }
            (None, _) => false,
        };
        if !exists {
            rules.push(Rule::ReferenceMissing {
                navigation: navigation_name(model, navigation.name.as_deref(), navigation.target),
            });
        }
    }
    Ok(rules)
}

/// Rows that refer to the row and may not lose it, also through rows that would be deleted with it.
async fn referring<C: Connection>(
    engine: &mut Engine<'_, C>,
    entity: &Entity,
    key: &[Value],
) -> Result<Vec<Rule>, Failure> {
    let mut rules: Vec<Rule> = Vec::new();
    // Each path is a chain of cascades: (holder, its columns, what they refer to).
    let mut paths: Vec<Vec<(EntityId, Vec<String>, EntityId)>> = vec![Vec::new()];
    for _ in 0..CASCADE_LEVELS {
        let mut longer = Vec::new();
        for path in paths {
            let end = path.last().map_or(entity.id, |(holder, _, _)| *holder);
            for (holder, columns, cascades, name) in holders(engine.model, end) {
                let mut path = path.clone();
                path.push((holder, columns, end));
                if cascades {
                    longer.push(path);
                } else if any_row(engine, &path, key).await? {
                    let rule = Rule::ReferencedBy {
                        entity: engine.model[holder].name.clone(),
                        navigation: name,
                    };
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
            }
        }
        paths = longer;
    }
    Ok(rules)
}

/// Entities that keep references to rows of `entity`, with the columns, whether they go with it, and the name.
fn holders(model: &Model, entity: EntityId) -> Vec<(EntityId, Vec<String>, bool, String)> {
    let root = model[entity].root;
    let mut holders = Vec::new();
    for holder in &model.entities {
        for navigation in &holder.navigations {
            let Storage::Own(columns) = &navigation.storage else {
                continue;
            };
            if navigation.declared_by != holder.id
                || model[navigation.target].root != root
                || navigation.on_delete == OnDelete::Clear
            {
                continue;
            }
            let contained = model[navigation.target][navigation.partner].contained;
            holders.push((
                holder.id,
                columns.iter().map(|column| column.column.clone()).collect(),
                contained || navigation.on_delete == OnDelete::Cascade,
                navigation
                    .name
                    .clone()
                    .unwrap_or_else(|| holder.name.clone()),
            ));
        }
    }
    holders
}

/// Whether a row at the end of a chain of references leads to the row with this key.
async fn any_row<C: Connection>(
    engine: &mut Engine<'_, C>,
    path: &[(EntityId, Vec<String>, EntityId)],
    key: &[Value],
) -> Result<bool, Failure> {
    let model = engine.model;
    let mut writer = Writer::new(engine.connection.dialect());
    let last = path.len() - 1;
    writer.text("SELECT 1 FROM ");
    for (level, (holder, _, _)) in path.iter().enumerate() {
        writer.text(if level > 0 { ", " } else { "" });
        writer
            .name(&model[*holder].table.name)
            .text(&format!(" AS h{level}"));
    }
    writer.text(" WHERE ");
    for (level, (_, columns, target)) in path.iter().enumerate() {
        let columns = columns.iter().map(String::as_str);
        let target = &model[*target];
        if level == 0 {
            equal_columns(&mut writer, "h0.", columns, key_forms(target), key);
        } else {
            for (column, referred) in columns.zip(key_columns(target)) {
                writer.text(&format!(" AND h{level}.")).name(column);
                writer.text(&format!(" = h{}.", level - 1)).name(referred);
            }
        }
    }
    of_type(
        &mut writer,
        model,
        &format!("h{last}."),
        &model[path[last].0],
    );
    writer.text(" LIMIT 1");
    let rows = engine.connection.query(writer.finish(Vec::new())).await?;
    Ok(!rows.is_empty())
}

/// The rule by what the database says alone.
fn by_constraint(model: &Model, entity: &Entity, table: &str, constraint: &str) -> Rule {
    for holder in &model.entities {
        for navigation in &holder.navigations {
            if let Storage::Own(columns) = &navigation.storage {
                let columns: Vec<&str> = columns
                    .iter()
                    .map(|column| column.column.as_str())
                    .collect();
                if physical::foreign_key_name(&holder.table.name, &columns) == constraint {
                    let name = navigation
                        .name
                        .clone()
                        .unwrap_or_else(|| holder.name.clone());
                    return if holder.root == entity.root && table == entity.table.name {
                        Rule::ReferenceMissing { navigation: name }
                    } else {
                        Rule::ReferencedBy {
                            entity: holder.name.clone(),
                            navigation: name,
                        }
                    };
                }
            }
        }
    }
    let holder = model
        .entities
        .iter()
        .find(|other| other.table.name == table);
    Rule::ReferencedBy {
        entity: holder.map_or_else(|| table.to_owned(), |holder| holder.name.clone()),
        navigation: holder.map_or_else(|| table.to_owned(), |holder| holder.name.clone()),
    }
}
