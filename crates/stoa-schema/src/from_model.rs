//! The structure that a model needs, table by table.

use stoa_model::model::{
    Attribute, Default, Entity, EntityId, Member, Model, Navigation, OnDelete, Purpose, Storage,
};
use stoa_model::physical;
use stoa_model::value::ScalarType;

use crate::kind::Kind;
use crate::structure::{
    Column, DeleteRule, Enumeration, FORMAT, Fill, ForeignKey, Index, IndexColumn, Named,
    Structure, Table, value_text,
};

impl Structure {
    /// What `model` needs.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let mut tables: Vec<Table> = Vec::with_capacity(model.entities.len());
        for root in model.entities.iter().filter(|entity| entity.base.is_none()) {
            tables.push(entity_table(model, root));
        }
        for entity in &model.entities {
            for navigation in &entity.navigations {
                if navigation.declared_by == entity.id
                    && let Some(table) = join_table(model, entity, navigation)
                    && !tables.iter().any(|other| other.name == table.name)
                {
                    tables.push(table);
                }
            }
        }
        keep_index_names_apart(&mut tables);
        let enumerations = model
            .enumerations
            .iter()
            .map(|enumeration| Enumeration {
                name: enumeration.name.clone(),
                members: enumeration
                    .members
                    .iter()
                    .map(|member| Named {
                        name: member.name.clone(),
                        renamed_from: member.renamed_from.clone(),
                    })
                    .collect(),
            })
            .collect();
        Self {
            format: FORMAT,
            tables,
            enumerations,
        }
    }
}

fn entity_table(model: &Model, root: &Entity) -> Table {
    let mut table = Table {
        name: root.table.name.clone(),
        subject: root.name.clone(),
        renamed_from: root.renamed_from.clone(),
        external: root.table.external,
        append_only: root.table.name == physical::AUDIT_TABLE,
        discriminator: root.table.discriminator_column.clone(),
        types: Vec::new(),
        columns: Vec::new(),
        primary_key: root.key.iter().map(|id| root[*id].column.clone()).collect(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
    };
    let hierarchy: Vec<&Entity> = std::iter::once(root)
        .chain(root.specialisations.iter().map(|id| &model[*id]))
        .collect();
    for entity in &hierarchy {
        table.types.push(Named {
            name: entity.name.clone(),
            renamed_from: entity.renamed_from.clone(),
        });
        for attribute in &entity.attributes {
            if attribute.declared_by == entity.id && table.column(&attribute.column).is_none() {
                let column = attribute_column(model, entity, attribute, root.id);
                table.columns.push(column);
            }
        }
        if entity.id == root.id
            && let Some(discriminator) = &table.discriminator
        {
            table.columns.push(Column {
                name: discriminator.clone(),
                entity: root.name.clone(),
                member: String::new(),
                renamed_from: None,
                kind: Kind::Text { length: None },
                nullable: false,
                fill: Some(Fill::Value(root.name.clone())),
                minimum: None,
                maximum: None,
            });
        }
        for navigation in &entity.navigations {
            if navigation.declared_by == entity.id {
                add_reference_columns(model, entity, navigation, root.id, &mut table);
            }
        }
    }
    if !table.external {
        for entity in &hierarchy {
            add_declared_indexes(entity, &mut table);
        }
        for entity in &hierarchy {
            for navigation in &entity.navigations {
                if navigation.declared_by == entity.id {
                    add_foreign_key(model, navigation, &mut table);
                }
            }
        }
    }
    table
}

fn attribute_column(
    model: &Model,
    entity: &Entity,
    attribute: &Attribute,
    root: EntityId,
) -> Column {
    let is_root = attribute.declared_by == root;
    let fill = match (&attribute.default, attribute.purpose) {
        (_, Purpose::AutoNumber) => Some(Fill::Number),
        (_, Purpose::Version) => Some(Fill::One),
        (_, Purpose::CreatedAt | Purpose::ChangedAt) => Some(Fill::Now),
        (Some(Default::Now), _) => Some(Fill::Now),
        (Some(Default::Value(value)), _) => Some(Fill::Value(value_text(value))),
        (None, Purpose::GeneratedKey) => Some(Fill::Uuid),
        (None, Purpose::Data) => None,
    };
    Column {
        name: attribute.column.clone(),
        entity: entity.name.clone(),
        member: attribute.name.clone(),
        renamed_from: attribute.renamed_from.clone(),
        kind: Kind::of(model, attribute),
        nullable: !is_root || !attribute.required,
        // Rows of other entities of the hierarchy have no such attribute.
        fill: fill.filter(|fill| is_root || *fill == Fill::Number),
        minimum: attribute.minimum.as_ref().map(value_text),
        maximum: attribute.maximum.as_ref().map(value_text),
    }
}

/// Name of a navigation for recognising it later: its own, or the one of the other end.
fn navigation_member(model: &Model, navigation: &Navigation) -> (String, Option<String>) {
    if let Some(name) = &navigation.name {
        return (name.clone(), navigation.renamed_from.clone());
    }
    let target = &model[navigation.target];
    let partner = &target[navigation.partner];
    let name = partner.name.as_deref().unwrap_or_default();
    let former = match (&target.renamed_from, &partner.renamed_from) {
        (None, None) => None,
        (entity, member) => Some(format!(
            "{}.{}",
            entity.as_ref().unwrap_or(&target.name),
            member.as_deref().unwrap_or(name)
        )),
    };
    (format!("{}.{name}", target.name), former)
}

fn add_reference_columns(
    model: &Model,
    entity: &Entity,
    navigation: &Navigation,
    root: EntityId,
    table: &mut Table,
) {
    let Storage::Own(columns) = &navigation.storage else {
        return;
    };
    let target = &model[navigation.target];
    let (member, renamed_from) = navigation_member(model, navigation);
    let single = columns.len() == 1;
    for (column, key) in columns.iter().zip(&target.key) {
        if column.attribute.is_some() || table.column(&column.column).is_some() {
            continue;
        }
        let key = &target[*key];
        let of_part = |name: &str| {
            if single {
                name.to_owned()
            } else {
                format!("{name}/{}", key.name)
            }
        };
        table.columns.push(Column {
            name: column.column.clone(),
            entity: entity.name.clone(),
            member: of_part(&member),
            renamed_from: renamed_from.as_deref().map(of_part),
            kind: Kind::of(model, key).as_reference(),
            nullable: !navigation.required || navigation.declared_by != root,
            fill: None,
            minimum: None,
            maximum: None,
        });
    }
}

fn member_columns(entity: &Entity, member: Member) -> Vec<&str> {
    match member {
        Member::Attribute(id) => vec![entity[id].column.as_str()],
        Member::Navigation(id) => match &entity[id].storage {
            Storage::Own(columns) => columns
                .iter()
                .map(|column| column.column.as_str())
                .collect(),
            Storage::Target(_) | Storage::Join { .. } => Vec::new(),
        },
    }
}

fn add_declared_indexes(entity: &Entity, table: &mut Table) {
    for unique in &entity.uniques {
        let columns: Vec<&str> = unique
            .members
            .iter()
            .flat_map(|member| member_columns(entity, *member))
            .collect();
        add_index(
            table,
            true,
            columns.iter().map(|name| (*name, false)).collect(),
        );
    }
    for index in &entity.indexes {
        let columns = index
            .members
            .iter()
            .flat_map(|(member, descending)| {
                member_columns(entity, *member)
                    .into_iter()
                    .map(|name| (name, *descending))
            })
            .collect();
        add_index(table, false, columns);
    }
}

fn add_index(table: &mut Table, unique: bool, columns: Vec<(&str, bool)>) {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    if names.is_empty() || names == table.primary_key {
        return;
    }
    let name = if unique {
        physical::unique_name(&table.name, &names)
    } else {
        physical::index_name(&table.name, &names)
    };
    if table.indexes.iter().any(|index| index.name == name) {
        return;
    }
    let columns = columns
        .into_iter()
        .map(|(name, descending)| IndexColumn {
            name: name.to_owned(),
            descending,
            nullable: table.column(name).is_some_and(|column| column.nullable),
        })
        .collect();
    table.indexes.push(Index {
        name,
        unique,
        columns,
    });
}

fn add_foreign_key(model: &Model, navigation: &Navigation, table: &mut Table) {
    let Storage::Own(columns) = &navigation.storage else {
        return;
    };
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column.column.as_str())
        .collect();
    let target = &model[navigation.target];
    let partner = &target[navigation.partner];
    // One to one: the reference itself is unique.
    if !partner.many {
        add_index(
            table,
            true,
            names.iter().map(|name| (*name, false)).collect(),
        );
    }
    let is_prefix =
        |of: &mut dyn Iterator<Item = &str>| names.iter().all(|name| of.next() == Some(name));
    let indexed = is_prefix(&mut table.primary_key.iter().map(String::as_str))
        || table
            .indexes
            .iter()
            .any(|index| is_prefix(&mut index.columns.iter().map(|column| column.name.as_str())));
    if !indexed {
        add_index(
            table,
            false,
            names.iter().map(|name| (*name, false)).collect(),
        );
    }
    // A constraint would change what the owner of an external table may do with it.
    if target.table.external {
        return;
    }
    let name = physical::foreign_key_name(&table.name, &names);
    if table.foreign_keys.iter().any(|key| key.name == name) {
        return;
    }
    let on_delete = match navigation.on_delete {
        _ if partner.contained => DeleteRule::Cascade,
        OnDelete::Prevent => DeleteRule::NoAction,
        OnDelete::Cascade => DeleteRule::Cascade,
        OnDelete::Clear => DeleteRule::SetNull,
    };
    table.foreign_keys.push(ForeignKey {
        name,
        columns: names.iter().map(|&name| name.to_owned()).collect(),
        table: target.table.name.clone(),
        target: key_columns(target),
        on_delete,
    });
}

fn key_columns(entity: &Entity) -> Vec<String> {
    entity
        .key
        .iter()
        .map(|id| entity[*id].column.clone())
        .collect()
}

fn join_table(model: &Model, entity: &Entity, navigation: &Navigation) -> Option<Table> {
    let Storage::Join {
        table: name,
        own,
        target,
    } = &navigation.storage
    else {
        return None;
    };
    let target_entity = &model[navigation.target];
    let (subject, renamed_from) = match &navigation.name {
        Some(member) => (
            format!("{}.{member}", entity.name),
            match (&entity.renamed_from, &navigation.renamed_from) {
                (None, None) => None,
                (former_entity, former) => Some(format!(
                    "{}.{}",
                    former_entity.as_ref().unwrap_or(&entity.name),
                    former.as_ref().unwrap_or(member)
                )),
            },
        ),
        None => navigation_member(model, navigation),
    };
    let external = entity.table.external && target_entity.table.external;
    let mut columns = Vec::new();
    let mut foreign_keys = Vec::new();
    for (end, (entity, names)) in [(entity, own), (target_entity, target)]
        .into_iter()
        .enumerate()
    {
        for (column, key) in names.iter().zip(&entity.key) {
            columns.push(Column {
                name: column.clone(),
                entity: subject.clone(),
                // Ends are told apart by place: both may be the same entity.
                member: format!("{end}/{}", entity[*key].name),
                renamed_from: None,
                kind: Kind::of(model, &entity[*key]).as_reference(),
                nullable: false,
                fill: None,
                minimum: None,
                maximum: None,
            });
        }
        if !entity.table.external {
            let parts: Vec<&str> = names.iter().map(String::as_str).collect();
            foreign_keys.push(ForeignKey {
                name: physical::foreign_key_name(name, &parts),
                columns: names.clone(),
                table: entity.table.name.clone(),
                target: key_columns(entity),
                on_delete: DeleteRule::Cascade,
            });
        }
    }
    let mut table = Table {
        name: name.clone(),
        subject,
        renamed_from,
        external,
        append_only: false,
        discriminator: None,
        types: Vec::new(),
        primary_key: own.iter().chain(target).cloned().collect(),
        columns,
        foreign_keys,
        indexes: Vec::new(),
    };
    if !external {
        let second: Vec<(&str, bool)> = target.iter().map(|name| (name.as_str(), false)).collect();
        add_index(&mut table, false, second);
    }
    Some(table)
}

/// Names of indexes are unique in a database, and `a_b` + `c` gives the same as `a` + `b_c`.
fn keep_index_names_apart(tables: &mut [Table]) {
    let mut taken = std::collections::HashSet::new();
    for index in tables.iter_mut().flat_map(|table| &mut table.indexes) {
        let mut number = 2;
        let plain = index.name.clone();
        while !taken.insert(index.name.clone()) {
            index.name = format!(
                "{}_{number}",
                &plain[..plain.len().min(physical::MAXIMUM_IDENTIFIER - 6)]
            );
            number += 1;
        }
    }
}

impl Kind {
    fn of(model: &Model, attribute: &Attribute) -> Self {
        use stoa_model::model::ColumnType;
        match attribute.column_type {
            Some(ColumnType::SmallInteger) => return Self::SmallInteger,
            Some(ColumnType::Real) => return Self::Real,
            Some(ColumnType::Double) => return Self::Double,
            None => {}
        }
        if attribute.purpose == Purpose::AutoNumber {
            return Self::AutoNumber;
        }
        match attribute.scalar_type {
            ScalarType::String => Self::Text {
                length: attribute.length,
            },
            ScalarType::Integer => Self::Integer,
            ScalarType::Long => Self::Long,
            ScalarType::Decimal { precision, scale } => Self::Decimal { precision, scale },
            ScalarType::Boolean => Self::Boolean,
            ScalarType::DateTime => Self::DateTime,
            ScalarType::Date => Self::Date,
            ScalarType::Time => Self::Time,
            ScalarType::Duration => Self::Duration,
            ScalarType::Uuid => Self::Uuid,
            ScalarType::Binary => Self::Binary {
                length: attribute.length,
            },
            ScalarType::File => Self::File,
            ScalarType::Json => Self::Json,
            ScalarType::Enumeration(id) => Self::Enumeration {
                name: model[id].name.clone(),
            },
        }
    }
}
