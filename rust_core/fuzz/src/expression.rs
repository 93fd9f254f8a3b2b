//! Expressions of billable metrics, and events they are evaluated on.

use _core::expression::{Expression, Subject};
use _core::json::{self, Kind, Scanner};

/// `data`: an expression, a NUL, and the properties of an event.
///
/// No input panics; an expression gives the same value again, and in parentheses; a value that is a number reads back as itself.
///
/// # Panics
///
/// When one of that does not hold.
pub fn check_expression(data: &[u8]) {
    let cut = data.iter().position(|&byte| byte == 0);
    let (text, properties) = data.split_at(cut.unwrap_or(data.len()));
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Ok(expression) = Expression::parse(text) else {
        return;
    };
    let properties = properties.strip_prefix(b"\0").unwrap_or(properties);
    let root = json::document(properties, Scanner::value);
    let is_object = root.is_ok_and(|root| root.kind == Kind::Object);
    let subject = Subject {
        code: b"storage",
        timestamp_us: 1_750_000_000_123_456,
        properties: if is_object { properties } else { b"{}" },
    };
    let value = |expression: &Expression| {
        let value = expression.evaluate(&subject);
        value
            .map(|value| value.to_string())
            .map_err(|error| error.to_string())
    };
    let found = value(&expression);
    assert_eq!(value(&expression), found);
    // One level more may be one too many.
    if let Ok(nested) = Expression::parse(&format!("({text})")) {
        assert_eq!(value(&nested), found);
    }
    if let Ok(found) = found {
        check_number(&found, &subject);
    }
}

/// A plain number is an expression of its own value.
fn check_number(text: &str, subject: &Subject<'_>) {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.split('.').count() == 2
        && digits
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !plain || digits.len() > 1_000 {
        return;
    }
    let Ok(literal) = Expression::parse(text) else {
        return;
    };
    let again = literal.evaluate(subject).map(|value| value.to_string());
    let normal = |text: &str| {
        text.trim_start_matches(['-', '0'])
            .trim_end_matches('0')
            .to_owned()
    };
    assert_eq!(again.map(|again| normal(&again)).ok(), Some(normal(text)));
}
