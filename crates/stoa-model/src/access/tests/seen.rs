//! Random rules, rows and requests: what is rewritten gives what somebody who sees only the permitted part
//! of the rows would get from the request as it was.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::text::{access, entity, model, query};
use super::world::{Row, World};
use crate::access::Access;
use crate::expression::bind::Binder;
use crate::expression::{Expression, Variable, syntax};
use crate::model::{EntityId, Model, RoleId};
use crate::query::{OrderTerm, ROW, Source};
use crate::value::Value;

const SHAPE: &str = r#"
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

const ENTITIES: [&str; 4] = ["Item", "Box", "Crate", "Bag"];

/// Choices, one after the other; the same when they run out.
struct Tape<'t> {
    rest: std::slice::Iter<'t, u8>,
    /// Rows outside of the lambda that is being written: prefix and entity.
    outer: Vec<(String, &'static str)>,
}

impl<'t> Tape<'t> {
    fn new(choices: &'t [u8]) -> Self {
        Self {
            rest: choices.iter(),
            outer: Vec::new(),
        }
    }

    fn below(&mut self, choices: usize) -> usize {
        usize::from(self.rest.next().copied().unwrap_or(0)) % choices
    }

    fn of<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.below(choices.len())]
    }

    fn number(&mut self) -> &'static str {
        self.of(&["0", "1", "2", "null"])
    }

    /// A condition on rows of an entity; members are reached by `prefix`.
    fn condition(
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
    fn member(&mut self, entity: &str, prefix: &str) -> String {
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

    fn attribute(&mut self, entity: &str) -> &'static str {
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
                let read = self.read(entity);
                text += &format!("[[entity.{entity}.access]]\nrole = \"{role}\"\nread = {read}\n");
                if self.below(3) > 0 {
                    let condition = self.condition(entity, "", 2, &mut 0);
                    text += &format!("where = \"{condition}\"\n");
                }
            }
        }
        text
    }

    fn read(&mut self, entity: &str) -> String {
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

    fn world<'m>(&mut self, model: &'m Model, roles: &[RoleId]) -> World<'m> {
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

fn bound(view: &Model, of: EntityId, text: &str, is_condition: bool) -> Option<Expression> {
    let node = syntax::parse(text, syntax::Limits::default()).unwrap();
    let mut binder = Binder::new(view, of);
    if is_condition {
        binder.boolean(&node).ok()
    } else {
        binder.scalar(&node).map(|(expression, _)| expression).ok()
    }
}

/// Every lambda has a variable of its own, and none is the row.
fn are_separate(expression: &Expression) -> bool {
    let mut known: HashSet<Variable> = HashSet::from([ROW]);
    let mut are_separate = true;
    expression.walk(|part| {
        if let Expression::AsType { variable, .. }
        | Expression::Lambda { variable, .. }
        | Expression::Count { variable, .. } = part
        {
            are_separate &= known.insert(*variable);
        }
    });
    are_separate
}

struct Case {
    model: Arc<Model>,
    access: Access,
}

fn case(tape: &mut Tape<'_>) -> Case {
    let model = model(&format!("{SHAPE}{}", tape.rules()));
    let roles: &[&str] = if tape.below(2) == 0 {
        &["One"]
    } else {
        &["One", "Two"]
    };
    Case {
        access: access(&model, roles),
        model,
    }
}

fn check(tape: &[u8]) -> Result<(), TestCaseError> {
    let mut tape = Tape::new(tape);
    let Case { model, access } = case(&mut tape);
    let world = tape.world(&model, &access.roles);
    let name = ENTITIES[tape.below(4)];
    let of = entity(&model, name);
    let view = access.view();
    let text = tape.condition(name, "", 3, &mut 0);
    let filter = bound(view, of, &text, true);
    let member = tape.member(name, "");
    let value = bound(view, of, &member, false);
    let mut asked = query(&access, name, "", &[]);
    asked.filter = filter.clone();
    asked.order = value
        .iter()
        .map(|expression| OrderTerm {
            expression: expression.clone(),
            descending: false,
        })
        .collect();
    let rewritten = access.query(asked.clone(), &[]).into_inner();
    let fits = |expression: &Expression| are_separate(expression);
    prop_assert!(rewritten.filter.iter().all(fits), "{text}");
    for row in (0..world.rows.len()).filter(|row| world.is_a(*row, of)) {
        let is_visible = world.is_visible(row);
        let wanted = is_visible
            && filter
                .as_ref()
                .is_none_or(|filter| world.holds(row, of, true, filter));
        let found = rewritten
            .filter
            .as_ref()
            .is_none_or(|filter| world.holds(row, of, false, filter));
        prop_assert_eq!(
            found,
            wanted,
            "{} row {}: {:?}",
            text,
            row,
            rewritten.filter
        );
        if !is_visible {
            continue;
        }
        for (before, after) in asked.order.iter().zip(&rewritten.order) {
            prop_assert!(are_separate(&after.expression));
            let wanted = world.value(row, of, true, &before.expression);
            let found = world.value(row, of, false, &after.expression);
            prop_assert_eq!(found, wanted, "{} row {}: {:?}", member, row, after);
        }
        let selection = &rewritten.selection;
        let own = selection.attributes.iter().map(|id| (of, *id));
        let all = own.chain(selection.specialised.iter().copied());
        for (position, (owner, id)) in all.enumerate() {
            let name = &model[owner][id].name;
            let is_free = model[owner].key.contains(&id) || name == "_version";
            if !world.is_a(row, owner) || is_free {
                continue;
            }
            let mask = selection
                .masks
                .iter()
                .find(|mask| mask.position == position);
            let found = mask.is_none_or(|mask| world.holds(row, of, false, &mask.condition));
            prop_assert_eq!(found, world.is_readable(row, name), "{} row {}", name, row);
        }
    }
    // Nobody's restricted eyes are needed for a path of a source.
    prop_assert_eq!(rewritten.source, Source::All);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn rewritten_requests_see_what_the_reader_sees(tape in prop::collection::vec(any::<u8>(), 100..400)) {
        check(&tape)?;
    }

    #[test]
    fn whoever_may_everything_asks_as_before(tape in prop::collection::vec(any::<u8>(), 10..120)) {
        let rules: String = ENTITIES
            .iter()
            .map(|name| format!("[[entity.{name}.access]]\nrole = \"One\"\nread = \"*\"\n"))
            .collect();
        let model = model(&format!("{SHAPE}{rules}"));
        let access = access(&model, &["One"]);
        let mut tape = Tape::new(&tape);
        let name = ENTITIES[tape.below(4)];
        let of = entity(&model, name);
        let mut asked = query(&access, name, "", &[]);
        asked.filter = bound(access.view(), of, &tape.condition(name, "", 3, &mut 0), true);
        prop_assert_eq!(access.query(asked.clone(), &[]).into_inner(), asked);
    }
}
