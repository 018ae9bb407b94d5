//! Access rules.

use super::Resolver;
use crate::application::draft::{MemberSetDraft, PermissionDraft};
use crate::application::faults::{At, Faults};
use crate::application::names::nearest;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{AccessRule, EntityId, Member, MemberSet, Model, Permission, Purpose, RoleId};

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
                let read = self.member_set(entity, rule.read.as_ref(), false);
                let write = self.member_set(entity, rule.write.as_ref(), true);
                if let Some(role) = role {
                    let (create, delete) = (rule.create.as_ref(), rule.delete.as_ref());
                    rules.push(Unbound {
                        entity,
                        role,
                        create,
                        delete,
                        read,
                        write,
                        condition: rule.condition.as_ref(),
                    });
                }
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
        let near = nearest(&name.value, self.role_ids.keys().copied());
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

/// Binds the rules' expressions against the finished model and adds the rules to it.
pub(super) fn bind(model: &mut Model, rules: Vec<Unbound<'_>>, _faults: &mut Faults) {
    for rule in rules {
        let permission = |draft: Option<&PermissionDraft>| match draft {
            Some(PermissionDraft::Flag(true)) => Permission::Granted,
            Some(PermissionDraft::Flag(false) | PermissionDraft::When(_)) | None => {
                Permission::Denied
            }
        };
        let (create, delete) = (permission(rule.create), permission(rule.delete));
        let _ = rule.condition;
        model.entities[rule.entity.index()].access.push(AccessRule {
            role: rule.role,
            create,
            delete,
            read: rule.read,
            write: rule.write,
            condition: None,
        });
    }
}
