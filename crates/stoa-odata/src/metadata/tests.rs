use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::*;
use crate::sample;

fn text(document: &Document) -> String {
    String::from_utf8(document.bytes.to_vec()).unwrap()
}

/// The sample model for a reader who may know nothing of users.
fn without_users() -> Model {
    without_users_in(sample::model())
}

fn without_users_in(mut model: Model) -> Model {
    model.entities_by_name.remove("SystemUser");
    model.entities_by_collection.remove("SystemUsers");
    model
}

/// One attribute of an element, unescaped.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    element
        .try_get_attribute(name)
        .unwrap()
        .map(|attribute| attribute.unescape_value().unwrap().into_owned())
}

/// Elements of a document with their attributes; fails unless it is well-formed.
fn elements(xml: &str) -> Vec<(Vec<String>, BytesStart<'static>)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut path: Vec<String> = Vec::new();
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                path.push(String::from_utf8(element.name().as_ref().to_vec()).unwrap());
                found.push((path.clone(), element.into_owned()));
            }
            Event::Empty(element) => {
                let mut path = path.clone();
                path.push(String::from_utf8(element.name().as_ref().to_vec()).unwrap());
                found.push((path, element.into_owned()));
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(path.is_empty(), "every element is closed");
    found
}

/// Every type that is named exists, so does every target of a binding, every key, every partner.
fn check_consistency(model: &Model) {
    let metadata = Metadata::new(model);
    for document in [&metadata.xml_4_0, &metadata.xml_4_01] {
        let elements = elements(&text(document));
        let last = |path: &[String]| path.last().cloned().unwrap_or_default();
        let names = |kind: &str| -> BTreeSet<String> {
            elements
                .iter()
                .filter(|(path, _)| last(path) == kind)
                .map(|(_, element)| attribute(element, "Name").unwrap())
                .collect()
        };
        let types: BTreeSet<String> = names("EntityType")
            .union(&names("EnumType"))
            .map(|name| format!("{}.{name}", model.name))
            .collect();
        let sets = names("EntitySet");
        let mut aliases = BTreeSet::new();
        for (path, element) in &elements {
            for reference in ["Type", "BaseType", "EntityType"] {
                let Some(name) = attribute(element, reference) else {
                    continue;
                };
                let name = name
                    .strip_prefix("Collection(")
                    .and_then(|name| name.strip_suffix(')'))
                    .unwrap_or(&name);
                assert!(
                    name.starts_with("Edm.") || types.contains(name),
                    "{name} in {path:?}"
                );
            }
            match last(path).as_str() {
                "NavigationPropertyBinding" => {
                    let target = attribute(element, "Target").unwrap();
                    assert!(sets.contains(&target), "{target}");
                }
                "edmx:Include" => {
                    aliases.insert(attribute(element, "Alias").unwrap());
                }
                "Annotation" => {
                    let term = attribute(element, "Term").unwrap();
                    let alias = term.split('.').next().unwrap();
                    assert!(aliases.contains(alias), "{term} has no reference");
                }
                "Member" => assert!(attribute(element, "Value").is_some()),
                _ => {}
            }
        }
    }
    for document in [&metadata.json_4_0, &metadata.json_4_01] {
        let json: serde_json::Value = serde_json::from_slice(&document.bytes).unwrap();
        let schema = json[&model.name].as_object().unwrap();
        let container = json["$EntityContainer"].as_str().unwrap();
        assert_eq!(container, format!("{}.Container", model.name));
        for definition in schema.values() {
            for member in definition.as_object().unwrap().values() {
                let Some(name) = member.get("$Type").and_then(|name| name.as_str()) else {
                    continue;
                };
                let known = name
                    .strip_prefix(&format!("{}.", model.name))
                    .is_some_and(|name| schema.contains_key(name));
                assert!(name.starts_with("Edm.") || known, "{name}");
            }
        }
        for set in schema["Container"].as_object().unwrap().values() {
            let Some(bindings) = set.get("$NavigationPropertyBinding") else {
                continue;
            };
            for target in bindings.as_object().unwrap().values() {
                assert!(schema["Container"].get(target.as_str().unwrap()).is_some());
            }
        }
    }
}

#[test]
fn the_documents_are_consistent() {
    check_consistency(&sample::model());
    check_consistency(&sample::details());
}

#[test]
fn the_examples_have_consistent_documents() {
    for name in ["examples/wholesale", "examples/northwind"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(name);
        if !folder.exists() {
            continue;
        }
        let loaded =
            stoa_model::application::load(&folder).unwrap_or_else(|faults| panic!("{faults}"));
        check_consistency(&loaded.application.model);
    }
}

#[test]
fn versions_differ_in_the_root_and_tags_in_everything() {
    let metadata = Metadata::new(&without_users());
    assert!(text(&metadata.xml_4_0).contains(
        r#"<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">"#
    ));
    assert!(text(&metadata.xml_4_01).contains(r#"Version="4.01">"#));
    assert!(
        text(&metadata.json_4_01)
            .starts_with(r#"{"$Version":"4.01","$EntityContainer":"shop.Container","#)
    );
    assert_ne!(metadata.xml_4_0.etag, metadata.xml_4_01.etag);
    let again = Metadata::new(&without_users());
    assert_eq!(metadata.xml_4_0.etag, again.xml_4_0.etag);
}

#[test]
fn xml_says_what_the_model_says() {
    let xml = text(&Metadata::new(&without_users()).xml_4_0);
    let (_, schema) = xml.split_once("<edmx:DataServices>").unwrap();
    insta::assert_snapshot!(schema);
}

#[test]
fn json_says_what_the_model_says() {
    let model = without_users_in(sample::details());
    let document = Metadata::new(&model).json_4_01;
    let json: serde_json::Value = serde_json::from_slice(&document.bytes).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["shop"]).unwrap());
}

#[test]
fn the_service_document_lists_the_entity_sets() {
    let metadata = Metadata::new(&without_users());
    let json = metadata.service_document("http://x/odata/", Format::default());
    insta::assert_snapshot!(String::from_utf8(json).unwrap(), @r#"{"@odata.context":"http://x/odata/$metadata","value":[{"name":"Parties","kind":"EntitySet","url":"Parties"},{"name":"Companies","kind":"EntitySet","url":"Companies"},{"name":"Regions","kind":"EntitySet","url":"Regions"},{"name":"Orders","kind":"EntitySet","url":"Orders"},{"name":"Tags","kind":"EntitySet","url":"Tags"}]}"#);
}

#[test]
fn a_reader_is_shown_what_the_reader_may_see() {
    let view = sample::view();
    let metadata = Metadata::new(&view);
    let xml = text(&metadata.xml_4_0);
    let schema = xml.split("<edmx:DataServices>").nth(1).unwrap();
    insta::assert_snapshot!(schema, @r#"

          <Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="shop">
           <EnumType Name="Status">
            <Member Name="Draft" Value="0"/>
            <Member Name="Placed" Value="1">
             <Annotation Term="Common.Label" String="Placed &amp; paid"/>
            </Member>
            <Member Name="Shipped" Value="2"/>
           </EnumType>
           <EntityType Name="Party">
            <Key>
             <PropertyRef Name="id"/>
            </Key>
            <Property Name="id" Type="Edm.Guid" Nullable="false">
             <Annotation Term="Common.Label" String="Id"/>
             <Annotation Term="Core.ComputedDefaultValue" Bool="true"/>
             <Annotation Term="Core.Immutable" Bool="true"/>
            </Property>
            <Property Name="Name" Type="Edm.String" Nullable="false" MaxLength="10">
             <Annotation Term="Common.Label" String="Name &lt;of it&gt;"/>
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
            </Property>
           </EntityType>
           <EntityType Name="Company" BaseType="shop.Party">
            <Property Name="VatNumber" Type="Edm.String" MaxLength="12">
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
             <Annotation Term="Validation.Pattern" String="^[A-Z]{2}\d+$"/>
            </Property>
           </EntityType>
           <EntityType Name="Order">
            <Key>
             <PropertyRef Name="id"/>
            </Key>
            <Property Name="id" Type="Edm.Guid" Nullable="false">
             <Annotation Term="Common.Label" String="Id"/>
             <Annotation Term="Core.ComputedDefaultValue" Bool="true"/>
             <Annotation Term="Core.Immutable" Bool="true"/>
            </Property>
            <Property Name="Number" Type="Edm.Int64" Nullable="false">
             <Annotation Term="Core.Computed" Bool="true"/>
            </Property>
            <Property Name="Status" Type="shop.Status" Nullable="false" DefaultValue="Draft"/>
            <Property Name="DueOn" Type="Edm.Date">
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
             <Annotation Term="Validation.Minimum" Date="2000-01-01"/>
            </Property>
            <Property Name="Total" Type="Edm.Decimal" Precision="12" Scale="2" DefaultValue="0">
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
             <Annotation Term="Validation.Minimum" Int="0"/>
            </Property>
            <NavigationProperty Name="Party" Type="shop.Party">
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
            </NavigationProperty>
            <NavigationProperty Name="Lines" Type="Collection(shop.Line)" Partner="Order" ContainsTarget="true">
             <OnDelete Action="Cascade"/>
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
            </NavigationProperty>
            <Annotation Term="Core.Description" String="What somebody orders."/>
           </EntityType>
           <EntityType Name="Line">
            <Key>
             <PropertyRef Name="id"/>
            </Key>
            <Property Name="id" Type="Edm.Guid" Nullable="false">
             <Annotation Term="Common.Label" String="Id"/>
             <Annotation Term="Core.ComputedDefaultValue" Bool="true"/>
             <Annotation Term="Core.Immutable" Bool="true"/>
            </Property>
            <Property Name="Position" Type="Edm.Int32" Nullable="false">
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
             <Annotation Term="Validation.Minimum" Int="1"/>
             <Annotation Term="Validation.Maximum" Int="99"/>
            </Property>
            <Property Name="Text" Type="Edm.String" MaxLength="20">
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
            </Property>
            <Property Name="createdAt" Type="Edm.DateTimeOffset" Nullable="false" Precision="6">
             <Annotation Term="Common.Label" String="Created at"/>
             <Annotation Term="Core.Computed" Bool="true"/>
            </Property>
            <Property Name="changedAt" Type="Edm.DateTimeOffset" Nullable="false" Precision="6">
             <Annotation Term="Common.Label" String="Changed at"/>
             <Annotation Term="Core.Computed" Bool="true"/>
            </Property>
            <NavigationProperty Name="Order" Type="shop.Order" Nullable="false" Partner="Lines">
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
            </NavigationProperty>
           </EntityType>
           <EntityType Name="Tag">
            <Key>
             <PropertyRef Name="Word"/>
            </Key>
            <Property Name="Word" Type="Edm.String" Nullable="false" MaxLength="8">
             <Annotation Term="Core.Immutable" Bool="true"/>
            </Property>
           </EntityType>
           <EntityType Name="SystemUser">
            <Key>
             <PropertyRef Name="id"/>
            </Key>
            <Property Name="id" Type="Edm.Guid" Nullable="false">
             <Annotation Term="Common.Label" String="Id"/>
             <Annotation Term="Core.ComputedDefaultValue" Bool="true"/>
             <Annotation Term="Core.Immutable" Bool="true"/>
            </Property>
            <Property Name="Name" Type="Edm.String" Nullable="false" MaxLength="120">
             <Annotation Term="Core.Description" String="Name to sign in with, in lower case."/>
             <Annotation Term="Core.Permissions" EnumMember="Org.OData.Core.V1.Permission/Read"/>
             <Annotation Term="Validation.Pattern" String="^[^\p{Lu}\p{Lt}\p{Cc}\p{Cf}:\s]+( [^\p{Lu}\p{Lt}\p{Cc}\p{Cf}:\s]+)*$"/>
            </Property>
            <Annotation Term="Core.Description" String="Somebody who may sign in."/>
            <Annotation Term="Common.Label" String="User"/>
           </EntityType>
           <EntityContainer Name="Container">
            <EntitySet Name="Parties" EntityType="shop.Party">
             <Annotation Term="Core.OptimisticConcurrency">
              <Collection/>
             </Annotation>
             <Annotation Term="Capabilities.InsertRestrictions">
              <Record>
               <PropertyValue Property="Insertable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.UpdateRestrictions">
              <Record>
               <PropertyValue Property="Updatable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.DeleteRestrictions">
              <Record>
               <PropertyValue Property="Deletable" Bool="false"/>
              </Record>
             </Annotation>
            </EntitySet>
            <EntitySet Name="Companies" EntityType="shop.Company">
             <Annotation Term="Core.OptimisticConcurrency">
              <Collection/>
             </Annotation>
             <Annotation Term="Capabilities.InsertRestrictions">
              <Record>
               <PropertyValue Property="Insertable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.UpdateRestrictions">
              <Record>
               <PropertyValue Property="Updatable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.DeleteRestrictions">
              <Record>
               <PropertyValue Property="Deletable" Bool="false"/>
              </Record>
             </Annotation>
            </EntitySet>
            <EntitySet Name="Orders" EntityType="shop.Order">
             <NavigationPropertyBinding Path="Party" Target="Parties"/>
             <NavigationPropertyBinding Path="Lines/Order" Target="Orders"/>
             <Annotation Term="Core.OptimisticConcurrency">
              <Collection/>
             </Annotation>
             <Annotation Term="Capabilities.DeleteRestrictions">
              <Record>
               <PropertyValue Property="Deletable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.NavigationRestrictions">
              <Record>
               <PropertyValue Property="RestrictedProperties">
                <Collection>
                 <Record>
                  <PropertyValue Property="NavigationProperty" NavigationPropertyPath="Lines"/>
                  <PropertyValue Property="InsertRestrictions">
                   <Record>
                    <PropertyValue Property="Insertable" Bool="false"/>
                   </Record>
                  </PropertyValue>
                  <PropertyValue Property="UpdateRestrictions">
                   <Record>
                    <PropertyValue Property="Updatable" Bool="false"/>
                   </Record>
                  </PropertyValue>
                  <PropertyValue Property="DeleteRestrictions">
                   <Record>
                    <PropertyValue Property="Deletable" Bool="false"/>
                   </Record>
                  </PropertyValue>
                 </Record>
                </Collection>
               </PropertyValue>
              </Record>
             </Annotation>
            </EntitySet>
            <EntitySet Name="Tags" EntityType="shop.Tag">
             <Annotation Term="Core.OptimisticConcurrency">
              <Collection/>
             </Annotation>
             <Annotation Term="Capabilities.ReadRestrictions">
              <Record>
               <PropertyValue Property="Readable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.UpdateRestrictions">
              <Record>
               <PropertyValue Property="Updatable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.DeleteRestrictions">
              <Record>
               <PropertyValue Property="Deletable" Bool="false"/>
              </Record>
             </Annotation>
            </EntitySet>
            <EntitySet Name="SystemUsers" EntityType="shop.SystemUser">
             <Annotation Term="Core.OptimisticConcurrency">
              <Collection/>
             </Annotation>
             <Annotation Term="Capabilities.InsertRestrictions">
              <Record>
               <PropertyValue Property="Insertable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.UpdateRestrictions">
              <Record>
               <PropertyValue Property="Updatable" Bool="false"/>
              </Record>
             </Annotation>
             <Annotation Term="Capabilities.DeleteRestrictions">
              <Record>
               <PropertyValue Property="Deletable" Bool="false"/>
              </Record>
             </Annotation>
            </EntitySet>
            <Annotation Term="Capabilities.AsynchronousRequestsSupported" Bool="false"/>
            <Annotation Term="Capabilities.BatchSupported" Bool="false"/>
            <Annotation Term="Capabilities.CrossJoinSupported" Bool="false"/>
           </EntityContainer>
          </Schema>
         </edmx:DataServices>
        </edmx:Edmx>
        "#);
    for hidden in [
        "Region",
        "Weight",
        "Paper",
        "System.",
        "SystemSession",
        "PlacedAt",
    ] {
        for document in [&metadata.xml_4_0, &metadata.json_4_01] {
            assert!(!text(document).contains(hidden), "{hidden}");
        }
    }
    check_consistency(&view);
    let json = metadata.service_document("http://x/odata/", Format::default());
    insta::assert_snapshot!(String::from_utf8(json).unwrap(), @r#"{"@odata.context":"http://x/odata/$metadata","value":[{"name":"Parties","kind":"EntitySet","url":"Parties"},{"name":"Companies","kind":"EntitySet","url":"Companies"},{"name":"Orders","kind":"EntitySet","url":"Orders"},{"name":"SystemUsers","title":"User","kind":"EntitySet","url":"SystemUsers"}]}"#);
}

#[test]
fn json_says_what_may_not_be_done() {
    let document: serde_json::Value =
        serde_json::from_slice(&Metadata::new(&sample::view()).json_4_01.bytes).unwrap();
    let schema = &document["shop"];
    let said = serde_json::json!([
        schema["Order"]["Number"],
        schema["Order"]["Total"],
        schema["Order"]["Party"],
        schema["Container"]["Orders"],
        schema["Container"]["Tags"],
    ]);
    insta::assert_snapshot!(format!("{said:#}"), @r#"
        [
          {
            "$Type": "Edm.Int64",
            "@Core.Computed": true
          },
          {
            "$Type": "Edm.Decimal",
            "$Nullable": true,
            "$Precision": 12,
            "$Scale": 2,
            "$DefaultValue": "0",
            "@Core.Permissions": "Read",
            "@Validation.Minimum": 0
          },
          {
            "$Kind": "NavigationProperty",
            "$Type": "shop.Party",
            "$Nullable": true,
            "@Core.Permissions": "Read"
          },
          {
            "$Collection": true,
            "$Type": "shop.Order",
            "$NavigationPropertyBinding": {
              "Party": "Parties",
              "Lines/Order": "Orders"
            },
            "@Core.OptimisticConcurrency": [],
            "@Capabilities.DeleteRestrictions": {
              "Deletable": false
            },
            "@Capabilities.NavigationRestrictions": {
              "RestrictedProperties": [
                {
                  "NavigationProperty": "Lines",
                  "InsertRestrictions": {
                    "Insertable": false
                  },
                  "UpdateRestrictions": {
                    "Updatable": false
                  },
                  "DeleteRestrictions": {
                    "Deletable": false
                  }
                }
              ]
            }
          },
          {
            "$Collection": true,
            "$Type": "shop.Tag",
            "@Core.OptimisticConcurrency": [],
            "@Capabilities.ReadRestrictions": {
              "Readable": false
            },
            "@Capabilities.UpdateRestrictions": {
              "Updatable": false
            },
            "@Capabilities.DeleteRestrictions": {
              "Deletable": false
            }
          }
        ]
        "#);
}
