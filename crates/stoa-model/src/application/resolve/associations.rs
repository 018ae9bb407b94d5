//! Associations: each becomes two navigations, one at each end.

use super::{Resolver, position};
use crate::application::draft::AssociationDraft;
use crate::application::keys::USER_ENTITY;
use crate::application::names::{NameOf, check_identifier};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::At;
use crate::model::{
    EntityId, Member, MemberReach, Navigation, NavigationId, OnDelete, Storage, Unique,
};

/// How many rows an association connects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Kept at the declaring entity.
    ToOne,
    /// Kept at the other entity.
    ToMany,
    /// Kept in a table of its own.
    ManyToMany,
}

/// A navigation whose partner's id is not known yet: its position among the own ones of an entity.
struct Planned {
    navigation: Navigation,
    partner: (EntityId, usize),
}

/// An association whose names are bound.
struct Bound<'d> {
    draft: &'d AssociationDraft,
    from: EntityId,
    to: EntityId,
    kind: Kind,
    contained: bool,
    /// The end that holds the foreign key always leads to a row.
    required: bool,
    on_delete: OnDelete,
    /// Storage at the declaring end, and at the other.
    storage: (Storage, Storage),
}

impl<'d> Resolver<'d, '_> {
    pub(super) fn associations(&mut self) {
        let mut bound = Vec::new();
        for from in self.ids() {
            let draft = self.drafts[from.index()];
            for association in &draft.associations {
                let name = association.about.name.value.as_str();
                if self.is_own_broken(from, name) {
                    continue;
                }
                match self.bind(from, association) {
                    Some(association) => bound.push(association),
                    None => {
                        self.mark_broken(from, name);
                    }
                }
            }
        }
        self.check_containment(&bound);
        let own = self.plan(&bound);
        self.place(own);
        self.references(&bound);
    }

    fn bind(&mut self, from: EntityId, draft: &'d AssociationDraft) -> Option<Bound<'d>> {
        self.check_settings(draft);
        let is = |flag: &Option<At<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
        let kind = match (is(&draft.many), is(&draft.many_to_many)) {
            (_, true) => Kind::ManyToMany,
            (true, false) => Kind::ToMany,
            (false, false) => Kind::ToOne,
        };
        let to = self.find_entity(&draft.to)?;
        // Where containment is not possible it is reported, and has no consequences.
        let contained = is(&draft.contained)
            && kind == Kind::ToMany
            && !self.contains_users(to, draft)
            && !self.contains_itself(from, to, draft);
        let mut required = is(&draft.required) || contained;
        let storage = match kind {
            Kind::ManyToMany => self.join_table(from, to, draft),
            Kind::ToOne => {
                let columns = self.foreign_columns(from, to, &draft.about.name.value, draft);
                required |= self.always_filled(from, &columns);
                (Storage::Own(columns.clone()), Storage::Target(columns))
            }
            Kind::ToMany => {
                let name = draft
                    .inverse
                    .as_ref()
                    .map_or(&self.entity(from).name, |inverse| &inverse.value)
                    .clone();
                let columns = self.foreign_columns(to, from, &name, draft);
                required |= self.always_filled(to, &columns);
                (Storage::Target(columns.clone()), Storage::Own(columns))
            }
        };
        let is_unclearable = match &storage {
            (Storage::Own(columns), _) => self.is_unclearable(from, columns),
            (_, Storage::Own(columns)) => self.is_unclearable(to, columns),
            _ => false,
        };
        let on_delete = self.on_delete(draft, kind, contained, required || is_unclearable);
        Some(Bound {
            draft,
            from,
            to,
            kind,
            contained,
            required,
            on_delete,
            storage,
        })
    }

    /// Reports settings that contradict each other or do not go with the kind.
    fn check_settings(&mut self, draft: &AssociationDraft) {
        let on = |flag: &Option<At<bool>>| {
            flag.as_ref()
                .filter(|flag| flag.value)
                .map(|flag| flag.span)
        };
        let (many, join, contained) = (
            on(&draft.many),
            on(&draft.many_to_many),
            on(&draft.contained),
        );
        if let (Some(many), Some(join)) = (many, join) {
            self.faults.push(
                Diagnostic::error(
                    Code::Contradiction,
                    join,
                    "an association is either `many` or `many_to_many`",
                )
                .help("`many`: a target belongs to one row; `many_to_many`: to any number")
                .related(Some(many), "and here"),
            );
        }
        if let (Some(contained), true) = (contained, join.is_some() || many.is_none()) {
            self.faults.push(
                Diagnostic::error(
                    Code::Contradiction,
                    contained,
                    "only a to-many association can be contained",
                )
                .help("add `many = true` and leave out `many_to_many`, or leave out `contained`"),
            );
        }
        let to_one = many.is_none() && join.is_none();
        let misplaced = [
            (
                on(&draft.required),
                "required",
                to_one,
                "it is for to-one associations: say it at the other end",
            ),
            (
                on(&draft.unique),
                "unique",
                to_one,
                "it is for to-one associations and makes them one-to-one",
            ),
            (
                draft.on_delete.as_ref().map(|it| it.span),
                "on_delete",
                join.is_none(),
                "the connections of a deleted row always go with it",
            ),
            (
                draft.foreign_key.as_ref().map(|it| it.span),
                "foreign_key",
                join.is_none(),
                "name the table's columns with `columns`",
            ),
            (
                draft.column.as_ref().map(|it| it.span),
                "column",
                join.is_none(),
                "name the table's columns with `columns`",
            ),
            (
                draft.table.as_ref().map(|it| it.span),
                "table",
                join.is_some(),
                "only a `many_to_many` association has a table of its own",
            ),
        ];
        let kind = if to_one {
            "to-one"
        } else if join.is_some() {
            "many-to-many"
        } else {
            "to-many"
        };
        for (span, key, applies, help) in misplaced {
            if let (Some(span), false) = (span, applies) {
                self.faults.push(
                    Diagnostic::error(
                        Code::NotApplicable,
                        span,
                        format!("`{key}` does not go with a {kind} association"),
                    )
                    .help(help),
                );
            }
        }
        if let (Some(label), None) = (&draft.inverse_label, &draft.inverse) {
            self.faults.push(
                Diagnostic::error(
                    Code::Contradiction,
                    label.span,
                    "`inverse_label` labels an inverse that has no name",
                )
                .help("name it with `inverse`"),
            );
        }
        let columns = [
            draft.column.as_ref().map(|it| (it.span, "column")),
            draft.columns.as_ref().map(|it| (it.span, "columns")),
            draft
                .foreign_key
                .as_ref()
                .map(|it| (it.span, "foreign_key")),
        ];
        let mut given = columns.into_iter().flatten();
        if let (Some((first, first_key)), Some((second, second_key))) = (given.next(), given.next())
        {
            self.faults.push(
                Diagnostic::error(Code::Contradiction, second, format!("`{second_key}` and `{first_key}` both name the columns"))
                    .help("`foreign_key` when attributes show the columns, else `column`, or `columns` for several")
                    .related(Some(first), "and here"),
            );
        }
    }

    fn on_delete(
        &mut self,
        draft: &AssociationDraft,
        kind: Kind,
        contained: bool,
        required: bool,
    ) -> OnDelete {
        let given = draft.on_delete.as_ref().and_then(|given| {
            let on_delete = match given.value.as_str() {
                "prevent" => OnDelete::Prevent,
                "cascade" => OnDelete::Cascade,
                "clear" => OnDelete::Clear,
                _ => return None,
            };
            Some((on_delete, given.span))
        });
        if kind == Kind::ManyToMany {
            return OnDelete::Cascade;
        }
        match given {
            Some((on_delete, span)) if contained && on_delete != OnDelete::Cascade => {
                self.faults.push(
                    Diagnostic::error(
                        Code::Contradiction,
                        span,
                        "contained rows are deleted with their container",
                    )
                    .help("leave `on_delete` out")
                    .related(
                        draft.contained.as_ref().map(|contained| contained.span),
                        "contained here",
                    ),
                );
                OnDelete::Cascade
            }
            Some((OnDelete::Clear, span)) if required => {
                self.faults.push(
                    Diagnostic::error(
                        Code::Contradiction,
                        span,
                        "a required association cannot be cleared",
                    )
                    .help("use `prevent` or `cascade`, or leave out `required` here and at the attributes of `foreign_key`")
                    .related(
                        draft.required.as_ref().map(|required| required.span),
                        "required here",
                    ),
                );
                OnDelete::Clear
            }
            Some((on_delete, _)) => on_delete,
            None if contained => OnDelete::Cascade,
            None => OnDelete::Prevent,
        }
    }

    fn contains_itself(&mut self, from: EntityId, to: EntityId, draft: &AssociationDraft) -> bool {
        if self.entity(from).root != self.entity(to).root {
            return false;
        }
        let message = format!("{} contains itself", self.entity(from).name);
        self.faults.push(
            Diagnostic::error(Code::InvalidContainment, draft.about.name.span, message).help(
                "the outermost row would need a container too: leave out `contained` and say `on_delete = \"cascade\"`",
            ),
        );
        true
    }

    /// Users are made by the product itself, which knows no container.
    fn contains_users(&mut self, to: EntityId, draft: &AssociationDraft) -> bool {
        let is_user = self.is_in_system(self.drafts[to.index()].about.name.span);
        if is_user {
            self.faults.push(
                Diagnostic::error(
                    Code::InvalidContainment,
                    draft.about.name.span,
                    format!("{USER_ENTITY} cannot be contained"),
                )
                .help("users are on their own: leave out `contained`"),
            );
        }
        is_user
    }

    fn check_containment(&mut self, bound: &[Bound<'d>]) {
        let mut containers: std::collections::HashMap<EntityId, &Bound<'d>> =
            std::collections::HashMap::new();
        for association in bound.iter().filter(|association| association.contained) {
            let to = self.entity(association.to);
            let place = association.draft.about.name.span;
            let related = std::iter::once(association.to)
                .chain(self.ancestors(association.to))
                .chain(to.specialisations.iter().copied());
            let first = related.filter_map(|entity| containers.get(&entity)).next();
            if let Some(first) = first {
                let message = format!(
                    "{} is already contained in {}",
                    to.name,
                    self.entity(first.from).name
                );
                let diagnostic = Diagnostic::error(Code::InvalidContainment, place, message)
                    .help("a row has one container at most: leave out `contained` at one of them")
                    .related(Some(first.draft.about.name.span), "first contained here");
                self.faults.push(diagnostic);
                continue;
            }
            containers.insert(association.to, association);
        }
    }

    /// Own navigations of each entity: those it declares, then the inverse ones.
    fn plan(&mut self, bound: &[Bound<'d>]) -> Vec<Vec<Planned>> {
        let mut own: Vec<Vec<Planned>> = self.entities.iter().map(|_| Vec::new()).collect();
        for association in bound {
            own[association.from.index()].push(forward(association));
        }
        let mut next = vec![0; own.len()];
        for association in bound {
            let name = self.inverse_name(association);
            let here = next[association.from.index()];
            next[association.from.index()] += 1;
            let position = own[association.to.index()].len();
            own[association.from.index()][here].partner = (association.to, position);
            let from = &self.entity(association.from).name;
            let planned = inverse(association, name, from, here);
            own[association.to.index()].push(planned);
        }
        own
    }

    fn inverse_name(&mut self, association: &Bound<'d>) -> Option<String> {
        let name = association.draft.inverse.as_ref()?;
        let is_free = check_identifier(name, NameOf::Association, self.faults)
            && self.declare(association.to, name);
        is_free.then(|| name.value.clone())
    }

    /// Puts inherited and own navigations together and fills in the partners' ids.
    fn place(&mut self, own: Vec<Vec<Planned>>) {
        let mut offsets = Vec::with_capacity(own.len());
        for (id, planned) in self.ids().zip(&own) {
            let offset = self.entity(id).base.map_or(0, |base: EntityId| {
                let (offset, length): (usize, usize) = offsets[base.index()];
                offset + length
            });
            offsets.push((offset, planned.len()));
        }
        for (id, planned) in self.ids().zip(own) {
            let (mut navigations, mut by_name, mut container) = match self.entity(id).base {
                Some(base) => {
                    let base = self.entity(base);
                    (
                        base.navigations.clone(),
                        base.navigations_by_name.clone(),
                        base.container,
                    )
                }
                None => Default::default(),
            };
            for planned in planned {
                let here = NavigationId(position(navigations.len()));
                let (entity, index) = planned.partner;
                let mut navigation = planned.navigation;
                navigation.partner = NavigationId(position(offsets[entity.index()].0 + index));
                if let Some(name) = &navigation.name {
                    by_name.insert(name.clone(), here);
                }
                if navigation.contained && !navigation.many {
                    // Marks the way to the container while the plan is made; only the container contains.
                    navigation.contained = false;
                    container = Some(here);
                }
                navigations.push(navigation);
            }
            let entity = &mut self.entities[id.index()];
            entity.navigations = navigations;
            entity.navigations_by_name = by_name;
            entity.container = container;
        }
    }

    /// One-to-one associations are unique.
    fn references(&mut self, bound: &[Bound<'d>]) {
        for association in bound.iter().filter(|association| association.is_unique()) {
            let entity = &mut self.entities[association.from.index()];
            if let Some(navigation) = entity
                .navigations_by_name
                .get(&association.draft.about.name.value)
            {
                entity.uniques.push(Unique {
                    members: vec![Member::Navigation(*navigation)],
                });
            }
        }
    }
}

impl Bound<'_> {
    fn is_unique(&self) -> bool {
        self.kind == Kind::ToOne
            && self
                .draft
                .unique
                .as_ref()
                .is_some_and(|unique| unique.value)
    }
}

fn forward(association: &Bound<'_>) -> Planned {
    let about = &association.draft.about;
    Planned {
        navigation: Navigation {
            name: Some(about.name.value.clone()),
            label: about.label(),
            description: about.description.clone(),
            renamed_from: about
                .renamed_from
                .as_ref()
                .map(|former| former.value.clone()),
            target: association.to,
            partner: NavigationId(0),
            many: association.kind != Kind::ToOne,
            contained: association.contained,
            required: association.kind == Kind::ToOne && association.required,
            on_delete: association.on_delete,
            storage: association.storage.0.clone(),
            declared_by: association.from,
            reach: MemberReach::ALL,
        },
        partner: (association.to, 0),
    }
}

fn inverse(association: &Bound<'_>, name: Option<String>, from: &str, partner: usize) -> Planned {
    let label = association
        .draft
        .inverse_label
        .as_ref()
        .map(|label| label.value.clone());
    Planned {
        navigation: Navigation {
            label: label
                .or_else(|| name.clone())
                .unwrap_or_else(|| from.to_owned()),
            name,
            description: None,
            renamed_from: None,
            target: association.from,
            partner: NavigationId(0),
            many: match association.kind {
                Kind::ToOne => !association.is_unique(),
                Kind::ToMany => false,
                Kind::ManyToMany => true,
            },
            contained: association.contained,
            required: association.kind == Kind::ToMany && association.required,
            on_delete: association.on_delete,
            storage: association.storage.1.clone(),
            declared_by: association.to,
            reach: MemberReach::ALL,
        },
        partner: (association.from, partner),
    }
}
