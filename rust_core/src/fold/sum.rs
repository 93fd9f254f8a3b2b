//! `sum_agg` (metrics.md §6.2): exact sum of a numeric property.

use super::{put_decimal, read_decimal};
use crate::decimal::Decimal;
use crate::error::Result;
use crate::wire::{put_u64, Reader};

#[derive(Clone, Debug, Default)]
pub struct SumFold {
    total: Decimal,
    events: u64,
}

impl SumFold {
    pub fn fold(&mut self, value: &Decimal) {
        self.total.add_assign(value);
        self.events += 1;
    }

    pub fn merge(&mut self, later: &Self) {
        self.total.add_assign(&later.total);
        self.events += later.events;
    }

    pub fn units(&self) -> Decimal {
        self.total.clone()
    }

    pub fn events_count(&self) -> u64 {
        self.events
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_u64(out, self.events);
        put_decimal(out, &self.total)
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            events: reader.u64()?,
            total: read_decimal(reader)?,
        })
    }
}
