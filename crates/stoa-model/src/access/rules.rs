//! The rules of a set of roles, entity by entity: compiled once, asked by every request.

use std::collections::BTreeSet;

use super::logic::{conjunction, constant, is_literal};
use super::variables::{Fresh, binds, path_of, rebase};
use crate::expression::Expression;
use crate::model::{
    AccessRule, AttributeId, EntityId, Extent, Member, MemberSet, Model, Navigation, NavigationId,
    Permission, RoleId, Storage,
};
use crate::query::ROW;

/// For which rows something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// For all.
    Always,
    /// For those that fulfil one of these conditions of the entity, named by position. For none without one.
    Where(BTreeSet<usize>),
}

impl Grant {
    pub(super) const NEVER: Self = Self::Where(BTreeSet::new());

    pub(super) fn is_never(&self) -> bool {
        *self == Self::NEVER
    }

    pub(super) fn extent(&self) -> Extent {
        match self {
            Self::Always => Extent::All,
            Self::Where(conditions) if conditions.is_empty() => Extent::None,
            Self::Where(_) => Extent::Some,
        }
    }

    fn add(&mut self, condition: Option<usize>) {
        match (&mut *self, condition) {
            (Self::Where(conditions), Some(condition)) => {
                conditions.insert(condition);
            }
            (_, None) => *self = Self::Always,
            (Self::Always, Some(_)) => {}
        }
    }
}

/// A condition on rows of an entity, which are [`ROW`] of that entity's type.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) expression: Expression,
    /// Whether it binds variables.
    pub(super) binds: bool,
    /// Conditions that hold wherever this one does: itself, and those whose operands it all has.
    implied: BTreeSet<usize>,
}

/// What the rules say about a member.
#[derive(Clone, Debug)]
pub(super) struct MemberRules {
    /// Of visible rows: where it is shown.
    pub(super) read: Grant,
    /// Where it may be given.
    pub(super) write: Grant,
    /// Where it may be given, in rows of exactly this type.
    pub(super) write_new: Grant,
}

static NOTHING: MemberRules = MemberRules {
    read: Grant::NEVER,
    write: Grant::NEVER,
    write_new: Grant::NEVER,
};

/// What the rules say about an entity.
#[derive(Debug)]
pub(super) struct EntityRules {
    conditions: Vec<Condition>,
    /// Which rows are there: of this type and of its specialisations.
    pub(super) visible: Grant,
    /// Which rows of exactly this type may be created.
    pub(super) create: Grant,
    /// Which rows may be deleted.
    pub(super) delete: Grant,
    attributes: Vec<MemberRules>,
    navigations: Vec<MemberRules>,
    /// Attributes that show columns of references.
    foreign: Vec<(AttributeId, NavigationId)>,
    /// Of each navigation: whether the targets of a visible row are visible for that alone.
    given: Vec<bool>,
}

impl EntityRules {
    pub(super) fn attribute(&self, id: AttributeId) -> &MemberRules {
        self.attributes.get(id.index()).unwrap_or(&NOTHING)
    }

    pub(super) fn navigation(&self, id: NavigationId) -> &MemberRules {
        self.navigations.get(id.index()).unwrap_or(&NOTHING)
    }

    /// Whether the targets of a visible row are visible because it is.
    pub(super) fn is_given(&self, id: NavigationId) -> bool {
        self.given.get(id.index()).copied().unwrap_or_default()
    }

    pub(super) fn condition(&self, position: usize) -> Option<&Condition> {
        self.conditions.get(position)
    }

    /// References of which an attribute shows a column.
    pub(super) fn references_of(
        &self,
        attribute: AttributeId,
    ) -> impl Iterator<Item = NavigationId> + '_ {
        self.foreign
            .iter()
            .filter(move |(own, _)| *own == attribute)
            .map(|(_, navigation)| *navigation)
    }

    /// Whether `wide` holds wherever `narrow` does, as far as the rules tell by themselves.
    pub(super) fn covers(&self, wide: &Grant, narrow: &Grant) -> bool {
        match (wide, narrow) {
            (Grant::Always, _) => true,
            (Grant::Where(_), Grant::Always) => false,
            (Grant::Where(wide), Grant::Where(narrow)) => narrow
                .iter()
                .all(|condition| !self.implied(*condition).is_disjoint(wide)),
        }
    }

    /// Where some member may be given.
    pub(super) fn written(&self) -> Grant {
        let mut written = Grant::NEVER;
        for member in self.attributes.iter().chain(&self.navigations) {
            match (&mut written, &member.write) {
                (_, Grant::Always) => return Grant::Always,
                (Grant::Where(all), Grant::Where(conditions)) => all.extend(conditions),
                (Grant::Always, Grant::Where(_)) => {}
            }
        }
        self.reduce(&mut written);
        written
    }

    fn implied(&self, condition: usize) -> &BTreeSet<usize> {
        &self.conditions[condition].implied
    }

    fn intern(&mut self, expression: Expression, implied: Option<usize>) -> usize {
        let known = self
            .conditions
            .iter()
            .position(|known| known.expression == expression);
        known.unwrap_or_else(|| {
            self.conditions.push(Condition {
                binds: binds(&expression),
                expression,
                implied: implied.into_iter().collect(),
            });
            self.conditions.len() - 1
        })
    }

    /// Finds out which conditions imply which.
    fn compare_conditions(&mut self) {
        let operands = |condition: &Condition| match &condition.expression {
            Expression::And(operands) => operands.clone(),
            one => vec![one.clone()],
        };
        let all: Vec<_> = self.conditions.iter().map(operands).collect();
        for (condition, own) in self.conditions.iter_mut().zip(&all) {
            let implied = all
                .iter()
                .enumerate()
                .filter(|(_, other)| other.iter().all(|operand| own.contains(operand)));
            condition.implied.extend(implied.map(|(other, _)| other));
        }
    }

    /// Leaves out conditions that imply another one of the grant: they add nothing to it.
    fn reduce(&self, grant: &mut Grant) {
        if let Grant::Where(conditions) = grant {
            let all = conditions.clone();
            conditions.retain(|condition| {
                let implied = self.implied(*condition);
                // Of conditions that say the same, the first one stays.
                let is_wider = |other: &usize| {
                    implied.contains(other)
                        && (other < condition || !self.implied(*other).contains(condition))
                };
                !all.iter()
                    .any(|other| other != condition && is_wider(other))
            });
        }
    }
}

/// A rule that can match rows of an entity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applicable<'m> {
    pub(super) rule: &'m AccessRule,
    /// Entity that declares it.
    pub(super) declared_by: EntityId,
    /// It is the rule of a specialisation: only of some rows.
    pub(super) is_special: bool,
}

/// The rules of these roles that can match rows of an entity: its own and those of its bases, then those of
/// its specialisations.
pub(super) fn applicable<'m>(
    model: &'m Model,
    entity: EntityId,
    roles: &[RoleId],
) -> Vec<Applicable<'m>> {
    if model[entity].internal {
        return Vec::new();
    }
    let mut line = vec![entity];
    while let Some(base) = line.last().and_then(|last| model[*last].base) {
        line.push(base);
    }
    let own = line.iter().rev().map(|id| (*id, false));
    let special = model[entity].specialisations.iter().map(|id| (*id, true));
    own.chain(special)
        .flat_map(|(declared_by, is_special)| {
            model[declared_by]
                .access
                .iter()
                .map(move |rule| Applicable {
                    rule,
                    declared_by,
                    is_special,
                })
        })
        .filter(|applicable| roles.contains(&applicable.rule.role))
        .filter(|applicable| {
            // A rule that can match nothing is none.
            !applicable
                .rule
                .condition
                .as_ref()
                .is_some_and(|condition| is_literal(condition, false))
        })
        .collect()
}

/// Compiles the rules of these roles for every entity.
pub(super) fn compile(model: &Model, roles: &[RoleId]) -> Vec<EntityRules> {
    let mut all: Vec<EntityRules> = model
        .entities
        .iter()
        .map(|entity| of_entity(model, entity.id, roles))
        .collect();
    // Navigations to what the reader never sees lead nowhere: they are hidden.
    let never_there: Vec<bool> = all.iter().map(|rules| rules.visible.is_never()).collect();
    for (entity, rules) in model.entities.iter().zip(&mut all) {
        for (navigation, member) in entity.navigations.iter().zip(&mut rules.navigations) {
            if never_there[navigation.target.index()] {
                member.read = Grant::NEVER;
            }
        }
    }
    let given: Vec<Vec<bool>> = model
        .entities
        .iter()
        .map(|entity| {
            let ids = (0..).map(NavigationId);
            ids.zip(&entity.navigations)
                .map(|(id, navigation)| are_given(model, &all, entity.id, id, navigation))
                .collect()
        })
        .collect();
    for (rules, given) in all.iter_mut().zip(given) {
        rules.given = given;
    }
    all
}

/// Whether each condition that makes a row of `entity` visible says the same, seen from a target of its
/// navigation, as a condition that makes the target visible.
fn are_given(
    model: &Model,
    all: &[EntityRules],
    entity: EntityId,
    id: NavigationId,
    navigation: &Navigation,
) -> bool {
    let target = navigation.target;
    let (own, theirs) = (&all[entity.index()], &all[target.index()]);
    let (Grant::Where(visible), Grant::Where(sufficient)) = (&own.visible, &theirs.visible) else {
        return false;
    };
    let seen_over = |rules: &EntityRules, position: usize, step: NavigationId| {
        let mut seen = rules.conditions[position].expression.clone();
        rebase(&mut seen, ROW, ROW, &[step]);
        seen
    };
    let is_said = |condition: usize| {
        let mut theirs_said = sufficient.iter();
        if !navigation.many {
            // The target is where the row's own path leads.
            let own_said = &own.conditions[condition].expression;
            return theirs_said.any(|at| seen_over(theirs, *at, id) == *own_said);
        }
        // A path back must lead to this very row.
        let partner = &model[target][navigation.partner];
        if partner.many || partner.target != entity || navigation.declared_by != entity {
            return false;
        }
        let own_said = seen_over(own, condition, navigation.partner);
        theirs_said.any(|at| theirs.conditions[*at].expression == own_said)
    };
    !visible.is_empty() && visible.iter().all(|condition| is_said(*condition))
}

fn of_entity(model: &Model, id: EntityId, roles: &[RoleId]) -> EntityRules {
    let entity = &model[id];
    let mut rules = EntityRules {
        conditions: Vec::new(),
        visible: Grant::NEVER,
        create: Grant::NEVER,
        delete: Grant::NEVER,
        attributes: vec![NOTHING.clone(); entity.attributes.len()],
        navigations: vec![NOTHING.clone(); entity.navigations.len()],
        foreign: Vec::new(),
        given: Vec::new(),
    };
    for applicable in applicable(model, id, roles) {
        add(model, id, &mut rules, applicable);
    }
    rules.compare_conditions();
    let mut visible = std::mem::replace(&mut rules.visible, Grant::NEVER);
    let mut create = std::mem::replace(&mut rules.create, Grant::NEVER);
    let mut delete = std::mem::replace(&mut rules.delete, Grant::NEVER);
    let mut attributes = std::mem::take(&mut rules.attributes);
    let mut navigations = std::mem::take(&mut rules.navigations);
    let members = attributes.iter_mut().chain(&mut navigations);
    for member in members {
        // A member that is shown wherever the row is needs no condition of its own.
        if !member.read.is_never() && rules.covers(&member.read, &visible) {
            member.read = Grant::Always;
        }
        rules.reduce(&mut member.read);
        rules.reduce(&mut member.write);
        rules.reduce(&mut member.write_new);
    }
    for grant in [&mut visible, &mut create, &mut delete] {
        rules.reduce(grant);
    }
    for id in entity.key.iter().chain(&entity.version) {
        attributes[id.index()].read = Grant::Always;
    }
    rules = EntityRules {
        visible,
        create,
        delete,
        attributes,
        navigations,
        ..rules
    };
    for (position, navigation) in (0..).zip(&entity.navigations) {
        if let Storage::Own(columns) = &navigation.storage {
            let shown = columns.iter().filter_map(|column| column.attribute);
            rules
                .foreign
                .extend(shown.map(|attribute| (attribute, NavigationId(position))));
        }
    }
    rules
}

fn add(model: &Model, id: EntityId, rules: &mut EntityRules, applicable: Applicable<'_>) {
    let entity = &model[id];
    let rule = applicable.rule;
    let typed = |condition: Option<&Expression>| applicable.condition(model, id, condition);
    let matching = typed(rule.condition.as_ref()).map(|expression| rules.intern(expression, None));
    let composed = |rules: &mut EntityRules, permission: &Permission| match permission {
        Permission::Denied => None,
        Permission::Granted => Some(matching),
        Permission::When(condition) if is_literal(condition, true) => Some(matching),
        Permission::When(condition) if is_literal(condition, false) => None,
        Permission::When(condition) => {
            let both = rule.condition.iter().chain([condition]).cloned().collect();
            Some(typed(Some(&conjunction(both))).map(|both| rules.intern(both, matching)))
        }
    };
    if !applicable.is_special
        && let Some(condition) = composed(rules, &rule.create)
    {
        rules.create.add(condition);
    }
    if let Some(condition) = composed(rules, &rule.delete) {
        rules.delete.add(condition);
    }
    if rule.read != MemberSet::Only(Vec::new()) {
        rules.visible.add(matching);
    }
    let attributes = (0..).map(|position| Member::Attribute(AttributeId(position)));
    for ((member, attribute), own) in attributes
        .zip(&entity.attributes)
        .zip(&mut rules.attributes)
    {
        grant(
            own,
            rule,
            member,
            matching,
            applicable.is_special,
            attribute.is_writable(),
        );
    }
    let navigations = (0..).map(|position| Member::Navigation(NavigationId(position)));
    for ((member, navigation), own) in navigations
        .zip(&entity.navigations)
        .zip(&mut rules.navigations)
    {
        // An end without a name is no member: `*` does not mean it.
        if navigation.name.is_some() {
            grant(own, rule, member, matching, applicable.is_special, true);
        }
    }
}

fn grant(
    own: &mut MemberRules,
    rule: &AccessRule,
    member: Member,
    matching: Option<usize>,
    is_special: bool,
    is_writable: bool,
) {
    let contains = |set: &MemberSet| match set {
        MemberSet::All => true,
        MemberSet::Only(members) => members.contains(&member),
    };
    if contains(&rule.read) {
        own.read.add(matching);
    }
    if is_writable && contains(&rule.write) {
        own.write.add(matching);
        if !is_special {
            own.write_new.add(matching);
        }
    }
}

impl Applicable<'_> {
    /// A condition of the rule as a condition on rows of `entity`; none: it always holds.
    pub(super) fn condition(
        &self,
        model: &Model,
        entity: EntityId,
        condition: Option<&Expression>,
    ) -> Option<Expression> {
        let condition = condition.filter(|condition| !is_literal(condition, true));
        if !self.is_special {
            return condition.cloned();
        }
        let special = self.declared_by;
        let is_of = Expression::IsOf {
            from: ROW,
            path: Vec::new(),
            entity: special,
        };
        Some(match condition {
            None => is_of,
            Some(condition) if fits(model, condition, special, entity) => {
                conjunction(vec![is_of, condition.clone()])
            }
            Some(condition) => {
                let mut condition = condition.clone();
                let Some(variable) = Fresh::beyond(Some(&condition)).next() else {
                    return Some(constant(false));
                };
                rebase(&mut condition, ROW, variable, &[]);
                Expression::AsType {
                    from: ROW,
                    path: Vec::new(),
                    entity: special,
                    variable,
                    condition: Box::new(condition),
                }
            }
        })
    }
}

/// Whether paths of a condition on rows of `special` mean the same in its base `entity`.
pub(super) fn fits(
    model: &Model,
    condition: &Expression,
    special: EntityId,
    entity: EntityId,
) -> bool {
    let declared_by = |entity: EntityId, id: NavigationId| {
        model[entity]
            .navigations
            .get(id.index())
            .map(|navigation: &Navigation| navigation.declared_by)
    };
    let mut fits = true;
    condition.walk(|part| {
        if let Some((ROW, [first, ..])) = path_of(part) {
            fits &= declared_by(special, *first) == declared_by(entity, *first);
        }
    });
    fits
}
