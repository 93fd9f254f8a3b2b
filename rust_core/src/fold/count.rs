//! `count_agg` (metrics.md §6.1): every selected event is one unit.

use crate::decimal::Decimal;
use crate::error::Result;
use crate::wire::{put_u64, Reader};

#[derive(Clone, Debug, Default)]
pub struct CountFold {
    events: u64,
}

impl CountFold {
    pub fn fold(&mut self) {
        self.events += 1;
    }

    pub fn merge(&mut self, later: &Self) {
        self.events += later.events;
    }

    pub fn units(&self) -> Decimal {
        Decimal::from_integer(self.events.into())
    }

    pub fn events_count(&self) -> u64 {
        self.events
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.events);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            events: reader.u64()?,
        })
    }
}
