//! `max_agg` (metrics.md §6.3): the largest value of a numeric property; it may be negative, and is 0 without events.

use super::{put_decimal, read_decimal};
use crate::decimal::Decimal;
use crate::error::Result;
use crate::wire::{put_u64, Reader};

/// The largest value means nothing while there are no events.
#[derive(Clone, Debug, Default)]
pub struct MaxFold {
    largest: Decimal,
    events: u64,
}

impl MaxFold {
    pub fn fold(&mut self, value: &Decimal) {
        if self.events == 0 || *value > self.largest {
            self.largest = value.clone();
        }
        self.events += 1;
    }

    pub fn merge(&mut self, later: &Self) {
        if later.events > 0 {
            self.fold(&later.largest);
            self.events += later.events - 1;
        }
    }

    pub fn units(&self) -> Decimal {
        self.largest.clone()
    }

    pub fn events_count(&self) -> u64 {
        self.events
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_u64(out, self.events);
        put_decimal(out, &self.largest)
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            events: reader.u64()?,
            largest: read_decimal(reader)?,
        })
    }
}
