//! Random rules, rows and changes: what is judged allows what the rules say, read plainly.

use proptest::prelude::*;

use super::tape::{Case, ENTITIES, Tape, case};
use super::text::{attribute, entity, navigation};
use super::world::{Row, World};
use crate::access::{Actor, Demand, Judgement, RowJudgement};
use crate::change::{Action, Change, Expected, Operation, Reference, Target};
use crate::model::{AccessRule, AttributeId, EntityId, Permission};
use crate::value::Value;

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    NotFound,
    Forbidden,
}

fn outcome(is_there: bool, is_allowed: bool) -> Outcome {
    match (is_there, is_allowed) {
        (false, _) => Outcome::NotFound,
        (true, true) => Outcome::Done,
        (true, false) => Outcome::Forbidden,
    }
}

/// The end at the target of a to-one association.
fn partner(name: &str) -> &'static str {
    match name {
        "Owner" => "Items",
        "Parent" => "Parts",
        "Label" => "Labelled",
        "Tag" => "Tagged",
        other => panic!("{other}"),
    }
}

fn may_link(world: &World<'_>, holder: usize, name: &str) -> bool {
    world.is_writable(holder, name)
        || world.rows[holder]
            .to
            .get(name)
            .is_none_or(|target| world.is_writable(*target, partner(name)))
}

fn sees_target(world: &World<'_>, holder: usize, name: &str) -> bool {
    let target = world.rows[holder].to.get(name);
    target.is_none_or(|target| world.is_visible(*target))
}

fn permits(world: &World<'_>, row: usize, permission: impl Fn(&AccessRule) -> &Permission) -> bool {
    world
        .matching(row)
        .any(|(entity, rule)| match permission(rule) {
            Permission::Denied => false,
            Permission::Granted => true,
            Permission::When(condition) => world.holds(row, entity, false, condition),
        })
}

/// What is given in a body, and the row afterwards.
struct Given {
    values: Vec<(&'static str, Value)>,
    to: Vec<(&'static str, Option<usize>)>,
}

impl Given {
    fn new(tape: &mut Tape<'_>, name: &str, world: &World<'_>) -> Self {
        let (values, to): (&[&'static str], &[(&'static str, bool)]) = match name {
            "Item" => (&["X", "Y", "F"], &[("Owner", false)]),
            "Box" => (&["Z", "W", "G"], &[("Parent", false)]),
            "Crate" => (&["Z", "W", "V"], &[("Parent", false), ("Label", true)]),
            _ => (&["Z", "G", "U"], &[("Parent", false), ("Tag", false)]),
        };
        let mut given = Self {
            values: Vec::new(),
            to: Vec::new(),
        };
        for name in values {
            if tape.below(3) == 0 {
                let value = match (*name, tape.below(4)) {
                    (_, 3) => Value::Null,
                    ("F" | "G", number) => Value::Boolean(number == 0),
                    (_, number) => Value::Integer(number as i64),
                };
                given.values.push((*name, value));
            }
        }
        for (name, is_item) in to {
            if tape.below(3) == 0 {
                let wanted = if *is_item { "Item" } else { "Box" };
                let target = tape.below(world.rows.len());
                let fits = world.is_a(target, entity(world.model, wanted));
                given.to.push((*name, fits.then_some(target)));
            }
        }
        given
    }

    fn apply(&self, row: &mut Row) {
        for (name, value) in &self.values {
            row.values.insert((*name).to_owned(), value.clone());
        }
        for (name, target) in &self.to {
            row.to.remove(*name);
            row.to
                .extend(target.map(|target| ((*name).to_owned(), target)));
        }
    }

    fn bound(
        &self,
        world: &World<'_>,
        of: EntityId,
    ) -> (Vec<(AttributeId, Value)>, Vec<Reference>) {
        let values = self.values.iter();
        let references = self.to.iter();
        (
            values
                .map(|(name, value)| (attribute(world.model, of, name), value.clone()))
                .collect(),
            references
                .map(|(name, to)| Reference {
                    navigation: navigation(world.model, of, name),
                    to: to.map(|_| key()),
                })
                .collect(),
        )
    }
}

/// Which row is meant is none of the judgement's business.
fn key() -> Target {
    Target::Key(vec![Value::Uuid(uuid::Uuid::nil())])
}

fn updated(
    before: &World<'_>,
    after: &World<'_>,
    of: EntityId,
    row: usize,
    given: &Given,
) -> Outcome {
    let model = before.model;
    let is_in_line = |other: EntityId| {
        other == of
            || model[other].specialisations.contains(&of)
            || model[of].specialisations.contains(&other)
    };
    // Somewhere, for some row.
    let may_ever = |name: &str| {
        model
            .entities
            .iter()
            .filter(|entity| is_in_line(entity.id))
            .any(|entity| {
                let mut rules = entity.access.iter();
                rules.any(|rule| {
                    before.roles.contains(&rule.role) && before.names(entity.id, &rule.write, name)
                })
            })
    };
    let values = given.values.iter().all(|(name, value)| {
        let is_unchanged = before.is_readable(row, name)
            && before.rows[row].values.get(*name).unwrap_or(&Value::Null) == value;
        let is_fine_before = is_unchanged || before.is_writable(row, name);
        is_fine_before && (!may_ever(name) || after.is_writable(row, name))
    });
    let references = given.to.iter().all(|(name, _)| {
        may_link(before, row, name) && may_link(after, row, name) && sees_target(after, row, name)
    });
    outcome(before.is_visible(row), values && references)
}

fn inserted(after: &World<'_>, row: usize, given: &Given) -> Outcome {
    let values = given
        .values
        .iter()
        .all(|(name, value)| value.is_null() || after.is_writable(row, name));
    let references = given
        .to
        .iter()
        .all(|(name, _)| may_link(after, row, name) && sees_target(after, row, name));
    let is_created = permits(after, row, |rule| &rule.create);
    outcome(true, is_created && values && references)
}

fn fulfilled(world: &World<'_>, of: EntityId, row: usize, demands: &[Demand]) -> bool {
    demands
        .iter()
        .all(|demand| world.holds(row, of, false, &demand.condition))
}

fn judged(
    (before, after): (&World<'_>, &World<'_>),
    of: EntityId,
    row: usize,
    judgement: &RowJudgement,
) -> Outcome {
    let visible = judgement.visible.as_ref();
    outcome(
        visible.is_none_or(|visible| before.holds(row, of, false, visible)),
        fulfilled(before, of, row, &judgement.before)
            && fulfilled(after, of, row, &judgement.after),
    )
}

fn check(tape: &[u8]) -> Result<(), TestCaseError> {
    let mut tape = Tape::new(tape);
    let Case { model, access, .. } = case(&mut tape);
    let before = tape.world(&model, &access.roles);
    let judge = |action: Action| {
        let operation = Operation {
            location: String::new(),
            action,
        };
        let change = Change {
            operations: vec![operation],
        };
        let judged = access.change(change, &[], 0, Actor::default()).ok()?;
        Some(judged.judgements.first().cloned().unwrap_or_default())
    };
    let name = ENTITIES[tape.below(4)];
    let of = entity(&model, name);
    let given = Given::new(&mut tape, name, &before);
    let (values, references) = given.bound(&before, of);
    let rows = (0..before.rows.len()).filter(|row| before.is_a(*row, of));
    for row in rows.clone() {
        let mut after = before.clone();
        given.apply(&mut after.rows[row]);
        let judgement: Option<Judgement> = judge(Action::Update {
            entity: of,
            target: key(),
            expected: Expected::Any,
            values: values.clone(),
            references: references.clone(),
        });
        let found = judged((&before, &after), of, row, &judgement.unwrap().row);
        prop_assert_eq!(
            found,
            updated(&before, &after, of, row, &given),
            "update {}",
            row
        );
        let judgement = judge(Action::Delete {
            entity: of,
            target: key(),
            expected: Expected::Any,
        });
        let found = judged((&before, &before), of, row, &judgement.unwrap().row);
        let wanted = outcome(
            before.is_visible(row),
            permits(&before, row, |rule| &rule.delete),
        );
        prop_assert_eq!(found, wanted, "delete {}", row);
    }
    let mut after = before.clone();
    after.rows.push(Row {
        entity: of,
        values: Default::default(),
        to: Default::default(),
    });
    let row = before.rows.len();
    given.apply(&mut after.rows[row]);
    let found = match judge(Action::Insert {
        entity: of,
        values,
        references,
    }) {
        Some(judgement) => judged((&before, &after), of, row, &judgement.row),
        None => Outcome::Forbidden,
    };
    prop_assert_eq!(found, inserted(&after, row, &given), "insert");
    let (from, many, holder, back) = match tape.below(3) {
        0 => ("Box", "Items", "Item", "Owner"),
        1 => ("Box", "Tagged", "Bag", "Tag"),
        _ => ("Item", "Labelled", "Crate", "Label"),
    };
    let (from, holder) = (entity(&model, from), entity(&model, holder));
    let id = navigation(&model, from, many);
    let link = judge(Action::Link {
        entity: from,
        from: key(),
        navigation: id,
        to: key(),
    })
    .unwrap();
    let unlink = Action::Unlink {
        entity: from,
        from: key(),
        navigation: id,
        to: Some(key()),
    };
    let unlink = judge(unlink).unwrap();
    for one in (0..before.rows.len()).filter(|row| before.is_a(*row, from)) {
        for other in (0..before.rows.len()).filter(|row| before.is_a(*row, holder)) {
            let mut after = before.clone();
            after.rows[other].to.insert(back.to_owned(), one);
            let are_there = before.is_visible(one) && before.is_visible(other);
            let is_allowed = may_link(&before, other, back)
                && may_link(&after, other, back)
                && sees_target(&after, other, back);
            let both = |judgement: &Judgement, after: &World<'_>| {
                let ends = [
                    judged((&before, after), from, one, &judgement.row),
                    judged((&before, after), holder, other, &judgement.other),
                ];
                let is_there = !ends.contains(&Outcome::NotFound);
                outcome(is_there, !ends.contains(&Outcome::Forbidden))
            };
            prop_assert_eq!(
                both(&link, &after),
                outcome(are_there, is_allowed),
                "link {} {}",
                one,
                other
            );
            if before.rows[other].to.get(back) == Some(&one) {
                after.rows[other].to.remove(back);
                let is_allowed = may_link(&before, other, back) && may_link(&after, other, back);
                prop_assert_eq!(
                    both(&unlink, &after),
                    outcome(are_there, is_allowed),
                    "unlink"
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn changes_are_judged_as_the_rules_say(tape in prop::collection::vec(any::<u8>(), 100..400)) {
        check(&tape)?;
    }
}
