//! JSON arrays and objects.

use super::super::error::Error;
use super::{Kind, Literal, Node, Parser};

impl Parser<'_> {
    pub(super) fn array(&mut self) -> Result<Node, Error> {
        let start = self.position();
        self.eat("[");
        self.blanks();
        let mut items = Vec::new();
        let mut depth = 0;
        if !self.eat("]") {
            loop {
                let item = self.json_value()?;
                depth = depth.max(item.depth);
                items.push(item);
                self.blanks();
                if self.eat("]") {
                    break;
                }
                self.expect(",", "',' or ']'")?;
                self.blanks();
            }
        }
        self.node(start, depth, Kind::Array(items))
    }

    pub(super) fn object(&mut self) -> Result<Node, Error> {
        let start = self.position();
        self.eat("{");
        self.blanks();
        let mut members = Vec::new();
        let mut depth = 0;
        if !self.eat("}") {
            loop {
                let name = self.json_string()?;
                self.blanks();
                self.expect(":", "':'")?;
                self.blanks();
                let value = self.json_value()?;
                depth = depth.max(value.depth);
                members.push((name, value));
                self.blanks();
                if self.eat("}") {
                    break;
                }
                self.expect(",", "',' or '}'")?;
                self.blanks();
            }
        }
        self.node(start, depth, Kind::Object(members))
    }

    fn json_value(&mut self) -> Result<Node, Error> {
        let start = self.position();
        if self.peek() == Some(b'"') {
            let text = self.json_string()?;
            return self.literal_node(start, Literal::Text(text));
        }
        self.expression()
    }

    fn json_string(&mut self) -> Result<String, Error> {
        let start = self.position();
        let mut stream = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
        match stream.next() {
            Some(Ok(text)) if !text.contains('\0') => {
                let length = stream.byte_offset();
                self.seek(start + length);
                Ok(text)
            }
            _ => Err(Error::syntax(start, "this is no JSON string").expecting("\"…\"")),
        }
    }
}
