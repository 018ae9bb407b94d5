//! Whether rows can be inserted at all: required references must not run in circles.

use std::collections::HashMap;

use super::Resolver;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Entity, EntityId, Navigation, Storage};

/// Steps of a circle that are shown.
const SHOWN_STEPS: usize = 12;

impl Resolver<'_, '_> {
    pub(super) fn insertion(&mut self) {
        let insertable = self.insertable();
        let mut is_seen = vec![false; insertable.len()];
        for start in self.ids().filter(|id| !insertable[id.index()]) {
            // Every entity that is not insertable requires another one that is not: the way must end in a
            // circle, its own or one that is reported already.
            let mut way: Vec<(EntityId, &Navigation)> = Vec::new();
            let mut places: HashMap<EntityId, usize> = HashMap::new();
            let mut at = start;
            while !is_seen[at.index()] {
                let unsatisfied =
                    |navigation: &&Navigation| !self.is_satisfiable(navigation, &insertable);
                let Some(navigation) = required(self.entity(at)).find(unsatisfied) else {
                    return; // Cannot be: it would be insertable.
                };
                is_seen[at.index()] = true;
                places.insert(at, way.len());
                way.push((at, navigation));
                at = navigation.target;
            }
            if let Some(from) = places.get(&at) {
                let diagnostic = self.describe(&way[*from..]);
                self.faults.push(diagnostic);
            }
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
            .take(SHOWN_STEPS)
            .map(|(entity, navigation)| {
                format!("{}.{}", self.entity(*entity).name, name(navigation))
            })
            .collect();
        if circle.len() > SHOWN_STEPS {
            steps.push("…".to_owned());
        }
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
        for step in circle.iter().take(SHOWN_STEPS).skip(1) {
            diagnostic = diagnostic.related(Some(place(step)), "part of the circle");
        }
        diagnostic
    }

    /// The entities of which rows can be inserted into an empty database: the least fixed point.
    fn insertable(&self) -> Vec<bool> {
        let mut requiring: Vec<Vec<EntityId>> = vec![Vec::new(); self.entities.len()];
        for entity in &self.entities {
            for navigation in required(entity) {
                requiring[navigation.target.index()].push(entity.id);
            }
        }
        let mut insertable = vec![false; self.entities.len()];
        let mut waiting: Vec<EntityId> = self.ids().collect();
        while let Some(id) = waiting.pop() {
            let is_ready = || {
                required(self.entity(id))
                    .all(|navigation| self.is_satisfiable(navigation, &insertable))
            };
            if !insertable[id.index()] && is_ready() {
                insertable[id.index()] = true;
                for target in std::iter::once(id).chain(self.ancestors(id)) {
                    waiting.extend_from_slice(&requiring[target.index()]);
                }
            }
        }
        insertable
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
