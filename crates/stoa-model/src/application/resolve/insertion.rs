//! Whether rows can be inserted at all: required references must not run in circles.

use super::Resolver;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Entity, EntityId, Navigation, Storage};

impl Resolver<'_, '_> {
    pub(super) fn insertion(&mut self) {
        let insertable = self.insertable();
        let mut reported = vec![false; insertable.len()];
        for start in self.ids() {
            if insertable[start.index()] || reported[start.index()] {
                continue;
            }
            // Every entity that is not insertable requires another one that is not: the way must end in a circle.
            let mut way: Vec<(EntityId, &Navigation)> = Vec::new();
            let mut at = start;
            while !way.iter().any(|(entity, _)| *entity == at) {
                let Some(navigation) = required(self.entity(at))
                    .find(|navigation| !self.is_satisfiable(navigation, &insertable))
                else {
                    return; // Cannot be: it would be insertable.
                };
                way.push((at, navigation));
                at = navigation.target;
            }
            let from = way
                .iter()
                .position(|(entity, _)| *entity == at)
                .unwrap_or_default();
            let circle = &way[from..];
            if !circle.iter().any(|(entity, _)| reported[entity.index()]) {
                let diagnostic = self.describe(circle);
                for (entity, _) in circle {
                    reported[entity.index()] = true;
                }
                self.faults.push(diagnostic);
            }
            reported[start.index()] = true;
        }
    }

    fn describe(&self, circle: &[(EntityId, &Navigation)]) -> Diagnostic {
        let name = |navigation: &Navigation| {
            navigation
                .name
                .clone()
                .unwrap_or_else(|| self.entity(navigation.target).name.clone())
        };
        let mut steps: Vec<String> = circle
            .iter()
            .map(|(entity, navigation)| {
                format!("{}.{}", self.entity(*entity).name, name(navigation))
            })
            .collect();
        steps.push(self.entity(circle[0].0).name.clone());
        let place = |(entity, navigation): &(EntityId, &Navigation)| {
            let declared = navigation
                .name
                .as_ref()
                .and_then(|name| *self.members[navigation.declared_by.index()].get(name)?);
            declared.unwrap_or(self.drafts[entity.index()].about.name.span)
        };
        let mut diagnostic = Diagnostic::error(
            Code::RequiredCycle,
            place(&circle[0]),
            format!(
                "no first row of {} could ever be inserted",
                self.entity(circle[0].0).name
            ),
        )
        .label(steps.join(" → "))
        .help("required references run in a circle: make one of them optional");
        for step in &circle[1..] {
            diagnostic = diagnostic.related(Some(place(step)), "part of the circle");
        }
        diagnostic
    }

    /// The entities of which rows can be inserted into an empty database: the least fixed point.
    fn insertable(&self) -> Vec<bool> {
        let mut insertable = vec![false; self.entities.len()];
        loop {
            let mut has_grown = false;
            for entity in &self.entities {
                if !insertable[entity.id.index()]
                    && required(entity)
                        .all(|navigation| self.is_satisfiable(navigation, &insertable))
                {
                    insertable[entity.id.index()] = true;
                    has_grown = true;
                }
            }
            if !has_grown {
                return insertable;
            }
        }
    }

    /// Whether there can be a row to refer to, be it of a specialisation.
    fn is_satisfiable(&self, navigation: &Navigation, insertable: &[bool]) -> bool {
        let target = self.entity(navigation.target);
        std::iter::once(target.id)
            .chain(target.specialisations.iter().copied())
            .any(|entity| insertable[entity.index()])
    }
}

fn required(entity: &Entity) -> impl Iterator<Item = &Navigation> {
    entity
        .navigations
        .iter()
        .filter(|navigation| navigation.required && matches!(navigation.storage, Storage::Own(_)))
}
