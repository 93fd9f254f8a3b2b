//! Expression × event → value.

use std::borrow::Cow;
use std::fmt;

use super::{Expression, Node, Operator};
use crate::decimal::{Decimal, Rounding};
use crate::json::{self, Kind};

/// Significant digits of a quotient.
const QUOTIENT_DIGITS: u32 = 100;
/// Most digits of a result on the way, and of its fraction; more are refused, so that no event takes long.
const DIGITS_MAX: u32 = 10_000;
const US_PER_S: i64 = 1_000_000;

/// Why an expression has no value for an event; the texts are those of the reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    #[error("Variable: {0} not found")]
    NotFound(String),
    #[error("Expected a decimal")]
    ExpectedDecimal,
    #[error("Division by zero")]
    DivisionByZero,
    #[error("Number too large")]
    TooLarge,
}

type Evaluated<T> = Result<T, EvaluationError>;

/// The event an expression looks at.
pub struct Subject<'a> {
    pub code: &'a [u8],
    pub timestamp_us: i64,
    /// The text of a JSON object.
    pub properties: &'a [u8],
}

/// What an expression gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(Decimal),
    Text(String),
}

impl fmt::Display for Value {
    /// Numbers with at least one fractional digit, texts as they are (events.md §4.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(&number.with_fraction()),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A value on the way. A number that is a property keeps its text for `concat`: "007" stays "007".
enum Operand<'a> {
    Number(Decimal, Option<Cow<'a, str>>),
    Text(Cow<'a, str>),
}

impl<'a> Operand<'a> {
    fn number(self) -> Evaluated<Decimal> {
        match self {
            Self::Number(number, _) => Ok(number),
            Self::Text(_) => Err(EvaluationError::ExpectedDecimal),
        }
    }

    fn text(self) -> Cow<'a, str> {
        match self {
            Self::Number(_, Some(text)) | Self::Text(text) => text,
            Self::Number(number, None) => number.to_string().into(),
        }
    }
}

impl Expression {
    pub fn evaluate(&self, subject: &Subject<'_>) -> Evaluated<Value> {
        Ok(match self.0.evaluate(subject)? {
            Operand::Number(number, _) => Value::Number(number),
            Operand::Text(text) => Value::Text(text.into_owned()),
        })
    }
}

impl Node {
    fn evaluate<'a>(&'a self, subject: &Subject<'a>) -> Evaluated<Operand<'a>> {
        let number = match self {
            Self::Text(text) => return Ok(Operand::Text(text.into())),
            Self::Code => return Ok(Operand::Text(String::from_utf8_lossy(subject.code))),
            Self::Property(name) => return property(subject, name),
            Self::Concat(parts) => {
                let mut joined = String::new();
                for part in parts {
                    joined += &part.evaluate(subject)?.text();
                }
                return Ok(Operand::Text(joined.into()));
            }
            Self::Number(number) => number.clone(),
            Self::Timestamp => {
                Decimal::from_integer(subject.timestamp_us.div_euclid(US_PER_S).into())
            }
            Self::Negative(node) => node.number(subject)?.negated(),
            Self::Chain(first, others) => chain(first, others, subject)?,
            Self::Rounded(rounding, node, places) => {
                let number = node.number(subject)?;
                let places = match places {
                    Some(places) => whole(&places.number(subject)?),
                    None => 0,
                };
                checked(number.rounded_to(places, *rounding))?
            }
            Self::Least(nodes) => extreme(nodes, subject, Decimal::min)?,
            Self::Greatest(nodes) => extreme(nodes, subject, Decimal::max)?,
        };
        Ok(Operand::Number(number, None))
    }

    fn number(&self, subject: &Subject<'_>) -> Evaluated<Decimal> {
        self.evaluate(subject)?.number()
    }
}

fn chain(first: &Node, others: &[(Operator, Node)], subject: &Subject<'_>) -> Evaluated<Decimal> {
    let mut value = first.number(subject)?;
    for (operator, node) in others {
        let operand = node.number(subject)?;
        match operator {
            Operator::Plus => value.add_assign(&operand),
            Operator::Minus => value.add_assign(&operand.negated()),
            Operator::Times => value = value.times(&operand),
            Operator::Over if operand.is_zero() => return Err(EvaluationError::DivisionByZero),
            Operator::Over => value = value.divided_to_digits(&operand, QUOTIENT_DIGITS),
        }
        value = checked(value)?;
    }
    Ok(value)
}

fn extreme(
    nodes: &[Node],
    subject: &Subject<'_>,
    better: fn(Decimal, Decimal) -> Decimal,
) -> Evaluated<Decimal> {
    let mut best: Option<Decimal> = None;
    for node in nodes {
        let number = node.number(subject)?;
        best = Some(match best {
            Some(known) => better(known, number),
            None => number,
        });
    }
    best.ok_or(EvaluationError::ExpectedDecimal)
}

fn checked(number: Decimal) -> Evaluated<Decimal> {
    if number.scale() > DIGITS_MAX || number.bits() > u64::from(DIGITS_MAX) * 10 / 3 {
        return Err(EvaluationError::TooLarge);
    }
    Ok(number)
}

/// The whole part, as far as it can matter.
fn whole(places: &Decimal) -> i64 {
    let limit = i64::from(DIGITS_MAX) * 2;
    let rounding = if places.is_negative() {
        Rounding::Ceiling
    } else {
        Rounding::Floor
    };
    let most = if places.is_negative() { -limit } else { limit };
    let cut = places.rounded_to(0, rounding).to_string();
    cut.parse().unwrap_or(most).clamp(-limit, limit)
}

fn property<'a>(subject: &Subject<'a>, name: &str) -> Evaluated<Operand<'a>> {
    let mut found = None;
    let scanned = json::members(subject.properties, |key, value| {
        if key.is(name.as_bytes()) {
            found = Some(value);
        }
    });
    let not_found = || EvaluationError::NotFound(name.to_owned());
    let value = found.filter(|_| scanned.is_ok()).ok_or_else(not_found)?;
    let text = match value.kind {
        Kind::Null => return Ok(Operand::Text("".into())),
        Kind::String | Kind::Number => value.text().map(|text| text.decode()).unwrap_or_default(),
        _ => value.raw.into(),
    };
    let text = utf8(text);
    let number = match value.kind {
        Kind::String | Kind::Number => numeric(text.as_bytes()),
        _ => None,
    };
    Ok(match number {
        Some(number) => Operand::Number(number, Some(text)),
        None => Operand::Text(text),
    })
}

/// `[+-]digits[.digits][e[+-]digits]`
fn numeric(text: &[u8]) -> Option<Decimal> {
    match text {
        [b'+', b'-', ..] => None,
        [b'+', rest @ ..] => Decimal::parse(rest),
        _ => Decimal::parse(text),
    }
}

/// Events are UTF-8 when they are accepted.
fn utf8(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(expression: &str, properties: &str) -> String {
        let subject = Subject {
            code: b"seat",
            timestamp_us: 1_750_000_000_999_999,
            properties: properties.as_bytes(),
        };
        match Expression::parse(expression).unwrap().evaluate(&subject) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn examples_of_the_specification() {
        for (expression, properties, expected) in [
            (
                "round(event.properties.ms / 1000, 2)",
                r#"{"ms":12345}"#,
                "12.35",
            ),
            ("round(-2.5)", "{}", "-3.0"),
            ("ceil(event.properties.kb / 1024)", r#"{"kb":2049}"#, "3.0"),
            ("floor(1234.5, -2)", "{}", "1200.0"),
            (
                "greatest(event.properties.used - 100, 0) * 1.5",
                r#"{"used":140}"#,
                "60.0",
            ),
            (
                "concat(event.properties.user, '-', event.code)",
                r#"{"user":"u1"}"#,
                "u1-seat",
            ),
            (
                "event.properties.a + event.properties.b",
                r#"{"a":1}"#,
                "Variable: b not found",
            ),
            ("-2 * 3", "{}", "-6.0"),
            ("2 - 3 - 4", "{}", "-5.0"),
            ("event.properties.mb / 1000", r#"{"mb":"350"}"#, "0.35"),
            ("event.timestamp", "{}", "1750000000.0"),
            ("1 / (2 - 2)", "{}", "Division by zero"),
            (
                "concat('id-', event.properties.n)",
                r#"{"n":"007"}"#,
                "id-007",
            ),
            ("event.properties.n", r#"{"n":"007"}"#, "7.0"),
            (
                "concat(1.50, event.properties.t)",
                r#"{"t":true}"#,
                "1.5true",
            ),
            (
                "event.properties.t * 1",
                r#"{"t":true}"#,
                "Expected a decimal",
            ),
            ("event.properties.t", r#"{"t":null}"#, ""),
            ("event.properties.t + 1", r#"{"t":"+1e1"}"#, "11.0"),
            ("'5' + 1", "{}", "Expected a decimal"),
            ("round(15, -1.9)", "{}", "20.0"),
            ("ceil(1, -99999999999999999999)", "{}", "Number too large"),
            ("round(1.25, 99999999999999999999)", "{}", "1.25"),
        ] {
            assert_eq!(value(expression, properties), expected, "{expression}");
        }
    }

    #[test]
    fn results_stay_bounded() {
        let square = "event.properties.n * event.properties.n";
        let product = format!("{square} * {square} * {square} * {square} * {square} * {square}");
        let properties = format!(r#"{{"n":"{}"}}"#, "9".repeat(1_000));
        assert_eq!(value(&product, &properties), "Number too large");
    }
}
