//! Text → expression, by recursive descent.
//!
//! ```text
//! expr     := term (("+" | "-") term)*          term := atom (("*" | "/") atom)*
//! atom     := "-"? primary
//! primary  := function | variable | number | string | "(" expr ")"
//! function := name "(" expr ("," expr)* ")"
//! ```
//! Only spaces are white space, and only between tokens.

use super::{Expression, Node, Operator};
use crate::decimal::{Decimal, Rounding};

/// Longest expression.
pub const EXPRESSION_BYTES_MAX: usize = 4 * 1024;
/// Deepest nesting of parentheses and functions.
pub const DEPTH_MAX: u32 = 64;

/// Why a text is no expression; `at` counts bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("longer than {EXPRESSION_BYTES_MAX} bytes")]
    TooLong,
    #[error("nested deeper than {DEPTH_MAX} levels at byte {0}")]
    TooDeep(usize),
    #[error("expected {1} at byte {0}")]
    Expected(usize, &'static str),
}

type Parsed<T> = Result<T, ParseError>;

impl Expression {
    pub fn parse(text: &str) -> Parsed<Self> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(ParseError::TooLong);
        }
        let mut parser = Parser {
            text,
            at: 0,
            depth: 0,
        };
        let root = parser.expr()?;
        if parser.rest().is_empty() {
            return Ok(Self(root));
        }
        parser.expected("an operator or the end")
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    /// What follows the next spaces.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start_matches(' ');
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expected<T>(&self, what: &'static str) -> Parsed<T> {
        Err(ParseError::Expected(self.at, what))
    }

    fn expr(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ParseError::TooDeep(self.at));
        }
        let operators = [("+", Operator::Plus), ("-", Operator::Minus)];
        let node = self.chain(operators, Self::term)?;
        self.depth -= 1;
        Ok(node)
    }

    fn term(&mut self) -> Parsed<Node> {
        let operators = [("*", Operator::Times), ("/", Operator::Over)];
        self.chain(operators, Self::atom)
    }

    fn chain(
        &mut self,
        operators: [(&str, Operator); 2],
        operand: fn(&mut Self) -> Parsed<Node>,
    ) -> Parsed<Node> {
        let first = operand(self)?;
        let mut others = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(token, _)| self.eat(token)) {
            others.push((*operator, operand(self)?));
        }
        if others.is_empty() {
            return Ok(first);
        }
        Ok(Node::Chain(Box::new(first), others))
    }

    fn atom(&mut self) -> Parsed<Node> {
        if self.eat("-") {
            return Ok(Node::Negative(Box::new(self.primary()?)));
        }
        self.primary()
    }

    fn primary(&mut self) -> Parsed<Node> {
        let rest = self.rest();
        match rest.bytes().next() {
            Some(b'(') => {
                self.at += 1;
                let node = self.expr()?;
                self.close()?;
                Ok(node)
            }
            Some(b'\'') => self.string(&rest[1..]),
            Some(b'0'..=b'9') => self.number(rest),
            Some(_) if rest.starts_with("event.") => self.variable(rest),
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.function(rest),
            _ => self.expected("a value"),
        }
    }

    fn close(&mut self) -> Parsed<()> {
        if self.eat(")") {
            return Ok(());
        }
        self.expected("a closing parenthesis")
    }

    fn string(&mut self, rest: &str) -> Parsed<Node> {
        match rest.find('\'') {
            Some(end) => {
                self.at += end + 2;
                Ok(Node::Text(rest[..end].to_owned()))
            }
            None => self.expected("a closing quote"),
        }
    }

    fn number(&mut self, rest: &str) -> Parsed<Node> {
        let whole = digits(rest);
        let length = match rest[whole..].strip_prefix('.').map(digits) {
            Some(fraction) if fraction > 0 => whole + 1 + fraction,
            _ => whole,
        };
        match Decimal::parse(&rest.as_bytes()[..length]) {
            Some(number) => {
                self.at += length;
                Ok(Node::Number(number))
            }
            None => self.expected("a number of at most 1000 digits"),
        }
    }

    fn variable(&mut self, rest: &str) -> Parsed<Node> {
        if let Some(name) = rest.strip_prefix("event.properties.") {
            let length = word(name);
            if length == 0 {
                return self.expected("a property");
            }
            self.at += rest.len() - name.len() + length;
            return Ok(Node::Property(name[..length].to_owned()));
        }
        for (name, node) in [
            ("event.timestamp", Node::Timestamp),
            ("event.code", Node::Code),
        ] {
            if rest.starts_with(name) {
                self.at += name.len();
                return Ok(node);
            }
        }
        self.expected("event.timestamp, event.code or event.properties")
    }

    fn function(&mut self, rest: &str) -> Parsed<Node> {
        let name = &rest[..word(rest)];
        let Some(known) = function_name(name) else {
            return self.expected("a function");
        };
        let start = self.at;
        self.at += name.len();
        if !self.eat("(") {
            return self.expected("an opening parenthesis");
        }
        let mut arguments = vec![self.expr()?];
        while self.eat(",") {
            arguments.push(self.expr()?);
        }
        self.close()?;
        let rounding = match known {
            "concat" => return Ok(Node::Concat(arguments)),
            "least" => return Ok(Node::Least(arguments)),
            "greatest" => return Ok(Node::Greatest(arguments)),
            "ceil" => Rounding::Ceiling,
            "floor" => Rounding::Floor,
            _ => Rounding::HalfAwayFromZero,
        };
        let mut arguments = arguments.into_iter();
        match (arguments.next(), arguments.next(), arguments.next()) {
            (Some(number), places, None) => Ok(Node::Rounded(
                rounding,
                Box::new(number),
                places.map(Box::new),
            )),
            _ => Err(ParseError::Expected(start, "one or two arguments")),
        }
    }
}

/// Number of ASCII digits at the beginning.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Length of a letter followed by letters, digits and underscores; 0 if there is none.
fn word(text: &str) -> usize {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return 0;
    }
    text.bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count()
}

/// The name in lower case; None unless it is written in lower case, UPPER CASE or Capitalized.
fn function_name(name: &str) -> Option<&'static str> {
    let known = ["round", "ceil", "floor", "concat", "least", "greatest"];
    known.into_iter().find(|known| {
        let capitalized = name.get(..1) == Some(&known[..1].to_ascii_uppercase())
            && name.get(1..) == Some(&known[1..]);
        capitalized || name == *known || name == known.to_ascii_uppercase()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_expression() {
        for good in [
            "1",
            " 1 + 2 * 3 ",
            "-(-1)",
            "2--1",
            "- 2",
            "''",
            "'é'",
            "round(1.5)",
            "ROUND (1, 2)",
            "Concat(event.code,'-',event.properties.a_1)",
            "event.timestamp/60",
            "1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1",
        ] {
            assert!(Expression::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "--1",
            "- -1",
            "1.",
            ".5",
            "1e3",
            "1 2",
            "(1",
            "1)",
            "'a",
            "\t1",
            "1\n",
            "event",
            "event.foo",
            "event.codes",
            "event.properties.",
            "event.properties.1",
            "event.properties.a.b",
            "event. code",
            "event.properties .a",
            "rOUND(1)",
            "round()",
            "round(1,2,3)",
            "least()",
            "sqrt(1)",
            "a",
            "1 +",
            "* 1",
            "round 1",
            "é",
            "concat(1,)",
        ] {
            assert!(Expression::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn length_and_depth_are_bounded() {
        let nested = |levels: usize| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
        assert!(Expression::parse(&nested(63)).is_ok());
        assert_eq!(Expression::parse(&nested(64)), Err(ParseError::TooDeep(64)));
        let long = "1+".repeat(EXPRESSION_BYTES_MAX / 2);
        assert!(Expression::parse(&format!("{}1", &long[2..])).is_ok());
        assert_eq!(
            Expression::parse(&format!("{long}1")),
            Err(ParseError::TooLong)
        );
    }
}
