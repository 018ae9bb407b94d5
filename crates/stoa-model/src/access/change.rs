//! What the rules demand of a change.
//!
//! Nothing is refused here that depends on a row: whether the row is there for the user is for the
//! transaction to find out, and comes first. Only a row that may never be created is refused at once.

use super::guard::{Guard, Place};
use super::logic::{conjunction, disjunction, is_literal, positive};
use super::query::row;
use super::rules::{Grant, MemberRules};
use super::variables::{Fresh, separated};
use super::{Access, Demand, Denial, Either, Judgement, RowJudgement};
use crate::change::{Action, Change, Reference, Target};
use crate::expression::{Comparison, Expression};
use crate::model::{
    Attribute, AttributeId, Default, EntityId, Extent, Navigation, NavigationId, Storage,
};
use crate::query::ROW;
use crate::value::{ScalarType, Value};

/// Puts rules into the paths of a change, and finds what its transaction must judge: one judgement for each
/// operation, or none at all. Fails with the position of an operation that is never allowed.
pub(super) fn judge(
    access: &Access,
    change: &mut Change,
    user: &[Value],
    now: i64,
) -> Result<Vec<Judgement>, (usize, Denial)> {
    let judge = Judge {
        access,
        guard: access.guard(user),
        now,
    };
    let mut judgements = Vec::with_capacity(change.operations.len());
    let mut are_new = true;
    for (position, operation) in change.operations.iter_mut().enumerate() {
        judge.guard.paths(&mut operation.action);
        let judgement = judge.action(&operation.action);
        are_new &= matches!(operation.action, Action::Insert { .. });
        let refused = judgement
            .row
            .after
            .iter()
            .find(|demand| are_new && is_literal(&demand.condition, false));
        if let Some(demand) = refused {
            return Err((position, demand.denial.clone()));
        }
        judgements.push(judgement);
    }
    let nothing = Judgement::default();
    if judgements.iter().all(|judgement| *judgement == nothing) {
        judgements.clear();
    }
    Ok(judgements)
}

impl Guard<'_> {
    /// Rows on the way to what an operation names must be visible.
    fn paths(&self, action: &mut Action) {
        let path = |target: &mut Target| {
            if let Target::Source(source) = target {
                self.source(source);
            }
        };
        let all = |references: &mut Vec<Reference>| {
            references
                .iter_mut()
                .filter_map(|reference| reference.to.as_mut())
                .for_each(path);
        };
        match action {
            Action::Insert { references, .. } => all(references),
            Action::Update {
                target, references, ..
            }
            | Action::Upsert {
                target, references, ..
            } => {
                path(target);
                all(references);
            }
            Action::Retain { from, .. } => path(from),
            Action::Delete { target, .. } => path(target),
            Action::Link { from, to, .. } => {
                path(from);
                path(to);
            }
            Action::Unlink { from, to, .. } => {
                path(from);
                to.iter_mut().for_each(path);
            }
        }
    }
}

/// Which rows are judged.
#[derive(Clone, Copy)]
enum Row {
    /// Of the entity or one of its specialisations.
    Any,
    /// Of exactly the entity.
    New,
}

impl Row {
    fn grant(self, member: &MemberRules) -> &Grant {
        match self {
            Self::Any => &member.write,
            Self::New => &member.write_new,
        }
    }
}

struct Judge<'a> {
    access: &'a Access,
    guard: Guard<'a>,
    now: i64,
}

/// Adds a demand, unless another one says the same.
fn demand(
    demands: &mut Vec<Demand>,
    condition: Option<Expression>,
    denial: impl FnOnce() -> Denial,
) {
    if let Some(condition) = condition.map(separated)
        && demands.iter().all(|known| known.condition != condition)
    {
        demands.push(Demand {
            condition,
            denial: denial(),
        });
    }
}

impl Judge<'_> {
    fn action(&self, action: &Action) -> Judgement {
        match action {
            Action::Insert {
                entity,
                values,
                references,
            } => Judgement {
                row: RowJudgement {
                    after: self.inserted(*entity, values, references),
                    ..RowJudgement::default()
                },
                targets: self.visible_targets(*entity, values, references),
                ..Judgement::default()
            },
            Action::Update {
                entity,
                values,
                references,
                ..
            } => Judgement {
                row: self.updated(*entity, values, references),
                targets: self.visible_targets(*entity, values, references),
                ..Judgement::default()
            },
            Action::Upsert {
                entity,
                insert,
                update,
                references,
                ..
            } => Judgement {
                row: self.updated(*entity, update, references),
                inserted: self.inserted(*entity, insert, references),
                targets: self.visible_targets(*entity, insert, references),
                ..Judgement::default()
            },
            Action::Delete { entity, .. } => Judgement {
                row: self.deleted(*entity),
                ..Judgement::default()
            },
            Action::Retain {
                entity, navigation, ..
            } => Judgement {
                row: self.seen(*entity),
                other: self.deleted(self.access.model[*entity][*navigation].target),
                ..Judgement::default()
            },
            Action::Link {
                entity, navigation, ..
            } => self.linked(*entity, *navigation, true),
            Action::Unlink {
                entity, navigation, ..
            } => self.linked(*entity, *navigation, false),
        }
    }

    fn seen(&self, entity: EntityId) -> RowJudgement {
        let visible = &self.guard.of(entity).visible;
        RowJudgement {
            visible: self.condition(entity, visible, row(entity)),
            ..RowJudgement::default()
        }
    }

    fn condition(&self, entity: EntityId, grant: &Grant, place: Place<'_>) -> Option<Expression> {
        self.guard
            .condition(entity, grant, place, &mut Fresh::new())
    }

    fn deleted(&self, entity: EntityId) -> RowJudgement {
        let rules = self.guard.of(entity);
        let mut judgement = self.seen(entity);
        let condition = self.beyond(entity, &rules.delete, &rules.visible);
        demand(&mut judgement.before, condition, || Denial::Delete);
        judgement
    }

    /// The condition of a grant on rows of which `given` holds already.
    fn beyond(&self, entity: EntityId, grant: &Grant, given: &Grant) -> Option<Expression> {
        if self.guard.of(entity).covers(grant, given) {
            return None;
        }
        self.condition(entity, grant, row(entity))
    }

    fn inserted(
        &self,
        entity: EntityId,
        values: &[(AttributeId, Value)],
        references: &[Reference],
    ) -> Vec<Demand> {
        let rules = self.guard.of(entity);
        let found = &self.access.model[entity];
        let mut demands = Vec::new();
        // What is not there for the user comes first: so it is like what is not there at all.
        self.targets(&mut demands, entity, values, references, &Denial::Create);
        let create = self.condition(entity, &rules.create, row(entity));
        demand(&mut demands, create, || Denial::Create);
        for (id, value) in values {
            let attribute = &found[*id];
            if found.key.contains(id) || value.is_null() || self.is_default(attribute, value) {
                continue;
            }
            let condition = self.write(entity, *id, Row::New, &rules.create);
            demand(&mut demands, condition, || {
                self.attribute_denial(entity, *id, Denial::Create)
            });
        }
        for reference in references.iter().filter(|reference| reference.to.is_some()) {
            let id = reference.navigation;
            let condition = self.link(entity, id, Row::New, &rules.create);
            demand(&mut demands, condition, || {
                self.navigation_denial(entity, id, Denial::Create)
            });
        }
        demands
    }

    fn updated(
        &self,
        entity: EntityId,
        values: &[(AttributeId, Value)],
        references: &[Reference],
    ) -> RowJudgement {
        let rules = self.guard.of(entity);
        let mut judgement = self.seen(entity);
        let (before, after) = (&mut judgement.before, &mut judgement.after);
        self.targets(after, entity, values, references, &Denial::Update);
        for (id, value) in values {
            let denial = || self.attribute_denial(entity, *id, Denial::Update);
            let condition = self.write(entity, *id, Row::Any, &rules.visible);
            let condition = condition.map(|condition| {
                let unchanged = self.unchanged(entity, *id, value);
                disjunction([condition].into_iter().chain(unchanged).collect())
            });
            demand(before, condition, denial);
            // What may never be written is unchanged: that has been judged before.
            if !rules.attribute(*id).write.is_never() || self.is_linkable(entity, *id) {
                let condition = self.write(entity, *id, Row::Any, &Grant::Always);
                demand(after, condition, denial);
            }
        }
        for reference in references {
            let id = reference.navigation;
            let denial = || self.navigation_denial(entity, id, Denial::Update);
            let link = |given| self.link(entity, id, Row::Any, given);
            demand(before, link(&rules.visible), denial);
            demand(after, link(&Grant::Always), denial);
        }
        judgement
    }

    /// Rows that are referred to must be visible in the end.
    fn targets(
        &self,
        demands: &mut Vec<Demand>,
        entity: EntityId,
        values: &[(AttributeId, Value)],
        references: &[Reference],
        otherwise: &Denial,
    ) {
        let rules = self.guard.of(entity);
        for (id, _) in values.iter().filter(|(_, value)| !value.is_null()) {
            for navigation in rules.references_of(*id) {
                demand(demands, self.target(entity, navigation), || {
                    as_reference(self.attribute_denial(entity, *id, otherwise.clone()))
                });
            }
        }
        for reference in references.iter().filter(|reference| reference.to.is_some()) {
            let id = reference.navigation;
            demand(demands, self.target(entity, id), || {
                as_reference(self.navigation_denial(entity, id, otherwise.clone()))
            });
        }
    }

    /// Where the targets of references are visible; not of those that always are.
    fn visible_targets(
        &self,
        entity: EntityId,
        values: &[(AttributeId, Value)],
        references: &[Reference],
    ) -> Vec<(NavigationId, Expression)> {
        let rules = self.guard.of(entity);
        let shown = values.iter().flat_map(|(id, _)| rules.references_of(*id));
        let given = references.iter().map(|reference| reference.navigation);
        let mut targets: Vec<(NavigationId, Expression)> = Vec::new();
        for navigation in given.chain(shown) {
            let target = self.access.model[entity][navigation].target;
            if let Some(visible) = self.seen(target).visible
                && targets.iter().all(|(known, _)| *known != navigation)
            {
                targets.push((navigation, visible));
            }
        }
        targets
    }

    /// Where a reference leads nowhere, or to a row that the user sees.
    fn target(&self, entity: EntityId, navigation: NavigationId) -> Option<Expression> {
        let target = self.access.model[entity][navigation].target;
        let visible = self.condition(
            target,
            &self.guard.of(target).visible,
            Place {
                from: ROW,
                path: &[navigation],
                entity: target,
            },
        )?;
        let mut allowed = self.nowhere(entity, navigation);
        allowed.push(visible);
        Some(positive(disjunction(allowed)))
    }

    /// Where an attribute may be given a value, in rows of which `given` holds: by its own right, or, where
    /// it shows a column of references, by theirs. (The wire says a reference by such attributes where it
    /// knows their values.)
    fn write(
        &self,
        entity: EntityId,
        id: AttributeId,
        row: Row,
        given: &Grant,
    ) -> Option<Expression> {
        let rules = self.guard.of(entity);
        let own = self.beyond(entity, row.grant(rules.attribute(id)), given)?;
        if !self.is_linkable(entity, id) {
            return Some(own);
        }
        let mut links = Vec::new();
        for navigation in rules.references_of(id) {
            links.extend(self.link(entity, navigation, row, given));
        }
        if links.is_empty() {
            return None;
        }
        Some(positive(disjunction(vec![own, conjunction(links)])))
    }

    /// Whether an attribute shows a column of a reference that may be written.
    fn is_linkable(&self, entity: EntityId, id: AttributeId) -> bool {
        let rules = self.guard.of(entity);
        let mut references = rules.references_of(id);
        references.any(|id| {
            let navigation = &self.access.model[entity][id];
            let partner = self
                .guard
                .of(navigation.target)
                .navigation(navigation.partner);
            !rules.navigation(id).write.is_never() || !partner.write.is_never()
        })
    }

    /// Where the reference of a row, of which `given` holds, may be as it is: by the right of this end, or of
    /// the end at the target. Nobody needs a right to no reference.
    fn link(
        &self,
        entity: EntityId,
        id: NavigationId,
        row: Row,
        given: &Grant,
    ) -> Option<Expression> {
        let member = self.guard.of(entity).navigation(id);
        let own = self.beyond(entity, row.grant(member), given)?;
        let navigation = &self.access.model[entity][id];
        let target = navigation.target;
        let partner = &self.guard.of(target).navigation(navigation.partner).write;
        let place = Place {
            from: ROW,
            path: &[id],
            entity: target,
        };
        let theirs = self.condition(target, partner, place)?;
        let mut allowed = vec![own];
        allowed.extend(self.nowhere(entity, id));
        allowed.push(theirs);
        Some(positive(disjunction(allowed)))
    }

    /// Where a reference leads to no row; none if no row is without it.
    fn nowhere(&self, entity: EntityId, id: NavigationId) -> Vec<Expression> {
        let (model, navigation) = (&self.access.model, &self.access.model[entity][id]);
        let is_everywhere = navigation.required
            && matches!(navigation.storage, Storage::Own(_))
            && navigation.declared_by == model[entity].root
            && !model[entity].table.external;
        if is_everywhere {
            return Vec::new();
        }
        vec![Expression::HasTarget {
            from: ROW,
            path: vec![id],
            negated: true,
        }]
    }

    fn unchanged(&self, entity: EntityId, id: AttributeId, value: &Value) -> Option<Expression> {
        let grant = &self.guard.of(entity).attribute(id).read;
        let scalar_type = self.access.model[entity][id].scalar_type;
        // Neither database compares these.
        let has_no_equal = matches!(scalar_type, ScalarType::Json | ScalarType::File);
        if grant.is_never() || (has_no_equal && !value.is_null()) {
            return None;
        }
        let same = Expression::Compare {
            operator: Comparison::Equal,
            left: Box::new(Expression::Attribute {
                from: ROW,
                path: Vec::new(),
                entity,
                attribute: id,
                scalar_type,
            }),
            right: Box::new(Expression::Literal {
                value: value.clone(),
                scalar_type,
            }),
        };
        let readable = self.condition(entity, grant, row(entity));
        Some(conjunction(readable.into_iter().chain([same]).collect()))
    }

    fn is_default(&self, attribute: &Attribute, value: &Value) -> bool {
        match &attribute.default {
            None => false,
            Some(Default::Value(default)) => default == value,
            Some(Default::Now) => Value::instant(attribute.scalar_type, self.now) == *value,
        }
    }

    /// `Link` and `Unlink`. What is connected after an `Unlink` is judged by who connects it.
    fn linked(&self, entity: EntityId, id: NavigationId, is_link: bool) -> Judgement {
        let navigation = &self.access.model[entity][id];
        let (target, partner) = (navigation.target, navigation.partner);
        let mut judgement = Judgement {
            row: self.seen(entity),
            other: self.seen(target),
            ..Judgement::default()
        };
        let denial = || self.navigation_denial(entity, id, Denial::Update);
        let held = |holder: EntityId, id: NavigationId, judgement: &mut RowJudgement| {
            let link = |given| self.link(holder, id, Row::Any, given);
            let visible = &self.guard.of(holder).visible;
            demand(&mut judgement.before, link(visible), denial);
            if is_link {
                let visible = self.target(holder, id);
                demand(&mut judgement.after, visible, || as_reference(denial()));
                demand(&mut judgement.after, link(&Grant::Always), denial);
            }
        };
        match &navigation.storage {
            Storage::Own(_) => held(entity, id, &mut judgement.row),
            Storage::Target(_) => held(target, partner, &mut judgement.other),
            Storage::Join { .. } => judgement.either = self.either(entity, navigation, id, denial),
        }
        judgement
    }

    fn either(
        &self,
        entity: EntityId,
        navigation: &Navigation,
        id: NavigationId,
        denial: impl FnOnce() -> Denial,
    ) -> Option<Either> {
        let end = |entity: EntityId, id: NavigationId| {
            let grant = &self.guard.of(entity).navigation(id).write;
            self.condition(entity, grant, row(entity)).map(separated)
        };
        let never = |condition: &Expression| is_literal(condition, false);
        let (from, to) = (
            end(entity, id)?,
            end(navigation.target, navigation.partner)?,
        );
        Some(Either {
            from: Some(from).filter(|condition| !never(condition)),
            to: Some(to).filter(|condition| !never(condition)),
            denial: denial(),
        })
    }

    fn attribute_denial(&self, entity: EntityId, id: AttributeId, otherwise: Denial) -> Denial {
        let attribute = &self.access.view[entity][id];
        let reach = attribute.reach;
        if reach.read == Extent::None && reach.write == Extent::None {
            return otherwise;
        }
        Denial::Member(attribute.name.clone())
    }

    fn navigation_denial(&self, entity: EntityId, id: NavigationId, otherwise: Denial) -> Denial {
        let name = self.access.view[entity][id].name.as_deref();
        name.map_or(otherwise, |name| Denial::Member(name.to_owned()))
    }
}

fn as_reference(denial: Denial) -> Denial {
    match denial {
        Denial::Member(name) => Denial::Reference(name),
        // As if it did not exist, without a name too.
        _ => Denial::Reference(String::new()),
    }
}
