//! Random rules, rows and requests: what is rewritten gives what somebody who sees only the permitted part
//! of the rows would get from the request as it was.

use std::collections::HashSet;

use proptest::prelude::*;

use super::tape::{Case, ENTITIES, SHAPE, Tape, case};
use super::text::{access, entity, model, query, show};
use crate::expression::bind::Binder;
use crate::expression::{Expression, Variable, syntax};
use crate::model::{EntityId, Model};
use crate::query::{OrderTerm, ROW, Source};

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

fn check(tape: &[u8]) -> Result<(), TestCaseError> {
    let mut tape = Tape::new(tape);
    let Case {
        model,
        access,
        rules,
    } = case(&mut tape);
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
            "{} row {}: {}\n{:?}\n{}",
            text,
            row,
            show(&model, &rewritten),
            world.rows,
            rules
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
