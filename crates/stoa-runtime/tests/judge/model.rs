//! Applications: entities, associations, rules; and their text.

use std::fmt::Write as _;

use crate::expression::Expression;
use crate::value::{Kind, SHADES, Scalar};

/// Namespace of every application.
pub(crate) const NAMESPACE: &str = "Court";
/// Role that may do everything, with which the state is set up and read.
pub(crate) const ROOT: &str = "Root";

/// Position of an entity in [`Model::entities`].
pub(crate) type EntityId = usize;
/// Position of an association in [`Model::associations`].
pub(crate) type AssociationId = usize;

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) entities: Vec<Entity>,
    pub(crate) associations: Vec<Association>,
    /// Without [`ROOT`].
    pub(crate) roles: Vec<String>,
    /// Whether those who are not signed in have a role, `Anonymous`.
    pub(crate) anonymous: bool,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entity {
    pub(crate) name: String,
    pub(crate) collection: String,
    pub(crate) base: Option<EntityId>,
    /// Of the top of a hierarchy.
    pub(crate) key: Key,
    /// Own ones, without the key.
    pub(crate) attributes: Vec<Attribute>,
    /// Part of the product, not of the application's text.
    pub(crate) is_system: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The generated `id`.
    Generated,
    Text,
    Integer,
}

#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) unique: bool,
    pub(crate) default: Option<Scalar>,
}

#[derive(Clone, Debug)]
pub(crate) struct Association {
    /// Entity that has the reference; of many-to-many the one that declares it.
    pub(crate) holder: EntityId,
    /// Name at the holder.
    pub(crate) name: Option<String>,
    pub(crate) target: EntityId,
    /// Name at the target.
    pub(crate) inverse: Option<String>,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Reference {
        required: bool,
        /// The target contains the holders.
        contained: bool,
        /// One-to-one.
        unique: bool,
        /// Attribute of the holder that shows the column.
        foreign_key: Option<String>,
        on_delete: OnDelete,
    },
    ManyToMany,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDelete {
    Prevent,
    Cascade,
    Clear,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) entity: EntityId,
    pub(crate) role: String,
    pub(crate) create: Permission,
    pub(crate) delete: Permission,
    pub(crate) read: Members,
    pub(crate) write: Members,
    pub(crate) condition: Option<Expression>,
}

#[derive(Clone, Debug)]
pub(crate) enum Permission {
    No,
    Yes,
    When(Expression),
}

#[derive(Clone, Debug)]
pub(crate) enum Members {
    All,
    Only(Vec<String>),
}

impl Members {
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|known| known == name),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }
}

/// One end of an association, seen from the entity that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Navigation {
    pub(crate) association: AssociationId,
    /// Seen from the holder.
    pub(crate) forward: bool,
}

impl Model {
    pub(crate) fn ids(&self) -> std::ops::Range<EntityId> {
        0..self.entities.len()
    }

    /// Itself, then its bases.
    pub(crate) fn lineage(&self, entity: EntityId) -> Vec<EntityId> {
        let mut all = vec![entity];
        while let Some(base) = self.entities[all[all.len() - 1]].base {
            all.push(base);
        }
        all
    }

    pub(crate) fn is_a(&self, entity: EntityId, ancestor: EntityId) -> bool {
        self.lineage(entity).contains(&ancestor)
    }

    pub(crate) fn root(&self, entity: EntityId) -> EntityId {
        let lineage = self.lineage(entity);
        lineage[lineage.len() - 1]
    }

    /// Itself and everything that extends it.
    pub(crate) fn family(&self, entity: EntityId) -> Vec<EntityId> {
        self.ids().filter(|id| self.is_a(*id, entity)).collect()
    }

    pub(crate) fn key(&self, entity: EntityId) -> (&'static str, Kind) {
        let root = self.root(entity);
        match self.entities[root].key {
            Key::Generated => ("id", Kind::Uuid),
            Key::Text => ("Code", Kind::Text),
            Key::Integer => ("No", Kind::Integer),
        }
    }

    /// All attributes but key and system attributes, inherited ones first, with who declares them.
    pub(crate) fn attributes(&self, entity: EntityId) -> Vec<(EntityId, &Attribute)> {
        let mut all = Vec::new();
        for id in self.lineage(entity).into_iter().rev() {
            all.extend(self.entities[id].attributes.iter().map(|own| (id, own)));
        }
        all
    }

    pub(crate) fn attribute(&self, entity: EntityId, name: &str) -> Option<&Attribute> {
        self.attributes(entity)
            .into_iter()
            .find(|(_, attribute)| attribute.name == name)
            .map(|(_, attribute)| attribute)
    }

    /// Kind of an attribute, the key and system attributes included.
    pub(crate) fn kind(&self, entity: EntityId, name: &str) -> Option<Kind> {
        let (key, kind) = self.key(entity);
        if name == key {
            return Some(kind);
        }
        if matches!(name, "createdAt" | "changedAt") {
            return Some(Kind::Instant);
        }
        self.attribute(entity, name).map(|attribute| attribute.kind)
    }

    /// Named navigations, inherited ones included.
    pub(crate) fn navigations(&self, entity: EntityId) -> Vec<(String, Navigation)> {
        let mut all = Vec::new();
        for (id, association) in self.associations.iter().enumerate() {
            for (forward, has, name) in [
                (true, association.holder, &association.name),
                (false, association.target, &association.inverse),
            ] {
                if let Some(name) = name
                    && self.is_a(entity, has)
                {
                    let navigation = Navigation {
                        association: id,
                        forward,
                    };
                    all.push((name.clone(), navigation));
                }
            }
        }
        all
    }

    pub(crate) fn navigation(&self, entity: EntityId, name: &str) -> Option<Navigation> {
        self.navigations(entity)
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, navigation)| navigation)
    }

    /// Entity that declares this end.
    pub(crate) fn source_of(&self, navigation: Navigation) -> EntityId {
        let association = &self.associations[navigation.association];
        if navigation.forward {
            association.holder
        } else {
            association.target
        }
    }

    pub(crate) fn target_of(&self, navigation: Navigation) -> EntityId {
        self.source_of(navigation.partner())
    }

    pub(crate) fn name_of(&self, navigation: Navigation) -> Option<&str> {
        let association = &self.associations[navigation.association];
        if navigation.forward {
            association.name.as_deref()
        } else {
            association.inverse.as_deref()
        }
    }

    pub(crate) fn is_many(&self, navigation: Navigation) -> bool {
        match &self.associations[navigation.association].shape {
            Shape::ManyToMany => true,
            Shape::Reference { unique, .. } => !navigation.forward && !unique,
        }
    }

    pub(crate) fn is_many_to_many(&self, navigation: Navigation) -> bool {
        self.associations[navigation.association].shape == Shape::ManyToMany
    }

    /// Whether its targets are contained.
    pub(crate) fn contains(&self, navigation: Navigation) -> bool {
        !navigation.forward && self.is_containment(navigation.association)
    }

    pub(crate) fn is_containment(&self, association: AssociationId) -> bool {
        matches!(
            self.associations[association].shape,
            Shape::Reference {
                contained: true,
                ..
            }
        )
    }

    pub(crate) fn is_required(&self, association: AssociationId) -> bool {
        matches!(
            self.associations[association].shape,
            Shape::Reference { required, contained, .. } if required || contained
        )
    }

    pub(crate) fn foreign_key(&self, association: AssociationId) -> Option<&str> {
        match &self.associations[association].shape {
            Shape::Reference { foreign_key, .. } => foreign_key.as_deref(),
            Shape::ManyToMany => None,
        }
    }

    /// The association whose column an attribute shows.
    pub(crate) fn shown_by(&self, entity: EntityId, attribute: &str) -> Option<AssociationId> {
        (0..self.associations.len()).find(|id| {
            self.foreign_key(*id) == Some(attribute)
                && self.is_a(entity, self.associations[*id].holder)
        })
    }

    /// References that rows of an entity hold.
    pub(crate) fn references(&self, entity: EntityId) -> Vec<AssociationId> {
        (0..self.associations.len())
            .filter(|id| {
                let association = &self.associations[*id];
                association.shape != Shape::ManyToMany && self.is_a(entity, association.holder)
            })
            .collect()
    }

    /// The association by which an entity is contained.
    pub(crate) fn container(&self, entity: EntityId) -> Option<AssociationId> {
        (0..self.associations.len())
            .find(|id| self.is_containment(*id) && self.is_a(entity, self.associations[*id].holder))
    }

    /// Names of every member that a rule can name: attributes with key and system attributes, navigations.
    pub(crate) fn member_names(&self, entity: EntityId) -> Vec<String> {
        let mut names = vec![self.key(entity).0.to_owned()];
        let attributes = self.attributes(entity);
        names.extend(attributes.iter().map(|(_, own)| own.name.clone()));
        names.extend(self.navigations(entity).into_iter().map(|(name, _)| name));
        names.push("createdAt".to_owned());
        names.push("changedAt".to_owned());
        names
    }

    pub(crate) fn manifest(&self) -> String {
        let anonymous = if self.anonymous {
            "\n[access]\nanonymous = true\n"
        } else {
            ""
        };
        format!("name = \"{NAMESPACE}\"\n{anonymous}")
    }

    /// The text of `model/*.toml`.
    pub(crate) fn toml(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "[enumeration.Shade]\nvalues = [{}]\n",
            SHADES.map(|shade| format!("\"{shade}\"")).join(", ")
        );
        for role in self.roles.iter().map(String::as_str).chain([ROOT]) {
            let _ = writeln!(out, "[role.{role}]");
        }
        for (id, entity) in self.entities.iter().enumerate() {
            if !entity.is_system {
                self.entity_toml(&mut out, id, entity);
            }
        }
        for rule in &self.rules {
            self.rule_toml(&mut out, rule);
        }
        for entity in &self.entities {
            if entity.base.is_none()
                || entity
                    .base
                    .is_some_and(|base| self.entities[base].is_system)
            {
                if entity.is_system {
                    continue;
                }
                let _ = writeln!(
                    out,
                    "\n[[entity.{}.access]]\nrole = \"{ROOT}\"\ncreate = true\ndelete = true\nread = \"*\"\nwrite = \"*\"",
                    entity.name
                );
            }
        }
        out
    }

    fn entity_toml(&self, out: &mut String, id: EntityId, entity: &Entity) {
        let _ = writeln!(out, "\n[entity.{}]", entity.name);
        let _ = writeln!(out, "collection = \"{}\"", entity.collection);
        match entity.base {
            Some(base) => {
                let name = match self.entities[base].name.as_str() {
                    "SystemUser" => "System.User",
                    name => name,
                };
                let _ = writeln!(out, "extends = \"{name}\"");
            }
            None => match entity.key {
                Key::Generated => {}
                Key::Text | Key::Integer => {
                    let _ = writeln!(out, "key = [\"{}\"]", self.key(id).0);
                }
            },
        }
        let _ = writeln!(out, "[entity.{}.attributes]", entity.name);
        if entity.base.is_none() {
            match entity.key {
                Key::Generated => {}
                Key::Text => {
                    let _ = writeln!(
                        out,
                        "Code = {{ type = \"String\", length = 40, required = true }}"
                    );
                }
                Key::Integer => {
                    let _ = writeln!(out, "No = {{ type = \"Integer\", required = true }}");
                }
            }
        }
        for attribute in &entity.attributes {
            let _ = write!(out, "{} = {{ {}", attribute.name, attribute.kind.toml());
            if attribute.required {
                out.push_str(", required = true");
            }
            if attribute.unique {
                out.push_str(", unique = true");
            }
            if let Some(default) = &attribute.default {
                let _ = write!(out, ", default = {}", default.toml());
            }
            out.push_str(" }\n");
        }
        let mut head = false;
        for association in &self.associations {
            let line = self.association_toml(id, association);
            if let Some(line) = line {
                if !head {
                    let _ = writeln!(out, "[entity.{}.associations]", entity.name);
                    head = true;
                }
                let _ = writeln!(out, "{line}");
            }
        }
    }

    fn association_toml(&self, id: EntityId, association: &Association) -> Option<String> {
        let name_of = |id: EntityId| &self.entities[id].name;
        let inverse = |name: &Option<String>| {
            name.as_ref()
                .map_or(String::new(), |name| format!(", inverse = \"{name}\""))
        };
        match &association.shape {
            Shape::ManyToMany if association.holder == id => Some(format!(
                "{} = {{ to = \"{}\", many_to_many = true{} }}",
                association.name.as_deref()?,
                name_of(association.target),
                inverse(&association.inverse)
            )),
            Shape::Reference {
                contained: true, ..
            } if association.target == id => Some(format!(
                "{} = {{ to = \"{}\", many = true, contained = true{} }}",
                association.inverse.as_deref()?,
                name_of(association.holder),
                inverse(&association.name)
            )),
            Shape::Reference {
                required,
                contained: false,
                unique,
                foreign_key,
                on_delete,
            } if association.holder == id => {
                let mut line = format!(
                    "{} = {{ to = \"{}\"",
                    association.name.as_deref()?,
                    name_of(association.target)
                );
                if *required {
                    line.push_str(", required = true");
                }
                if *unique {
                    line.push_str(", unique = true");
                }
                if let Some(attribute) = foreign_key {
                    let _ = write!(line, ", foreign_key = [\"{attribute}\"]");
                }
                line.push_str(match on_delete {
                    OnDelete::Prevent => "",
                    OnDelete::Cascade => ", on_delete = \"cascade\"",
                    OnDelete::Clear => ", on_delete = \"clear\"",
                });
                line.push_str(&inverse(&association.inverse));
                line.push_str(" }");
                Some(line)
            }
            _ => None,
        }
    }

    fn rule_toml(&self, out: &mut String, rule: &Rule) {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\\\""));
        let _ = writeln!(
            out,
            "\n[[entity.{}.access]]",
            self.entities[rule.entity].name
        );
        let _ = writeln!(out, "role = {}", quoted(&rule.role));
        for (name, permission) in [("create", &rule.create), ("delete", &rule.delete)] {
            match permission {
                Permission::No => {}
                Permission::Yes => {
                    let _ = writeln!(out, "{name} = true");
                }
                Permission::When(condition) => {
                    let _ = writeln!(out, "{name} = {}", quoted(&condition.text()));
                }
            }
        }
        for (name, members) in [("read", &rule.read), ("write", &rule.write)] {
            match members {
                Members::All => {
                    let _ = writeln!(out, "{name} = \"*\"");
                }
                Members::Only(names) if names.is_empty() => {}
                Members::Only(names) => {
                    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                    let _ = writeln!(out, "{name} = [{}]", names.join(", "));
                }
            }
        }
        if let Some(condition) = &rule.condition {
            let _ = writeln!(out, "where = {}", quoted(&condition.text()));
        }
    }
}

impl Navigation {
    pub(crate) fn partner(self) -> Self {
        Self {
            forward: !self.forward,
            ..self
        }
    }
}
