//! CSDL in XML (OData CSDL XML 4.01).

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, Event};
use stoa_model::model::{Attribute, Entity, Enumeration, Model, Navigation};

use super::annotation::{self, Annotation, Constant, VOCABULARIES};
use super::{
    bindings, entity_sets, entity_types, enumerations, facets, is_never_empty, on_delete,
    own_attributes, own_navigations, partner_name, referential_constraint, type_name,
};
use crate::negotiate::Version;

type Xml = Writer<Vec<u8>>;

/// The document.
pub(super) fn write(model: &Model, version: Version) -> Vec<u8> {
    let mut xml = Writer::new_with_indent(Vec::with_capacity(64 * 1024), b' ', 1);
    // Writing into memory does not fail; were it to, the document would be cut and refused by a parser.
    let _ = write_document(&mut xml, model, version);
    xml.into_inner()
}

fn write_document(xml: &mut Xml, model: &Model, version: Version) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("edmx:Edmx")
        .with_attribute(("xmlns:edmx", "http://docs.oasis-open.org/odata/ns/edmx"))
        .with_attribute(("Version", version.as_str()))
        .write_inner_content(|xml| {
            for (alias, namespace, uri) in VOCABULARIES {
                xml.create_element("edmx:Reference")
                    .with_attribute(("Uri", *uri))
                    .write_inner_content(|xml| {
                        xml.create_element("edmx:Include")
                            .with_attribute(("Namespace", *namespace))
                            .with_attribute(("Alias", *alias))
                            .write_empty()?;
                        Ok(())
                    })?;
            }
            xml.create_element("edmx:DataServices")
                .write_inner_content(|xml| {
                    xml.create_element("Schema")
                        .with_attribute(("xmlns", "http://docs.oasis-open.org/odata/ns/edm"))
                        .with_attribute(("Namespace", model.name.as_str()))
                        .write_inner_content(|xml| write_schema(xml, model))?;
                    Ok(())
                })?;
            Ok(())
        })?;
    Ok(())
}

fn write_schema(xml: &mut Xml, model: &Model) -> io::Result<()> {
    for enumeration in enumerations(model) {
        write_enumeration(xml, enumeration)?;
    }
    for entity in entity_types(model) {
        write_entity(xml, model, entity)?;
    }
    xml.create_element("EntityContainer")
        .with_attribute(("Name", "Container"))
        .write_inner_content(|xml| {
            for entity in entity_sets(model) {
                write_entity_set(xml, model, entity)?;
            }
            write_annotations(xml, &annotation::of_container())
        })?;
    Ok(())
}

fn write_enumeration(xml: &mut Xml, enumeration: &Enumeration) -> io::Result<()> {
    xml.create_element("EnumType")
        .with_attribute(("Name", enumeration.name.as_str()))
        .write_inner_content(|xml| {
            for (value, member) in enumeration.members.iter().enumerate() {
                let element = xml
                    .create_element("Member")
                    .with_attribute(("Name", member.name.as_str()))
                    .with_attribute(("Value", value.to_string().as_str()));
                let annotations = annotation::of_member(&member.name, &member.label);
                if annotations.is_empty() {
                    element.write_empty()?;
                } else {
                    element.write_inner_content(|xml| write_annotations(xml, &annotations))?;
                }
            }
            write_annotations(xml, &annotation::of_enumeration(enumeration))
        })?;
    Ok(())
}

fn write_entity(xml: &mut Xml, model: &Model, entity: &Entity) -> io::Result<()> {
    let mut element = xml
        .create_element("EntityType")
        .with_attribute(("Name", entity.name.as_str()));
    if let Some(base) = entity.base {
        let base = format!("{}.{}", model.name, model[base].name);
        element = element.with_attribute(("BaseType", base.as_str()));
    }
    element.write_inner_content(|xml| {
        if entity.base.is_none() {
            xml.create_element("Key").write_inner_content(|xml| {
                for key in &entity.key {
                    xml.create_element("PropertyRef")
                        .with_attribute(("Name", entity[*key].name.as_str()))
                        .write_empty()?;
                }
                Ok(())
            })?;
        }
        for attribute in own_attributes(model, entity) {
            write_property(xml, model, entity, attribute)?;
        }
        for (name, navigation) in own_navigations(model, entity) {
            write_navigation(xml, model, entity, name, navigation)?;
        }
        write_annotations(xml, &annotation::of_entity(entity))
    })?;
    Ok(())
}

fn write_property(
    xml: &mut Xml,
    model: &Model,
    entity: &Entity,
    attribute: &Attribute,
) -> io::Result<()> {
    let facets = facets(attribute);
    let mut element = xml
        .create_element("Property")
        .with_attribute(("Name", attribute.name.as_str()))
        .with_attribute(("Type", type_name(model, attribute.scalar_type).as_str()));
    if !facets.nullable {
        element = element.with_attribute(("Nullable", "false"));
    }
    if let Some(length) = facets.max_length {
        element = element.with_attribute(("MaxLength", length.to_string().as_str()));
    }
    if let Some(precision) = facets.precision {
        element = element.with_attribute(("Precision", precision.to_string().as_str()));
    }
    if let Some(scale) = facets.scale {
        element = element.with_attribute(("Scale", scale.to_string().as_str()));
    }
    if let Some(default) = &facets.default {
        element = element.with_attribute(("DefaultValue", default.as_str()));
    }
    let annotations = annotation::of_attribute(entity, attribute);
    if annotations.is_empty() {
        element.write_empty()?;
    } else {
        element.write_inner_content(|xml| write_annotations(xml, &annotations))?;
    }
    Ok(())
}

fn write_navigation(
    xml: &mut Xml,
    model: &Model,
    entity: &Entity,
    name: &str,
    navigation: &Navigation,
) -> io::Result<()> {
    let target = format!("{}.{}", model.name, model[navigation.target].name);
    let target = if navigation.many {
        format!("Collection({target})")
    } else {
        target
    };
    let mut element = xml
        .create_element("NavigationProperty")
        .with_attribute(("Name", name))
        .with_attribute(("Type", target.as_str()));
    if is_never_empty(navigation) {
        element = element.with_attribute(("Nullable", "false"));
    }
    if let Some(partner) = partner_name(model, navigation) {
        element = element.with_attribute(("Partner", partner));
    }
    if navigation.contained {
        element = element.with_attribute(("ContainsTarget", "true"));
    }
    let constraint = referential_constraint(model, entity, navigation);
    let on_delete = on_delete(model, navigation);
    let annotations = annotation::of_navigation(name, navigation);
    if constraint.is_empty() && on_delete.is_none() && annotations.is_empty() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|xml| {
        for (own, referred) in constraint {
            xml.create_element("ReferentialConstraint")
                .with_attribute(("Property", own))
                .with_attribute(("ReferencedProperty", referred))
                .write_empty()?;
        }
        if let Some(action) = on_delete {
            xml.create_element("OnDelete")
                .with_attribute(("Action", action))
                .write_empty()?;
        }
        write_annotations(xml, &annotations)
    })?;
    Ok(())
}

fn write_entity_set(xml: &mut Xml, model: &Model, entity: &Entity) -> io::Result<()> {
    let kind = format!("{}.{}", model.name, entity.name);
    xml.create_element("EntitySet")
        .with_attribute(("Name", entity.collection.as_str()))
        .with_attribute(("EntityType", kind.as_str()))
        .write_inner_content(|xml| {
            for (path, target) in bindings(model, entity) {
                xml.create_element("NavigationPropertyBinding")
                    .with_attribute(("Path", path.as_str()))
                    .with_attribute(("Target", target))
                    .write_empty()?;
            }
            write_annotations(xml, &annotation::of_entity_set(model, entity))
        })?;
    Ok(())
}

fn write_annotations(xml: &mut Xml, annotations: &[Annotation]) -> io::Result<()> {
    for annotation in annotations {
        let element = xml
            .create_element("Annotation")
            .with_attribute(("Term", annotation.term));
        match scalar(&annotation.value) {
            Some((name, text)) => element.with_attribute((name, text)).write_empty()?,
            None => element.write_inner_content(|xml| write_constant(xml, &annotation.value))?,
        };
    }
    Ok(())
}

/// Attribute form of a constant, if it has one.
fn scalar(constant: &Constant) -> Option<(&'static str, &str)> {
    Some(match constant {
        Constant::Text(text) => ("String", text),
        Constant::Truth(value) => ("Bool", if *value { "true" } else { "false" }),
        Constant::Number(text) if text.contains('.') => ("Decimal", text),
        Constant::Number(text) => ("Int", text),
        Constant::Date(text) => ("Date", text),
        Constant::DateTime(text) => ("DateTimeOffset", text),
        Constant::Duration(text) => ("Duration", text),
        Constant::TimeOfDay(text) => ("TimeOfDay", text),
        Constant::Member(text) => ("EnumMember", text),
        Constant::NavigationPath(text) => ("NavigationPropertyPath", text),
        Constant::Paths(_) | Constant::Record(_) | Constant::Records(_) => return None,
    })
}

fn write_constant(xml: &mut Xml, constant: &Constant) -> io::Result<()> {
    match constant {
        Constant::Paths(paths) if paths.is_empty() => {
            xml.create_element("Collection").write_empty()?;
        }
        Constant::Paths(paths) => {
            xml.create_element("Collection")
                .write_inner_content(|xml| {
                    for path in paths {
                        xml.create_element("PropertyPath")
                            .write_text_content(quick_xml::events::BytesText::new(path))?;
                    }
                    Ok(())
                })?;
        }
        Constant::Records(records) => {
            xml.create_element("Collection")
                .write_inner_content(|xml| {
                    for record in records {
                        write_constant(xml, record)?;
                    }
                    Ok(())
                })?;
        }
        Constant::Record(members) => {
            xml.create_element("Record").write_inner_content(|xml| {
                for (name, value) in members {
                    let element = xml
                        .create_element("PropertyValue")
                        .with_attribute(("Property", *name));
                    match scalar(value) {
                        Some((kind, text)) => element.with_attribute((kind, text)).write_empty()?,
                        None => element.write_inner_content(|xml| write_constant(xml, value))?,
                    };
                }
                Ok(())
            })?;
        }
        // Scalars stand in an attribute of the element around them.
        _ => {}
    }
    Ok(())
}
