//! What the model says, in the words of the standard vocabularies. Both renderings use these lists.

use stoa_model::model::{
    Attribute, Default, Entity, EntityId, Enumeration, Extent, Model, Navigation, Purpose,
};
use stoa_model::value::{ScalarType, Value};

use super::{plain, shown_name};

/// A vocabulary: alias, namespace, where its definition is.
pub(super) const VOCABULARIES: &[(&str, &str, &str)] = &[
    (
        "Core",
        "Org.OData.Core.V1",
        "https://oasis-tcs.github.io/odata-vocabularies/vocabularies/Org.OData.Core.V1.xml",
    ),
    (
        "Capabilities",
        "Org.OData.Capabilities.V1",
        "https://oasis-tcs.github.io/odata-vocabularies/vocabularies/Org.OData.Capabilities.V1.xml",
    ),
    (
        "Validation",
        "Org.OData.Validation.V1",
        "https://oasis-tcs.github.io/odata-vocabularies/vocabularies/Org.OData.Validation.V1.xml",
    ),
    (
        "Common",
        "com.sap.vocabularies.Common.v1",
        "https://sap.github.io/odata-vocabularies/vocabularies/Common.xml",
    ),
];

/// An annotation: a term and its value.
#[derive(Debug)]
pub(super) struct Annotation {
    /// `Core.Description`
    pub(super) term: &'static str,
    /// Its value.
    pub(super) value: Constant,
}

/// Values of annotations.
#[derive(Debug)]
pub(super) enum Constant {
    Text(String),
    Truth(bool),
    /// A number in plain notation: whole, or with a point.
    Number(String),
    Date(String),
    DateTime(String),
    Duration(String),
    TimeOfDay(String),
    /// Member of an enumeration, with its type: `Namespace.Type/Member`.
    Member(&'static str),
    /// Path of a navigation.
    NavigationPath(String),
    /// Paths of properties.
    Paths(Vec<String>),
    /// Several records.
    Records(Vec<Constant>),
    Record(Vec<(&'static str, Constant)>),
}

fn truth(term: &'static str) -> Annotation {
    Annotation {
        term,
        value: Constant::Truth(true),
    }
}

/// Label and description. A label that only repeats the name says nothing.
fn words(name: &str, label: &str, description: Option<&str>) -> Vec<Annotation> {
    let mut list = Vec::new();
    if let Some(description) = description {
        list.push(Annotation {
            term: "Core.Description",
            value: Constant::Text(description.to_owned()),
        });
    }
    if label != name {
        list.push(Annotation {
            term: "Common.Label",
            value: Constant::Text(label.to_owned()),
        });
    }
    list
}

pub(super) fn of_entity(entity: &Entity) -> Vec<Annotation> {
    words(&entity.name, &entity.label, entity.description.as_deref())
}

pub(super) fn of_enumeration(enumeration: &Enumeration) -> Vec<Annotation> {
    words(
        &enumeration.name,
        &enumeration.label,
        enumeration.description.as_deref(),
    )
}

pub(super) fn of_member(name: &str, label: &str) -> Vec<Annotation> {
    words(name, label, None)
}

pub(super) fn of_navigation(name: &str, navigation: &Navigation) -> Vec<Annotation> {
    let mut list = words(name, &navigation.label, navigation.description.as_deref());
    if !navigation.reach.is_writable() {
        list.push(READ_ONLY);
    }
    list
}

/// The reader may not give it a value.
const READ_ONLY: Annotation = Annotation {
    term: "Core.Permissions",
    value: Constant::Member("Org.OData.Core.V1.Permission/Read"),
};

pub(super) fn of_attribute(entity: &Entity, attribute: &Attribute) -> Vec<Annotation> {
    let mut list = words(
        &attribute.name,
        &attribute.label,
        attribute.description.as_deref(),
    );
    let is_key = entity
        .key
        .iter()
        .any(|key| entity[*key].name == attribute.name);
    match attribute.purpose {
        Purpose::AutoNumber | Purpose::CreatedAt | Purpose::ChangedAt | Purpose::Version => {
            list.push(truth("Core.Computed"));
        }
        Purpose::GeneratedKey => {
            list.push(truth("Core.ComputedDefaultValue"));
            list.push(truth("Core.Immutable"));
        }
        Purpose::Data => {
            if attribute.default == Some(Default::Now) {
                list.push(truth("Core.ComputedDefaultValue"));
            }
            if is_key {
                list.push(truth("Core.Immutable"));
            } else if !attribute.reach.is_writable() {
                list.push(READ_ONLY);
            }
        }
    }
    if let Some(minimum) = &attribute.minimum {
        list.push(Annotation {
            term: "Validation.Minimum",
            value: constant(minimum),
        });
    }
    if let Some(maximum) = &attribute.maximum {
        list.push(Annotation {
            term: "Validation.Maximum",
            value: constant(maximum),
        });
    }
    if let Some(pattern) = &attribute.pattern {
        list.push(Annotation {
            term: "Validation.Pattern",
            value: Constant::Text(pattern.as_str().to_owned()),
        });
    }
    list
}

fn constant(value: &Value) -> Constant {
    let text = plain(value);
    match value {
        Value::Integer(_) | Value::Decimal(_) => Constant::Number(text),
        Value::Date(_) => Constant::Date(text),
        Value::DateTime(_) => Constant::DateTime(text),
        Value::Duration(_) => Constant::Duration(text),
        Value::Time(_) => Constant::TimeOfDay(text),
        _ => Constant::Text(text),
    }
}

/// What can not be done with rows of an entity set.
pub(super) fn of_entity_set(model: &Model, entity: &Entity) -> Vec<Annotation> {
    let mut list = Vec::new();
    if entity.version.is_some() {
        // An empty collection: there is an ETag, and no property that it is computed from.
        list.push(Annotation {
            term: "Core.OptimisticConcurrency",
            value: Constant::Paths(Vec::new()),
        });
    }
    let paths = |excluded: fn(ScalarType) -> bool| {
        entity
            .attributes
            .iter()
            .filter(|attribute| attribute.purpose != Purpose::Version)
            .filter(|attribute| attribute.reach.is_readable())
            .filter(|attribute| excluded(attribute.scalar_type))
            .map(|attribute| attribute.name.clone())
            .collect::<Vec<_>>()
    };
    let opaque = |scalar_type| matches!(scalar_type, ScalarType::File | ScalarType::Json);
    let not_filterable = paths(opaque);
    if !not_filterable.is_empty() {
        list.push(Annotation {
            term: "Capabilities.FilterRestrictions",
            value: Constant::Record(vec![(
                "NonFilterableProperties",
                Constant::Paths(not_filterable.clone()),
            )]),
        });
        list.push(Annotation {
            term: "Capabilities.SortRestrictions",
            value: Constant::Record(vec![(
                "NonSortableProperties",
                Constant::Paths(not_filterable),
            )]),
        });
    }
    list.extend(
        restrictions(entity)
            .into_iter()
            .map(|(_, term, value)| Annotation { term, value }),
    );
    let mut contained = Vec::new();
    add_contained(model, entity, "", &mut vec![entity.id], &mut contained);
    if !contained.is_empty() {
        list.push(Annotation {
            term: "Capabilities.NavigationRestrictions",
            value: Constant::Record(vec![("RestrictedProperties", Constant::Records(contained))]),
        });
    }
    list
}

/// What the reader may not do with any row of an entity: member of a record, term, value.
fn restrictions(entity: &Entity) -> Vec<(&'static str, &'static str, Constant)> {
    let reach = &entity.reach;
    [
        (
            reach.read,
            "ReadRestrictions",
            "Capabilities.ReadRestrictions",
            "Readable",
        ),
        (
            reach.create,
            "InsertRestrictions",
            "Capabilities.InsertRestrictions",
            "Insertable",
        ),
        (
            reach.update,
            "UpdateRestrictions",
            "Capabilities.UpdateRestrictions",
            "Updatable",
        ),
        (
            reach.delete,
            "DeleteRestrictions",
            "Capabilities.DeleteRestrictions",
            "Deletable",
        ),
    ]
    .into_iter()
    .filter(|(extent, ..)| *extent == Extent::None)
    .map(|(_, member, term, property)| {
        let value = Constant::Record(vec![(property, Constant::Truth(false))]);
        (member, term, value)
    })
    .collect()
}

/// Restrictions of rows without an entity set, by the path that leads to them.
fn add_contained(
    model: &Model,
    entity: &Entity,
    prefix: &str,
    seen: &mut Vec<EntityId>,
    list: &mut Vec<Constant>,
) {
    for navigation in &entity.navigations {
        let target = &model[navigation.target];
        let Some(name) = shown_name(navigation).filter(|_| navigation.contained) else {
            continue;
        };
        if seen.contains(&target.id) {
            continue;
        }
        let path = format!("{prefix}{name}");
        let restrictions = restrictions(target);
        if !restrictions.is_empty() {
            let mut record = vec![("NavigationProperty", Constant::NavigationPath(path.clone()))];
            record.extend(
                restrictions
                    .into_iter()
                    .map(|(member, _, value)| (member, value)),
            );
            list.push(Constant::Record(record));
        }
        seen.push(target.id);
        add_contained(model, target, &format!("{path}/"), seen, list);
        seen.pop();
    }
}

/// What the service as a whole does not do.
pub(super) fn of_container() -> Vec<Annotation> {
    [
        "Capabilities.AsynchronousRequestsSupported",
        "Capabilities.BatchSupported",
        "Capabilities.CrossJoinSupported",
    ]
    .into_iter()
    .map(|term| Annotation {
        term,
        value: Constant::Truth(false),
    })
    .collect()
}
