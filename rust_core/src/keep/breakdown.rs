//! Units by tuple of presentation values (metrics.md §8.2).

use std::collections::HashMap;

use crate::decimal::Decimal;
use crate::error::{CoreError, Result};
use crate::fold::{put_decimal, read_decimal, Aggregate, Aggregation, Operand, Weighing};
use crate::group::{decode, order, Group, GroupKey};
use crate::property::Moment;
use crate::wire::{put_bytes, put_count, Reader};

/// About what a map needs for a tuple beside its key.
const TUPLE_BYTES: usize = size_of::<(GroupKey, Aggregate)>() + 8;

/// The event of the latest value.
#[derive(Clone, Debug)]
pub struct Newest {
    moment: Moment,
    tuple: GroupKey,
    value: Decimal,
}

#[derive(Clone, Debug)]
pub enum Breakdown {
    /// Every tuple with the same aggregation.
    Tuples(Aggregation, HashMap<GroupKey, Aggregate>),
    /// Of the latest value only the tuple of its event, with the value as it is.
    Newest(Option<Newest>),
}

impl Breakdown {
    pub fn new(aggregation: Aggregation) -> Self {
        if aggregation == Aggregation::Latest {
            return Self::Newest(None);
        }
        Self::Tuples(aggregation, HashMap::new())
    }

    /// carried: the event lies before the window. Gives the bytes of memory it took.
    pub fn fold(
        &mut self,
        tuple: &GroupKey,
        operand: &Operand<'_>,
        moment: Moment,
        carried: bool,
    ) -> Result<usize> {
        match (self, operand) {
            (Self::Tuples(aggregation, tuples), operand) => {
                if let Some(aggregate) = tuples.get_mut(tuple) {
                    return aggregate.fold(operand, moment, carried);
                }
                let mut aggregate = aggregation.empty();
                aggregate.fold(operand, moment, carried)?;
                let grown = tuple.len() + TUPLE_BYTES + aggregate.heap_bytes();
                tuples.insert(tuple.clone(), aggregate);
                Ok(grown)
            }
            (Self::Newest(newest), Operand::Number(value)) => {
                take_newer(
                    newest,
                    Newest {
                        moment,
                        tuple: tuple.clone(),
                        value: value.clone(),
                    },
                );
                Ok(0)
            }
            _ => Err(mismatch()),
        }
    }

    pub fn merge(&mut self, later: &Self) -> Result<()> {
        match (self, later) {
            (Self::Tuples(aggregation, tuples), Self::Tuples(_, later)) => {
                for (tuple, later) in later {
                    let known = tuples.entry(tuple.clone());
                    known.or_insert_with(|| aggregation.empty()).merge(later)?;
                }
            }
            (Self::Newest(newest), Self::Newest(later)) => {
                if let Some(later) = later {
                    take_newer(newest, later.clone());
                }
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// What the next window begins with.
    pub fn carry_over(&self) -> Self {
        match self {
            Self::Tuples(aggregation, tuples) => {
                let carried = tuples.iter();
                let carried = carried.map(|(tuple, total)| (tuple.clone(), total.carry_over()));
                Self::Tuples(*aggregation, carried.collect())
            }
            Self::Newest(newest) => Self::Newest(newest.clone()),
        }
    }

    /// (tuple, units) in the order of groups; size: how many values a tuple has.
    pub fn units(&self, size: usize, weighing: Option<&Weighing>) -> Result<Vec<(Group, Decimal)>> {
        let mut found = Vec::new();
        match self {
            Self::Tuples(_, tuples) => {
                for (tuple, aggregate) in tuples {
                    found.push((decode(tuple, size)?, aggregate.units(weighing)?));
                }
            }
            Self::Newest(newest) => {
                if let Some(Newest { tuple, value, .. }) = newest {
                    found.push((decode(tuple, size)?, value.clone()));
                }
            }
        }
        found.sort_by(|a, b| order(&a.0).cmp(&order(&b.0)));
        Ok(found)
    }

    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Tuples(_, tuples) => tuples
                .iter()
                .map(|(tuple, aggregate)| tuple.len() + TUPLE_BYTES + aggregate.heap_bytes())
                .sum(),
            Self::Newest(newest) => newest.iter().map(|newest| newest.tuple.len()).sum(),
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Tuples(_, tuples) => {
                put_count(out, tuples.len())?;
                for (tuple, aggregate) in tuples {
                    put_bytes(out, tuple)?;
                    aggregate.encode(out)?;
                }
            }
            Self::Newest(newest) => {
                put_count(out, usize::from(newest.is_some()))?;
                if let Some(newest) = newest {
                    newest.moment.encode(out);
                    put_bytes(out, &newest.tuple)?;
                    put_decimal(out, &newest.value)?;
                }
            }
        }
        Ok(())
    }

    /// Reads what `encode` of the same kind wrote.
    pub fn decode(&self, reader: &mut Reader<'_>) -> Result<Self> {
        let count = reader.count()?;
        match self {
            Self::Tuples(aggregation, _) => {
                let mut tuples = HashMap::new();
                for _ in 0..count {
                    let tuple = reader.bytes()?.into();
                    tuples.insert(tuple, Aggregate::decode(*aggregation, reader)?);
                }
                Ok(Self::Tuples(*aggregation, tuples))
            }
            Self::Newest(_) if count == 0 => Ok(Self::Newest(None)),
            Self::Newest(_) => Ok(Self::Newest(Some(Newest {
                moment: Moment::decode(reader)?,
                tuple: reader.bytes()?.into(),
                value: read_decimal(reader)?,
            }))),
        }
    }
}

fn take_newer(newest: &mut Option<Newest>, other: Newest) {
    if newest
        .as_ref()
        .is_none_or(|known| known.moment <= other.moment)
    {
        *newest = Some(other);
    }
}

/// Breakdowns are made from the charge whose events fold into them, so this is a fault of ours.
fn mismatch() -> CoreError {
    CoreError::State("a breakdown met the events of another aggregation")
}
