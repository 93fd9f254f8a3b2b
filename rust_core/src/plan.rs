//! A plan version prepared for folding: one look at an event's properties serves all charges on its code.

use std::collections::BTreeMap;

use crate::advance::group_of;
use crate::assign::Assigner;
use crate::charge::Charge;
use crate::decimal::Decimal;
use crate::error::Result;
use crate::event::precise_amount;
use crate::fold::{Aggregation, Operand};
use crate::group::{push_value, Group, GroupKey};
use crate::id::Id;
use crate::json::{Kind, Value};
use crate::property::{number, text, Names, Sample};

/// Property that tells `unique_count_agg` whether a value appears or goes.
const OPERATION_TYPE: &[u8] = b"operation_type";

pub struct Plan {
    pub charges: Box<[Charge]>,
    /// Buckets of all charges; those of one charge follow each other, its default bucket last.
    pub bucket_count: usize,
    /// True if a charge counts events from before the window.
    pub reaches_back: bool,
    /// True if a charge is billed when its events arrive.
    pub bills_in_advance: bool,
    by_code: BTreeMap<Box<[u8]>, CodeReader>,
}

/// The charges on one metric code.
#[derive(Default)]
struct CodeReader {
    names: Names,
    charges: Vec<ChargeReader>,
    /// True if a charge wants the amounts that events carry.
    amounts: bool,
}

struct ChargeReader {
    /// Position in `Plan::charges`.
    number: usize,
    pay_in_advance: bool,
    aggregation: Aggregation,
    recurring: bool,
    field: usize,
    operation: usize,
    first_bucket: usize,
    assigner: Assigner,
    /// Positions of the group keys of each bucket.
    groups: Vec<Vec<usize>>,
    /// Positions of the presentation keys.
    presentation: Vec<usize>,
}

/// One event in one bucket of a plan.
pub struct Hit<'a> {
    /// Position in `Plan::charges`.
    pub charge: usize,
    /// The charge bills the event when it arrives.
    pub billed_in_advance: bool,
    pub bucket: usize,
    /// None: the bucket has no groups.
    pub group: Option<GroupKey>,
    pub recurring: bool,
    pub operand: Operand<'a>,
    /// None: the charge has no presentation keys.
    pub presentation: Option<GroupKey>,
    /// Read if a charge on the code wants it, and the event carries one.
    pub amount: Option<Decimal>,
}

impl Plan {
    pub fn new(charges: Vec<Charge>) -> Self {
        let mut by_code: BTreeMap<Box<[u8]>, CodeReader> = BTreeMap::new();
        let mut bucket_count = 0;
        for (number, charge) in charges.iter().enumerate() {
            let reader = by_code.entry(charge.metric_code.clone()).or_default();
            let prepared = ChargeReader::new(charge, number, bucket_count, &mut reader.names);
            reader.charges.push(prepared);
            reader.amounts |= charge.keep.amounts;
            bucket_count += charge.bucket_count();
        }
        Self {
            reaches_back: charges.iter().any(|charge| charge.recurring),
            bills_in_advance: charges.iter().any(|charge| charge.pay_in_advance),
            charges: charges.into(),
            bucket_count,
            by_code,
        }
    }

    /// (charge, number of its bucket) of every bucket, in order.
    pub fn buckets(&self) -> impl Iterator<Item = (&Charge, usize)> {
        let charges = self.charges.iter();
        charges.flat_map(|charge| (0..charge.bucket_count()).map(move |bucket| (charge, bucket)))
    }

    /// Charge, filter and group of a hit.
    pub fn bucket_name(&self, hit: &Hit<'_>) -> Result<(Id, Option<Id>, Group)> {
        let charge = &self.charges[hit.charge];
        let first = self.charges[..hit.charge].iter().map(Charge::bucket_count);
        let bucket = hit.bucket - first.sum::<usize>();
        let filter = charge.filters.get(bucket).map(|filter| filter.id);
        let group = group_of(hit.group.as_ref(), charge.group_keys_of(bucket).len())?;
        Ok((charge.id, filter, group))
    }

    /// Where an event of this code counts, and with what; at most one bucket per charge.
    pub fn hits<'a>(&self, code: &[u8], sample: &Sample<'a>) -> Result<Vec<Hit<'a>>> {
        let Some(reader) = self.by_code.get(code) else {
            return Ok(Vec::new());
        };
        let values = reader.names.read(sample)?;
        let amount = if reader.amounts {
            precise_amount(sample.raw)?
        } else {
            None
        };
        let mut hits = Vec::with_capacity(reader.charges.len());
        for charge in &reader.charges {
            if let Some(operand) = charge.operand(&values) {
                hits.push(Hit {
                    amount: amount.clone(),
                    ..charge.hit(&values, operand)?
                });
            }
        }
        Ok(hits)
    }
}

impl ChargeReader {
    fn new(charge: &Charge, number: usize, first_bucket: usize, names: &mut Names) -> Self {
        let mut position = |name: &[u8]| names.position(name);
        let unique = charge.aggregation == Aggregation::UniqueCount;
        let counts = charge.aggregation == Aggregation::Count;
        let field = if counts { 0 } else { position(&charge.field) };
        let operation = if unique { position(OPERATION_TYPE) } else { 0 };
        let groups = (0..charge.bucket_count())
            .map(|bucket| {
                let keys = charge.group_keys_of(bucket).iter();
                keys.map(|key| position(key)).collect()
            })
            .collect();
        Self {
            number,
            pay_in_advance: charge.pay_in_advance,
            aggregation: charge.aggregation,
            recurring: charge.recurring,
            field,
            operation,
            first_bucket,
            presentation: charge
                .presentation_keys
                .iter()
                .map(|key| names.position(key))
                .collect(),
            assigner: Assigner::new(charge, names),
            groups,
        }
    }

    /// What the aggregation takes from the event; None if the event is not used (metrics.md §4, §6.5).
    fn operand<'a>(&self, values: &[Option<Value<'a>>]) -> Option<Operand<'a>> {
        match self.aggregation {
            Aggregation::Count => Some(Operand::Event),
            Aggregation::UniqueCount => Some(Operand::Presence {
                value: text(&values[self.field]?)?,
                present: is_addition(values[self.operation].as_ref())?,
            }),
            _ => number(&values[self.field]?).map(Operand::Number),
        }
    }

    fn says_nothing(&self, values: &[Option<Value<'_>>]) -> bool {
        let counts = self.aggregation == Aggregation::Count;
        !counts && values[self.field].as_ref().is_none_or(is_blank)
    }

    fn hit<'a>(&self, values: &[Option<Value<'a>>], operand: Operand<'a>) -> Result<Hit<'a>> {
        let bucket = self.assigner.bucket(values);
        Ok(Hit {
            charge: self.number,
            billed_in_advance: self.pay_in_advance && !self.says_nothing(values),
            bucket: self.first_bucket + bucket,
            group: tuple(&self.groups[bucket], values)?,
            recurring: self.recurring,
            operand,
            presentation: tuple(&self.presentation, values)?,
            amount: None,
        })
    }
}

/// The values at some positions; None without any position.
fn tuple(positions: &[usize], values: &[Option<Value<'_>>]) -> Result<Option<GroupKey>> {
    if positions.is_empty() {
        return Ok(None);
    }
    let mut key = Vec::with_capacity(32);
    for &position in positions {
        push_value(&mut key, values[position].as_ref())?;
    }
    Ok(Some(key.into()))
}

/// Whether a value says nothing that could be billed: null, false, or empty (events.md §5.1).
fn is_blank(value: &Value<'_>) -> bool {
    match value.kind {
        Kind::Null | Kind::False => true,
        Kind::String => text(value).is_none_or(|text| text.trim_ascii().is_empty()),
        Kind::Array | Kind::Object => value.raw[1..value.raw.len() - 1].trim_ascii().is_empty(),
        Kind::True | Kind::Number => false,
    }
}

/// `add` is the default; None for another word, whose event is not used.
fn is_addition(operation: Option<&Value<'_>>) -> Option<bool> {
    match operation.and_then(text).as_deref() {
        None | Some(b"add") => Some(true),
        Some(b"remove") => Some(false),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::Filter;
    use crate::property::Moment;

    fn filter(id: u128, values: &[(&'static str, &[&'static str])]) -> Filter {
        let values = values.iter().map(|(key, texts)| (*key, texts.to_vec()));
        Filter::new(id, values, &[]).unwrap()
    }

    fn bucket_of(filters: &[Filter], properties: &str) -> usize {
        let charge = Charge::new(1, "c", Aggregation::Count, None, false).unwrap();
        let plan = Plan::new(vec![charge.split(&[], filters.to_vec())]);
        let sample = Sample {
            raw: b"{}",
            moment: Moment {
                timestamp_us: 0,
                received_at_us: 0,
            },
            properties: properties.as_bytes(),
            computed: None,
        };
        plan.hits(b"c", &sample).unwrap()[0].bucket
    }

    #[test]
    fn the_example_of_the_specification() {
        let filters = [
            filter(1, &[("region", &["us", "eu"])]),
            filter(2, &[("region", &["eu"])]),
            filter(3, &[("region", &["us", "eu"]), ("tier", &["gold"])]),
        ];
        for (properties, bucket) in [
            (r#"{"region":"us"}"#, 0),
            (r#"{"region":"eu"}"#, 1),
            (r#"{"region":"us","tier":"gold"}"#, 2),
            (r#"{"region":"eu","tier":"gold"}"#, 2),
            (r#"{"region":"asia"}"#, 3),
            ("{}", 3),
            (r#"{"region":null,"tier":"gold"}"#, 3),
        ] {
            assert_eq!(bucket_of(&filters, properties), bucket, "{properties}");
        }
    }

    #[test]
    fn a_narrower_filter_beats_a_broad_one_and_nothing_else() {
        let filters = [
            filter(1, &[("n", &["1", "2", "3"])]),
            filter(2, &[("n", &["1", "4"])]),
            filter(3, &[("n", &["1", "2"])]),
            filter(4, &[("n", &["4", "1"])]),
        ];
        assert_eq!(bucket_of(&filters, r#"{"n":1}"#), 1);
        assert_eq!(bucket_of(&filters, r#"{"n":"2"}"#), 2);
        assert_eq!(bucket_of(&filters, r#"{"n":3}"#), 0);
        assert_eq!(bucket_of(&filters, r#"{"n":4e0}"#), 1);
    }
}
