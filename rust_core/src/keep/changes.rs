//! How the units of a recurring metric changed in the window, for proration (metrics.md §9).

use super::presence::Presences;
use super::steps::{Days, Prorated};
use super::values::Values;
use crate::decimal::Decimal;
use crate::error::{CoreError, Result};
use crate::fold::{put_decimal, read_decimal, Aggregation, Operand};
use crate::property::Moment;
use crate::wire::Reader;

#[derive(Clone, Debug)]
pub enum Changes {
    Sum {
        /// Σ value before the window.
        carried: Decimal,
        inside: Values,
    },
    Presence(Presences),
}

impl Changes {
    pub fn new(aggregation: Aggregation) -> Self {
        if aggregation == Aggregation::UniqueCount {
            return Self::Presence(Presences::default());
        }
        Self::Sum {
            carried: Decimal::default(),
            inside: Values::default(),
        }
    }

    /// carried: the event lies before the window. Gives the bytes of memory it took.
    pub fn fold(&mut self, operand: &Operand<'_>, moment: Moment, carried: bool) -> Result<usize> {
        match (self, operand) {
            (Self::Sum { inside, .. }, Operand::Number(value)) if !carried => {
                Ok(inside.push(value, moment))
            }
            (Self::Sum { carried, .. }, Operand::Number(value)) => {
                carried.add_assign(value);
                Ok(0)
            }
            (Self::Presence(values), Operand::Presence { value, present }) => {
                Ok(values.fold(value, moment, *present, carried))
            }
            _ => Err(mismatch()),
        }
    }

    pub fn merge(&mut self, later: &Self) -> Result<()> {
        match (self, later) {
            (
                Self::Sum { carried, inside },
                Self::Sum {
                    carried: later_carried,
                    inside: later,
                },
            ) => {
                carried.add_assign(later_carried);
                inside.merge(later);
            }
            (Self::Presence(values), Self::Presence(later)) => values.merge(later),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// What the next window begins with.
    pub fn carry_over(&self) -> Self {
        match self {
            Self::Sum { carried, inside } => {
                let mut carried = carried.clone();
                carried.add_assign(&inside.total());
                Self::Sum {
                    carried,
                    inside: Values::default(),
                }
            }
            Self::Presence(values) => Self::Presence(values.carry_over()),
        }
    }

    pub fn prorated(&self, days: Days<'_>) -> Prorated {
        match self {
            Self::Sum { carried, inside } => {
                let mut prorated = Prorated {
                    carried: carried.clone(),
                    ..Prorated::default()
                };
                inside.each(|at_us, value| {
                    prorated.push(&value, days.left_from(days.index(at_us)));
                });
                prorated
            }
            Self::Presence(values) => values.prorated(days),
        }
    }

    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Sum { inside, .. } => inside.heap_bytes(),
            Self::Presence(values) => values.heap_bytes(),
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Sum { carried, inside } => {
                put_decimal(out, carried)?;
                inside.encode(out)
            }
            Self::Presence(values) => values.encode(out),
        }
    }

    /// Reads what `encode` of the same kind wrote.
    pub fn decode(&self, reader: &mut Reader<'_>) -> Result<Self> {
        Ok(match self {
            Self::Sum { .. } => Self::Sum {
                carried: read_decimal(reader)?,
                inside: Values::decode(reader)?,
            },
            Self::Presence(_) => Self::Presence(Presences::decode(reader)?),
        })
    }
}

/// Only sums and unique counts are prorated, so this is a fault of ours.
fn mismatch() -> CoreError {
    CoreError::State("the changes of one aggregation met the events of another")
}
