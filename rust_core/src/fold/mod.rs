//! Aggregations: how the usage events of a window become units. One file each.

mod count;
mod latest;
mod max;
mod sum;
mod unique_count;
mod weighted_sum;

use std::borrow::Cow;

use crate::decimal::Decimal;
use crate::error::{corrupt, CoreError, Result};
use crate::property::Moment;
use crate::wire::{put_bytes, Reader};

use count::CountFold;
use latest::LatestFold;
use max::MaxFold;
use sum::SumFold;
use unique_count::UniqueCountFold;
pub use weighted_sum::Weighing;
use weighted_sum::WeightedSumFold;

/// An aggregation type (metrics.md §6); `custom_agg` is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    Count,
    Sum,
    Max,
    Latest,
    UniqueCount,
    WeightedSum,
}

impl Aggregation {
    const ALL: [Self; 6] = [
        Self::Count,
        Self::Sum,
        Self::Max,
        Self::Latest,
        Self::UniqueCount,
        Self::WeightedSum,
    ];

    /// The name on the wire, such as `sum_agg`.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Count => "count_agg",
            Self::Sum => "sum_agg",
            Self::Max => "max_agg",
            Self::Latest => "latest_agg",
            Self::UniqueCount => "unique_count_agg",
            Self::WeightedSum => "weighted_sum_agg",
        }
    }

    pub fn parse(type_name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|aggregation| aggregation.type_name() == type_name)
    }

    pub fn may_recur(self) -> bool {
        matches!(self, Self::Sum | Self::UniqueCount | Self::WeightedSum)
    }

    /// What the units of an event are is known when it arrives.
    pub fn may_be_paid_in_advance(self) -> bool {
        matches!(self, Self::Count | Self::Sum | Self::UniqueCount)
    }

    /// The aggregate of no events.
    pub fn empty(self) -> Aggregate {
        match self {
            Self::Count => Aggregate::Count(CountFold::default()),
            Self::Sum => Aggregate::Sum(SumFold::default()),
            Self::Max => Aggregate::Max(MaxFold::default()),
            Self::Latest => Aggregate::Latest(LatestFold::default()),
            Self::UniqueCount => Aggregate::UniqueCount(UniqueCountFold::default()),
            Self::WeightedSum => Aggregate::WeightedSum(Box::default()),
        }
    }
}

/// What an aggregation takes from an event it uses.
#[derive(Clone, Debug)]
pub enum Operand<'a> {
    Event,
    Number(Decimal),
    /// A distinct value appears (`add`) or goes (`remove`).
    Presence {
        value: Cow<'a, [u8]>,
        present: bool,
    },
}

/// Running totals of one bucket or group in one window.
#[derive(Clone, Debug)]
pub enum Aggregate {
    Count(CountFold),
    Sum(SumFold),
    Max(MaxFold),
    Latest(LatestFold),
    UniqueCount(UniqueCountFold),
    /// In a box: it is by far the largest.
    WeightedSum(Box<WeightedSumFold>),
}

impl Aggregate {
    /// Takes one more event, in any order of timestamps; of equal moments the one taken last is the latest.
    ///
    /// carried: the event lies before the window. Gives the bytes of memory it took.
    pub fn fold(&mut self, operand: &Operand<'_>, moment: Moment, carried: bool) -> Result<usize> {
        match (self, operand) {
            (Self::Count(fold), Operand::Event) => fold.fold(),
            (Self::Sum(fold), Operand::Number(value)) => fold.fold(value),
            (Self::Max(fold), Operand::Number(value)) => fold.fold(value),
            (Self::Latest(fold), Operand::Number(value)) => fold.fold(value, moment),
            (Self::UniqueCount(fold), Operand::Presence { value, present }) => {
                return Ok(fold.fold(value, moment, *present));
            }
            (Self::WeightedSum(fold), Operand::Number(value)) => {
                fold.fold(value, moment.timestamp_us, carried);
            }
            _ => return Err(mismatch()),
        }
        Ok(0)
    }

    /// Takes all events of `later`, which were accepted after those of self.
    pub fn merge(&mut self, later: &Self) -> Result<()> {
        match (self, later) {
            (Self::Count(fold), Self::Count(later)) => fold.merge(later),
            (Self::Sum(fold), Self::Sum(later)) => fold.merge(later),
            (Self::Max(fold), Self::Max(later)) => fold.merge(later),
            (Self::Latest(fold), Self::Latest(later)) => fold.merge(later),
            (Self::UniqueCount(fold), Self::UniqueCount(later)) => fold.merge(later),
            (Self::WeightedSum(fold), Self::WeightedSum(later)) => fold.merge(later),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// What a recurring metric begins the next window with.
    pub fn carry_over(&self) -> Self {
        match self {
            Self::WeightedSum(fold) => Self::WeightedSum(Box::new(fold.carry_over())),
            other => other.clone(),
        }
    }

    /// Units; a weighted sum needs to know of what time it is the average.
    pub fn units(&self, weighing: Option<&Weighing>) -> Result<Decimal> {
        Ok(match self {
            Self::Count(fold) => fold.units(),
            Self::Sum(fold) => fold.units(),
            Self::Max(fold) => fold.units(),
            Self::Latest(fold) => fold.units(),
            Self::UniqueCount(fold) => fold.units(),
            Self::WeightedSum(fold) => fold.units(weighing.ok_or_else(unweighed)?),
        })
    }

    /// Units that are not averaged; None where they are the same.
    pub fn total_aggregated_units(&self) -> Option<Decimal> {
        match self {
            Self::WeightedSum(fold) => Some(fold.total_aggregated_units()),
            _ => None,
        }
    }

    pub fn kind(&self) -> Aggregation {
        match self {
            Self::Count(_) => Aggregation::Count,
            Self::Sum(_) => Aggregation::Sum,
            Self::Max(_) => Aggregation::Max,
            Self::Latest(_) => Aggregation::Latest,
            Self::UniqueCount(_) => Aggregation::UniqueCount,
            Self::WeightedSum(_) => Aggregation::WeightedSum,
        }
    }

    /// How many events were used.
    pub fn events_count(&self) -> u64 {
        match self {
            Self::Count(fold) => fold.events_count(),
            Self::Sum(fold) => fold.events_count(),
            Self::Max(fold) => fold.events_count(),
            Self::Latest(fold) => fold.events_count(),
            Self::UniqueCount(fold) => fold.events_count(),
            Self::WeightedSum(fold) => fold.events_count(),
        }
    }

    /// Bytes beyond those of the struct itself, about.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::UniqueCount(fold) => fold.heap_bytes(),
            Self::WeightedSum(_) => size_of::<WeightedSumFold>(),
            _ => 0,
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Count(fold) => {
                fold.encode(out);
                Ok(())
            }
            Self::Sum(fold) => fold.encode(out),
            Self::Max(fold) => fold.encode(out),
            Self::Latest(fold) => fold.encode(out),
            Self::UniqueCount(fold) => fold.encode(out),
            Self::WeightedSum(fold) => fold.encode(out),
        }
    }

    /// Reads what `encode` of the same aggregation wrote.
    pub fn decode(aggregation: Aggregation, reader: &mut Reader<'_>) -> Result<Self> {
        Ok(match aggregation {
            Aggregation::Count => Self::Count(CountFold::decode(reader)?),
            Aggregation::Sum => Self::Sum(SumFold::decode(reader)?),
            Aggregation::Max => Self::Max(MaxFold::decode(reader)?),
            Aggregation::Latest => Self::Latest(LatestFold::decode(reader)?),
            Aggregation::UniqueCount => Self::UniqueCount(UniqueCountFold::decode(reader)?),
            Aggregation::WeightedSum => {
                Self::WeightedSum(Box::new(WeightedSumFold::decode(reader)?))
            }
        })
    }
}

/// Buckets are made from the plan whose charges fold into them, so this is a fault of ours.
fn mismatch() -> CoreError {
    CoreError::State("an aggregate met another aggregation than its own")
}

fn unweighed() -> CoreError {
    CoreError::Argument("a weighted sum is read with the end and the days of its period".into())
}

pub fn put_decimal(out: &mut Vec<u8>, value: &Decimal) -> Result<()> {
    put_bytes(out, value.to_string().as_bytes())
}

pub fn read_decimal(reader: &mut Reader<'_>) -> Result<Decimal> {
    match Decimal::parse_own(reader.bytes()?) {
        Some(value) => Ok(value),
        None => corrupt("a stored total is no number"),
    }
}
