//! A table with places, taken apart after [`super::shape`] has judged it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::At;
use crate::diagnostic::Span;

/// A table of one file, read without complaint.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The table.
    pub table: &'a DeTable<'a>,
    /// Position of the file among the sources.
    pub file: usize,
}

impl<'a> Reader<'a> {
    /// The value of a key, and its place.
    #[must_use]
    pub fn get(self, key: &str) -> Option<(&'a DeValue<'a>, Span)> {
        let value = self.table.get(key)?;
        Some((value.get_ref(), Span::new(self.file, value.span())))
    }

    /// A string.
    #[must_use]
    pub fn text(self, key: &str) -> Option<At<String>> {
        text(self.table.get(key)?, self.file)
    }

    /// A string without its place.
    #[must_use]
    pub fn plain(self, key: &str) -> Option<String> {
        self.text(key).map(|text| text.value)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(self, key: &str) -> Option<At<bool>> {
        let (value, span) = self.get(key)?;
        value.as_bool().map(|value| At { value, span })
    }

    /// A whole number, if it is one of the type.
    #[must_use]
    pub fn number<T: TryFrom<i64>>(self, key: &str) -> Option<At<T>> {
        let (value, span) = self.get(key)?;
        let number = value.as_integer()?;
        let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
        Some(At {
            value: T::try_from(number).ok()?,
            span,
        })
    }

    /// A list of strings.
    #[must_use]
    pub fn names(self, key: &str) -> Option<At<Vec<At<String>>>> {
        names(self.table.get(key)?, self.file)
    }

    /// A list of lists of strings; empty when there is none.
    #[must_use]
    pub fn name_lists(self, key: &str) -> Vec<At<Vec<At<String>>>> {
        let lists = self.get(key).and_then(|(value, _)| value.as_array());
        lists
            .into_iter()
            .flatten()
            .filter_map(|list| names(list, self.file))
            .collect()
    }

    /// The table under a key.
    #[must_use]
    pub fn table(self, key: &str) -> Option<Self> {
        let table = self.get(key)?.0.as_table()?;
        Some(Self {
            table,
            file: self.file,
        })
    }

    /// The tables of a list under a key, each with its place.
    pub fn tables(self, key: &str) -> impl Iterator<Item = At<Self>> + use<'a> {
        let file = self.file;
        let list = self.get(key).and_then(|(value, _)| value.as_array());
        list.into_iter().flatten().filter_map(move |value| {
            Some(At {
                value: Self {
                    table: value.get_ref().as_table()?,
                    file,
                },
                span: Span::new(file, value.span()),
            })
        })
    }

    /// Values by name under a key.
    pub fn named(
        self,
        key: &str,
    ) -> impl Iterator<Item = (At<String>, &'a Spanned<DeValue<'a>>)> + use<'a> {
        let file = self.file;
        self.get(key)
            .and_then(|(value, _)| value.as_table())
            .into_iter()
            .flatten()
            .map(move |(name, value)| {
                (
                    At {
                        value: name.get_ref().to_string(),
                        span: Span::new(file, name.span()),
                    },
                    value,
                )
            })
    }
}

pub(crate) fn text(value: &Spanned<DeValue<'_>>, file: usize) -> Option<At<String>> {
    let text = value.get_ref().as_str()?;
    Some(At {
        value: text.to_owned(),
        span: Span::new(file, value.span()),
    })
}

fn names(value: &Spanned<DeValue<'_>>, file: usize) -> Option<At<Vec<At<String>>>> {
    let list = value.get_ref().as_array()?;
    let names = list.iter().filter_map(|name| text(name, file)).collect();
    Some(At {
        value: names,
        span: Span::new(file, value.span()),
    })
}
