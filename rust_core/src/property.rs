//! Properties of a usage event as metering reads them: texts, numbers, and several of them in one pass.

use std::borrow::Cow;

use crate::decimal::Decimal;
use crate::error::{CoreError, Result};
use crate::json::{self, Kind, Value};
use crate::wire::{put_i64, Reader};

/// When an event happened, and when it was received; the later one of two decides "latest" (metrics.md §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub timestamp_us: i64,
    pub received_at_us: i64,
}

impl Moment {
    pub fn encode(self, out: &mut Vec<u8>) {
        put_i64(out, self.timestamp_us);
        put_i64(out, self.received_at_us);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            timestamp_us: reader.i64()?,
            received_at_us: reader.i64()?,
        })
    }
}

/// What metering sees of a usage event.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    pub moment: Moment,
    /// The event object as sent.
    pub raw: &'a [u8],
    /// The text of a JSON object.
    pub properties: &'a [u8],
    /// A JSON object whose members replace those of `properties`: the result of the metric's expression.
    pub computed: Option<&'a [u8]>,
}

/// Names of properties that are read together; a property is known by its position.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<Box<[u8]>>);

impl Names {
    /// The position of a name, which is added if it is new.
    pub fn position(&mut self, name: &[u8]) -> usize {
        let known = self.0.iter().position(|known| **known == *name);
        known.unwrap_or_else(|| {
            self.0.push(name.into());
            self.0.len() - 1
        })
    }

    /// The values of all names in one pass; of members with one name the last counts.
    pub fn read<'a>(&self, sample: &Sample<'a>) -> Result<Vec<Option<Value<'a>>>> {
        let mut values = vec![None; self.0.len()];
        if self.0.is_empty() {
            return Ok(values);
        }
        for object in [Some(sample.properties), sample.computed] {
            let Some(object) = object else { continue };
            json::members(object, |key, value| {
                if let Some(position) = self.0.iter().position(|name| key.is(name)) {
                    values[position] = Some(value);
                }
            })
            .map_err(|_| CoreError::Corruption("stored properties are not JSON".to_owned()))?;
        }
        Ok(values)
    }
}

/// The text values are compared by; None for null.
///
/// Strings as they are; numbers as written, but never with an exponent; everything else as written.
pub fn text<'a>(value: &Value<'a>) -> Option<Cow<'a, [u8]>> {
    match value.kind {
        Kind::Null => None,
        Kind::String => value.text().map(|text| text.decode()),
        Kind::Number if value.raw.iter().any(|byte| matches!(byte, b'e' | b'E')) => {
            Some(match Decimal::parse(value.raw) {
                Some(number) => Cow::Owned(number.to_string().into_bytes()),
                None => Cow::Borrowed(value.raw),
            })
        }
        _ => Some(Cow::Borrowed(value.raw)),
    }
}

/// Digits before the point that an amount is computed with; a longer number would make its customer impossible to bill.
const WHOLE_DIGITS_MAX: usize = 60;

/// And after it: a price per unit of less could not be told. Quotients of expressions have about a hundred.
const FRACTION_DIGITS_MAX: usize = 130;

/// JSON numbers count in any notation, strings only as plain decimals `^-?\d+(\.\d+)?$` (metrics.md §4); both up to 10^60 and
/// with at most 130 decimals.
pub fn number(value: &Value<'_>) -> Option<Decimal> {
    let text = value.text()?.decode();
    let number = if value.kind == Kind::Number {
        Decimal::parse(&text)?
    } else {
        Decimal::parse_plain(&text)?
    };
    let short =
        text.len() <= WHOLE_DIGITS_MAX && !text.iter().any(|byte| matches!(byte, b'e' | b'E'));
    let bounded = || {
        number.whole_digits() <= WHOLE_DIGITS_MAX && number.fraction_digits() <= FRACTION_DIGITS_MAX
    };
    (short || bounded()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &[u8]) -> Value<'_> {
        json::document(json, json::Scanner::value).unwrap()
    }

    #[test]
    fn which_texts_are_numbers() {
        for (json, expected) in [
            ("12", Some("12")),
            ("12.5", Some("12.5")),
            ("\"12.50\"", Some("12.5")),
            ("-3", Some("-3")),
            ("\"0007\"", Some("7")),
            ("1e3", Some("1000")),
            ("\"1e3\"", None),
            ("\"+5\"", None),
            ("\".5\"", None),
            ("\"5.\"", None),
            ("\" 5\"", None),
            ("\"1,000\"", None),
            ("\"abc\"", None),
            ("\"\"", None),
            ("true", None),
            ("null", None),
            ("[]", None),
            ("{}", None),
        ] {
            let number = number(&value(json.as_bytes())).map(|number| number.to_string());
            assert_eq!(number.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn numbers_beyond_billing_are_none() {
        let nines = |count: usize| "9".repeat(count);
        for (json, counts) in [
            (nines(60), true),
            (nines(61), false),
            (format!("-{}.5", nines(60)), true),
            (format!("\"{}\"", nines(61)), false),
            (format!("\"00{}\"", nines(60)), true),
            ("1e59".to_owned(), true),
            ("1e60".to_owned(), false),
            ("1e-130".to_owned(), true),
            ("1e-131".to_owned(), false),
            (format!("0.{}", nines(130)), true),
            (format!("0.{}", nines(131)), false),
            (format!("0.5{}", "0".repeat(400)), true),
        ] {
            assert_eq!(number(&value(json.as_bytes())).is_some(), counts, "{json}");
        }
    }

    #[test]
    fn texts() {
        for (json, expected) in [
            ("5", Some("5")),
            ("\"5\"", Some("5")),
            ("1.50", Some("1.50")),
            ("1.5e2", Some("150")),
            ("1e999", Some("1e999")),
            ("true", Some("true")),
            ("[1]", Some("[1]")),
            ("\"\\u0061\"", Some("a")),
            ("\"\"", Some("")),
            ("null", None),
        ] {
            let value = value(json.as_bytes());
            let text = text(&value);
            assert_eq!(text.as_deref(), expected.map(str::as_bytes), "{json}");
        }
    }

    #[test]
    fn the_computed_value_and_the_last_member_count() {
        let mut names = Names::default();
        assert_eq!([names.position(b"gb"), names.position(b"mb")], [0, 1]);
        assert_eq!(names.position(b"gb"), 0);
        let sample = Sample {
            raw: b"{}",
            moment: Moment {
                timestamp_us: 0,
                received_at_us: 0,
            },
            properties: br#"{"mb":1,"gb":7,"mb":2}"#,
            computed: Some(br#"{"gb":"0.5"}"#),
        };
        let values = names.read(&sample).unwrap();
        let raw: Vec<&[u8]> = values.iter().map(|value| value.unwrap().raw).collect();
        assert_eq!(raw, [&b"\"0.5\""[..], b"2"]);
    }
}
