//! The model as a reader sees it.

use super::rules::{EntityRules, Grant};
use crate::model::{AttributeId, EntityId, EntityReach, Extent, MemberReach, Model, NavigationId};

/// A model with the names that the reader may know, and no others.
///
/// - An entity is known if the reader may see or create rows of it, or of one of its specialisations; never
///   an internal one. Others have no name in `entities_by_name`, `entities_by_collection` and
///   `specialisations`; a base of which nothing but rows of a specialisation can be created has no collection.
/// - A member is known if it may be read or written somewhere. Others are not in the name maps, and hidden
///   navigations have no name at all. A navigation whose targets are never visible cannot be read.
/// - The key can be read wherever rows can, and given wherever rows can be created.
/// - A reference may be written by either end, so that one end's `write` gives the other [`Extent::Some`]; as
///   does a reference's for attributes that show its columns.
/// - `required` says what is true of rows. Bodies are asked only for what may be written: what may not gets
///   its default, or the database refuses the row.
pub(super) fn view(model: &Model, rules: &[EntityRules]) -> Model {
    let mut view = model.clone();
    for (entity, own) in view.entities.iter_mut().zip(rules) {
        let written = |navigation: NavigationId| {
            let found = &model[entity.id][navigation];
            let partner = rules[found.target.index()].navigation(found.partner);
            match own.navigation(navigation).write.extent() {
                Extent::None if !partner.write.is_never() => Extent::Some,
                extent => extent,
            }
        };
        let of_visible = |grant: &Grant| match grant.extent() {
            Extent::Some if own.covers(grant, &own.visible) => Extent::All,
            extent => extent,
        };
        let read = own.visible.extent();
        let create = own.create.extent();
        let mut update = Extent::None;
        for (position, attribute) in (0..).zip(&mut entity.attributes) {
            let id = AttributeId(position);
            let member = own.attribute(id);
            let by_reference = own
                .references_of(id)
                .map(written)
                .max()
                .map_or(Extent::None, |extent| extent.min(Extent::Some));
            let mut write = of_visible(&member.write).max(by_reference);
            let is_key = entity.key.contains(&id);
            if !is_key {
                update = update.max(write);
            }
            if is_key {
                write = write.max(create);
            }
            attribute.reach = MemberReach {
                read: if read == Extent::None {
                    Extent::None
                } else {
                    member.read.extent()
                },
                write,
            };
        }
        for (position, navigation) in (0..).zip(&mut entity.navigations) {
            let id = NavigationId(position);
            let mut write = written(id);
            if of_visible(&own.navigation(id).write) == Extent::All {
                write = Extent::All;
            }
            update = update.max(write);
            // Where the target cannot be seen, the navigation leads nowhere.
            let target = &rules[navigation.target.index()].visible;
            navigation.reach = MemberReach {
                read: own.navigation(id).read.extent().min(target.extent()),
                write,
            };
            if navigation.reach.read == Extent::None && write == Extent::None {
                navigation.name = None;
            }
        }
        let is_visible = |extent| {
            if read == Extent::None {
                Extent::None
            } else {
                extent
            }
        };
        entity.reach = EntityReach {
            read,
            create,
            update: is_visible(update),
            delete: is_visible(of_visible(&own.delete)),
        };
        let (attributes, navigations) = (&entity.attributes, &entity.navigations);
        let is_known =
            |reach: MemberReach| reach.read != Extent::None || reach.write != Extent::None;
        entity
            .attributes_by_name
            .retain(|_, id| is_known(attributes[id.index()].reach));
        entity
            .navigations_by_name
            .retain(|_, id| is_known(navigations[id.index()].reach));
    }
    let is_reachable: Vec<bool> = view
        .entities
        .iter()
        .map(|entity| entity.reach.read != Extent::None || entity.reach.create != Extent::None)
        .collect();
    let is_known = |id: EntityId| {
        is_reachable[id.index()]
            || model[id]
                .specialisations
                .iter()
                .any(|special| is_reachable[special.index()])
    };
    for entity in &mut view.entities {
        entity.specialisations.retain(|id| is_known(*id));
    }
    view.entities_by_name.retain(|_, id| is_known(*id));
    view.entities_by_collection
        .retain(|_, id| is_reachable[id.index()]);
    view
}
