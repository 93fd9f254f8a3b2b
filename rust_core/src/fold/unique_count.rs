//! `unique_count_agg` (metrics.md §6.5): how many distinct values are present at the end.
//!
//! `add` makes a value present and `remove` makes it absent, whatever it was before, so the latest event of a value
//! decides; of equal timestamps the one received last.

use std::collections::HashMap;

use crate::decimal::Decimal;
use crate::error::Result;
use crate::property::Moment;
use crate::wire::{put_bytes, put_count, Reader};

/// About what a map needs for an entry beside its key.
const ENTRY_BYTES: usize = size_of::<(Box<[u8]>, State)>() + 8;

#[derive(Clone, Copy, Debug)]
struct State {
    moment: Moment,
    present: bool,
}

#[derive(Clone, Debug, Default)]
pub struct UniqueCountFold {
    values: HashMap<Box<[u8]>, State>,
    present: u64,
    value_bytes: usize,
}

impl UniqueCountFold {
    /// Gives the bytes of memory it took.
    pub fn fold(&mut self, value: &[u8], moment: Moment, present: bool) -> usize {
        let state = State { moment, present };
        if let Some(known) = self.values.get_mut(value) {
            if known.moment <= moment {
                self.present -= u64::from(known.present);
                self.present += u64::from(present);
                *known = state;
            }
            return 0;
        }
        self.values.insert(value.into(), state);
        self.present += u64::from(present);
        self.value_bytes += value.len();
        value.len() + ENTRY_BYTES
    }

    pub fn merge(&mut self, later: &Self) {
        for (value, state) in &later.values {
            self.fold(value, state.moment, state.present);
        }
    }

    pub fn units(&self) -> Decimal {
        Decimal::from_integer(self.present.into())
    }

    /// The unit count, not the number of raw events.
    pub fn events_count(&self) -> u64 {
        self.present
    }

    pub fn heap_bytes(&self) -> usize {
        self.values.len() * ENTRY_BYTES + self.value_bytes
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_count(out, self.values.len())?;
        for (value, state) in &self.values {
            put_bytes(out, value)?;
            state.moment.encode(out);
            out.push(u8::from(state.present));
        }
        Ok(())
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let mut fold = Self::default();
        for _ in 0..reader.count()? {
            let value = reader.bytes()?;
            let moment = Moment::decode(reader)?;
            fold.fold(value, moment, reader.u8()? == 1);
        }
        Ok(fold)
    }
}
