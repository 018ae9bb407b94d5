//! Access rules.

use super::Resolver;
use crate::application::draft::{MemberSetDraft, PermissionDraft};
use crate::application::keys::ANONYMOUS_ROLE;
use crate::application::quoted;
use crate::diagnostic::{Code, Diagnostic, SourceFile, Span};
use crate::document::{At, Faults};
use crate::expression::bind::Binder;
use crate::expression::error::{Error, ErrorKind};
use crate::expression::{Expression, syntax};
use crate::model::{
    AccessRule, EntityId, Member, MemberSet, Model, Permission, Purpose, RoleId, UserValue,
};

/// A rule whose expressions are not bound yet: that takes the finished model.
pub(super) struct Unbound<'d> {
    entity: EntityId,
    role: RoleId,
    create: Option<&'d PermissionDraft>,
    delete: Option<&'d PermissionDraft>,
    read: MemberSet,
    write: MemberSet,
    condition: Option<&'d At<String>>,
}

impl<'d> Resolver<'d, '_> {
    pub(super) fn access(&mut self) -> Vec<Unbound<'d>> {
        let mut rules = Vec::new();
        for entity in self.ids() {
            let draft = self.drafts[entity.index()];
            for rule in &draft.access {
                let role = self.role_ids.get(rule.role.value.as_str()).copied();
                if role.is_none() {
                    self.unknown_role(&rule.role);
                }
                rules.push(Unbound {
                    entity,
                    // The stand-in for an unknown role goes no further: the model is not used.
                    role: role.unwrap_or(RoleId(0)),
                    create: rule.create.as_ref(),
                    delete: rule.delete.as_ref(),
                    read: self.member_set(entity, rule.read.as_ref(), false),
                    write: self.member_set(entity, rule.write.as_ref(), true),
                    condition: rule.condition.as_ref(),
                });
            }
        }
        rules
    }

    fn unknown_role(&mut self, name: &At<String>) {
        let shown: String = name.value.chars().take(60).collect();
        let diagnostic = Diagnostic::error(
            Code::UnknownRole,
            name.span,
            format!("the model has no role `{shown}`"),
        );
        let near = self
            .faults
            .nearest(&name.value, self.role_ids.keys().copied());
        if name.value == ANONYMOUS_ROLE {
            self.faults.push(diagnostic.help(
                "say `[access] anonymous = true` in app.toml to let in who is not signed in",
            ));
            return;
        }
        self.faults.push(match near {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("declare it: [role.{shown}]")),
        });
    }

    fn member_set(
        &mut self,
        entity: EntityId,
        draft: Option<&MemberSetDraft>,
        is_write: bool,
    ) -> MemberSet {
        let names = match draft {
            None => return MemberSet::Only(Vec::new()),
            Some(MemberSetDraft::All) => return MemberSet::All,
            Some(MemberSetDraft::Only(names)) => names,
        };
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let Some(member) = self.find_member(entity, name) else {
                continue;
            };
            if members.contains(&member) {
                self.faults.push(
                    Diagnostic::error(
                        Code::Repeated,
                        name.span,
                        format!("`{}` is twice in the list", name.value),
                    )
                    .help("leave it out once"),
                );
                continue;
            }
            if let (true, Member::Attribute(id)) = (is_write, member) {
                let purpose = self.entity(entity).attributes[id.index()].purpose;
                if matches!(
                    purpose,
                    Purpose::AutoNumber | Purpose::CreatedAt | Purpose::ChangedAt
                ) {
                    self.faults.push(
                        Diagnostic::error(
                            Code::NotApplicable,
                            name.span,
                            format!("`{}` is written by the system only", name.value),
                        )
                        .help("leave it out of `write`"),
                    );
                }
            }
            members.push(member);
        }
        MemberSet::Only(members)
    }
}

/// Binds the rules' expressions against the finished model and adds the rules to it. `is_partial`: members
/// may be missing from the model because of faults that are reported already.
pub(super) fn bind(
    model: &mut Model,
    rules: Vec<Unbound<'_>>,
    is_partial: bool,
    files: &[SourceFile],
    faults: &mut Faults,
) {
    let mut bound = Vec::with_capacity(rules.len());
    let mut values = Vec::new();
    for rule in rules {
        let mut binding = Binding {
            model,
            values: &mut values,
            entity: rule.entity,
            is_partial,
            files,
            faults,
        };
        let create = binding.permission(rule.create);
        let delete = binding.permission(rule.delete);
        let condition = rule.condition.and_then(|text| binding.expression(text));
        let (role, read, write) = (rule.role, rule.read, rule.write);
        bound.push((
            rule.entity,
            AccessRule {
                role,
                create,
                delete,
                read,
                write,
                condition,
            },
        ));
    }
    model.user.values = values;
    for (entity, rule) in bound {
        model.entities[entity.index()].access.push(rule);
    }
}

struct Binding<'a> {
    model: &'a Model,
    /// What the rules ask of the user.
    values: &'a mut Vec<UserValue>,
    entity: EntityId,
    is_partial: bool,
    files: &'a [SourceFile],
    faults: &'a mut Faults,
}

impl Binding<'_> {
    fn permission(&mut self, draft: Option<&PermissionDraft>) -> Permission {
        match draft {
            Some(PermissionDraft::Flag(true)) => Permission::Granted,
            Some(PermissionDraft::Flag(false)) | None => Permission::Denied,
            // Without an expression there was a fault, and the model is not used.
            Some(PermissionDraft::When(text)) => self
                .expression(text)
                .map_or(Permission::Denied, Permission::When),
        }
    }

    fn expression(&mut self, text: &At<String>) -> Option<Expression> {
        let parsed = syntax::parse(&one_line(&text.value), syntax::Limits::default());
        let bound = parsed.and_then(|node| {
            Binder::new(self.model, self.entity)
                .with_user(self.values)
                .boolean(&node)
        });
        match bound {
            Ok(expression) => Some(expression),
            Err(error) => {
                let is_echo = self.is_partial && error.kind == ErrorKind::UnknownName;
                if !is_echo {
                    self.report(text, &error);
                }
                None
            }
        }
    }

    fn report(&mut self, text: &At<String>, error: &Error) {
        let file = text.span.file();
        let raw = self.files[file]
            .text()
            .get(text.span.range())
            .unwrap_or_default();
        let end = error.position + word_length(&text.value, error.position);
        let range = quoted::place(raw, error.position)..quoted::place(raw, end);
        let start = text.span.start();
        let span = Span::new(
            file,
            start + range.start..start + range.end.max(range.start),
        );
        let code = match error.kind {
            ErrorKind::UnknownName => Code::UnknownMember,
            _ => Code::InvalidExpression,
        };
        let mut diagnostic = Diagnostic::error(code, span, error.message.clone());
        if let Some(expected) = error.expected {
            diagnostic = diagnostic.label(format!("expected {expected}"));
        }
        self.faults
            .push(diagnostic.nearest(error.suggestion.as_deref()));
    }
}

/// Bytes of the word at a place, or of the one character there.
fn word_length(text: &str, position: usize) -> usize {
    let Some(rest) = text.get(position..) else {
        return 0;
    };
    let word = rest
        .find(|character: char| !(character.is_alphanumeric() || character == '_'))
        .unwrap_or(rest.len());
    if word > 0 {
        word
    } else {
        rest.chars().next().map_or(0, char::len_utf8)
    }
}

/// The expression with line breaks and tabs outside of its texts as blanks, so that a long one can be
/// written on several lines. Places stay the same.
fn one_line(text: &str) -> String {
    let mut is_quoted = false;
    text.chars()
        .map(|character| {
            is_quoted ^= character == '\'';
            if matches!(character, '\n' | '\r' | '\t') && !is_quoted {
                ' '
            } else {
                character
            }
        })
        .collect()
}
