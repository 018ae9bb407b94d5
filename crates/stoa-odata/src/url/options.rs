//! Query options, at the top and nested in `$expand` and `$select`.

use stoa_model::application::Limits;
use stoa_model::expression::error::{self as expression, nearest};
use stoa_model::expression::syntax::{self, Node, Parser, Search};

use super::decode::decode_query;
use super::error::{Error, ErrorKind, Place};
use super::expand::{self, ExpandItem, SelectItem};

/// Most levels of options nested in options; the resolver's limit on `$expand` is lower.
const MAXIMUM_NESTING: usize = 20;

macro_rules! option_names {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// System query options.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // the names are the specification's
        pub enum OptionName { $($name),* }

        impl OptionName {
            const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Name in lower case, without the dollar.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

option_names! {
    Filter = "filter",
    OrderBy = "orderby",
    Top = "top",
    Skip = "skip",
    Count = "count",
    Select = "select",
    Expand = "expand",
    Search = "search",
    Format = "format",
    SkipToken = "skiptoken",
    DeltaToken = "deltatoken",
    Compute = "compute",
    Apply = "apply",
    Index = "index",
    SchemaVersion = "schemaversion",
    Id = "id",
    Levels = "levels",
}

impl OptionName {
    /// The option of this name, in any case, without the dollar.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|option| option.as_str().eq_ignore_ascii_case(name))
    }
}

/// Options as parsed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// `$filter`
    pub filter: Option<Node>,
    /// `$orderby`
    pub order: Vec<OrderItem>,
    /// `$top`
    pub top: Option<u64>,
    /// `$skip`
    pub skip: Option<u64>,
    /// `$count`
    pub count: Option<bool>,
    /// `$select`
    pub select: Option<Vec<SelectItem>>,
    /// `$expand`
    pub expand: Option<Vec<ExpandItem>>,
    /// `$search`
    pub search: Option<Search>,
    /// `$compute`: expressions and their names.
    pub compute: Vec<(Node, String)>,
    /// `$levels`
    pub levels: Option<Levels>,
    /// Values of `@name`.
    pub aliases: Vec<(String, Node)>,
    /// The percent-decoded text of each system option, in the order given.
    pub texts: Vec<(OptionName, String)>,
    /// The percent-decoded text of each alias, in the order given.
    pub alias_texts: Vec<(String, String)>,
}

impl Options {
    /// Text of a system option, if given.
    #[must_use]
    pub fn text(&self, name: OptionName) -> Option<&str> {
        self.texts
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| text.as_str())
    }

    /// Value of `$format`.
    #[must_use]
    pub fn format(&self) -> Option<&str> {
        self.text(OptionName::Format)
    }
}

/// A term of `$orderby`.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    /// What to order by.
    pub expression: Node,
    /// `desc`
    pub descending: bool,
}

/// `$levels`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// As many.
    Number(usize),
    /// As many as allowed.
    Maximum,
}

/// Parses a raw query.
pub(super) fn parse(raw: &str, limits: &Limits) -> Result<Options, Error> {
    let mut options = Options::default();
    for part in raw.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        let name = decode_query(name)?;
        let bare = name.strip_prefix('$').unwrap_or(&name);
        if let Some(alias) = name.strip_prefix('@') {
            let Some(value) = value else {
                return Err(
                    malformed(Place::Query, format!("the alias '{name}' needs a value"))
                        .expecting("@name=value"),
                );
            };
            alias_value(&mut options, alias, &decode_query(value)?, limits)?;
            continue;
        }
        let Some(option) = OptionName::find(bare).filter(|option| *option != OptionName::Levels)
        else {
            if name.starts_with('$') {
                let known = nearest(bare, OptionName::ALL.iter().map(|option| option.as_str()));
                return Err(
                    malformed(Place::Query, format!("there is no query option '{name}'"))
                        .suggesting(known.map(|known| format!("${known}"))),
                );
            }
            // An option of somebody else.
            continue;
        };
        let place = Place::Option(option);
        let Some(value) = value else {
            return Err(malformed(place, format!("'{name}' needs a value")));
        };
        let mut value = decode_query(value).map_err(|error| Error { place, ..error })?;
        if option == OptionName::Search {
            value = value.trim_start_matches([' ', '\t']).to_owned().into();
        }
        let mut reader = Reader {
            parser: parser(&value, limits, place)?,
            nesting: 0,
        };
        reader
            .option(option, &mut options, true)
            .map_err(|error| Error::of_expression(error, place, 0))?;
        reader
            .parser
            .finish()
            .map_err(|error| Error::of_expression(error, place, 0))?;
        options.texts.push((option, value.into_owned()));
    }
    Ok(options)
}

fn malformed(place: Place, message: String) -> Error {
    Error::new(ErrorKind::Malformed, place, None, message)
}

fn parser<'t>(text: &'t str, limits: &Limits, place: Place) -> Result<Parser<'t>, Error> {
    let limits = syntax::Limits {
        nodes: limits.filter_nodes,
        bytes: limits.url_bytes,
    };
    Parser::new(text, limits).map_err(|error| Error::of_expression(error, place, 0))
}

fn alias_value(
    options: &mut Options,
    name: &str,
    value: &str,
    limits: &Limits,
) -> Result<(), Error> {
    let located = |error| Error::of_expression(error, Place::Query, 0);
    if options.aliases.iter().any(|(known, _)| known == name) {
        return Err(malformed(
            Place::Query,
            format!("the alias '@{name}' is given twice"),
        ));
    }
    let mut names = parser(name, limits, Place::Query)?;
    names
        .identifier()
        .and_then(|_| names.finish())
        .map_err(located)?;
    let mut parser = parser(value, limits, Place::Query)?;
    let node = parser
        .expression()
        .and_then(|node| parser.finish().map(|()| node))
        .map_err(located)?;
    options.aliases.push((name.to_owned(), node));
    options
        .alias_texts
        .push((name.to_owned(), value.to_owned()));
    Ok(())
}

/// Reads options from one text.
pub(super) struct Reader<'t> {
    pub(super) parser: Parser<'t>,
    nesting: usize,
}

impl Reader<'_> {
    /// Reads the value of an option.
    fn option(
        &mut self,
        name: OptionName,
        options: &mut Options,
        is_top: bool,
    ) -> Result<(), expression::Error> {
        let start = self.parser.position();
        if options.texts.iter().any(|(known, _)| *known == name) {
            return Err(expression::Error::syntax(
                start,
                format!("the option ${} is given twice", name.as_str()),
            ));
        }
        match name {
            OptionName::Filter => options.filter = Some(self.parser.expression()?),
            OptionName::OrderBy => options.order = self.order()?,
            OptionName::Top => options.top = Some(self.number()?),
            OptionName::Skip => options.skip = Some(self.number()?),
            OptionName::Count => options.count = Some(self.boolean()?),
            OptionName::Select => options.select = Some(expand::select(self)?),
            OptionName::Expand => options.expand = Some(expand::expand(self)?),
            OptionName::Search => options.search = Some(self.parser.search()?),
            OptionName::Compute => options.compute = self.compute()?,
            OptionName::Levels => options.levels = Some(self.levels()?),
            OptionName::Index => {
                self.parser.eat("-");
                self.number()?;
            }
            OptionName::Format => {
                let format = self.rest();
                let is_known = ["atom", "json", "xml"]
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(format));
                let is_media_type = format
                    .split_once('/')
                    .is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty());
                if !is_known && !is_media_type {
                    return Err(expression::Error::syntax(
                        start,
                        format!("'{format}' is no format"),
                    )
                    .expecting("json, xml or a media type"));
                }
            }
            OptionName::SchemaVersion => {
                let version = self.rest();
                let fits = |byte: u8| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
                };
                if version != "*" && (version.is_empty() || !version.bytes().all(fits)) {
                    return Err(expression::Error::syntax(
                        start,
                        format!("'{version}' is no version"),
                    ));
                }
            }
            OptionName::SkipToken | OptionName::DeltaToken | OptionName::Apply | OptionName::Id => {
                if self.rest().is_empty() {
                    return Err(expression::Error::syntax(
                        start,
                        format!("${} needs a value", name.as_str()),
                    ));
                }
            }
        }
        debug_assert!(
            is_top || !matches!(name, OptionName::Format),
            "the caller says which options may be nested"
        );
        Ok(())
    }

    /// Reads `(option;option;…)` if it comes next. `allowed` says which options are.
    pub(super) fn nested(
        &mut self,
        allowed: &[OptionName],
        aliases: bool,
    ) -> Result<Options, expression::Error> {
        let mut options = Options::default();
        if !self.parser.eat("(") {
            return Ok(options);
        }
        if self.nesting >= MAXIMUM_NESTING {
            let message = format!("options are nested deeper than {MAXIMUM_NESTING} levels");
            return Err(expression::Error::new(
                expression::ErrorKind::Limit,
                self.parser.position(),
                message,
            ));
        }
        self.nesting += 1;
        loop {
            let start = self.parser.position();
            if aliases && self.parser.eat("@") {
                let name = self.parser.identifier()?;
                self.parser.expect("=", "'='")?;
                let from = self.parser.position();
                let value = self.parser.expression()?;
                options
                    .alias_texts
                    .push((name.clone(), self.parser.since(from).to_owned()));
                options.aliases.push((name, value));
            } else {
                let written = self.parser.option_name()?;
                let Some(name) = OptionName::find(&written).filter(|name| allowed.contains(name))
                else {
                    let known = nearest(&written, allowed.iter().map(|name| name.as_str()));
                    return Err(expression::Error::syntax(
                        start,
                        format!("the option '${written}' cannot stand here"),
                    )
                    .suggesting(
                        known
                            .filter(|known| *known != written)
                            .map(|known| format!("${known}")),
                    ));
                };
                let from = self.parser.position();
                self.option(name, &mut options, false)?;
                options
                    .texts
                    .push((name, self.parser.since(from).to_owned()));
            }
            if self.parser.eat(")") {
                break;
            }
            self.parser.expect(";", "an operator, ';' or ')'")?;
        }
        self.nesting -= 1;
        Ok(options)
    }

    fn rest(&mut self) -> &str {
        let rest = self.parser.rest();
        self.parser.seek(self.parser.position() + rest.len());
        rest
    }

    /// Digits.
    fn number(&mut self) -> Result<u64, expression::Error> {
        let start = self.parser.position();
        let length = self
            .parser
            .rest()
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        if length == 0 {
            return Err(self.parser.unexpected("a number, zero or greater"));
        }
        let digits = &self.parser.rest()[..length];
        // Stores count in signed numbers.
        let number = digits
            .parse::<u64>()
            .ok()
            .filter(|number| i64::try_from(*number).is_ok());
        self.parser.seek(start + length);
        number.ok_or_else(|| {
            expression::Error::new(
                expression::ErrorKind::Range,
                start,
                "this number is too large",
            )
        })
    }

    fn boolean(&mut self) -> Result<bool, expression::Error> {
        let start = self.parser.position();
        match self
            .parser
            .identifier()
            .map(|word| word.to_ascii_lowercase())
            .as_deref()
        {
            Ok("true") => Ok(true),
            Ok("false") => Ok(false),
            _ => {
                self.parser.seek(start);
                Err(self.parser.unexpected("true or false"))
            }
        }
    }

    fn levels(&mut self) -> Result<Levels, expression::Error> {
        let start = self.parser.position();
        if self
            .parser
            .rest()
            .get(..3)
            .is_some_and(|word| word.eq_ignore_ascii_case("max"))
        {
            self.parser.seek(start + 3);
            return Ok(Levels::Maximum);
        }
        match self.number()? {
            0 => Err(expression::Error::syntax(
                start,
                "$levels has to be at least 1",
            )),
            number => Ok(usize::try_from(number).map_or(Levels::Maximum, Levels::Number)),
        }
    }

    fn order(&mut self) -> Result<Vec<OrderItem>, expression::Error> {
        let mut items = Vec::new();
        loop {
            let expression = self.parser.expression()?;
            let before = self.parser.position();
            let mut descending = false;
            if self.parser.blanks() {
                let word = self
                    .parser
                    .identifier()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                match word.as_str() {
                    "asc" => {}
                    "desc" => descending = true,
                    "" => self.parser.seek(before),
                    _ => {
                        self.parser.seek(before);
                        self.parser.blanks();
                        return Err(self.parser.unexpected("an operator, 'asc', 'desc' or ','"));
                    }
                }
            }
            items.push(OrderItem {
                expression,
                descending,
            });
            if !self.comma() {
                return Ok(items);
            }
        }
    }

    fn compute(&mut self) -> Result<Vec<(Node, String)>, expression::Error> {
        let mut items = Vec::new();
        loop {
            let expression = self.parser.expression()?;
            self.parser.blanks();
            let start = self.parser.position();
            if self
                .parser
                .identifier()
                .is_ok_and(|word| word.eq_ignore_ascii_case("as"))
                && self.parser.blanks()
            {
                items.push((expression, self.parser.identifier()?));
            } else {
                self.parser.seek(start);
                return Err(self.parser.unexpected("an operator or 'as' and a name"));
            }
            if !self.comma() {
                return Ok(items);
            }
        }
    }

    /// Passes over a comma and blanks behind it, which many clients write.
    pub(super) fn comma(&mut self) -> bool {
        let found = self.parser.eat(",");
        if found {
            self.parser.blanks();
        }
        found
    }
}
