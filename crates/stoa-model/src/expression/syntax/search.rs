//! `$search`: words, phrases, AND, OR, NOT.

use super::super::error::Error;
use super::{Limits, Parser};

/// A search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// A word.
    Word(String),
    /// `"several words"`, or `'anything'` in single quotes.
    Phrase(String),
    /// All of them.
    And(Vec<Search>),
    /// Any of them.
    Or(Vec<Search>),
    /// Not it.
    Not(Box<Search>),
}

impl Search {
    /// Parses a text that is one search.
    ///
    /// # Errors
    /// The first fault, with its position.
    pub fn parse(text: &str, limits: Limits) -> Result<Self, Error> {
        let mut parser = Parser::new(text, limits)?;
        let search = parser.search()?;
        parser.blanks();
        parser.finish()?;
        Ok(search)
    }
}

impl Parser<'_> {
    /// Reads a search and stops behind it.
    ///
    /// # Errors
    /// The first fault.
    pub fn search(&mut self) -> Result<Search, Error> {
        self.blanks();
        self.search_or()
    }

    fn search_or(&mut self) -> Result<Search, Error> {
        let mut operands = vec![self.search_and()?];
        while self.search_operator("OR") {
            operands.push(self.search_and()?);
        }
        Ok(one_or(operands, Search::Or))
    }

    fn search_and(&mut self) -> Result<Search, Error> {
        let mut operands = vec![self.nested(Self::search_operand)?];
        loop {
            let before = self.position();
            if !self.search_operator("AND") {
                // Words side by side are and-ed.
                let separated = self.blanks();
                if !separated
                    || self.is_at_end()
                    || matches!(self.peek(), Some(b')' | b';'))
                    || self.or_follows()
                {
                    self.seek(before);
                    return Ok(one_or(operands, Search::And));
                }
            }
            operands.push(self.nested(Self::search_operand)?);
        }
    }

    fn or_follows(&mut self) -> bool {
        let before = self.position();
        self.seek(before.saturating_sub(1));
        let follows = self.search_operator("OR");
        self.seek(before);
        follows
    }

    /// `RWS word RWS` with an operand behind it; otherwise the word is just a word.
    fn search_operator(&mut self, word: &str) -> bool {
        let before = self.position();
        let found =
            self.blanks() && self.eat(word) && self.blanks() && self.search_operand_follows();
        if !found {
            self.seek(before);
        }
        found
    }

    fn search_operand_follows(&self) -> bool {
        !matches!(self.peek(), None | Some(b')' | b';'))
    }

    fn search_operand(&mut self) -> Result<Search, Error> {
        let start = self.position();
        if self.eat("NOT") && self.blanks() && self.search_operand_follows() {
            return Ok(Search::Not(Box::new(self.nested(Self::search_operand)?)));
        }
        self.seek(start);
        match self.peek() {
            Some(b'(') => {
                self.eat("(");
                self.blanks();
                let inner = self.nested(Self::search_or)?;
                self.blanks();
                self.expect(")", "a word or ')'")?;
                Ok(inner)
            }
            Some(b'"') => self.search_phrase("\""),
            Some(b'\'') => self.search_phrase("'"),
            _ => {
                let mut length = 0;
                for (at, character) in self.rest().char_indices() {
                    let ends = match character {
                        ' ' | '\t' | '(' | ')' | '"' => true,
                        ';' => option_follows(&self.rest()[at + 1..]),
                        _ => false,
                    };
                    if ends {
                        break;
                    }
                    length = at + character.len_utf8();
                }
                if length == 0 {
                    return Err(self.unexpected("a word, a phrase in double quotes or '('"));
                }
                let word = self.rest()[..length].to_owned();
                self.seek(start + length);
                Ok(Search::Word(word))
            }
        }
    }

    fn search_phrase(&mut self, quote: &'static str) -> Result<Search, Error> {
        let start = self.position();
        self.eat(quote);
        let mut text = String::new();
        loop {
            let Some(end) = self.rest().find(quote) else {
                return Err(Error::syntax(
                    start,
                    "the phrase that starts here has no closing quote",
                ));
            };
            text.push_str(&self.rest()[..end]);
            self.seek(self.position() + end + 1);
            if quote == "'" && self.eat(quote) {
                text.push('\'');
                continue;
            }
            return Ok(Search::Phrase(text));
        }
    }
}

/// Whether `name=` comes next: then a semicolon ended a nested option, otherwise it is part of a word.
fn option_follows(text: &str) -> bool {
    let name = text.trim_start_matches(['$', '@']);
    let length = name
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count();
    length > 0 && name[length..].starts_with('=')
}

fn one_or(mut operands: Vec<Search>, several: fn(Vec<Search>) -> Search) -> Search {
    if operands.len() == 1 {
        operands.remove(0)
    } else {
        several(operands)
    }
}
