//! The JSON answers of event ingestion (events.md §1-§4).

use crate::computed::overlay;
use crate::error::Result;
use crate::event::{Flaw, UsageEvent};
use crate::id::{as_uuid8, push_uuid, Id};
use crate::json::Text;
use crate::property::Moment;
use crate::staging::Accepted;
use crate::timestamp;

/// About what an answer needs for an event beyond its text: names, `lago_id`, instants.
const RENDERED_BYTES: usize = 320;

/// Why a body was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    Malformed,
    MissingEvent,
    NoEvents,
    TooManyEvents,
    /// Flaw of the event of `POST /events`.
    Event(Flaw),
    /// Flaws by index of `POST /events/batch`.
    Events(Vec<(usize, Flaw)>),
}

impl Refusal {
    /// Transactions seen before, by index.
    pub fn duplicates(indexes: &[usize], single: bool) -> Self {
        if single {
            return Self::Event(Flaw::duplicate());
        }
        let flaws = indexes.iter().map(|&index| (index, Flaw::duplicate()));
        Self::Events(flaws.collect())
    }

    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed | Self::MissingEvent => 400,
            _ => 422,
        }
    }

    pub fn body(&self) -> Vec<u8> {
        let details = match self {
            Self::Malformed => return br#"{"status":400,"error":"Bad Request"}"#.to_vec(),
            Self::MissingEvent => {
                return br#"{"status":400,"error":"BadRequest: param is missing or the value is empty or invalid: event"}"#
                    .to_vec()
            }
            Self::NoEvents => details(&[("events", "no_events")]),
            Self::TooManyEvents => details(&[("events", "too_many_events")]),
            Self::Event(flaw) => flaw_details(flaw),
            Self::Events(failures) => indexed_details(failures),
        };
        format!(
            r#"{{"status":422,"error":"Unprocessable Entity","code":"validation_errors","error_details":{details}}}"#
        )
        .into_bytes()
    }
}

fn details(problems: &[(&str, &str)]) -> String {
    let fields: Vec<String> = problems
        .iter()
        .map(|(field, code)| format!(r#""{field}":["{code}"]"#))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// A string for an expression: its errors name properties, which need no escapes.
pub(crate) fn flaw_details(flaw: &Flaw) -> String {
    match flaw {
        Flaw::Fields(problems) => details(problems),
        Flaw::Expression(error) => format!(r#""expression_evaluation_failed: {error}""#),
    }
}

fn indexed_details(failures: &[(usize, Flaw)]) -> String {
    let items: Vec<String> = failures
        .iter()
        .map(|(index, flaw)| format!(r#""{index}":{}"#, flaw_details(flaw)))
        .collect();
    format!("{{{}}}", items.join(","))
}

/// What the engine knows of an event beside what was sent.
#[derive(Clone, Copy)]
pub struct Stamp {
    pub fingerprint: Id,
    pub timestamp_us: i64,
    pub received_at_us: i64,
}

impl Stamp {
    pub fn moment(&self) -> Moment {
        Moment {
            timestamp_us: self.timestamp_us,
            received_at_us: self.received_at_us,
        }
    }
}

/// The answer to accepted events, in the order sent.
pub fn events(accepted: &[Accepted<'_>], single: bool) -> Result<Vec<u8>> {
    let (open, close): (&[u8], &[u8]) = if single {
        (br#"{"event":"#, b"}")
    } else {
        (br#"{"events":["#, b"]}")
    };
    let texts: usize = accepted
        .iter()
        .map(|accepted| accepted.event.raw.len())
        .sum();
    let mut out = Vec::with_capacity(texts + accepted.len() * RENDERED_BYTES + 16);
    out.extend_from_slice(open);
    for (index, accepted) in accepted.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_event(&mut out, &accepted.event, &accepted.stamp)?;
    }
    out.extend_from_slice(close);
    Ok(out)
}

/// Appends the event object of events.md §2.3. Texts and properties are echoed as they were written,
/// with the computed property.
pub fn push_event(out: &mut Vec<u8>, event: &UsageEvent<'_>, stamp: &Stamp) -> Result<()> {
    out.extend_from_slice(br#"{"lago_id":""#);
    push_uuid(out, as_uuid8(stamp.fingerprint));
    out.extend_from_slice(br#"","transaction_id":"#);
    push_text(out, event.transaction_id);
    out.extend_from_slice(br#","lago_customer_id":null,"code":"#);
    push_text(out, event.code);
    out.extend_from_slice(br#","timestamp":""#);
    timestamp::push_millis(out, stamp.timestamp_us);
    out.extend_from_slice(br#"","precise_total_amount_cents":"#);
    match &event.precise_total_amount_cents {
        Some(amount) => {
            out.push(b'"');
            out.extend_from_slice(amount.as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","properties":"#);
    out.extend_from_slice(&overlay(event.properties, event.computed.as_deref())?);
    out.extend_from_slice(br#","lago_subscription_id":null,"external_subscription_id":"#);
    match event.external_subscription_id {
        Some(text) => push_text(out, text),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","created_at":""#);
    timestamp::push_seconds(out, stamp.received_at_us);
    out.extend_from_slice(br#""}"#);
    Ok(())
}

/// Numbers were taken as strings, so both get quotes.
fn push_text(out: &mut Vec<u8>, text: Text<'_>) {
    out.push(b'"');
    out.extend_from_slice(text.raw);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_object() {
        let event = UsageEvent::from_stored(
            br#"{"code":"st\u006frage","transaction_id":7,"properties":{ "gb": 12 }}"#,
            None,
        )
        .unwrap();
        let stamp = Stamp {
            fingerprint: 0,
            timestamp_us: 1_750_000_000_123_900,
            received_at_us: 1_750_000_001_999_999,
        };
        let mut out = Vec::new();
        push_event(&mut out, &event, &stamp).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"lago_id":"00000000-0000-8000-8000-000000000000","transaction_id":"7","lago_customer_id":null,"code":"st\u006frage","timestamp":"2025-06-15T15:06:40.123Z","precise_total_amount_cents":null,"properties":{ "gb": 12 },"lago_subscription_id":null,"external_subscription_id":null,"created_at":"2025-06-15T15:06:41Z"}"#
        );
    }

    #[test]
    fn error_details_are_keyed_by_index_in_batches() {
        let batch = String::from_utf8(Refusal::duplicates(&[0, 2], false).body()).unwrap();
        assert!(batch.ends_with(
            r#""error_details":{"0":{"transaction_id":["value_already_exist"]},"2":{"transaction_id":["value_already_exist"]}}}"#
        ));
        let single = String::from_utf8(Refusal::duplicates(&[0], true).body()).unwrap();
        assert!(single.ends_with(r#""error_details":{"transaction_id":["value_already_exist"]}}"#));
    }
}
