//! Why somebody may do something, or may not: for `stoa access explain`.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::guard::Guard;
use super::logic::{conjunction, constant, is_literal, positive};
use super::print::print;
use super::query::row;
use super::rules::{Applicable, Grant, applicable};
use super::user::resolve_user;
use super::variables::Fresh;
use super::{Access, Permitted};
use crate::expression::Expression;
use crate::model::{AttributeId, EntityId, Member, MemberSet, NavigationId, Permission, Purpose};
use crate::query::{Query, Source};
use crate::value::Value;

/// What somebody does with rows of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Sees them.
    Read,
    /// Makes new ones.
    Create,
    /// Changes them.
    Update,
    /// Deletes them.
    Delete,
}

/// Whether something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Always; or for the row asked about.
    Yes,
    /// Never; or not for the row asked about.
    No,
    /// For some rows.
    Depends,
}

/// What the rules say about an operation, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Name of the entity.
    pub entity: String,
    /// What is to be done.
    pub operation: Operation,
    /// Roles of whoever wants to do it.
    pub roles: Vec<String>,
    /// Whether that is allowed.
    pub answer: Answer,
    /// Why.
    pub reason: String,
    /// Of which rows, where it depends: with the values of the user.
    pub condition: Option<String>,
    /// Rules of these roles, those of bases first.
    pub rules: Vec<RuleExplanation>,
    /// Roles that have rules for the entity, and that the user does not have.
    pub other_roles: Vec<String>,
    /// Attributes and associations; those of specialisations behind their type.
    pub members: Vec<MemberExplanation>,
    /// What rules ask of the user: `$user/…` and its value.
    pub user: Vec<UserExplanation>,
}

/// A rule that can match rows of the entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleExplanation {
    /// Role that has it.
    pub role: String,
    /// Entity that declares it.
    pub entity: String,
    /// Position among the rules of that entity, from 1.
    pub number: usize,
    /// Rows that it is about; all when none.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// `yes`, `no`, or the condition.
    pub create: String,
    /// `yes`, `no`, or the condition.
    pub delete: String,
    /// Names, or `*`.
    pub read: Vec<String>,
    /// Names, or `*`.
    pub write: Vec<String>,
    /// Whether the row asked about matches.
    pub matches: Option<bool>,
    /// Whether the rule allows the operation for the row asked about.
    pub allows: Option<bool>,
}

/// What may be done with a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberExplanation {
    /// Name.
    pub name: String,
    /// Whether it can be seen, in rows that can be seen.
    pub read: Answer,
    /// In which rows, where it depends.
    pub read_where: Option<String>,
    /// Whether it can be given.
    pub write: Answer,
    /// In which rows, where it depends.
    pub write_where: Option<String>,
    /// Rules that show it, as positions.
    #[serde(skip)]
    shown_by: Vec<usize>,
    /// Rules that let it be given, as positions.
    #[serde(skip)]
    given_by: Vec<usize>,
    /// The key is shown with the row.
    #[serde(skip)]
    is_key: bool,
}

/// Something that rules ask of the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserExplanation {
    /// As in `$user/Region`.
    pub path: String,
    /// What the user has; none: nothing, so that nothing that is compared with it matches.
    pub value: Option<String>,
}

impl Access {
    /// What the rules say about an operation on rows of an entity, and why.
    #[must_use]
    pub fn explain(&self, entity: EntityId, operation: Operation, user: &[Value]) -> Explanation {
        let guard = self.guard(user);
        let found = &self.model[entity];
        let rules = applicable(&self.model, entity, &self.roles);
        let condition = self.allowed(&guard, entity, operation);
        let (answer, text) = answer(self, entity, condition);
        let mut explanation = Explanation {
            entity: found.name.clone(),
            operation,
            roles: self.roles.iter().map(|role| self.role(*role)).collect(),
            answer,
            reason: String::new(),
            condition: text,
            rules: rules.iter().map(|rule| self.rule(rule)).collect(),
            other_roles: self.other_roles(entity),
            members: self.members(&guard, entity, &rules),
            user: self.user_values(&rules, user),
        };
        explanation.reason = explanation.why(found.internal);
        explanation
    }

    /// What must be asked of the database to tell how the rules stand to one row: for
    /// [`Explanation::of_row`], which is told for each query whether it finds a row.
    #[must_use]
    pub fn questions(
        &self,
        entity: EntityId,
        operation: Operation,
        key: &[Value],
        user: &[Value],
    ) -> Vec<Permitted<Query>> {
        let resolved = |conditions: Vec<Option<Expression>>| {
            let mut condition = conjunction(conditions.into_iter().flatten().collect());
            resolve_user(&mut condition, user);
            positive(condition)
        };
        let mut conditions = vec![constant(true)];
        for applicable in applicable(&self.model, entity, &self.roles) {
            let rule = applicable.rule;
            let matches = || applicable.condition(&self.model, entity, rule.condition.as_ref());
            let more = match operation {
                Operation::Create => Some(&rule.create),
                Operation::Delete => Some(&rule.delete),
                Operation::Read | Operation::Update => None,
            };
            let allows = match (more, operation) {
                (Some(Permission::Denied), _) => Some(constant(false)),
                (Some(Permission::Granted), _) => None,
                (Some(Permission::When(condition)), _) => {
                    applicable.condition(&self.model, entity, Some(condition))
                }
                (None, Operation::Update) => Some(constant(rule.write != NOTHING)),
                (None, _) => Some(constant(rule.read != NOTHING)),
            };
            conditions.push(resolved(vec![matches()]));
            conditions.push(resolved(vec![matches(), allows]));
        }
        conditions
            .into_iter()
            .map(|condition| Permitted(self.question(entity, key, condition)))
            .collect()
    }

    fn question(&self, entity: EntityId, key: &[Value], condition: Expression) -> Query {
        Query {
            filter: (!is_literal(&condition, true)).then_some(condition),
            ..Query::row(
                entity,
                Source::Key(key.to_vec()),
                self.model[entity].key.clone(),
            )
        }
    }

    /// Condition of an operation on rows; none: always.
    fn allowed(
        &self,
        guard: &Guard<'_>,
        entity: EntityId,
        operation: Operation,
    ) -> Option<Expression> {
        let rules = guard.of(entity);
        let condition =
            |grant: &Grant| guard.condition(entity, grant, row(entity), &mut Fresh::new());
        let visible = || condition(&rules.visible);
        match operation {
            Operation::Read => visible(),
            Operation::Create => condition(&rules.create),
            Operation::Delete => both(visible(), condition(&rules.delete)),
            Operation::Update => both(visible(), condition(&rules.written())),
        }
    }

    fn role(&self, role: crate::model::RoleId) -> String {
        self.model.roles[role.index()].name.clone()
    }

    fn other_roles(&self, entity: EntityId) -> Vec<String> {
        let all: Vec<_> = (0..)
            .map(crate::model::RoleId)
            .take(self.model.roles.len())
            .collect();
        let mut others: Vec<_> = applicable(&self.model, entity, &all)
            .iter()
            .map(|applicable| applicable.rule.role)
            .filter(|role| !self.roles.contains(role))
            .collect();
        others.sort_unstable();
        others.dedup();
        others.into_iter().map(|role| self.role(role)).collect()
    }

    fn rule(&self, applicable: &Applicable<'_>) -> RuleExplanation {
        let rule = applicable.rule;
        let declared_by = &self.model[applicable.declared_by];
        let text = |condition: &Expression| print(&self.model, applicable.declared_by, condition);
        let permission = |permission: &Permission| match permission {
            Permission::Denied => "no".to_owned(),
            Permission::Granted => "yes".to_owned(),
            Permission::When(condition) => text(condition),
        };
        let names = |set: &MemberSet| match set {
            MemberSet::All => vec!["*".to_owned()],
            MemberSet::Only(members) => members
                .iter()
                .map(|member| self.member_name(applicable.declared_by, *member))
                .collect(),
        };
        let position = |known: &&crate::model::AccessRule| std::ptr::eq(*known, rule);
        let before = declared_by
            .access
            .iter()
            .take_while(|known| !position(known));
        RuleExplanation {
            role: self.role(rule.role),
            entity: declared_by.name.clone(),
            number: before.count() + 1,
            condition: rule.condition.as_ref().map(text),
            create: permission(&rule.create),
            delete: permission(&rule.delete),
            read: names(&rule.read),
            write: names(&rule.write),
            matches: None,
            allows: None,
        }
    }

    fn member_name(&self, entity: EntityId, member: Member) -> String {
        let entity = &self.model[entity];
        match member {
            Member::Attribute(id) => entity[id].name.clone(),
            Member::Navigation(id) => entity[id].name.clone().unwrap_or_default(),
        }
    }

    /// Members of the entity, then those that its specialisations declare.
    fn members(
        &self,
        guard: &Guard<'_>,
        entity: EntityId,
        rules: &[Applicable<'_>],
    ) -> Vec<MemberExplanation> {
        let mut members = Vec::new();
        let found = &self.model[entity];
        for owner in std::iter::once(&entity).chain(&found.specialisations) {
            let own = &self.model[*owner];
            let declared = |by: EntityId| *owner == entity || by == *owner;
            for (position, attribute) in (0..).zip(&own.attributes) {
                if attribute.purpose != Purpose::Version && declared(attribute.declared_by) {
                    let member = Member::Attribute(AttributeId(position));
                    members.push((*owner, member, own.key.contains(&AttributeId(position))));
                }
            }
            for (position, navigation) in (0..).zip(&own.navigations) {
                if navigation.name.is_some() && declared(navigation.declared_by) {
                    members.push((*owner, Member::Navigation(NavigationId(position)), false));
                }
            }
        }
        members
            .into_iter()
            .map(|(owner, member, is_key)| {
                self.member(guard, (entity, owner), member, is_key, rules)
            })
            .collect()
    }

    fn member(
        &self,
        guard: &Guard<'_>,
        (entity, owner): (EntityId, EntityId),
        member: Member,
        is_key: bool,
        rules: &[Applicable<'_>],
    ) -> MemberExplanation {
        let own = guard.of(owner);
        let grants = match member {
            Member::Attribute(id) => own.attribute(id),
            Member::Navigation(id) => own.navigation(id),
        };
        let condition =
            |grant: &Grant| guard.condition(owner, grant, row(entity), &mut Fresh::new());
        let (read, read_where) = answer(self, entity, condition(&grants.read));
        let read = if own.visible.is_never() {
            Answer::No
        } else {
            read
        };
        let (write, write_where) = answer(self, entity, condition(&grants.write));
        let by = |set: fn(&crate::model::AccessRule) -> &MemberSet| {
            let concerns = |rule: &Applicable<'_>| {
                let line = rule.declared_by;
                let fits = line == owner
                    || self.model[line].specialisations.contains(&owner)
                    || self.model[owner].specialisations.contains(&line);
                fits && match set(rule.rule) {
                    MemberSet::All => true,
                    MemberSet::Only(members) => members.contains(&member),
                }
            };
            let positions = rules.iter().enumerate();
            positions
                .filter(|(_, rule)| concerns(rule))
                .map(|(position, _)| position)
                .collect()
        };
        let name = self.member_name(owner, member);
        MemberExplanation {
            name: if owner == entity {
                name
            } else {
                format!("{}/{name}", self.model[owner].name)
            },
            read,
            read_where,
            write,
            write_where,
            shown_by: if grants.read.is_never() {
                Vec::new()
            } else {
                by(|rule| &rule.read)
            },
            given_by: if grants.write.is_never() {
                Vec::new()
            } else {
                by(|rule| &rule.write)
            },
            is_key,
        }
    }

    fn user_values(&self, rules: &[Applicable<'_>], user: &[Value]) -> Vec<UserExplanation> {
        let mut asked = Vec::new();
        let mut ask = |expression: &Expression| {
            expression.walk(|part| {
                if let Expression::User { value, scalar_type } = part {
                    asked.push((*value, *scalar_type));
                }
            });
        };
        for rule in rules.iter().map(|applicable| applicable.rule) {
            for permission in [&rule.create, &rule.delete] {
                if let Permission::When(condition) = permission {
                    ask(condition);
                }
            }
            rule.condition.iter().for_each(&mut ask);
        }
        asked.sort_unstable_by_key(|(value, _)| *value);
        asked.dedup_by_key(|(value, _)| *value);
        let known = |value: &usize| user.get(*value).filter(|value| !value.is_null());
        asked
            .iter()
            .filter_map(|(value, scalar_type)| {
                let literal = known(value).map(|known| Expression::Literal {
                    value: known.clone(),
                    scalar_type: *scalar_type,
                });
                Some(UserExplanation {
                    path: self.model.user.values.get(*value)?.path.clone(),
                    value: literal.map(|literal| print(&self.model, EntityId(0), &literal)),
                })
            })
            .collect()
    }
}

const NOTHING: MemberSet = MemberSet::Only(Vec::new());

/// Both, where none means always.
fn both(one: Option<Expression>, other: Option<Expression>) -> Option<Expression> {
    let all: Vec<_> = one.into_iter().chain(other).collect();
    (!all.is_empty()).then(|| positive(conjunction(all)))
}

fn answer(
    access: &Access,
    entity: EntityId,
    condition: Option<Expression>,
) -> (Answer, Option<String>) {
    match condition {
        None => (Answer::Yes, None),
        Some(condition) if is_literal(&condition, false) => (Answer::No, None),
        Some(condition) => {
            let text = print(&access.model, entity, &condition);
            (Answer::Depends, Some(text))
        }
    }
}

impl Explanation {
    /// Narrows the explanation to the row that [`Access::questions`] asked about. `found` tells of each query
    /// whether it found a row.
    #[must_use]
    pub fn of_row(mut self, found: &[bool]) -> Self {
        let mut found = found.iter().copied();
        if !found.next().unwrap_or(false) {
            self.answer = Answer::No;
            self.condition = None;
            self.reason = "there is no such row".to_owned();
            return self;
        }
        for rule in &mut self.rules {
            rule.matches = Some(found.next().unwrap_or(false));
            rule.allows = Some(found.next().unwrap_or(false));
        }
        let matching = |positions: &[usize]| {
            let mut rules = positions.iter().filter_map(|at| self.rules.get(*at));
            rules.any(|rule| rule.matches == Some(true))
        };
        let yes_or_no = |is_yes| if is_yes { Answer::Yes } else { Answer::No };
        let is_visible = self
            .rules
            .iter()
            .any(|rule| rule.matches == Some(true) && !rule.read.is_empty());
        for member in &mut self.members {
            let is_shown = is_visible && (member.is_key || matching(&member.shown_by));
            (member.read, member.read_where) = (yes_or_no(is_shown), None);
            (member.write, member.write_where) = (yes_or_no(matching(&member.given_by)), None);
        }
        let by = self.rules.iter().find(|rule| rule.allows == Some(true));
        let needs_visible = self.operation != Operation::Create;
        let is_allowed = by.is_some() && (is_visible || !needs_visible);
        self.reason = match by {
            _ if needs_visible && !is_visible => {
                "no rule of these roles that shows anything matches the row: to this user it does not exist"
                    .to_owned()
            }
            Some(rule) => format!("rule {} allows it", rule.title()),
            None => format!(
                "the row can be seen, and no rule that matches it lets these roles {} it",
                self.operation.verb()
            ),
        };
        if !needs_visible && by.is_none() {
            "no rule that lets these roles create rows matches it".clone_into(&mut self.reason);
        }
        self.answer = yes_or_no(is_allowed);
        self.condition = None;
        self
    }

    fn why(&self, is_internal: bool) -> String {
        if is_internal {
            return "the runtime keeps this entity for itself: it is no part of the service"
                .to_owned();
        }
        if self.rules.is_empty() {
            return "no rule of these roles is about this entity, and nothing is allowed without a rule"
                .to_owned();
        }
        let verb = self.operation.verb();
        let missing: Vec<_> = self
            .user
            .iter()
            .filter(|value| value.value.is_none())
            .map(|value| format!("$user/{}", value.path))
            .collect();
        match self.answer {
            Answer::Yes => format!("a rule lets these roles {verb} all rows"),
            Answer::Depends => {
                format!("rules let these roles {verb} rows that fulfil the condition")
            }
            Answer::No if !missing.is_empty() => format!(
                "no rule matches any row: {} has no value, and what is compared with it matches nothing",
                missing.join(", ")
            ),
            Answer::No => format!("no rule lets these roles {verb} rows of this entity"),
        }
    }
}

impl RuleExplanation {
    fn title(&self) -> String {
        format!("{} of {} for {}", self.number, self.entity, self.role)
    }
}

impl Operation {
    /// `read`, `create`, `update`, `delete`.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Depends => "depends",
        })
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let roles = match self.roles.as_slice() {
            [] => "somebody without a role".to_owned(),
            roles => roles.join(", "),
        };
        let verb = self.operation.verb();
        writeln!(f, "{verb} {} as {roles}: {}", self.entity, self.answer)?;
        writeln!(f, "  because {}", self.reason)?;
        if let Some(condition) = &self.condition {
            writeln!(f, "  where {condition}")?;
        }
        if !self.user.is_empty() {
            writeln!(f, "\nuser")?;
            for value in &self.user {
                let known = value.value.as_deref().unwrap_or("(no value)");
                writeln!(f, "  $user/{} = {known}", value.path)?;
            }
        }
        if !self.rules.is_empty() {
            writeln!(f, "\nrules")?;
        }
        for rule in &self.rules {
            write!(f, "  {}", rule.title())?;
            writeln!(
                f,
                "{}",
                match (rule.matches, rule.allows) {
                    (Some(true), Some(true)) => ": matches the row and allows it",
                    (Some(true), _) => ": matches the row and does not allow it",
                    (Some(false), _) => ": does not match the row",
                    (None, _) => "",
                }
            )?;
            let condition = rule.condition.as_deref().unwrap_or("(all rows)");
            writeln!(f, "    where  {condition}")?;
            writeln!(f, "    read   {}", listed(&rule.read))?;
            writeln!(f, "    write  {}", listed(&rule.write))?;
            writeln!(f, "    create {}", rule.create)?;
            writeln!(f, "    delete {}", rule.delete)?;
        }
        if !self.other_roles.is_empty() {
            let others = self.other_roles.join(", ");
            writeln!(f, "\nother roles with rules for {}: {others}", self.entity)?;
        }
        let width = self.members.iter().map(|member| member.name.len()).max();
        let width = width.unwrap_or(0);
        if !self.members.is_empty() {
            writeln!(f, "\nmembers")?;
        }
        for member in &self.members {
            let said = |answer: Answer, condition: &Option<String>| match condition {
                Some(condition) => format!("where {condition}"),
                None => answer.to_string(),
            };
            writeln!(
                f,
                "  {:width$}  read {}, write {}",
                member.name,
                said(member.read, &member.read_where),
                said(member.write, &member.write_where),
            )?;
        }
        Ok(())
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "(nothing)".to_owned()
    } else {
        names.join(", ")
    }
}
