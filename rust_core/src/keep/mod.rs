//! What a charge has kept of its events beside their totals.

pub mod breakdown;
pub mod changes;
pub mod presence;
pub mod steps;
pub mod values;

use breakdown::Breakdown;
use changes::Changes;
pub use steps::{Days, Prorated, Step};
use values::Values;

use crate::decimal::Decimal;
use crate::error::{argument, CoreError, Result};
use crate::fold::{put_decimal, read_decimal, Aggregation, Operand, Weighing};
use crate::group::Group;
use crate::plan::Hit;
use crate::property::Moment;
use crate::wire::Reader;

/// What is kept in each bucket of a charge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The value of every event, in order of time (charges.md §5.5): sums and maxima.
    pub values: bool,
    /// When units came and went in the window (metrics.md §9): recurring sums and unique counts.
    pub changes: bool,
    /// Σ `precise_total_amount_cents` (charges.md §5.7).
    pub amounts: bool,
    /// Units by the values of so many properties (metrics.md §8.2).
    pub presentation_keys: usize,
}

impl Keep {
    pub fn check(self, aggregation: Aggregation, recurring: bool) -> Result<()> {
        let has_values = matches!(aggregation, Aggregation::Sum | Aggregation::Max);
        if self.values && !has_values {
            let name = aggregation.type_name();
            return argument(format!("the events of a {name} have no values to keep"));
        }
        if self.changes && !(recurring && aggregation != Aggregation::WeightedSum) {
            return argument("only recurring sums and unique counts are prorated");
        }
        Ok(())
    }

    /// None: nothing is kept.
    pub fn empty(self, aggregation: Aggregation) -> Option<Box<Kept>> {
        let kept = Kept {
            values: self.values.then(Values::default),
            changes: self.changes.then(|| Changes::new(aggregation)),
            amount: self.amounts.then(Decimal::default),
            breakdown: (self.presentation_keys > 0).then(|| Breakdown::new(aggregation)),
        };
        (self != Self::default()).then(|| Box::new(kept))
    }
}

/// Of one bucket or group.
#[derive(Clone, Debug)]
pub struct Kept {
    values: Option<Values>,
    changes: Option<Changes>,
    amount: Option<Decimal>,
    breakdown: Option<Breakdown>,
}

/// What reading a bucket finds in it; empty where nothing is kept.
#[derive(Debug, Default)]
pub struct KeptUsage {
    /// Successive equal values with their number.
    pub values: Vec<(Decimal, u64)>,
    pub prorated: Option<Prorated>,
    pub amount: Option<Decimal>,
    pub breakdown: Vec<(Group, Decimal)>,
}

impl Kept {
    /// carried: the event lies before the window. Gives the bytes of memory it took.
    pub fn fold(&mut self, hit: &Hit<'_>, moment: Moment, carried: bool) -> Result<usize> {
        let mut grown = 0;
        if let Some(values) = &mut self.values {
            let Operand::Number(value) = &hit.operand else {
                return Err(mismatch());
            };
            grown += values.push(value, moment);
        }
        if let Some(changes) = &mut self.changes {
            grown += changes.fold(&hit.operand, moment, carried)?;
        }
        if let (Some(total), Some(amount)) = (&mut self.amount, &hit.amount) {
            total.add_assign(amount);
        }
        if let Some(breakdown) = &mut self.breakdown {
            let tuple = hit.presentation.as_ref().ok_or_else(mismatch)?;
            grown += breakdown.fold(tuple, &hit.operand, moment, carried)?;
        }
        Ok(grown)
    }

    /// Takes everything of `later`, whose events were accepted after those of self.
    pub fn merge(&mut self, later: &Self) -> Result<()> {
        if let (Some(values), Some(later)) = (&mut self.values, &later.values) {
            values.merge(later);
        }
        if let (Some(changes), Some(later)) = (&mut self.changes, &later.changes) {
            changes.merge(later)?;
        }
        if let (Some(amount), Some(later)) = (&mut self.amount, &later.amount) {
            amount.add_assign(later);
        }
        if let (Some(breakdown), Some(later)) = (&mut self.breakdown, &later.breakdown) {
            breakdown.merge(later)?;
        }
        Ok(())
    }

    /// What a recurring metric begins the next window with.
    pub fn carry_over(&self) -> Self {
        Self {
            values: self.values.clone(),
            changes: self.changes.as_ref().map(Changes::carry_over),
            amount: self.amount.clone(),
            breakdown: self.breakdown.as_ref().map(Breakdown::carry_over),
        }
    }

    pub fn read(
        &self,
        keep: Keep,
        weighing: Option<&Weighing>,
        days: Option<Days<'_>>,
    ) -> Result<KeptUsage> {
        let prorated = match (&self.changes, days) {
            (Some(changes), Some(days)) => Some(changes.prorated(days)),
            (Some(_), None) => return argument("a prorated charge is read with the days"),
            (None, _) => None,
        };
        let breakdown = self.breakdown.as_ref();
        let breakdown = breakdown.map(|parts| parts.units(keep.presentation_keys, weighing));
        Ok(KeptUsage {
            values: self.values.as_ref().map(Values::runs).unwrap_or_default(),
            prorated,
            amount: self.amount.clone(),
            breakdown: breakdown.transpose()?.unwrap_or_default(),
        })
    }

    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.values.as_ref().map_or(0, Values::heap_bytes)
            + self.changes.as_ref().map_or(0, Changes::heap_bytes)
            + self.breakdown.as_ref().map_or(0, Breakdown::heap_bytes)
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        if let Some(values) = &self.values {
            values.encode(out)?;
        }
        if let Some(changes) = &self.changes {
            changes.encode(out)?;
        }
        if let Some(amount) = &self.amount {
            put_decimal(out, amount)?;
        }
        if let Some(breakdown) = &self.breakdown {
            breakdown.encode(out)?;
        }
        Ok(())
    }

    /// Reads what `encode` wrote over the empty one of the same charge.
    pub fn decode(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        if let Some(values) = &mut self.values {
            *values = Values::decode(reader)?;
        }
        if let Some(changes) = &mut self.changes {
            *changes = changes.decode(reader)?;
        }
        if let Some(amount) = &mut self.amount {
            *amount = read_decimal(reader)?;
        }
        if let Some(breakdown) = &mut self.breakdown {
            *breakdown = breakdown.decode(reader)?;
        }
        Ok(())
    }
}

/// What is kept is made from the charge whose events come, so this is a fault of ours.
fn mismatch() -> CoreError {
    CoreError::State("what a bucket keeps met the events of another charge")
}
