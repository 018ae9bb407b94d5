//! What names are legal, and which name was probably meant.

use super::keys::{ANONYMOUS_ROLE, DATABASE_NAME_BYTES, IDENTIFIER_CHARACTERS, USER_ENTITY};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{At, Faults};
use crate::model::SYSTEM_NAMES;

/// Words of the expression language that would shadow a member of the same name.
const MEMBER_WORDS: &[&str] = &["null", "true", "false", "not", "any", "all", "INF", "NaN"];
/// Names of built-in attribute types.
pub(crate) const BUILT_IN_TYPES: &[&str] = &[
    "String",
    "Integer",
    "Long",
    "Decimal",
    "Boolean",
    "DateTime",
    "Date",
    "Time",
    "Duration",
    "Uuid",
    "Binary",
    "File",
    "Json",
    "AutoNumber",
];
/// Namespaces that OData keeps for itself.
const NAMESPACES: &[&str] = &["Edm", "odata", "System", "Transient", "Core", "Org"];

/// What a name is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameOf {
    Application,
    Entity,
    Enumeration,
    EnumerationMember,
    Role,
    Collection,
    Attribute,
    Association,
}

impl NameOf {
    /// Whether it shares the space of names with entities and their sets.
    fn is_type(self) -> bool {
        matches!(self, Self::Entity | Self::Enumeration | Self::Collection)
    }

    fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::Application => NAMESPACES,
            Self::Entity | Self::Enumeration => BUILT_IN_TYPES,
            Self::Attribute | Self::Association => MEMBER_WORDS,
            Self::EnumerationMember | Self::Role | Self::Collection => &[],
        }
    }
}

/// Reports a name that cannot be used in the service.
pub(crate) fn check_identifier(name: &At<String>, of: NameOf, faults: &mut Faults) -> bool {
    let text = name.value.as_str();
    let shown: String = text.chars().take(40).collect();
    if text.is_empty() {
        faults.push(Diagnostic::error(
            Code::InvalidName,
            name.span,
            "the name is empty",
        ));
    } else if text.chars().count() > IDENTIFIER_CHARACTERS {
        faults.push(
            Diagnostic::error(
                Code::InvalidName,
                name.span,
                format!("the name `{shown}…` is too long"),
            )
            .label(format!("{} characters", text.chars().count()))
            .help(format!(
                "a name has at most {IDENTIFIER_CHARACTERS} characters"
            )),
        );
    } else if let Some(wrong) = wrong_character(text) {
        faults.push(
            Diagnostic::error(
                Code::InvalidName,
                name.span,
                format!("`{shown}` is not a name: {wrong}"),
            )
            .help(identifier_help(text)),
        );
    } else if of.reserved().contains(&text) {
        faults.push(
            Diagnostic::error(
                Code::ReservedName,
                name.span,
                format!("the name `{text}` is reserved"),
            )
            .help(format!("choose another, such as `{text}Value`")),
        );
    } else if of == NameOf::Role && text == ANONYMOUS_ROLE {
        faults.push(
            Diagnostic::error(
                Code::ReservedName,
                name.span,
                format!("the role {ANONYMOUS_ROLE} cannot be declared"),
            )
            .help("it is there with `[access] anonymous = true` in app.toml: leave it out here"),
        );
    } else if of.is_type() && text.starts_with(SYSTEM_NAMES) {
        faults.push(
            Diagnostic::error(
                Code::ReservedName,
                name.span,
                format!("the name `{shown}` is reserved"),
            )
            .label(format!("names that start with `{SYSTEM_NAMES}` are the system's"))
            .help(format!(
                "choose another name; what belongs to users goes into an entity with `extends = \"{USER_ENTITY}\"`, rules about users under `[[entity.\"{USER_ENTITY}\".access]]`"
            )),
        );
    } else {
        return true;
    }
    false
}

fn wrong_character(text: &str) -> Option<String> {
    let first = text.chars().next()?;
    if !(first.is_alphabetic() || first == '_') {
        return Some(format!("it starts with `{}`", first.escape_debug()));
    }
    if let Some(wrong) = text
        .chars()
        .find(|character| !(character.is_alphanumeric() || *character == '_'))
    {
        return Some(format!("it contains `{}`", wrong.escape_debug()));
    }
    (!text.chars().any(char::is_alphanumeric)).then(|| "it has no letter".to_owned())
}

fn identifier_help(text: &str) -> String {
    let mended: String = heck::ToUpperCamelCase::to_upper_camel_case(text)
        .chars()
        .filter(|character| character.is_alphanumeric())
        .skip_while(|character| !character.is_alphabetic())
        .take(IDENTIFIER_CHARACTERS)
        .collect();
    let rule = "a name starts with a letter or `_` and goes on with letters, digits and `_`";
    if mended.is_empty() {
        rule.to_owned()
    } else {
        format!("{rule}: `{mended}`")
    }
}

/// Reports a table or column name that a database cannot hold.
pub(crate) fn check_database_name(name: &At<String>, what: &str, faults: &mut Faults) -> bool {
    let text = name.value.as_str();
    if text.is_empty() || text.chars().any(char::is_control) {
        let problem = if text.is_empty() {
            "is empty"
        } else {
            "contains a control character"
        };
        faults.push(Diagnostic::error(
            Code::InvalidName,
            name.span,
            format!("the name of the {what} {problem}"),
        ));
        return false;
    }
    if text.len() > DATABASE_NAME_BYTES {
        faults.push(
            Diagnostic::error(Code::InvalidName, name.span, format!("the name of the {what} is too long for a database"))
                .label(format!("`{text}` has {} bytes", text.len()))
                .help(format!("at most {DATABASE_NAME_BYTES} bytes are possible: name the {what} in the model with `{what}`")),
        );
        return false;
    }
    true
}

/// Reports a table whose name belongs to somebody else.
pub(crate) fn check_reserved_table(name: &At<String>, faults: &mut Faults) {
    let lower = name.value.to_lowercase();
    // Constraints and indexes of the system's tables share the space of names with tables.
    if let Some(prefix) = [
        "_stoa_",
        "sqlite_",
        "pg_",
        "pk__stoa_",
        "uq__stoa_",
        "ix__stoa_",
        "fk__stoa_",
    ]
    .into_iter()
    .find(|prefix| lower.starts_with(prefix))
    {
        faults.push(
            Diagnostic::error(
                Code::ReservedName,
                name.span,
                format!("the table name `{}` is reserved", name.value),
            )
            .help(format!(
                "names that start with `{prefix}` are kept for the system"
            )),
        );
    }
}

/// Columns that PostgreSQL or Stoa adds to each of its tables.
const SYSTEM_COLUMNS: &[&str] = &[
    crate::physical::VERSION_COLUMN,
    crate::physical::CREATED_AT_COLUMN,
    crate::physical::CHANGED_AT_COLUMN,
    crate::physical::DISCRIMINATOR_COLUMN,
    "tableoid",
    "xmin",
    "cmin",
    "xmax",
    "cmax",
    "ctid",
];

/// Reports a column whose name belongs to somebody else.
pub(crate) fn check_reserved_column(name: &At<String>, faults: &mut Faults) {
    if SYSTEM_COLUMNS.contains(&name.value.to_lowercase().as_str()) {
        faults.push(
            Diagnostic::error(
                Code::ReservedName,
                name.span,
                format!("the column name `{}` is reserved", name.value),
            )
            .help("give the column another name with `column`"),
        );
    }
}
