//! `latest_agg` (metrics.md §6.4): the value of the latest event; of equal timestamps the one received last counts.
//! A negative value is 0 units, and so is no event.

use super::{put_decimal, read_decimal};
use crate::decimal::Decimal;
use crate::error::Result;
use crate::property::Moment;
use crate::wire::{put_u64, Reader};

#[derive(Clone, Debug, Default)]
pub struct LatestFold {
    /// None while there are no events.
    moment: Option<Moment>,
    value: Decimal,
    events: u64,
}

impl LatestFold {
    pub fn fold(&mut self, value: &Decimal, moment: Moment) {
        self.events += 1;
        if self.moment.is_none_or(|known| known <= moment) {
            self.moment = Some(moment);
            self.value = value.clone();
        }
    }

    pub fn merge(&mut self, later: &Self) {
        if let Some(moment) = later.moment {
            self.fold(&later.value, moment);
            self.events += later.events - 1;
        }
    }

    pub fn units(&self) -> Decimal {
        if self.value.is_negative() {
            return Decimal::default();
        }
        self.value.clone()
    }

    pub fn events_count(&self) -> u64 {
        self.events
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_u64(out, self.events);
        if let Some(moment) = self.moment {
            moment.encode(out);
            put_decimal(out, &self.value)?;
        }
        Ok(())
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let events = reader.u64()?;
        if events == 0 {
            return Ok(Self::default());
        }
        Ok(Self {
            events,
            moment: Some(Moment::decode(reader)?),
            value: read_decimal(reader)?,
        })
    }
}
