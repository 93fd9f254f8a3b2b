//! Properties computed at ingestion: the expressions of an organization's metrics, and what they give (events.md §4.1).
//!
//! The result is kept beside the event as sent, as a JSON object with one member, so that replay needs no expression
//! and an auditor sees both.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::{argument, CoreError, Result};
use crate::expression::{EvaluationError, Expression, Subject};
use crate::id::{Id, IdMap};
use crate::json;
use crate::wire::{put_bytes, put_count, put_id, Reader};

/// The expression of one metric, and the property that takes its result.
pub struct Computation {
    field: Box<str>,
    text: Box<str>,
    expression: Expression,
}

impl Computation {
    fn new(field: &str, text: &str) -> Result<Self> {
        match Expression::parse(text) {
            Ok(expression) => Ok(Self {
                field: field.into(),
                text: text.into(),
                expression,
            }),
            Err(error) => argument(format!("the expression does not parse: {error}")),
        }
    }

    /// `{"field":"result"}`
    pub fn compute(&self, subject: &Subject<'_>) -> std::result::Result<Vec<u8>, EvaluationError> {
        let value = self.expression.evaluate(subject)?.to_string();
        let mut object = vec![b'{'];
        json::push_string(&mut object, &self.field);
        object.push(b':');
        json::push_string(&mut object, &value);
        object.push(b'}');
        Ok(object)
    }
}

/// Computations of one organization by metric code.
pub type Computations = HashMap<Box<[u8]>, Arc<Computation>>;

/// Computations of all organizations; read at every ingestion, changed seldom.
#[derive(Default)]
pub struct Metrics(RwLock<IdMap<Arc<Computations>>>);

impl Metrics {
    /// Sets or, with None, removes the computation of a metric: (field, expression).
    pub fn put(&self, org: Id, code: &str, computation: Option<(&str, &str)>) -> Result<()> {
        let computation = computation.map(|(field, text)| Computation::new(field, text));
        let computation = computation.transpose()?;
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(org).or_default();
        let mut changed = Computations::clone(known);
        match computation {
            Some(computation) => changed.insert(code.as_bytes().into(), Arc::new(computation)),
            None => changed.remove(code.as_bytes()),
        };
        if changed.is_empty() {
            all.remove(&org);
        } else {
            *known = Arc::new(changed);
        }
        Ok(())
    }

    /// None: the organization's metrics have no expressions.
    pub fn of(&self, org: Id) -> Option<Arc<Computations>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&org).cloned()
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        put_count(out, all.values().map(|of_org| of_org.len()).sum())?;
        for (org, of_org) in all.iter() {
            for (code, computation) in of_org.iter() {
                put_id(out, *org);
                put_bytes(out, code)?;
                put_bytes(out, computation.field.as_bytes())?;
                put_bytes(out, computation.text.as_bytes())?;
            }
        }
        Ok(())
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let metrics = Self::default();
        for _ in 0..reader.count()? {
            let (org, code) = (reader.id()?, reader.text()?);
            let computation = (reader.text()?, reader.text()?);
            metrics.put(org, code, Some(computation))?;
        }
        Ok(metrics)
    }
}

/// The properties with the computed member in the place of the last one of its name, or at the end.
pub fn overlay<'a>(properties: &'a [u8], computed: Option<&[u8]>) -> Result<Cow<'a, [u8]>> {
    let Some(computed) = computed else {
        return Ok(properties.into());
    };
    let broken = |_| CoreError::Corruption("stored properties are not JSON".to_owned());
    let mut member = None;
    json::members(computed, |key, value| member = Some((key, value.raw))).map_err(broken)?;
    let Some((name, value)) = member else {
        return Ok(properties.into());
    };
    let name = name.decode();
    let mut replaced: Option<&[u8]> = None;
    let mut empty = true;
    json::members(properties, |key, value| {
        empty = false;
        if key.is(&name) {
            replaced = Some(value.raw);
        }
    })
    .map_err(broken)?;
    let mut out = Vec::with_capacity(properties.len() + computed.len());
    if let Some(replaced) = replaced {
        let start = replaced.as_ptr().addr() - properties.as_ptr().addr();
        out.extend_from_slice(&properties[..start]);
        out.extend_from_slice(value);
        out.extend_from_slice(&properties[start + replaced.len()..]);
    } else {
        let end = properties.len() - 1;
        out.extend_from_slice(&properties[..end]);
        out.extend_from_slice(if empty { b"" } else { b"," });
        out.extend_from_slice(&computed[1..]);
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(properties: &str, computed: &str) -> String {
        let out = overlay(properties.as_bytes(), Some(computed.as_bytes())).unwrap();
        String::from_utf8(out.into_owned()).unwrap()
    }

    #[test]
    fn the_computed_member_replaces_or_follows() {
        let gb = r#"{"gb":"0.35"}"#;
        for (properties, expected) in [
            (r#"{"mb":350}"#, r#"{"mb":350,"gb":"0.35"}"#),
            ("{}", gb),
            ("{ }", r#"{ "gb":"0.35"}"#),
            (r#"{"gb":1, "mb":350}"#, r#"{"gb":"0.35", "mb":350}"#),
            (r#"{"gb":1,"g\u0062":2}"#, r#"{"gb":1,"g\u0062":"0.35"}"#),
            (r#"{"x":{"gb":1}}"#, r#"{"x":{"gb":1},"gb":"0.35"}"#),
        ] {
            assert_eq!(laid(properties, gb), expected);
        }
    }

    #[test]
    fn results_are_json() {
        let metrics = Metrics::default();
        let text = r"concat(event.properties.t, 1.50)";
        metrics.put(1, "c", Some(("a\"b", text))).unwrap();
        assert!(metrics.put(1, "d", Some(("x", "1 +"))).is_err());
        let subject = Subject {
            code: b"c",
            timestamp_us: 0,
            properties: br#"{"t":"\"\u0001\\"}"#,
        };
        let computed = metrics.of(1).unwrap()[&b"c"[..]].compute(&subject).unwrap();
        assert_eq!(computed, br#"{"a\"b":"\"\u0001\\1.5"}"#);
        metrics.put(1, "c", None).unwrap();
        assert!(metrics.of(1).is_none());
    }
}
