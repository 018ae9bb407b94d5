//! `$expand` and `$select`.

use stoa_model::expression::error as expression;

use super::options::{OptionName, Options, Reader};

/// An item of `$expand`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpandItem {
    /// First byte in the value of `$expand`.
    pub position: usize,
    /// Types, properties, then the navigation or `*`. Annotations start with `@`.
    pub path: Vec<String>,
    /// What of the targets.
    pub mode: ExpandMode,
    /// Options in parentheses.
    pub options: Options,
}

/// What of the targets of an expanded navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpandMode {
    /// Their properties.
    Rows,
    /// `/$ref`: their identities.
    References,
    /// `/$count`: their number.
    Count,
}

/// An item of `$select`.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectItem {
    /// First byte in the value of `$select`.
    pub position: usize,
    /// What it is.
    pub kind: SelectKind,
}

/// Kinds of items of `$select`.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectKind {
    /// `*`
    All,
    /// `Namespace.*`
    Operations(String),
    /// Types, properties; annotations start with `@`.
    Path {
        /// As written.
        path: Vec<String>,
        /// Names in parentheses: parameters of a function.
        parameters: Vec<String>,
        /// Options in parentheses.
        options: Box<Options>,
    },
}

const COUNT_OPTIONS: &[OptionName] = &[OptionName::Filter, OptionName::Search];
const REFERENCE_OPTIONS: &[OptionName] = &[
    OptionName::Filter,
    OptionName::Search,
    OptionName::OrderBy,
    OptionName::Skip,
    OptionName::Top,
    OptionName::Count,
];
const ROW_OPTIONS: &[OptionName] = &[
    OptionName::Filter,
    OptionName::Search,
    OptionName::OrderBy,
    OptionName::Skip,
    OptionName::Top,
    OptionName::Count,
    OptionName::Select,
    OptionName::Expand,
    OptionName::Compute,
    OptionName::Levels,
];
const SELECT_OPTIONS: &[OptionName] = &[
    OptionName::Filter,
    OptionName::Search,
    OptionName::OrderBy,
    OptionName::Skip,
    OptionName::Top,
    OptionName::Count,
    OptionName::Select,
    OptionName::Compute,
];

pub(super) fn expand(reader: &mut Reader<'_>) -> Result<Vec<ExpandItem>, expression::Error> {
    let mut items = Vec::new();
    loop {
        items.push(expand_item(reader)?);
        if !reader.comma() {
            return Ok(items);
        }
    }
}

fn expand_item(reader: &mut Reader<'_>) -> Result<ExpandItem, expression::Error> {
    let position = reader.parser.position();
    let mut path = Vec::new();
    let mut mode = ExpandMode::Rows;
    if reader.parser.eat("$value") {
        path.push("$value".to_owned());
        return Ok(ExpandItem {
            position,
            path,
            mode,
            options: Options::default(),
        });
    }
    let mut is_all = false;
    loop {
        if reader.parser.eat("*") {
            path.push("*".to_owned());
            is_all = true;
        } else {
            path.push(step(reader)?);
        }
        if !reader.parser.eat("/") {
            break;
        }
        if reader.parser.eat("$ref") {
            mode = ExpandMode::References;
            break;
        }
        if !is_all && reader.parser.eat("$count") {
            mode = ExpandMode::Count;
            break;
        }
        if is_all {
            return Err(reader.parser.unexpected("$ref"));
        }
    }
    let allowed = match mode {
        ExpandMode::Rows if is_all => &[OptionName::Levels],
        ExpandMode::Rows => ROW_OPTIONS,
        ExpandMode::References if is_all => &[],
        ExpandMode::References => REFERENCE_OPTIONS,
        ExpandMode::Count => COUNT_OPTIONS,
    };
    let options = reader.nested(allowed, mode == ExpandMode::Rows && !is_all)?;
    Ok(ExpandItem {
        position,
        path,
        mode,
        options,
    })
}

/// A name, a qualified name or an annotation.
fn step(reader: &mut Reader<'_>) -> Result<String, expression::Error> {
    let start = reader.parser.position();
    let is_annotation = reader.parser.eat("@");
    reader
        .parser
        .qualified_name()
        .map_err(|error| error.expecting("the name of a property"))?;
    if is_annotation && reader.parser.eat("#") {
        reader.parser.identifier()?;
    }
    Ok(reader.parser.since(start).to_owned())
}

pub(super) fn select(reader: &mut Reader<'_>) -> Result<Vec<SelectItem>, expression::Error> {
    let mut items = Vec::new();
    loop {
        items.push(select_item(reader)?);
        if !reader.comma() {
            return Ok(items);
        }
    }
}

fn select_item(reader: &mut Reader<'_>) -> Result<SelectItem, expression::Error> {
    let position = reader.parser.position();
    if reader.parser.eat("*") {
        return Ok(SelectItem {
            position,
            kind: SelectKind::All,
        });
    }
    let mut path = vec![step(reader)?];
    if reader.parser.eat(".*") {
        return Ok(SelectItem {
            position,
            kind: SelectKind::Operations(path.remove(0)),
        });
    }
    while reader.parser.eat("/") {
        path.push(step(reader)?);
    }
    let mut parameters = Vec::new();
    let mut options = Box::<Options>::default();
    if reader.parser.peek() == Some(b'(') {
        let start = reader.parser.position();
        match names(reader) {
            Some(names) => parameters = names,
            None => {
                reader.parser.seek(start);
                *options = reader.nested(SELECT_OPTIONS, true)?;
            }
        }
    }
    Ok(SelectItem {
        position,
        kind: SelectKind::Path {
            path,
            parameters,
            options,
        },
    })
}

/// `(name,name)`
fn names(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    reader.parser.eat("(");
    let mut names = Vec::new();
    loop {
        names.push(reader.parser.identifier().ok()?);
        if reader.parser.eat(")") {
            return Some(names);
        }
        if !reader.parser.eat(",") {
            return None;
        }
    }
}
