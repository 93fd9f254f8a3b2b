//! `weighted_sum_agg` (metrics.md §6.6): time-average of a level whose changes are the values.
//!
//! Σ level × duration equals initial level × (T − from) + Σ value × (T − timestamp), so three sums are all there is
//! to keep, in any order of events.

use super::{put_decimal, read_decimal};
use crate::decimal::{Decimal, Rounding};
use crate::error::Result;
use crate::wire::{put_u64, Reader};

const US_PER_S: i64 = 1_000_000;
const US_PER_DAY: i128 = 86_400_000_000;
/// The average is rounded up here.
const SCALE: u32 = 20;

/// The period a level is averaged over.
#[derive(Clone, Copy)]
pub struct Weighing {
    pub from_us: i64,
    /// Its last instant; rounded up to the next whole second it is T.
    pub until_us: i64,
    /// Days of the full period, also when only a part of it is used.
    pub days: u32,
}

#[derive(Clone, Debug, Default)]
pub struct WeightedSumFold {
    /// Σ value before the window: the level at its beginning; 0 unless the metric is recurring (metrics.md §12).
    carried: Decimal,
    /// Σ value in the window.
    variation: Decimal,
    /// Σ value × timestamp in the window, in µs.
    moment: Decimal,
    events: u64,
}

impl WeightedSumFold {
    pub fn fold(&mut self, value: &Decimal, timestamp_us: i64, carried: bool) {
        if carried {
            self.carried.add_assign(value);
            return;
        }
        self.variation.add_assign(value);
        self.moment.add_assign(&value.times(&integer(timestamp_us)));
        self.events += 1;
    }

    pub fn merge(&mut self, later: &Self) {
        self.carried.add_assign(&later.carried);
        self.variation.add_assign(&later.variation);
        self.moment.add_assign(&later.moment);
        self.events += later.events;
    }

    /// What a window begins with that follows the one of these totals.
    pub fn carry_over(&self) -> Self {
        let mut carried = self.carried.clone();
        carried.add_assign(&self.variation);
        Self {
            carried,
            ..Self::default()
        }
    }

    pub fn units(&self, weighing: &Weighing) -> Decimal {
        let end = i128::from(weighing.until_us.div_euclid(US_PER_S)) * i128::from(US_PER_S);
        let cut = weighing.until_us.rem_euclid(US_PER_S) > 0;
        let end = end + i128::from(cut) * i128::from(US_PER_S);
        let whole = Decimal::from_integer(end - i128::from(weighing.from_us));
        let mut area = self.carried.times(&whole);
        area.add_assign(&self.variation.times(&Decimal::from_integer(end)));
        area.add_assign(&self.moment.negated());
        let period = Decimal::from_integer(i128::from(weighing.days) * US_PER_DAY);
        area.divided(&period, SCALE, Rounding::Ceiling)
    }

    pub fn total_aggregated_units(&self) -> Decimal {
        let mut total = self.carried.clone();
        total.add_assign(&self.variation);
        total
    }

    pub fn events_count(&self) -> u64 {
        self.events
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_u64(out, self.events);
        put_decimal(out, &self.carried)?;
        put_decimal(out, &self.variation)?;
        put_decimal(out, &self.moment)
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            events: reader.u64()?,
            carried: read_decimal(reader)?,
            variation: read_decimal(reader)?,
            moment: read_decimal(reader)?,
        })
    }
}

fn integer(value: i64) -> Decimal {
    Decimal::from_integer(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400 * US_PER_S;
    const JUNE: i64 = 20_240 * DAY;

    fn average(events: &[(i64, &str)], level: &str, until_us: i64) -> String {
        let mut fold = WeightedSumFold::default();
        fold.fold(&Decimal::parse(level.as_bytes()).unwrap(), JUNE - 1, true);
        for (at, value) in events {
            fold.fold(&Decimal::parse(value.as_bytes()).unwrap(), *at, false);
        }
        let weighing = Weighing {
            from_us: JUNE,
            until_us,
            days: 30,
        };
        fold.units(&weighing).to_string()
    }

    #[test]
    fn examples_of_the_specification() {
        let last = JUNE + 30 * DAY - 1;
        let events = [(JUNE + 15 * DAY + DAY / 2, "-4"), (JUNE + 3 * DAY, "10")];
        assert_eq!(average(&events, "0", last), "7.06666666666666666667");
        assert_eq!(average(&events, "5", last), "12.06666666666666666667");
        let started = [(JUNE + 10 * DAY, "10")];
        assert_eq!(average(&started, "0", last), "6.66666666666666666667");
        assert_eq!(average(&[(JUNE, "10")], "0", JUNE + 12 * DAY), "4");
    }
}
