//! Whether two events with the same identity say the same.

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::event::UsageEvent;
use crate::json::{self, Kind, Scan, Scanner, Value};

/// Code, timestamp as sent, amount and properties are equal. Order of members and spelling of numbers and texts do not matter.
pub fn same(left: &UsageEvent<'_>, right: &UsageEvent<'_>) -> bool {
    left.timestamp_us == right.timestamp_us
        && left.precise_total_amount_cents == right.precise_total_amount_cents
        && left.code.decode() == right.code.decode()
        && same_json(left.properties, right.properties)
}

fn same_json(left: &[u8], right: &[u8]) -> bool {
    left == right
        || matches!((canonical(left), canonical(right)), (Ok(left), Ok(right)) if left == right)
}

/// One text for all spellings of a JSON value: members sorted, the last of one name, plain numbers, no escapes but needed ones.
fn canonical(raw: &[u8]) -> Scan<Vec<u8>> {
    let value = json::document(raw, Scanner::value)?;
    let mut out = Vec::with_capacity(raw.len());
    push(&mut out, &value)?;
    Ok(out)
}

fn push(out: &mut Vec<u8>, value: &Value<'_>) -> Scan<()> {
    match value.kind {
        Kind::Object => push_object(out, value.raw)?,
        Kind::Array => push_array(out, value.raw)?,
        Kind::String => {
            let text = value.text().map(|text| text.decode());
            push_text(out, &text.unwrap_or_default());
        }
        Kind::Number => match Decimal::parse(value.raw) {
            Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
            None => out.extend_from_slice(value.raw),
        },
        Kind::True | Kind::False | Kind::Null => out.extend_from_slice(value.raw),
    }
    Ok(())
}

fn push_object(out: &mut Vec<u8>, raw: &[u8]) -> Scan<()> {
    let mut members = BTreeMap::new();
    json::members(raw, |key, value| {
        members.insert(key.decode(), value);
    })?;
    out.push(b'{');
    for (key, value) in &members {
        push_text(out, key);
        out.push(b':');
        push(out, value)?;
        out.push(b',');
    }
    out.push(b'}');
    Ok(())
}

fn push_array(out: &mut Vec<u8>, raw: &[u8]) -> Scan<()> {
    out.push(b'[');
    json::document(raw, |scanner| {
        scanner.array(|scanner| {
            push(out, &scanner.value()?)?;
            out.push(b',');
            Ok(())
        })
    })?;
    out.push(b']');
    Ok(())
}

/// Scanned text is UTF-8.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    json::push_string(out, &String::from_utf8_lossy(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(raw: &str) -> UsageEvent<'_> {
        UsageEvent::from_stored(raw.as_bytes(), None).unwrap()
    }

    #[test]
    fn spelling_does_not_matter_and_content_does() {
        let base = r#"{"transaction_id":"t","code":"c","timestamp":5,"properties":{"a":[1.50,{"b":null}],"c":"é"}}"#;
        for (other, expected) in [
            (base, true),
            (
                r#"{ "properties":{"c":"\u00e9","a":[150e-2, {"b":null}]},"timestamp":"5.0","code":"\u0063","transaction_id":"t"}"#,
                true,
            ),
            (
                r#"{"transaction_id":"t","code":"c","timestamp":5,"properties":{"c":1,"a":[1.5,{"b":null}],"c":"é"},"unknown":1}"#,
                true,
            ),
            (
                r#"{"transaction_id":"t","code":"d","timestamp":5,"properties":{"a":[1.50,{"b":null}],"c":"é"}}"#,
                false,
            ),
            (
                r#"{"transaction_id":"t","code":"c","properties":{"a":[1.50,{"b":null}],"c":"é"}}"#,
                false,
            ),
            (
                r#"{"transaction_id":"t","code":"c","timestamp":5,"properties":{"a":["1.5",{"b":null}],"c":"é"}}"#,
                false,
            ),
            (
                r#"{"transaction_id":"t","code":"c","timestamp":5,"properties":{"a":[{"b":null},1.5],"c":"é"}}"#,
                false,
            ),
            (
                r#"{"transaction_id":"t","code":"c","timestamp":5,"properties":{"a":[1.50,{"b":null}],"c":"é"},"precise_total_amount_cents":1}"#,
                false,
            ),
        ] {
            assert_eq!(same(&event(base), &event(other)), expected, "{other}");
        }
    }

    #[test]
    fn numbers_beyond_the_decimals_are_compared_as_written() {
        assert!(!same_json(b"[1e999]", b"[10e998]"));
        assert!(same_json(b"[1e999]", b"[ 1e999 ]"));
        assert!(!same_json(b"[1,1]", b"[11]"));
    }
}
