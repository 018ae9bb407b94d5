//! What differs between two structures: which table and column of the one is which of the other.

use std::collections::{HashMap, HashSet};

use crate::Dialect;
use crate::kind::{Conversion, Kind};
use crate::structure::{Column, ForeignKey, Index, Named, Structure, Table};

/// Two structures, matched.
pub(crate) struct Difference<'a> {
    pub(crate) old: &'a Structure,
    pub(crate) new: &'a Structure,
    pub(crate) created: Vec<&'a Table>,
    pub(crate) dropped: Vec<&'a Table>,
    pub(crate) kept: Vec<TableDifference<'a>>,
    /// Old table name → new one, of kept tables.
    tables: HashMap<&'a str, &'a str>,
    /// Old table and column name → new column name, of kept columns.
    columns: HashMap<(&'a str, &'a str), &'a str>,
}

/// A table that stays.
pub(crate) struct TableDifference<'a> {
    pub(crate) old: &'a Table,
    pub(crate) new: &'a Table,
    /// All new columns in order.
    pub(crate) columns: Vec<ColumnDifference<'a>>,
    /// Old columns that nothing takes the place of.
    pub(crate) dropped: Vec<&'a Column>,
}

/// A new column and where its values come from.
pub(crate) struct ColumnDifference<'a> {
    pub(crate) new: &'a Column,
    pub(crate) origin: Origin<'a>,
}

/// Where the values of a column come from.
pub(crate) enum Origin<'a> {
    /// The same column before.
    Kept(&'a Column, Conversion),
    /// There was none.
    Added,
    /// One whose values mean nothing as the new kind.
    Replaces(&'a Column),
}

impl<'a> Difference<'a> {
    pub(crate) fn between(old: &'a Structure, new: &'a Structure) -> Self {
        let mut difference = Self {
            old,
            new,
            created: Vec::new(),
            dropped: Vec::new(),
            kept: Vec::new(),
            tables: HashMap::new(),
            columns: HashMap::new(),
        };
        let pairs = match_tables(old, new);
        let formers = former_entities(new);
        let mut matched = HashSet::new();
        for (table, former) in pairs {
            match former {
                None => difference.created.push(table),
                Some(former) => {
                    matched.insert(former.name.as_str());
                    difference.tables.insert(&former.name, &table.name);
                    let kept = match_columns(former, table, &formers);
                    for column in &kept.columns {
                        if let Origin::Kept(before, _) = &column.origin {
                            difference
                                .columns
                                .insert((&former.name, &before.name), &column.new.name);
                        }
                    }
                    difference.kept.push(kept);
                }
            }
        }
        difference.dropped = old
            .tables
            .iter()
            .filter(|table| {
                !table.external
                    && !matched.contains(table.name.as_str())
                    // Given to somebody else: no longer ours to drop.
                    && !new.table(&table.name).is_some_and(|table| table.external)
            })
            .collect();
        difference
    }

    fn column_now(&self, table: &str, column: &str) -> Option<&'a str> {
        let table = self.old.table(table)?.name.as_str();
        self.columns.get(&(table, column)).copied()
    }

    /// Names of columns now; none if one of them is gone.
    pub(crate) fn columns_now(&self, table: &str, columns: &[String]) -> Option<Vec<&'a str>> {
        columns
            .iter()
            .map(|column| self.column_now(table, column))
            .collect()
    }

    /// Names of columns before; none if one of them is new.
    pub(crate) fn columns_before(
        table: &TableDifference<'a>,
        columns: &[String],
    ) -> Option<Vec<&'a Column>> {
        columns
            .iter()
            .map(|name| {
                table.columns.iter().find_map(|column| match column.origin {
                    Origin::Kept(before, _) if column.new.name == *name => Some(before),
                    _ => None,
                })
            })
            .collect()
    }

    /// The foreign key of the new structure that an old one has become.
    pub(crate) fn foreign_key_now(
        &self,
        table: &TableDifference<'a>,
        key: &ForeignKey,
    ) -> Option<&'a ForeignKey> {
        let target = self.tables.get(key.table.as_str())?;
        let columns = self.columns_now(&table.old.name, &key.columns)?;
        let referred = self.columns_now(&key.table, &key.target)?;
        table.new.foreign_keys.iter().find(|other| {
            other.table == *target
                && other.on_delete == key.on_delete
                && other.columns.iter().eq(columns.iter())
                && other.target.iter().eq(referred.iter())
        })
    }

    /// The index of the new structure that an old one has become.
    pub(crate) fn index_now(
        &self,
        table: &TableDifference<'a>,
        index: &Index,
    ) -> Option<&'a Index> {
        table.new.indexes.iter().find(|other| {
            other.unique == index.unique
                && other.columns.len() == index.columns.len()
                && other
                    .columns
                    .iter()
                    .zip(&index.columns)
                    .all(|(now, before)| {
                        now.descending == before.descending
                            && now.nullable == before.nullable
                            && self.column_now(&table.old.name, &before.name)
                                == Some(now.name.as_str())
                    })
        })
    }

    /// Whether the key is made of the same columns as before.
    pub(crate) fn key_is_kept(&self, table: &TableDifference<'a>) -> bool {
        self.columns_now(&table.old.name, &table.old.primary_key)
            .is_some_and(|columns| table.new.primary_key.iter().eq(columns.iter()))
    }

    /// Whether the physical type of an old column changes, or the column goes.
    pub(crate) fn retypes(&self, table: &str, column: &str, dialect: Dialect) -> bool {
        let Some(difference) = self.kept.iter().find(|kept| kept.old.name == table) else {
            return true;
        };
        !difference.columns.iter().any(|other| match &other.origin {
            Origin::Kept(before, _) => {
                before.name == column && before.kind.sql(dialect) == other.new.kind.sql(dialect)
            }
            Origin::Added | Origin::Replaces(_) => false,
        })
    }

    /// Members of an enumeration of the old structure with their new names, where those differ.
    pub(crate) fn renamed_members(&self, before: &Kind, now: &Kind) -> Vec<(&'a str, &'a str)> {
        let (Kind::Enumeration { name: before }, Kind::Enumeration { name: now }) = (before, now)
        else {
            return Vec::new();
        };
        let (Some(before), Some(now)) = (self.old.enumeration(before), self.new.enumeration(now))
        else {
            return Vec::new();
        };
        let had = |name: &str| before.members.iter().any(|member| member.name == name);
        let has = |name: &str| now.members.iter().any(|member| member.name == name);
        now.members
            .iter()
            .filter_map(|member| {
                let former = member.renamed_from.as_deref()?;
                (had(former) && !has(former) && !had(&member.name))
                    .then_some((former, member.name.as_str()))
            })
            .collect()
    }

    /// Names that a column may hold now to be legal as the enumeration `to` later; none if `to` is no
    /// enumeration or takes all that there can be.
    pub(crate) fn legal_members(&self, before: &Kind, to: &Kind) -> Option<Vec<&'a str>> {
        let Kind::Enumeration { name } = to else {
            return None;
        };
        let mut legal: Vec<&str> = self
            .new
            .enumeration(name)
            .map(|now| {
                now.members
                    .iter()
                    .map(|member| member.name.as_str())
                    .collect()
            })
            .unwrap_or_default();
        legal.extend(
            self.renamed_members(before, to)
                .iter()
                .map(|(former, _)| *former),
        );
        if let Kind::Enumeration { name } = before
            && let Some(before) = self.old.enumeration(name)
            && before
                .members
                .iter()
                .all(|member| legal.contains(&member.name.as_str()))
        {
            return None;
        }
        Some(legal)
    }
}

impl<'a> TableDifference<'a> {
    /// Entities whose name in the discriminator changes.
    pub(crate) fn renamed_types(&self) -> Vec<(&'a str, &'a str)> {
        let had = |name: &str| self.old.types.iter().any(|other| other.name == name);
        let has = |name: &str| self.new.types.iter().any(|other| other.name == name);
        self.new
            .types
            .iter()
            .filter_map(|entity| {
                let former = entity.renamed_from.as_deref()?;
                (had(former) && !has(former) && !had(&entity.name))
                    .then_some((former, entity.name.as_str()))
            })
            .collect()
    }

    /// Entities that are no longer in this table.
    pub(crate) fn removed_types(&self) -> Vec<&'a str> {
        let renamed = self.renamed_types();
        self.old
            .types
            .iter()
            .map(|entity| entity.name.as_str())
            .filter(|name| {
                !self.new.types.iter().any(|other| other.name == *name)
                    && !renamed.iter().any(|(former, _)| former == name)
                    // The root is the table itself.
                    && *name != self.old.subject
            })
            .collect()
    }
}

/// Whether the second thing is what the first was before; the surest rule comes first.
type Rule<'a, T> = &'a dyn Fn(&T, &T) -> bool;

/// Each table that Stoa shall own, with the one that it is now.
fn match_tables<'a>(old: &'a Structure, new: &'a Structure) -> Vec<(&'a Table, Option<&'a Table>)> {
    let mut free: Vec<&Table> = old.tables.iter().filter(|table| !table.external).collect();
    let wanted: Vec<&Table> = new.tables.iter().filter(|table| !table.external).collect();
    let mut pairs: Vec<(&Table, Option<&Table>)> =
        wanted.iter().map(|table| (*table, None)).collect();
    let rules: [Rule<'_, Table>; 3] = [
        &|table, former| table.subject == former.subject,
        &|table, former| table.renamed_from.as_deref() == Some(former.subject.as_str()),
        &|table, former| {
            table.name == former.name && table.types.is_empty() == former.types.is_empty()
        },
    ];
    for rule in rules {
        for (table, found) in &mut pairs {
            if found.is_none()
                && let Some(position) = free.iter().position(|former| rule(table, former))
            {
                *found = Some(free.remove(position));
            }
        }
    }
    pairs
}

/// An entity whose rows would have to go to another table.
pub(crate) struct Move<'a> {
    pub(crate) entity: &'a Named,
    pub(crate) from: &'a Table,
    pub(crate) to: &'a Table,
}

/// Entities that are in both structures, in tables that have nothing to do with each other.
pub(crate) fn moves<'a>(old: &'a Structure, new: &'a Structure) -> Vec<Move<'a>> {
    let mut moves = Vec::new();
    for (to, former) in match_tables(old, new) {
        for now in &to.types {
            let is_it = |entity: &&Named| {
                entity.name == now.name || Some(&entity.name) == now.renamed_from.as_ref()
            };
            let before = old
                .tables
                .iter()
                .filter(|table| !table.external)
                .find_map(|table| Some((table, table.types.iter().find(is_it)?)));
            if let Some((from, entity)) = before
                && former.is_none_or(|former| former.name != from.name)
            {
                moves.push(Move { entity, from, to });
            }
        }
    }
    moves
}

/// Former names of entities by their present ones.
fn former_entities(new: &Structure) -> HashMap<&str, &str> {
    new.tables
        .iter()
        .flat_map(|table| {
            let entities = table
                .types
                .iter()
                .map(|entity| (&entity.name, &entity.renamed_from));
            entities.chain(std::iter::once((&table.subject, &table.renamed_from)))
        })
        .filter_map(|(name, former)| Some((name.as_str(), former.as_deref()?)))
        .collect()
}

fn match_columns<'a>(
    old: &'a Table,
    new: &'a Table,
    formers: &HashMap<&str, &str>,
) -> TableDifference<'a> {
    let mut free: Vec<&Column> = old.columns.iter().collect();
    let mut found: Vec<Option<&Column>> = vec![None; new.columns.len()];
    let same_entity = |now: &Column, before: &Column| {
        now.entity == before.entity
            || formers.get(now.entity.as_str()) == Some(&before.entity.as_str())
    };
    let rules: [Rule<'_, Column>; 3] = [
        &|now, before| same_entity(now, before) && now.member == before.member,
        &|now, before| {
            same_entity(now, before) && now.renamed_from.as_deref() == Some(before.member.as_str())
        },
        &|now, before| now.name == before.name,
    ];
    for rule in rules {
        for (now, found) in new.columns.iter().zip(&mut found) {
            if found.is_none()
                && let Some(position) = free.iter().position(|before| rule(now, before))
            {
                *found = Some(free.remove(position));
            }
        }
    }
    let columns = new
        .columns
        .iter()
        .zip(found)
        .map(|(now, before)| ColumnDifference {
            new: now,
            origin: match before {
                None => Origin::Added,
                Some(before) => match before.kind.conversion(&now.kind) {
                    Conversion::Replace => Origin::Replaces(before),
                    conversion => Origin::Kept(before, conversion),
                },
            },
        })
        .collect();
    TableDifference {
        old,
        new,
        columns,
        dropped: free,
    }
}

/// Puts renames into an order in which no name is taken yet, over a temporary name where they go round in
/// a circle.
pub(crate) fn ordered_renames<'a>(mut renames: Vec<(&'a str, &'a str)>) -> Vec<(String, String)> {
    let mut ordered = Vec::with_capacity(renames.len());
    let mut last: Vec<(String, String)> = Vec::new();
    while !renames.is_empty() {
        let free = renames
            .iter()
            .position(|(_, to)| !renames.iter().any(|(from, _)| from == to));
        if let Some(position) = free {
            let (from, to) = renames.remove(position);
            ordered.push((from.to_owned(), to.to_owned()));
        } else {
            let (from, to) = renames.remove(0);
            let temporary = format!("_stoa_rename_{}", last.len());
            ordered.push((from.to_owned(), temporary.clone()));
            last.push((temporary, to.to_owned()));
        }
    }
    ordered.extend(last);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_in_a_chain_and_in_a_circle_find_an_order() {
        let text = |renames: Vec<(&str, &str)>| {
            ordered_renames(renames)
                .iter()
                .map(|(from, to)| format!("{from}>{to}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(text(vec![("a", "b"), ("b", "c")]), "b>c a>b");
        assert_eq!(
            text(vec![("a", "b"), ("b", "a")]),
            "a>_stoa_rename_0 b>a _stoa_rename_0>b"
        );
    }
}
