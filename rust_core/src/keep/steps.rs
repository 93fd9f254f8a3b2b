//! Units of a window that are paid by the day (metrics.md §9, charges.md §8).

use crate::decimal::Decimal;

/// The local days of a window: the first instant of each but the first one, ascending.
#[derive(Clone, Copy)]
pub struct Days<'a>(pub &'a [i64]);

impl Days<'_> {
    /// The number of the day an instant lies in; everything before the window lies in the first one, 0.
    pub fn index(self, at_us: i64) -> u32 {
        let passed = self.0.partition_point(|&start| start <= at_us);
        u32::try_from(passed).unwrap_or(u32::MAX)
    }

    /// How many days there are from the day of this number to the last one, both included.
    pub fn left_from(self, index: u32) -> u32 {
        self.index(i64::MAX) + 1 - index
    }
}

/// Successive units that come, or go, and are paid for the same number of days.
#[derive(Debug)]
pub struct Step {
    pub units: Decimal,
    pub days: u32,
}

#[derive(Debug, Default)]
pub struct Prorated {
    /// Units of before the window that are paid for all of it; how many days that is, is not known here.
    pub carried: Decimal,
    pub steps: Vec<Step>,
}

impl Prorated {
    /// Adds one more change; a step goes on while the direction and the days stay the same.
    pub fn push(&mut self, units: &Decimal, days: u32) {
        match self.steps.last_mut() {
            Some(last) if last.days == days && last.units.is_negative() == units.is_negative() => {
                last.units.add_assign(units);
            }
            _ => self.steps.push(Step {
                units: units.clone(),
                days,
            }),
        }
    }
}
