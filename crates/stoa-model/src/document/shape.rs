//! Checks the shape of a parsed file against its [`Section`]: known keys, TOML types, ranges, choices.
//! What passes can be taken apart without looking at types again.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::Faults;
use super::nearest;
use super::section::{Form, Section};
use crate::diagnostic::{Code, Diagnostic, Span};

/// Reports everything in a table that its section does not allow. `header` is where a missing key is
/// reported.
pub(crate) fn check_table(
    table: &DeTable<'_>,
    section: &'static Section,
    file: usize,
    header: Span,
    faults: &mut Faults,
) {
    for (name, value) in table {
        let span = Span::new(file, name.span());
        match section.find(name.get_ref()) {
            Some(key) => check_value(value, &key.form, key.name, file, span, faults),
            None => faults.push(unknown_key(name.get_ref(), value.get_ref(), section, span)),
        }
    }
    for required in section.required {
        if !table.contains_key(*required) {
            faults.push(
                Diagnostic::error(
                    Code::MissingKey,
                    header,
                    format!("the key `{required}` is missing"),
                )
                .help(section.find(required).map_or("", |key| key.about)),
            );
        }
    }
}

fn unknown_key(
    name: &str,
    value: &DeValue<'_>,
    section: &'static Section,
    span: Span,
) -> Diagnostic {
    let shown: String = name.chars().take(40).collect();
    let diagnostic = Diagnostic::error(Code::UnknownKey, span, format!("unknown key `{shown}`"));
    if let Some(advice) = section.advise.and_then(|advise| advise(name, value)) {
        return Diagnostic {
            label: advice.label,
            ..diagnostic.help(advice.help)
        };
    }
    if let Some(near) = nearest(name, section.keys.iter().map(|key| key.name)) {
        return diagnostic.help(format!("did you mean `{near}`?"));
    }
    let known: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
    diagnostic.help(format!("known keys here: {}", known.join(", ")))
}

fn check_value(
    value: &Spanned<DeValue<'_>>,
    form: &Form,
    key: &str,
    file: usize,
    header: Span,
    faults: &mut Faults,
) {
    let span = Span::new(file, value.span());
    let wrong = |faults: &mut Faults, expected: &str| {
        faults.push(wrong_type(key, value.get_ref(), expected, span));
    };
    match (form, value.get_ref()) {
        (Form::Text, DeValue::String(_))
        | (Form::Flag, DeValue::Boolean(_))
        | (Form::FlagOrExpression, DeValue::Boolean(_) | DeValue::String(_)) => {}
        (
            Form::Literal,
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_),
        ) => {}
        (Form::Number(minimum, maximum), DeValue::Integer(number)) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            if !number.is_ok_and(|number| (*minimum..=*maximum).contains(&number)) {
                faults.push(
                    Diagnostic::error(Code::OutOfRange, span, format!("`{key}` is out of range"))
                        .help(format!("legal: {minimum} to {maximum}")),
                );
            }
        }
        (Form::Choice(words), DeValue::String(word)) => {
            if !words.contains(&word.as_ref()) {
                let shown: String = word.chars().take(40).collect();
                faults.push(
                    Diagnostic::error(
                        Code::UnknownChoice,
                        span,
                        format!("`{shown}` is no legal value of `{key}`"),
                    )
                    .help(match nearest(word, words.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("legal: {}", words.join(", ")),
                    }),
                );
            }
        }
        (Form::NamesOrAll, DeValue::String(text)) if text == "*" => {}
        (Form::Choices(words), DeValue::Array(list)) => {
            let form = Form::Choice(words);
            for word in list.iter() {
                check_value(word, &form, key, file, header, faults);
            }
        }
        (Form::Names | Form::NamesOrAll, DeValue::Array(names)) => {
            for name in names.iter() {
                check_value(name, &Form::Text, key, file, header, faults);
            }
        }
        (Form::NameLists, DeValue::Array(lists)) => {
            for list in lists.iter() {
                match list.get_ref() {
                    DeValue::Array(_) => check_value(list, &Form::Names, key, file, header, faults),
                    other => faults.push(
                        wrong_type(
                            key,
                            other,
                            "a list of lists of names",
                            Span::new(file, list.span()),
                        )
                        .help(format!(
                            "write `{key} = [[\"A\", \"B\"]]`: one inner list for each {key}"
                        )),
                    ),
                }
            }
        }
        (Form::Table(section) | Form::Shorthand(section, _), DeValue::Table(table)) => {
            check_table(table, section, file, header, faults);
        }
        (Form::Shorthand(..), DeValue::String(_)) => {}
        (Form::Tables(section), DeValue::Array(tables)) => {
            for table in tables.iter() {
                let span = Span::new(file, table.span());
                match table.get_ref() {
                    DeValue::Table(table) => check_table(table, section, file, span, faults),
                    other => faults.push(wrong_type(key, other, "an array of tables", span)),
                }
            }
        }
        (Form::Shorthands(section, _), DeValue::Array(items)) => {
            for item in items.iter() {
                let span = Span::new(file, item.span());
                match item.get_ref() {
                    DeValue::String(_) => {}
                    DeValue::Table(table) => check_table(table, section, file, span, faults),
                    other => faults.push(wrong_type(key, other, "a name or a table", span)),
                }
            }
        }
        (Form::Named(form) | Form::Labelled(form), DeValue::Table(table)) => {
            for (name, value) in table {
                check_value(
                    value,
                    form,
                    name.get_ref(),
                    file,
                    Span::new(file, name.span()),
                    faults,
                );
            }
        }
        (Form::NamedOr(form, special, special_form), DeValue::Table(table)) => {
            for (name, value) in table {
                let form = if name.get_ref() == special {
                    special_form
                } else {
                    form
                };
                let header = Span::new(file, name.span());
                check_value(value, form, name.get_ref(), file, header, faults);
            }
        }
        (form, _) => wrong(faults, expected(form)),
    }
}

fn expected(form: &Form) -> &'static str {
    match form {
        Form::Text | Form::Choice(_) => "a string",
        Form::Flag => "true or false",
        Form::Number(..) => "a whole number",
        Form::Names | Form::Choices(_) => "a list of names",
        Form::NameLists => "a list of lists of names",
        Form::NamesOrAll => "\"*\" or a list of names",
        Form::FlagOrExpression => "true, false or an expression in quotes",
        Form::Literal => "a string, a number, true or false, or a date",
        Form::Table(_) | Form::Named(_) | Form::Labelled(_) | Form::NamedOr(..) => "a table",
        Form::Tables(_) => "an array of tables, each headed by [[…]]",
        Form::Shorthand(..) => "a table or a name",
        Form::Shorthands(..) => "a list of names or tables",
    }
}

fn wrong_type(key: &str, found: &DeValue<'_>, expected: &str, span: Span) -> Diagnostic {
    let kind = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let shown: String = key.chars().take(40).collect();
    Diagnostic::error(Code::WrongType, span, format!("`{shown}` takes {expected}"))
        .label(format!("this is {kind}"))
}
