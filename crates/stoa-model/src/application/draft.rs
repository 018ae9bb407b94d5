//! A parsed file taken apart: what it says, with places, and no name resolved yet.
//!
//! Works on what [`crate::document::shape`] has let pass; what it has not is left out here without a word.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::USER_ENTITY;
use crate::document::{At, Reader, text};

/// Everything that the files of `model/` say.
#[derive(Default)]
pub(crate) struct Drafts {
    pub enumerations: Vec<EnumerationDraft>,
    pub roles: Vec<RoleDraft>,
    pub entities: Vec<EntityDraft>,
    /// What the application says about the entity of users.
    pub user: Vec<EntityDraft>,
}

pub(crate) struct Described {
    pub name: At<String>,
    pub label: Option<String>,
    pub description: Option<String>,
    pub renamed_from: Option<At<String>>,
}

impl Described {
    /// The label, or the name.
    pub(crate) fn label(&self) -> String {
        self.label
            .clone()
            .unwrap_or_else(|| self.name.value.clone())
    }
}

pub(crate) struct EnumerationDraft {
    pub about: Described,
    pub members: Vec<Described>,
}

pub(crate) struct RoleDraft {
    pub about: Described,
}

pub(crate) struct EntityDraft {
    pub about: Described,
    pub collection: Option<At<String>>,
    pub extends: Option<At<String>>,
    pub key: Option<At<Vec<At<String>>>>,
    pub table: Option<At<String>>,
    pub external: Option<At<bool>>,
    pub audit: Option<At<bool>>,
    pub unique: Vec<At<Vec<At<String>>>>,
    pub index: Vec<At<Vec<At<String>>>>,
    pub attributes: Vec<AttributeDraft>,
    pub associations: Vec<AssociationDraft>,
    pub access: Vec<AccessDraft>,
}

impl EntityDraft {
    pub(crate) fn is_external(&self) -> bool {
        self.external
            .as_ref()
            .is_some_and(|external| external.value)
    }
}

pub(crate) struct AttributeDraft {
    pub about: Described,
    pub type_name: At<String>,
    pub length: Option<At<u32>>,
    pub required: Option<At<bool>>,
    pub unique: Option<At<bool>>,
    pub default: Option<At<Literal>>,
    pub minimum: Option<At<Literal>>,
    pub maximum: Option<At<Literal>>,
    pub pattern: Option<At<String>>,
    pub precision: Option<At<u8>>,
    pub scale: Option<At<u8>>,
    pub column: Option<At<String>>,
    pub column_type: Option<At<String>>,
}

/// A literal of any TOML type, as text.
pub(crate) struct Literal {
    pub text: String,
    pub quoted: bool,
}

pub(crate) struct AssociationDraft {
    pub about: Described,
    pub to: At<String>,
    pub many: Option<At<bool>>,
    pub many_to_many: Option<At<bool>>,
    pub contained: Option<At<bool>>,
    pub required: Option<At<bool>>,
    pub unique: Option<At<bool>>,
    pub inverse: Option<At<String>>,
    pub inverse_label: Option<At<String>>,
    pub on_delete: Option<At<String>>,
    pub foreign_key: Option<At<Vec<At<String>>>>,
    pub column: Option<At<String>>,
    pub columns: Option<At<Vec<At<String>>>>,
    pub table: Option<At<String>>,
}

pub(crate) struct AccessDraft {
    pub role: At<String>,
    pub create: Option<PermissionDraft>,
    pub delete: Option<PermissionDraft>,
    pub read: Option<MemberSetDraft>,
    pub write: Option<MemberSetDraft>,
    pub condition: Option<At<String>>,
}

pub(crate) enum PermissionDraft {
    Flag(bool),
    When(At<String>),
}

pub(crate) enum MemberSetDraft {
    All,
    Only(Vec<At<String>>),
}

impl<'a> Reader<'a> {
    fn literal(self, key: &str) -> Option<At<Literal>> {
        let (value, span) = self.get(key)?;
        let (text, quoted) = match value {
            DeValue::String(text) => (text.to_string(), true),
            DeValue::Integer(number) => (
                i64::from_str_radix(number.as_str(), number.radix())
                    .map_or_else(|_| number.to_string(), |n| n.to_string()),
                false,
            ),
            DeValue::Float(number) => (number.as_str().to_owned(), false),
            DeValue::Boolean(flag) => (flag.to_string(), false),
            DeValue::Datetime(datetime) => (datetime.to_string(), false),
            DeValue::Array(_) | DeValue::Table(_) => return None,
        };
        Some(At {
            value: Literal { text, quoted },
            span,
        })
    }

    fn permission(self, key: &str) -> Option<PermissionDraft> {
        match self.get(key)?.0 {
            DeValue::Boolean(flag) => Some(PermissionDraft::Flag(*flag)),
            _ => self.text(key).map(PermissionDraft::When),
        }
    }

    fn member_set(self, key: &str) -> Option<MemberSetDraft> {
        match self.get(key)?.0 {
            DeValue::String(_) => Some(MemberSetDraft::All),
            _ => self
                .names(key)
                .map(|names| MemberSetDraft::Only(names.value)),
        }
    }

    fn described(self, name: At<String>) -> Described {
        Described {
            name,
            label: self.plain("label"),
            description: self.plain("description"),
            renamed_from: self.text("renamed_from"),
        }
    }
}

fn undescribed(name: At<String>) -> Described {
    Described {
        name,
        label: None,
        description: None,
        renamed_from: None,
    }
}

/// Takes one file apart and adds what it says.
pub(crate) fn read(table: &DeTable<'_>, file: usize, drafts: &mut Drafts) {
    let reader = Reader { table, file };
    for (name, value) in reader.named("enumeration") {
        if let DeValue::Table(table) = value.get_ref() {
            drafts
                .enumerations
                .push(enumeration(Reader { table, file }, name));
        }
    }
    for (name, value) in reader.named("role") {
        if let DeValue::Table(table) = value.get_ref() {
            drafts.roles.push(RoleDraft {
                about: Reader { table, file }.described(name),
            });
        }
    }
    for (name, value) in reader.named("entity") {
        if let DeValue::Table(table) = value.get_ref() {
            let is_user = name.value == USER_ENTITY;
            let draft = entity(Reader { table, file }, name);
            if is_user {
                drafts.user.push(draft);
            } else {
                drafts.entities.push(draft);
            }
        }
    }
}

fn enumeration(reader: Reader<'_>, name: At<String>) -> EnumerationDraft {
    let values = reader.get("values").and_then(|(value, _)| value.as_array());
    let members = values
        .into_iter()
        .flatten()
        .filter_map(|value| match value.get_ref() {
            DeValue::Table(table) => {
                let reader = Reader {
                    table,
                    file: reader.file,
                };
                Some(reader.described(reader.text("name")?))
            }
            _ => text(value, reader.file).map(undescribed),
        })
        .collect();
    EnumerationDraft {
        about: reader.described(name),
        members,
    }
}

fn entity(reader: Reader<'_>, name: At<String>) -> EntityDraft {
    let file = reader.file;
    let access = reader.get("access").and_then(|(value, _)| value.as_array());
    EntityDraft {
        collection: reader.text("collection"),
        extends: reader.text("extends"),
        key: reader.names("key"),
        table: reader.text("table"),
        external: reader.flag("external"),
        audit: reader.flag("audit"),
        unique: reader.name_lists("unique"),
        index: reader.name_lists("index"),
        attributes: reader
            .named("attributes")
            .filter_map(|(name, value)| attribute(value, file, name))
            .collect(),
        associations: reader
            .named("associations")
            .filter_map(|(name, value)| association(value, file, name))
            .collect(),
        access: access
            .into_iter()
            .flatten()
            .filter_map(|rule| access_rule(rule, file))
            .collect(),
        about: reader.described(name),
    }
}

fn attribute(
    value: &Spanned<DeValue<'_>>,
    file: usize,
    name: At<String>,
) -> Option<AttributeDraft> {
    let empty = DeTable::default();
    let (table, type_name) = match value.get_ref() {
        DeValue::Table(table) => (table, text(table.get("type")?, file)?),
        _ => (&empty, text(value, file)?),
    };
    let reader = Reader { table, file };
    Some(AttributeDraft {
        type_name,
        length: reader.number("length"),
        required: reader.flag("required"),
        unique: reader.flag("unique"),
        default: reader.literal("default"),
        minimum: reader.literal("minimum"),
        maximum: reader.literal("maximum"),
        pattern: reader.text("pattern"),
        precision: reader.number("precision"),
        scale: reader.number("scale"),
        column: reader.text("column"),
        column_type: reader.text("column_type"),
        about: reader.described(name),
    })
}

fn association(
    value: &Spanned<DeValue<'_>>,
    file: usize,
    name: At<String>,
) -> Option<AssociationDraft> {
    let empty = DeTable::default();
    let (table, to) = match value.get_ref() {
        DeValue::Table(table) => (table, text(table.get("to")?, file)?),
        _ => (&empty, text(value, file)?),
    };
    let reader = Reader { table, file };
    Some(AssociationDraft {
        to,
        many: reader.flag("many"),
        many_to_many: reader.flag("many_to_many"),
        contained: reader.flag("contained"),
        required: reader.flag("required"),
        unique: reader.flag("unique"),
        inverse: reader.text("inverse"),
        inverse_label: reader.text("inverse_label"),
        on_delete: reader.text("on_delete"),
        foreign_key: reader.names("foreign_key"),
        column: reader.text("column"),
        columns: reader.names("columns"),
        table: reader.text("table"),
        about: reader.described(name),
    })
}

fn access_rule(value: &Spanned<DeValue<'_>>, file: usize) -> Option<AccessDraft> {
    let DeValue::Table(table) = value.get_ref() else {
        return None;
    };
    let reader = Reader { table, file };
    Some(AccessDraft {
        role: reader.text("role")?,
        create: reader.permission("create"),
        delete: reader.permission("delete"),
        read: reader.member_set("read"),
        write: reader.member_set("write"),
        condition: reader.text("where"),
    })
}
