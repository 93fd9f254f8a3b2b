//! Aggregations: how the usage events of a window become units. One file each.

mod count;
mod sum;

use crate::error::{argument, corrupt, CoreError, Result};
use crate::json::{self, Value};
use crate::wire::Reader;

use count::CountFold;
use sum::SumFold;

/// What an aggregation sees of a usage event.
pub struct Sample<'a> {
    pub timestamp_us: i64,
    /// The text of a JSON object.
    pub properties: &'a [u8],
}

impl<'a> Sample<'a> {
    fn property(&self, field: &[u8]) -> Result<Option<Value<'a>>> {
        json::member(self.properties, field)
            .map_err(|_| CoreError::Corruption("stored properties are not JSON".to_owned()))
    }
}

/// An aggregation type with what it needs to know of the billable metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aggregation {
    Count,
    Sum { field: Box<[u8]> },
}

impl Aggregation {
    /// aggregation types as on the wire: `count_agg`, `sum_agg`.
    pub fn new(aggregation_type: &str, field_name: Option<&str>) -> Result<Self> {
        match (aggregation_type, field_name) {
            ("count_agg", _) => Ok(Self::Count),
            ("sum_agg", Some(field)) => Ok(Self::Sum {
                field: field.as_bytes().into(),
            }),
            ("sum_agg", None) => argument("sum_agg needs a field_name"),
            _ => argument(format!("unknown aggregation type {aggregation_type}")),
        }
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Count => "count_agg",
            Self::Sum { .. } => "sum_agg",
        }
    }

    pub fn field(&self) -> Option<&[u8]> {
        match self {
            Self::Count => None,
            Self::Sum { field } => Some(field),
        }
    }

    /// The aggregate of no events.
    pub fn empty(&self) -> Aggregate {
        match self {
            Self::Count => Aggregate::Count(CountFold::default()),
            Self::Sum { .. } => Aggregate::Sum(SumFold::default()),
        }
    }
}

/// Running totals of one charge in one window.
#[derive(Clone, Debug)]
pub enum Aggregate {
    Count(CountFold),
    Sum(SumFold),
}

impl Aggregate {
    /// Takes one more event, in the order of acceptance.
    pub fn fold(&mut self, aggregation: &Aggregation, sample: &Sample<'_>) -> Result<()> {
        match (self, aggregation) {
            (Self::Count(fold), Aggregation::Count) => fold.fold(),
            (Self::Sum(fold), Aggregation::Sum { field }) => fold.fold(sample.property(field)?),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// Takes all events of `later`, which were accepted after those of self.
    pub fn merge(&mut self, later: &Self) -> Result<()> {
        match (self, later) {
            (Self::Count(fold), Self::Count(later)) => fold.merge(later),
            (Self::Sum(fold), Self::Sum(later)) => fold.merge(later),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// Plain decimal units.
    pub fn units(&self) -> String {
        match self {
            Self::Count(fold) => fold.units(),
            Self::Sum(fold) => fold.units(),
        }
    }

    /// How many events were used.
    pub fn events_count(&self) -> u64 {
        match self {
            Self::Count(fold) => fold.events_count(),
            Self::Sum(fold) => fold.events_count(),
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Count(fold) => {
                fold.encode(out);
                Ok(())
            }
            Self::Sum(fold) => fold.encode(out),
        }
    }

    /// Reads what `encode` of the same aggregation wrote.
    pub fn decode(aggregation: &Aggregation, reader: &mut Reader<'_>) -> Result<Self> {
        match aggregation {
            Aggregation::Count => Ok(Self::Count(CountFold::decode(reader)?)),
            Aggregation::Sum { .. } => match SumFold::decode(reader)? {
                Some(fold) => Ok(Self::Sum(fold)),
                None => corrupt("a stored sum is no number"),
            },
        }
    }
}

/// Windows are made from the plan whose charges fold into them, so this is a fault of ours.
fn mismatch() -> CoreError {
    CoreError::State("an aggregate met another aggregation than its own")
}
