//! One usage event as sent: its fields, and what is wrong with them (events.md §2).

use std::borrow::Cow;

use crate::computed::Computations;
use crate::decimal::{Decimal, Rounding};
use crate::error::{corrupt, Result};
use crate::expression::{EvaluationError, Subject};
use crate::json::{self, Kind, Scan, Scanner, Text, Value};
use crate::timestamp;

/// Longest accepted `transaction_id`, `external_subscription_id` and `code`, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Stored as decimal(40,15): 25 whole and 15 fractional digits.
const PRECISE_WHOLE_DIGITS_MAX: usize = 25;
const PRECISE_SCALE: i64 = 15;

/// (field, error code) pairs of one event, in check order.
pub type Problems = Vec<(&'static str, &'static str)>;

/// What is wrong with an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Flaw {
    Fields(Problems),
    /// The expression of its metric has no value for it.
    Expression(EvaluationError),
}

impl Flaw {
    /// The transaction was accepted before.
    pub fn duplicate() -> Self {
        Self::Fields(vec![("transaction_id", "value_already_exist")])
    }
}

/// What checking an event needs beside the event.
#[derive(Default)]
pub struct Context<'a> {
    /// Expressions of the organization's metrics.
    pub computations: Option<&'a Computations>,
    /// Reception time.
    pub now_us: i64,
}

impl Context<'_> {
    fn compute(
        &self,
        code: Option<Text<'_>>,
        timestamp_us: i64,
        properties: &[u8],
    ) -> std::result::Result<Option<Vec<u8>>, EvaluationError> {
        let (Some(computations), Some(code)) = (self.computations, code) else {
            return Ok(None);
        };
        let code = code.decode();
        let Some(computation) = computations.get(&*code) else {
            return Ok(None);
        };
        let subject = Subject {
            code: &code,
            timestamp_us,
            properties,
        };
        computation.compute(&subject).map(Some)
    }
}

/// An event object cut into its fields; nothing is checked yet.
#[derive(Default)]
pub struct RawEvent<'a> {
    raw: &'a [u8],
    has_members: bool,
    transaction_id: Option<Text<'a>>,
    external_subscription_id: Option<Text<'a>>,
    code: Option<Text<'a>>,
    timestamp: Option<Value<'a>>,
    properties: Option<&'a [u8]>,
    precise_total_amount_cents: Option<Value<'a>>,
}

impl<'a> RawEvent<'a> {
    /// Scans the next value; one that is no object gives an event without members.
    pub fn scan(scanner: &mut Scanner<'a>) -> Scan<Self> {
        let mut event = Self::default();
        if scanner.next_byte() != Some(b'{') {
            scanner.value()?;
            return Ok(event);
        }
        let start = scanner.position();
        scanner.object(|scanner, key| {
            let value = scanner.value()?;
            event.set(&key.decode(), value);
            Ok(())
        })?;
        event.raw = scanner.since(start);
        Ok(event)
    }

    /// Keeps a member; a later one of the same name replaces it, also by nothing.
    fn set(&mut self, key: &[u8], value: Value<'a>) {
        self.has_members = true;
        match key {
            b"transaction_id" => self.transaction_id = value.text(),
            b"external_subscription_id" => self.external_subscription_id = value.text(),
            b"code" => self.code = value.text(),
            b"timestamp" => self.timestamp = Some(value),
            b"properties" => self.properties = (value.kind == Kind::Object).then_some(value.raw),
            b"precise_total_amount_cents" => self.precise_total_amount_cents = Some(value),
            _ => {}
        }
    }

    /// Rails calls an object without members "empty", and so a missing parameter.
    pub fn has_members(&self) -> bool {
        self.has_members
    }

    /// A bad timestamp is reported alone, and so is a failing expression: the reference stops at each.
    pub fn check(self, context: &Context<'_>) -> std::result::Result<UsageEvent<'a>, Flaw> {
        let Ok(timestamp_us) = parse_timestamp(self.timestamp) else {
            return Err(Flaw::Fields(vec![("timestamp", "invalid_format")]));
        };
        let properties = self.properties.unwrap_or(b"{}");
        let at = timestamp_us.unwrap_or(context.now_us);
        let computed = context
            .compute(self.code, at, properties)
            .map_err(Flaw::Expression)?;
        let mut problems = Problems::new();
        let transaction_id = required("transaction_id", self.transaction_id, &mut problems);
        let code = required("code", self.code, &mut problems);
        let external = self.external_subscription_id;
        if external.is_some_and(|text| text.decode().len() > TEXT_BYTES_MAX) {
            problems.push(("external_subscription_id", "value_is_too_long"));
        }
        let precise = parse_precise_amount(self.precise_total_amount_cents);
        if precise.is_err() {
            problems.push(("precise_total_amount_cents", "invalid_format"));
        }
        match (transaction_id, code, precise) {
            (Some(transaction_id), Some(code), Ok(precise)) if problems.is_empty() => {
                Ok(UsageEvent {
                    raw: self.raw,
                    transaction_id,
                    external_subscription_id: external,
                    code,
                    timestamp_us,
                    properties,
                    computed: computed.map(Cow::Owned),
                    precise_total_amount_cents: precise.map(|amount| amount.with_fraction()),
                })
            }
            _ => Err(Flaw::Fields(problems)),
        }
    }
}

/// A usage event with everything it must have.
pub struct UsageEvent<'a> {
    /// The event object as sent.
    pub raw: &'a [u8],
    pub transaction_id: Text<'a>,
    pub external_subscription_id: Option<Text<'a>>,
    pub code: Text<'a>,
    /// None: the reception time counts.
    pub timestamp_us: Option<i64>,
    /// The text of an object.
    pub properties: &'a [u8],
    /// A JSON object whose member replaces that of the properties: the result of the metric's expression.
    pub computed: Option<Cow<'a, [u8]>>,
    /// Plain decimal with at least one fractional digit.
    pub precise_total_amount_cents: Option<String>,
}

impl<'a> UsageEvent<'a> {
    /// Reads an accepted event back from its stored texts.
    pub fn from_stored(raw: &'a [u8], computed: Option<&'a [u8]>) -> Result<Self> {
        let checked = |event: RawEvent<'a>| event.check(&Context::default());
        match json::document(raw, RawEvent::scan).map(checked) {
            Ok(Ok(event)) => Ok(Self {
                computed: computed.map(Cow::Borrowed),
                ..event
            }),
            _ => corrupt("a stored usage event is not one that was accepted"),
        }
    }
}

/// What a fold needs of a stored event, read without checking again what was checked on acceptance.
pub struct FoldedEvent<'a> {
    pub external_subscription_id: Option<Text<'a>>,
    pub code: Text<'a>,
    /// The text of an object.
    pub properties: &'a [u8],
}

impl<'a> FoldedEvent<'a> {
    pub fn read(raw: &'a [u8]) -> Result<Self> {
        let (mut external_subscription_id, mut code, mut properties) = (None, None, None);
        let scanned = json::members(raw, |key, value| {
            if key.is(b"external_subscription_id") {
                external_subscription_id = value.text();
            } else if key.is(b"code") {
                code = value.text();
            } else if key.is(b"properties") {
                properties = (value.kind == Kind::Object).then_some(value.raw);
            }
        });
        match (scanned, code) {
            (Ok(()), Some(code)) => Ok(Self {
                external_subscription_id,
                code,
                properties: properties.unwrap_or(b"{}"),
            }),
            _ => corrupt("a stored usage event is not one that was accepted"),
        }
    }
}

fn required<'a>(
    field: &'static str,
    text: Option<Text<'a>>,
    problems: &mut Problems,
) -> Option<Text<'a>> {
    match text.filter(|text| !is_blank(&text.decode())) {
        None => {
            problems.push((field, "value_is_mandatory"));
            None
        }
        Some(text) if text.decode().len() > TEXT_BYTES_MAX => {
            problems.push((field, "value_is_too_long"));
            None
        }
        text => text,
    }
}

/// Empty or white space only, Unicode's included.
fn is_blank(bytes: &[u8]) -> bool {
    match bytes.first() {
        None => true,
        Some(first) if first.is_ascii_graphic() => false,
        _ => std::str::from_utf8(bytes).is_ok_and(|text| text.trim().is_empty()),
    }
}

/// The value is present and no timestamp or amount.
struct BadFormat;

fn parse_timestamp(value: Option<Value<'_>>) -> std::result::Result<Option<i64>, BadFormat> {
    let Some(value) = value else {
        return Ok(None);
    };
    match value.kind {
        Kind::Null | Kind::False | Kind::Array | Kind::Object => Ok(None),
        Kind::True => Err(BadFormat),
        Kind::String | Kind::Number => value
            .text()
            .and_then(|text| timestamp::parse_seconds(&text.decode()))
            .map(Some)
            .ok_or(BadFormat),
    }
}

/// The amount that an accepted event carries; None: it carries none.
pub fn precise_amount(raw: &[u8]) -> Result<Option<Decimal>> {
    let mut found = None;
    let scanned = json::members(raw, |key, value| {
        if key.is(b"precise_total_amount_cents") {
            found = Some(value);
        }
    });
    match (scanned, parse_precise_amount(found)) {
        (Ok(()), Ok(amount)) => Ok(amount),
        _ => corrupt("a stored usage event carries an amount that was not accepted"),
    }
}

/// Absent, null, other kinds and blank strings give None. Refusing what is not a number is the spec's hardening.
fn parse_precise_amount(
    value: Option<Value<'_>>,
) -> std::result::Result<Option<Decimal>, BadFormat> {
    let Some(text) = value.and_then(|value| value.text()) else {
        return Ok(None);
    };
    let text = text.decode();
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let amount = Decimal::parse(text)
        .ok_or(BadFormat)?
        .rounded_to(PRECISE_SCALE, Rounding::HalfAwayFromZero);
    if amount.whole_digits() > PRECISE_WHOLE_DIGITS_MAX {
        return Err(BadFormat);
    }
    Ok(Some(amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(raw: &str) -> Problems {
        json::document(raw.as_bytes(), RawEvent::scan)
            .unwrap()
            .check(&Context::default())
            .err()
            .map(|flaw| match flaw {
                Flaw::Fields(problems) => problems,
                Flaw::Expression(error) => panic!("{error}"),
            })
            .unwrap_or_default()
    }

    #[test]
    fn fields_are_checked_in_order() {
        let mandatory = "value_is_mandatory";
        for (raw, expected) in [
            (r#"{"transaction_id":"t","code":"c"}"#, vec![]),
            (r#"{"transaction_id":7,"code":1.50}"#, vec![]),
            (
                r#"{"transaction_id":" \u00a0","code":""}"#,
                vec![("transaction_id", mandatory), ("code", mandatory)],
            ),
            (
                r#"{"transaction_id":[1],"code":true}"#,
                vec![("transaction_id", mandatory), ("code", mandatory)],
            ),
            (
                r#"{"timestamp":"x"}"#,
                vec![("timestamp", "invalid_format")],
            ),
            (
                r#"{"transaction_id":"t","code":"c","timestamp":true}"#,
                vec![("timestamp", "invalid_format")],
            ),
            (
                r#"{"transaction_id":"t","precise_total_amount_cents":"x"}"#,
                vec![
                    ("code", mandatory),
                    ("precise_total_amount_cents", "invalid_format"),
                ],
            ),
            (
                r#"{"transaction_id":"t","code":"c","precise_total_amount_cents":1e26}"#,
                vec![("precise_total_amount_cents", "invalid_format")],
            ),
            (
                "[]",
                vec![("transaction_id", mandatory), ("code", mandatory)],
            ),
        ] {
            assert_eq!(problems(raw), expected, "{raw}");
        }
    }

    #[test]
    fn values_are_taken_as_documented() {
        let raw = br#"{"transaction_id":1,"transaction_id":"a\u0062","code":"c","timestamp":null,
            "properties":[1],"precise_total_amount_cents":"140","external_subscription_id":42}"#;
        let event = UsageEvent::from_stored(raw, None).unwrap();
        assert!(event.transaction_id.is(b"ab"));
        assert_eq!(event.properties, b"{}");
        assert_eq!(event.timestamp_us, None);
        assert_eq!(event.precise_total_amount_cents.as_deref(), Some("140.0"));
        assert!(event.external_subscription_id.unwrap().is(b"42"));
        assert!(UsageEvent::from_stored(b"{}", None).is_err());
    }

    #[test]
    fn long_texts_are_refused() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let raw = format!(
            r#"{{"transaction_id":"{long}","code":"c","external_subscription_id":"{long}"}}"#
        );
        let too_long = "value_is_too_long";
        assert_eq!(
            problems(&raw),
            vec![
                ("transaction_id", too_long),
                ("external_subscription_id", too_long)
            ]
        );
    }
}
