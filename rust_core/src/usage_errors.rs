//! Events that were accepted and will not be billed as their sender meant: the lists of the webhook `events.errors` (events.md §5.3).

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::Result;
use crate::event::UsageEvent;
use crate::id::Id;
use crate::json::Kind;
use crate::org_index::SpanUs;
use crate::property::{number, text, Names};
use crate::record::RecordEvent;
use crate::segment::Segment;

pub const HOUR_US: i64 = 3_600_000_000;
/// Bytes of transaction ids in one list; later ids are left out.
const LIST_BYTES_MAX: usize = 256 * 1024;

type Name = Box<[u8]>;

/// What the aggregated property of a metric must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    Presence,
    Number,
}

/// A live metric as far as its events can be wrong.
pub struct MetricRule {
    needs: Needs,
    names: Names,
    field: Option<usize>,
    /// Property, and the texts it may have, sorted.
    filters: Vec<(usize, Vec<Name>)>,
}

impl MetricRule {
    pub fn new(aggregation: &str, field: Option<&str>, filters: &[(String, Vec<String>)]) -> Self {
        let needs = match aggregation {
            "count_agg" | "custom_agg" => Needs::Nothing,
            "unique_count_agg" => Needs::Presence,
            _ => Needs::Number,
        };
        let mut names = Names::default();
        let field = field.map(|name| names.position(name.as_bytes()));
        let filters = filters
            .iter()
            .map(|(key, values)| {
                let mut values: Vec<Name> =
                    values.iter().map(|value| value.as_bytes().into()).collect();
                values.sort_unstable();
                (names.position(key.as_bytes()), values)
            })
            .collect();
        Self {
            needs,
            names,
            field,
            filters,
        }
    }
}

/// Distinct transaction ids in the order of their events.
#[derive(Default)]
struct Ids {
    seen: HashSet<Name>,
    listed: Vec<String>,
    bytes: usize,
    cut: bool,
}

impl Ids {
    fn add(&mut self, id: &[u8]) {
        if self.seen.contains(id) {
            return;
        }
        self.bytes += id.len();
        if self.bytes > LIST_BYTES_MAX {
            self.cut = true;
            return;
        }
        self.seen.insert(id.into());
        self.listed.push(String::from_utf8_lossy(id).into_owned());
    }
}

#[derive(Default)]
struct Lists {
    invalid_code: Ids,
    missing_aggregation_property: Ids,
    invalid_filter_values: Ids,
}

/// The lists of one hour, none of them for an hour without errors.
#[derive(Debug, PartialEq, Eq)]
pub struct HourErrors {
    pub hour_us: i64,
    pub invalid_code: Vec<String>,
    pub missing_aggregation_property: Vec<String>,
    pub invalid_filter_values: Vec<String>,
    /// A list is longer than what is kept of it.
    pub cut: bool,
}

/// Collects the errors of one organization in segments that are fed in log order.
pub struct UsageErrors {
    org: Id,
    received: SpanUs,
    metrics: HashMap<Name, MetricRule>,
    hours: BTreeMap<i64, Lists>,
}

impl UsageErrors {
    /// received: first and last reception time that count.
    pub fn new(org: Id, received: SpanUs, metrics: Vec<(String, MetricRule)>) -> Self {
        let metrics = metrics.into_iter();
        Self {
            org,
            received,
            metrics: metrics
                .map(|(code, rule)| (code.into_bytes().into(), rule))
                .collect(),
            hours: BTreeMap::new(),
        }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let segment = Segment::open(bytes)?;
        let mut records = segment.records()?;
        for entry in &segment.entries {
            let record = records.record(entry)?;
            if record.org != self.org {
                continue;
            }
            for stored in record.events() {
                let at = stored.stamp.received_at_us;
                if self.received.0 <= at && at <= self.received.1 {
                    self.check(&stored)?;
                }
            }
        }
        Ok(())
    }

    fn check(&mut self, stored: &RecordEvent<'_>) -> Result<()> {
        let event = stored.event()?;
        let (unknown, missing, invalid) = match self.metrics.get(&*event.code.decode()) {
            None => (true, false, false),
            Some(rule) => {
                let (missing, invalid) = rule.flaws(&event, stored)?;
                (false, missing, invalid)
            }
        };
        if !(unknown || missing || invalid) {
            return Ok(());
        }
        let at = stored.stamp.received_at_us;
        let lists = self.hours.entry(at - at.rem_euclid(HOUR_US)).or_default();
        let id = event.transaction_id.decode();
        for (wrong, list) in [
            (unknown, &mut lists.invalid_code),
            (missing, &mut lists.missing_aggregation_property),
            (invalid, &mut lists.invalid_filter_values),
        ] {
            if wrong {
                list.add(&id);
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Vec<HourErrors> {
        let hours = self.hours.into_iter();
        hours
            .map(|(hour_us, lists)| HourErrors {
                hour_us,
                cut: lists.invalid_code.cut
                    || lists.missing_aggregation_property.cut
                    || lists.invalid_filter_values.cut,
                invalid_code: lists.invalid_code.listed,
                missing_aggregation_property: lists.missing_aggregation_property.listed,
                invalid_filter_values: lists.invalid_filter_values.listed,
            })
            .collect()
    }
}

impl MetricRule {
    /// (the aggregated property is missing, a filter has an undeclared value)
    fn flaws<'a>(&self, event: &UsageEvent<'a>, stored: &RecordEvent<'a>) -> Result<(bool, bool)> {
        let values = self.names.read(&stored.sample(event.properties))?;
        let value = self.field.and_then(|position| values[position]);
        let missing = match self.needs {
            Needs::Nothing => false,
            Needs::Presence => value.is_none_or(|value| value.kind == Kind::Null),
            Needs::Number => value.is_none_or(|value| number(&value).is_none()),
        };
        let invalid = self.filters.iter().any(|(position, declared)| {
            let found = values[*position].as_ref().and_then(text);
            found.is_some_and(|found| {
                declared
                    .binary_search_by(|known| (**known).cmp(&*found))
                    .is_err()
            })
        });
        Ok((missing, invalid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Stamp;

    fn errors(aggregation: &str, field: Option<&str>, properties: &str) -> (bool, bool) {
        let region = ("region".to_owned(), vec!["us".to_owned(), "eu".to_owned()]);
        let rule = MetricRule::new(aggregation, field, &[region]);
        let raw = format!(r#"{{"transaction_id":"t","code":"c","properties":{properties}}}"#);
        let stored = RecordEvent {
            stamp: Stamp {
                fingerprint: 1,
                timestamp_us: 0,
                received_at_us: 0,
            },
            defaulted: true,
            raw: raw.as_bytes(),
            computed: None,
        };
        rule.flaws(&stored.event().unwrap(), &stored).unwrap()
    }

    #[test]
    fn what_each_aggregation_needs() {
        for (aggregation, properties, missing) in [
            ("sum_agg", r#"{"gb":1.5}"#, false),
            ("sum_agg", r#"{"gb":"-3"}"#, false),
            ("max_agg", r#"{"gb":"1e3"}"#, true),
            ("latest_agg", r#"{"gb":null}"#, true),
            ("weighted_sum_agg", "{}", true),
            ("sum_agg", r#"{"gb":true}"#, true),
            ("unique_count_agg", r#"{"gb":"anything"}"#, false),
            ("unique_count_agg", r#"{"gb":false}"#, false),
            ("unique_count_agg", r#"{"gb":null}"#, true),
            ("unique_count_agg", "{}", true),
        ] {
            let found = errors(aggregation, Some("gb"), properties).0;
            assert_eq!(found, missing, "{aggregation} {properties}");
        }
        assert!(!errors("count_agg", None, "{}").0);
        assert!(!errors("custom_agg", None, "{}").0);
    }

    #[test]
    fn filter_values_must_be_declared() {
        for (properties, invalid) in [
            ("{}", false),
            (r#"{"region":"eu"}"#, false),
            (r#"{"region":null}"#, false),
            (r#"{"region":"EU"}"#, true),
            (r#"{"region":""}"#, true),
            (r#"{"region":7}"#, true),
        ] {
            assert_eq!(
                errors("count_agg", None, properties).1,
                invalid,
                "{properties}"
            );
        }
    }

    #[test]
    fn a_list_is_distinct_and_bounded() {
        let mut ids = Ids::default();
        let long = vec![b'x'; LIST_BYTES_MAX - 10];
        for id in [b"a".as_slice(), b"b", b"a", &long, b"another one", b"c"] {
            ids.add(id);
        }
        assert_eq!(ids.listed.len(), 3);
        assert!(ids.cut);
    }
}
