//! Letting people sign in, or no longer: the same for users and administrators.

use stoa_model::access::Actor;
use stoa_model::change::Action;
use stoa_model::value::Value;

use super::audit::kind;
use super::record::update;
use super::{Identity, Principal};

impl Identity {
    /// Operations that let somebody sign in, or no longer: then all sessions and one-time links end. The first
    /// is about the person's own row; it is recorded who did it.
    pub(super) fn activation(&self, principal: Principal, active: bool, by: &Actor) -> Vec<Action> {
        let system = &self.shared.system;
        let (entity, attribute, kinds) = match principal {
            Principal::User(_) => (
                system.user.entity,
                system.user.active,
                [kind::USER_ENABLED, kind::USER_DISABLED],
            ),
            Principal::Administrator(_) => (
                system.administrator.entity,
                system.administrator.active,
                [kind::ADMINISTRATOR_ENABLED, kind::ADMINISTRATOR_DISABLED],
            ),
        };
        let values = vec![(attribute, Value::Boolean(active))];
        let mut actions = vec![update(entity, principal.id(), None, values)];
        let [enabled, disabled] = kinds;
        let kind = if active {
            enabled
        } else {
            actions.extend(self.end_others(principal, &[]));
            disabled
        };
        actions.push(self.record(kind, by, Some(self.about(principal)), None));
        actions
    }
}
