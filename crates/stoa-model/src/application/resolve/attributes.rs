//! Attributes, their types and rules, and keys.

use std::collections::HashMap;

use heck::ToSnakeCase;
use regex::{Regex, RegexBuilder};

use super::database::ColumnUse;
use super::members::{CHANGED_AT, CREATED_AT, ID};
use super::{Resolver, position};
use crate::application::draft::AttributeDraft;
use crate::application::names::BUILT_IN_TYPES;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::At;
use crate::model::{Attribute, AttributeId, ColumnType, EntityId, MemberReach, Purpose};
use crate::physical::{CHANGED_AT_COLUMN, CREATED_AT_COLUMN, VERSION_COLUMN};
use crate::value::{MAXIMUM_PRECISION, ScalarType};

/// Most characters of a String whose length is given (PostgreSQL's limit of `varchar`).
const STRING_LENGTH: u32 = 10_485_760;
/// Most bytes of a compiled pattern, and most characters of its text.
const PATTERN_BYTES: usize = 1 << 20;
const PATTERN_CHARACTERS: usize = 2000;

/// What other tools call the types.
const TYPE_SYNONYMS: &[(&str, &str)] = &[
    ("text", "String"),
    ("varchar", "String"),
    ("int", "Integer"),
    ("int32", "Integer"),
    ("int64", "Long"),
    ("bigint", "Long"),
    ("number", "Decimal"),
    ("float", "Decimal"),
    ("double", "Decimal"),
    ("money", "Decimal"),
    ("bool", "Boolean"),
    ("timestamp", "DateTime"),
    ("datetimeoffset", "DateTime"),
    ("guid", "Uuid"),
    ("blob", "Binary"),
    ("bytes", "Binary"),
];

impl Resolver<'_, '_> {
    pub(super) fn attributes(&mut self) {
        let mut patterns = HashMap::new();
        for id in self.ids() {
            let draft = self.drafts[id.index()];
            let (mut attributes, mut by_name) = match self.entity(id).base {
                Some(base) => (
                    self.entity(base).attributes.clone(),
                    self.entity(base).attributes_by_name.clone(),
                ),
                None => (Vec::new(), HashMap::new()),
            };
            let is_root = self.entity(id).base.is_none();
            let has_system = is_root && !self.entity(id).table.external;
            if has_system && draft.key.is_none() {
                by_name.insert(ID.to_owned(), AttributeId(position(attributes.len())));
                attributes.push(system(id, ID, ID, ScalarType::Uuid, Purpose::GeneratedKey));
            }
            for attribute in &draft.attributes {
                let name = attribute.about.name.value.as_str();
                if self.is_own_broken(id, name) {
                    continue;
                }
                match self.attribute(id, attribute, &mut patterns) {
                    Some(attribute) => {
                        by_name.insert(name.to_owned(), AttributeId(position(attributes.len())));
                        attributes.push(attribute);
                    }
                    None => {
                        self.mark_broken(id, name);
                    }
                }
            }
            if has_system {
                let version = AttributeId(position(attributes.len()));
                attributes.push(system(
                    id,
                    VERSION_COLUMN,
                    VERSION_COLUMN,
                    ScalarType::Long,
                    Purpose::Version,
                ));
                for (name, column, purpose) in [
                    (CREATED_AT, CREATED_AT_COLUMN, Purpose::CreatedAt),
                    (CHANGED_AT, CHANGED_AT_COLUMN, Purpose::ChangedAt),
                ] {
                    by_name.insert(name.to_owned(), AttributeId(position(attributes.len())));
                    attributes.push(system(id, name, column, ScalarType::DateTime, purpose));
                }
                self.entities[id.index()].version = Some(version);
            }
            if let Some(base) = self.entity(id).base {
                let (key, version) = (self.entity(base).key.clone(), self.entity(base).version);
                let entity = &mut self.entities[id.index()];
                entity.key = key;
                entity.version = version;
            }
            let entity = &mut self.entities[id.index()];
            entity.attributes = attributes;
            entity.attributes_by_name = by_name;
            if is_root {
                self.key(id);
            }
        }
    }

    fn attribute(
        &mut self,
        owner: EntityId,
        draft: &AttributeDraft,
        patterns: &mut HashMap<String, Option<Regex>>,
    ) -> Option<Attribute> {
        let (scalar_type, purpose) = self.attribute_type(draft)?;
        self.check_applicable(draft, scalar_type, purpose);
        let about = &draft.about;
        let external = self.entity(owner).table.external;
        let column = match &draft.column {
            Some(column) => column.clone(),
            None => At {
                value: about.name.value.to_snake_case(),
                span: about.name.span,
            },
        };
        // A name without letters is reported; its column has nothing to say.
        if draft.column.is_some() || !column.value.is_empty() {
            self.columns
                .push(ColumnUse::new(owner, &column, &about.name.value));
        }
        if let (true, Some(former)) = (external, &about.renamed_from) {
            self.faults.push(
                Diagnostic::error(
                    Code::External,
                    former.span,
                    "an attribute of an external entity needs no `renamed_from`",
                )
                .help("its column is named by `column` and never renamed: leave it out"),
            );
        }
        let mut attribute = Attribute {
            name: about.name.value.clone(),
            column: column.value,
            scalar_type,
            purpose,
            length: draft.length.as_ref().map(|length| length.value),
            required: draft
                .required
                .as_ref()
                .is_some_and(|required| required.value)
                || purpose == Purpose::AutoNumber,
            default: None,
            minimum: None,
            maximum: None,
            pattern: draft
                .pattern
                .as_ref()
                .and_then(|pattern| self.pattern(pattern, patterns)),
            label: about.label(),
            description: about.description.clone(),
            renamed_from: about
                .renamed_from
                .as_ref()
                .map(|former| former.value.clone()),
            column_type: self.column_type(draft, scalar_type, external),
            declared_by: owner,
            reach: MemberReach::ALL,
        };
        attribute.minimum = draft
            .minimum
            .as_ref()
            .and_then(|bound| self.bound(bound, scalar_type));
        attribute.maximum = draft
            .maximum
            .as_ref()
            .and_then(|bound| self.bound(bound, scalar_type));
        self.check_bounds(draft, &attribute);
        attribute.default = draft
            .default
            .as_ref()
            .and_then(|default| self.default(default, &attribute));
        Some(attribute)
    }

    fn attribute_type(&mut self, draft: &AttributeDraft) -> Option<(ScalarType, Purpose)> {
        let name = draft.type_name.value.as_str();
        let scalar_type = match name {
            "String" => ScalarType::String,
            "Integer" => ScalarType::Integer,
            "Long" => ScalarType::Long,
            "AutoNumber" => return Some((ScalarType::Long, Purpose::AutoNumber)),
            "Decimal" => self.decimal_type(draft),
            "Boolean" => ScalarType::Boolean,
            "DateTime" => ScalarType::DateTime,
            "Date" => ScalarType::Date,
            "Time" => ScalarType::Time,
            "Duration" => ScalarType::Duration,
            "Uuid" => ScalarType::Uuid,
            "Binary" => ScalarType::Binary,
            "File" => ScalarType::File,
            "Json" => ScalarType::Json,
            _ => match self.enumeration_ids.get(name) {
                Some(id) => ScalarType::Enumeration(*id),
                None => {
                    self.unknown_type(&draft.type_name);
                    return None;
                }
            },
        };
        Some((scalar_type, Purpose::Data))
    }

    fn unknown_type(&mut self, name: &At<String>) {
        let shown: String = name.value.chars().take(60).collect();
        let diagnostic = Diagnostic::error(
            Code::UnknownType,
            name.span,
            format!("there is no attribute type `{shown}`"),
        );
        let synonym = TYPE_SYNONYMS
            .iter()
            .find(|(other, _)| name.value.eq_ignore_ascii_case(other));
        let types = BUILT_IN_TYPES
            .iter()
            .copied()
            .chain(self.enumeration_ids.keys().copied());
        let diagnostic = if self.entity_ids.contains_key(name.value.as_str()) {
            diagnostic.help(format!(
                "`{shown}` is an entity: declare an association, `{{ to = \"{shown}\" }}`"
            ))
        } else if let Some((_, right)) = synonym {
            diagnostic.help(format!("the type is called `{right}`"))
        } else {
            match self.faults.nearest(&name.value, types) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!(
                    "built-in types: {}; or an enumeration",
                    BUILT_IN_TYPES.join(", ")
                )),
            }
        };
        self.faults.push(diagnostic);
    }

    fn decimal_type(&mut self, draft: &AttributeDraft) -> ScalarType {
        let precision = draft
            .precision
            .as_ref()
            .map_or(MAXIMUM_PRECISION, |precision| precision.value);
        let precision = precision.clamp(1, MAXIMUM_PRECISION);
        let mut scale = draft.scale.as_ref().map_or(0, |scale| scale.value);
        if let Some(given) = draft
            .scale
            .as_ref()
            .filter(|scale| scale.value > precision && scale.value <= MAXIMUM_PRECISION)
        {
            self.faults.push(
                Diagnostic::error(
                    Code::OutOfRange,
                    given.span,
                    format!(
                        "the scale {} is larger than the precision {precision}",
                        given.value
                    ),
                )
                .help(format!(
                    "legal: 0 to {precision}; the precision counts all digits"
                ))
                .related(
                    draft.precision.as_ref().map(|precision| precision.span),
                    "the precision",
                ),
            );
        }
        scale = scale.min(precision);
        ScalarType::Decimal { precision, scale }
    }

    /// Reports settings that do not go with the type.
    fn check_applicable(
        &mut self,
        draft: &AttributeDraft,
        scalar_type: ScalarType,
        purpose: Purpose,
    ) {
        let auto = purpose == Purpose::AutoNumber;
        let sized = matches!(
            scalar_type,
            ScalarType::String | ScalarType::Binary | ScalarType::File
        );
        let is_text = scalar_type == ScalarType::String;
        let is_decimal = matches!(scalar_type, ScalarType::Decimal { .. });
        let bounded = !auto
            && (scalar_type.is_numeric()
                || matches!(
                    scalar_type,
                    ScalarType::DateTime
                        | ScalarType::Date
                        | ScalarType::Time
                        | ScalarType::Duration
                ));
        let has_default = !auto && !matches!(scalar_type, ScalarType::Binary | ScalarType::File);
        let given = [
            (
                draft.length.as_ref().map(|it| it.span),
                "length",
                sized,
                "String, Binary and File",
            ),
            (
                draft.pattern.as_ref().map(|it| it.span),
                "pattern",
                is_text,
                "String",
            ),
            (
                draft.precision.as_ref().map(|it| it.span),
                "precision",
                is_decimal,
                "Decimal",
            ),
            (
                draft.scale.as_ref().map(|it| it.span),
                "scale",
                is_decimal,
                "Decimal",
            ),
            (
                draft.minimum.as_ref().map(|it| it.span),
                "minimum",
                bounded,
                "numbers, dates, times and durations",
            ),
            (
                draft.maximum.as_ref().map(|it| it.span),
                "maximum",
                bounded,
                "numbers, dates, times and durations",
            ),
            (
                draft.default.as_ref().map(|it| it.span),
                "default",
                has_default,
                "every type but AutoNumber, Binary and File",
            ),
        ];
        for (span, key, applies, types) in given {
            let (Some(span), false) = (span, applies) else {
                continue;
            };
            self.faults.push(
                Diagnostic::error(
                    Code::NotApplicable,
                    span,
                    format!(
                        "`{key}` does not go with the type {}",
                        draft.type_name.value
                    ),
                )
                .help(format!("`{key}` is for {types}: leave it out"))
                .related(Some(draft.type_name.span), "the type"),
            );
        }
        if let Some(length) = draft
            .length
            .as_ref()
            .filter(|length| is_text && length.value > STRING_LENGTH)
        {
            self.faults.push(
                Diagnostic::error(Code::OutOfRange, length.span, "the length is out of range")
                    .help(format!("legal: 1 to {STRING_LENGTH}; a String without `length` has no limit of its own")),
            );
        }
        if let Some(required) = draft
            .required
            .as_ref()
            .filter(|required| auto && !required.value)
        {
            self.faults.push(
                Diagnostic::error(
                    Code::Contradiction,
                    required.span,
                    "an AutoNumber is never null",
                )
                .help("leave it out"),
            );
        }
    }

    fn pattern(
        &mut self,
        pattern: &At<String>,
        known: &mut HashMap<String, Option<Regex>>,
    ) -> Option<Regex> {
        if let Some(Some(regex)) = known.get(&pattern.value) {
            return Some(regex.clone());
        }
        if pattern.value.chars().count() > PATTERN_CHARACTERS {
            self.faults.push(
                Diagnostic::error(
                    Code::InvalidPattern,
                    pattern.span,
                    "the pattern is too long",
                )
                .help(format!(
                    "at most {PATTERN_CHARACTERS} characters are possible"
                )),
            );
            return None;
        }
        let built = RegexBuilder::new(&pattern.value)
            .size_limit(PATTERN_BYTES)
            .build();
        if let Err(error) = &built {
            let (message, help) = match error {
                regex::Error::CompiledTooBig(_) => (
                    "the pattern is too large when compiled".to_owned(),
                    "use smaller repetitions than `{1,1000}`",
                ),
                error => {
                    let text = error.to_string();
                    let reason = text.lines().last().unwrap_or_default();
                    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                    (
                        format!("the pattern is no regular expression: {reason}"),
                        "in TOML, write patterns in single quotes: '^\\d+$'",
                    )
                }
            };
            self.faults
                .push(Diagnostic::error(Code::InvalidPattern, pattern.span, message).help(help));
        }
        let regex = built.ok();
        known.insert(pattern.value.clone(), regex.clone());
        regex
    }

    fn column_type(
        &mut self,
        draft: &AttributeDraft,
        scalar_type: ScalarType,
        external: bool,
    ) -> Option<ColumnType> {
        let given = draft.column_type.as_ref()?;
        let (column_type, fits, wanted) = match given.value.as_str() {
            "smallint" => (
                ColumnType::SmallInteger,
                scalar_type == ScalarType::Integer,
                "Integer",
            ),
            "real" => (
                ColumnType::Real,
                matches!(scalar_type, ScalarType::Decimal { .. }),
                "Decimal",
            ),
            "double" => (
                ColumnType::Double,
                matches!(scalar_type, ScalarType::Decimal { .. }),
                "Decimal",
            ),
            _ => return None,
        };
        if !external {
            self.faults.push(
                Diagnostic::error(
                    Code::External,
                    given.span,
                    "`column_type` is for external entities",
                )
                .help("Stoa chooses the column's type from the attribute's: leave it out"),
            );
        } else if !fits {
            self.faults.push(
                Diagnostic::error(
                    Code::NotApplicable,
                    given.span,
                    format!(
                        "a column of type {} does not go with the type {}",
                        given.value, draft.type_name.value
                    ),
                )
                .help(format!("it is for the type {wanted}"))
                .related(Some(draft.type_name.span), "the type"),
            );
        }
        Some(column_type)
    }
}

fn system(
    owner: EntityId,
    name: &str,
    column: &str,
    scalar_type: ScalarType,
    purpose: Purpose,
) -> Attribute {
    let label = match purpose {
        Purpose::CreatedAt => "Created at",
        Purpose::ChangedAt => "Changed at",
        Purpose::Version => "Version",
        _ => "Id",
    };
    Attribute {
        name: name.to_owned(),
        column: column.to_owned(),
        scalar_type,
        purpose,
        length: None,
        required: true,
        default: None,
        minimum: None,
        maximum: None,
        pattern: None,
        label: label.to_owned(),
        description: None,
        renamed_from: None,
        column_type: None,
        declared_by: owner,
        reach: MemberReach::ALL,
    }
}
