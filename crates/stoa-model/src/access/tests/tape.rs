//! Random models, rules, conditions and rows, from choices that can be made simpler.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::{access, entity, model};
use super::world::{Row, World};
use crate::access::Access;
use crate::model::{Model, RoleId};
use crate::value::Value;

pub(super) const SHAPE: &str = r#"
[role.One]
[role.Two]
[entity.Item.attributes]
X = { type = "Integer" }
Y = { type = "Integer" }
F = { type = "Boolean" }
[entity.Item.associations]
Owner = { to = "Box", inverse = "Items" }
[entity.Box.attributes]
Z = { type = "Integer" }
W = { type = "Integer" }
G = { type = "Boolean" }
[entity.Box.associations]
Parent = { to = "Box", inverse = "Parts" }
[entity.Crate]
extends = "Box"
[entity.Crate.attributes]
V = { type = "Integer" }
[entity.Crate.associations]
Label = { to = "Item", inverse = "Labelled" }
[entity.Bag]
extends = "Box"
[entity.Bag.attributes]
U = { type = "Integer" }
[entity.Bag.associations]
Tag = { to = "Box", inverse = "Tagged" }
"#;

pub(super) const ENTITIES: [&str; 4] = ["Item", "Box", "Crate", "Bag"];

/// Choices, one after the other; the same when they run out.
pub(super) struct Tape<'t> {
    rest: std::slice::Iter<'t, u8>,
    /// Rows outside of the lambda that is being written: prefix and entity.
    outer: Vec<(String, &'static str)>,
}

impl<'t> Tape<'t> {
    pub(super) fn new(choices: &'t [u8]) -> Self {
        Self {
            rest: choices.iter(),
            outer: Vec::new(),
        }
    }

    pub(super) fn below(&mut self, choices: usize) -> usize {
        usize::from(self.rest.next().copied().unwrap_or(0)) % choices
    }

    pub(super) fn of<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.below(choices.len())]
    }

    fn number(&mut self) -> &'static str {
        self.of(&["0", "1", "2", "null"])
    }

    /// A condition on rows of an entity; members are reached by `prefix`.
    pub(super) fn condition(
        &mut self,
        entity: &'static str,
        prefix: &str,
        depth: usize,
        next: &mut usize,
    ) -> String {
        let choices = if depth == 0 { 6 } else { 14 };
        match self.below(choices) {
            0 | 1 => {
                let member = self.member(entity, prefix);
                let operator = self.of(&["eq", "ne", "lt", "ge"]);
                let number = self.number();
                format!("{member} {operator} {number}")
            }
            2 => {
                let (left, right) = (self.member(entity, prefix), self.member(entity, prefix));
                format!("{left} {} {right}", self.of(&["eq", "ne", "gt"]))
            }
            3 => {
                let member = self.member(entity, prefix);
                format!("{member} in ({},{})", self.number(), self.number())
            }
            4 => {
                let (to, _) = one(self, entity);
                format!("{prefix}{to} {} null", self.of(&["eq", "ne"]))
            }
            // May be null, unlike a comparison.
            5 => format!("{prefix}{}", if entity == "Item" { "F" } else { "G" }),
            6 => {
                let left = self.condition(entity, prefix, depth - 1, next);
                let right = self.condition(entity, prefix, depth - 1, next);
                format!("(({left}) {} ({right}))", self.of(&["and", "or"]))
            }
            7 => format!("not ({})", self.condition(entity, prefix, depth - 1, next)),
            8..=11 => {
                let (rows, target) = self.rows(entity, prefix);
                *next += 1;
                let variable = format!("v{next}");
                self.outer.push((outer(prefix), entity));
                let inner = self.condition(target, &format!("{variable}/"), depth - 1, next);
                self.outer.pop();
                format!("{rows}/{}({variable}:{inner})", self.of(&["any", "all"]))
            }
            12 => {
                let (rows, target) = self.rows(entity, prefix);
                let before = self.outer.clone();
                self.outer.push((outer(prefix), entity));
                // It means the innermost row that is counted.
                self.outer.retain(|(prefix, _)| prefix != "$this/");
                let inner = self.condition(target, "$this/", depth - 1, next);
                self.outer = before;
                let filter = self.of(&["", "f"]);
                let filter = if filter.is_empty() {
                    String::new()
                } else {
                    format!("($filter={inner})")
                };
                format!("{rows}/$count{filter} {} 1", self.of(&["gt", "eq"]))
            }
            _ => {
                let (to, target) = one(self, entity);
                match target {
                    "Box" => format!("isof({prefix}{to},shop.{})", self.of(&["Crate", "Bag"])),
                    _ => format!("{prefix}{to} ne null"),
                }
            }
        }
    }

    /// An attribute, perhaps over to-one navigations or of a specialisation.
    pub(super) fn member(&mut self, entity: &str, prefix: &str) -> String {
        match self.below(4) {
            3 if !self.outer.is_empty() => {
                let position = self.below(self.outer.len());
                let (prefix, entity) = self.outer[position].clone();
                format!("{prefix}{}", self.attribute(entity))
            }
            0 => {
                let (to, target) = one(self, entity);
                let prefix = format!("{prefix}{to}/");
                let own = self.below(2) == 0;
                if own {
                    let attribute = self.attribute(target);
                    format!("{prefix}{attribute}")
                } else {
                    self.member(target, &prefix)
                }
            }
            _ => format!("{prefix}{}", self.attribute(entity)),
        }
    }

    pub(super) fn attribute(&mut self, entity: &str) -> &'static str {
        match entity {
            "Item" => self.of(&["X", "Y"]),
            "Box" => self.of(&["Z", "W", "shop.Crate/V", "shop.Bag/U"]),
            "Crate" => self.of(&["Z", "W", "V"]),
            _ => self.of(&["Z", "W", "U"]),
        }
    }

    fn rows(&mut self, entity: &str, prefix: &str) -> (String, &'static str) {
        let (rows, target) = match entity {
            "Item" => return self.rows_over(prefix, "Owner"),
            _ => match self.below(3) {
                0 => ("Items", "Item"),
                1 => ("Parts", "Box"),
                _ => ("Tagged", "Bag"),
            },
        };
        (format!("{prefix}{rows}"), target)
    }

    fn rows_over(&mut self, prefix: &str, to: &str) -> (String, &'static str) {
        if self.below(2) == 0 {
            return (format!("{prefix}Labelled"), "Crate");
        }
        self.rows("Box", &format!("{prefix}{to}/"))
    }

    fn rules(&mut self) -> String {
        let mut text = String::new();
        for entity in ENTITIES {
            for _ in 0..self.below(4) {
                let role = self.of(&["One", "Two"]);
                let (read, write) = (self.members(entity), self.members(entity));
                text += &format!("[[entity.{entity}.access]]\nrole = \"{role}\"\nread = {read}\n");
                text += &format!("write = {write}\n");
                for permission in ["create", "delete"] {
                    text += &match self.below(4) {
                        0 => {
                            let condition = self.condition(entity, "", 1, &mut 0);
                            format!("{permission} = \"{condition}\"\n")
                        }
                        1 => String::new(),
                        _ => format!("{permission} = true\n"),
                    };
                }
                if self.below(3) > 0 {
                    let condition = self.condition(entity, "", 2, &mut 0);
                    text += &format!("where = \"{condition}\"\n");
                }
            }
        }
        text
    }

    fn members(&mut self, entity: &str) -> String {
        let members: &[&str] = match entity {
            "Item" => &["X", "Y", "F", "Owner", "Labelled"],
            "Box" => &["Z", "W", "G", "Parent", "Parts", "Items", "Tagged"],
            "Crate" => &["Z", "G", "V", "Label", "Items", "Parent"],
            _ => &["W", "U", "Tag", "Parts", "Tagged"],
        };
        if self.below(3) == 0 {
            return "\"*\"".to_owned();
        }
        let chosen: Vec<_> = members
            .iter()
            .filter(|_| self.below(2) == 0)
            .map(|name| format!("\"{name}\""))
            .collect();
        format!("[{}]", chosen.join(", "))
    }

    pub(super) fn world<'m>(&mut self, model: &'m Model, roles: &[RoleId]) -> World<'m> {
        let id = |name: &str| entity(model, name);
        let (items, boxes) = (4, 5);
        let mut rows = Vec::new();
        for row in 0..items + boxes {
            let (name, values): (_, &[&str]) = if row < items {
                ("Item", &["X", "Y"])
            } else {
                match self.below(3) {
                    0 => ("Box", &["Z", "W"]),
                    1 => ("Crate", &["Z", "W", "V"]),
                    _ => ("Bag", &["Z", "W", "U"]),
                }
            };
            let mut values: BTreeMap<String, Value> = values
                .iter()
                .map(|value| {
                    let numbers = [0, 1, 2].map(Value::Integer);
                    let number = numbers.get(self.below(4)).cloned();
                    ((*value).to_owned(), number.unwrap_or(Value::Null))
                })
                .collect();
            let truths = [true, false].map(Value::Boolean);
            let truth = truths.get(self.below(3)).cloned();
            let flag = if row < items { "F" } else { "G" };
            values.insert(flag.to_owned(), truth.unwrap_or(Value::Null));
            let mut to = BTreeMap::new();
            let mut refer = |name: &str, first: usize, count: usize| {
                let target = self.below(count + 1);
                if target < count {
                    to.insert(name.to_owned(), first + target);
                }
            };
            match name {
                "Item" => refer("Owner", items, boxes),
                _ => refer("Parent", items, boxes),
            }
            match name {
                "Crate" => refer("Label", 0, items),
                "Bag" => refer("Tag", items, boxes),
                _ => {}
            }
            rows.push(Row {
                entity: id(name),
                values,
                to,
            });
        }
        World {
            model,
            rows,
            roles: roles.to_vec(),
        }
    }
}

/// What stands for a row inside of a lambda.
fn outer(prefix: &str) -> String {
    if prefix.is_empty() {
        "$it/".to_owned()
    } else {
        prefix.to_owned()
    }
}

/// A to-one navigation, and where it leads.
fn one(tape: &mut Tape<'_>, entity: &str) -> (&'static str, &'static str) {
    match (entity, tape.below(2)) {
        ("Item", _) => ("Owner", "Box"),
        ("Crate", 0) => ("Label", "Item"),
        ("Bag", 0) => ("Tag", "Box"),
        _ => ("Parent", "Box"),
    }
}

pub(super) struct Case {
    pub(super) model: Arc<Model>,
    pub(super) access: Access,
    /// For those who read of a failure.
    pub(super) rules: String,
}

pub(super) fn case(tape: &mut Tape<'_>) -> Case {
    let rules = tape.rules();
    let model = model(&format!("{SHAPE}{rules}"));
    let roles: &[&str] = if tape.below(2) == 0 {
        &["One"]
    } else {
        &["One", "Two"]
    };
    Case {
        access: access(&model, roles),
        model,
        rules,
    }
}
