//! What may stand in a file: said once, for the reader, its suggestions and the JSON Schema.

use toml::de::DeValue;

/// A table with known keys.
pub struct Section {
    /// What the table is about.
    pub about: &'static str,
    /// What may stand in it.
    pub keys: &'static [Key],
    /// What must stand in it.
    pub required: &'static [&'static str],
    /// Says more of an unknown key than which known one is near.
    pub advise: Option<fn(name: &str, value: &DeValue<'_>) -> Option<Advice>>,
}

/// What to do about an unknown key.
pub struct Advice {
    /// What to say at its place.
    pub label: Option<String>,
    /// What to do.
    pub help: String,
}

/// A key of a section.
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub form: Form,
    /// What it means; the JSON Schema's description.
    pub about: &'static str,
    /// Values that editors propose, where others are legal too.
    pub examples: &'static [&'static str],
}

/// What a key takes.
pub enum Form {
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number in a range.
    Number(i64, i64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// A list of names.
    Names,
    /// A list of lists of names.
    NameLists,
    /// `"*"` or a list of names.
    NamesOrAll,
    /// `true`, `false` or an expression.
    FlagOrExpression,
    /// A string, number, boolean, or date and time.
    Literal,
    /// A table.
    Table(&'static Section),
    /// An array of tables.
    Tables(&'static Section),
    /// A table whose keys are names.
    Named(&'static Form),
    /// A table whose keys are labels of DNS names.
    Labelled(&'static Form),
    /// A table whose keys are names, and one more key of its own form.
    NamedOr(&'static Form, &'static str, &'static Form),
    /// A string that stands for a table with just this key.
    Shorthand(&'static Section, &'static str),
    /// An array of strings or tables, a string standing for a table with just this key.
    Shorthands(&'static Section, &'static str),
}

/// A key of a section.
#[must_use]
pub const fn key(name: &'static str, form: Form, about: &'static str) -> Key {
    Key {
        name,
        form,
        about,
        examples: &[],
    }
}

impl Key {
    /// The same with values that editors propose.
    #[must_use]
    pub const fn examples(self, examples: &'static [&'static str]) -> Self {
        Self { examples, ..self }
    }
}

impl Section {
    /// The key of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
