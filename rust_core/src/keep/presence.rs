//! When distinct values were present in a window (metrics.md §9.2).

use std::collections::HashMap;

use super::steps::{Days, Prorated};
use crate::decimal::Decimal;
use crate::error::Result;
use crate::property::Moment;
use crate::wire::{put_bytes, put_count, put_u32, Reader};

/// About what a map needs for an entry beside its key.
const ENTRY_BYTES: usize = size_of::<(Box<[u8]>, History)>() + 8;

#[derive(Clone, Copy, Debug)]
struct Change {
    moment: Moment,
    /// Which one of all changes of the bucket it was.
    arrival: u32,
    present: bool,
}

/// What happened to one value. Before the window only the latest change matters: it tells what was carried over.
#[derive(Clone, Debug, Default)]
struct History {
    before: Option<Change>,
    /// Ascending; of one moment in order of arrival.
    inside: Vec<Change>,
}

impl History {
    fn take(&mut self, change: Change, carried: bool) {
        if !carried {
            let after = |known: &Change| known.moment <= change.moment;
            let place = self.inside.partition_point(after);
            self.inside.insert(place, change);
        } else if self
            .before
            .is_none_or(|known| known.moment <= change.moment)
        {
            self.before = Some(change);
        }
    }

    /// Without the removals that an addition on the same day undoes, and without what changes nothing.
    fn effective(&self, days: Days<'_>) -> Vec<Change> {
        let mut present = self.before.is_some_and(|before| before.present);
        let mut kept = Vec::new();
        for (position, change) in self.inside.iter().enumerate() {
            let day = days.index(change.moment.timestamp_us);
            let undone = || {
                let later = self.inside[position + 1..].iter();
                later
                    .take_while(|other| days.index(other.moment.timestamp_us) == day)
                    .any(|other| other.present)
            };
            if change.present != present && (change.present || !undone()) {
                present = change.present;
                kept.push(*change);
            }
        }
        kept
    }
}

/// A change with what it adds to the units, and for how many days.
struct Paid {
    /// What was carried over comes first.
    inside: bool,
    moment: Moment,
    arrival: u32,
    units: i128,
    days: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Presences {
    values: HashMap<Box<[u8]>, History>,
    arrivals: u32,
}

impl Presences {
    /// carried: the change lies before the window. Gives the bytes of memory it took.
    pub fn fold(&mut self, value: &[u8], moment: Moment, present: bool, carried: bool) -> usize {
        let arrival = self.arrivals;
        self.arrivals = arrival.saturating_add(1);
        let change = Change {
            moment,
            arrival,
            present,
        };
        self.take(value, change, carried)
    }

    fn take(&mut self, value: &[u8], change: Change, carried: bool) -> usize {
        let grown = if carried { 0 } else { size_of::<Change>() };
        if let Some(history) = self.values.get_mut(value) {
            history.take(change, carried);
            return grown;
        }
        let mut history = History::default();
        history.take(change, carried);
        self.values.insert(value.into(), history);
        grown + value.len() + ENTRY_BYTES
    }

    /// Takes all changes of `later`, which arrived after those of self.
    pub fn merge(&mut self, later: &Self) {
        let since = self.arrivals;
        let after = |change: &Change| Change {
            arrival: change.arrival.saturating_add(since),
            ..*change
        };
        for (value, history) in &later.values {
            if let Some(before) = &history.before {
                self.take(value, after(before), true);
            }
            for change in &history.inside {
                self.take(value, after(change), false);
            }
        }
        self.arrivals = since.saturating_add(later.arrivals);
    }

    /// What the next window begins with.
    pub fn carry_over(&self) -> Self {
        let values = self.values.iter().map(|(value, history)| {
            let before = history.inside.last().copied().or(history.before);
            let history = History {
                before,
                inside: Vec::new(),
            };
            (value.clone(), history)
        });
        Self {
            values: values.collect(),
            arrivals: self.arrivals,
        }
    }

    /// Every addition that counts is paid from its day to that of its removal, or to the last one; a removal for none.
    ///
    /// What was carried over is paid from the first day, in the order of its last change.
    pub fn prorated(&self, days: Days<'_>) -> Prorated {
        let mut paid = Vec::new();
        for history in self.values.values() {
            pay(history, days, &mut paid);
        }
        paid.sort_by_key(|change| (change.inside, change.moment, change.arrival));
        let mut prorated = Prorated::default();
        for change in paid {
            prorated.push(&Decimal::from_integer(change.units), change.days);
        }
        prorated
    }

    pub fn heap_bytes(&self) -> usize {
        let values = self.values.iter();
        values
            .map(|(value, history)| {
                value.len() + ENTRY_BYTES + history.inside.len() * size_of::<Change>()
            })
            .sum()
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_u32(out, self.arrivals);
        put_count(out, self.values.len())?;
        for (value, history) in &self.values {
            put_bytes(out, value)?;
            put_count(out, usize::from(history.before.is_some()))?;
            put_count(out, history.inside.len())?;
            for change in history.before.iter().chain(&history.inside) {
                change.moment.encode(out);
                put_u32(out, change.arrival);
                out.push(u8::from(change.present));
            }
        }
        Ok(())
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let mut presences = Self {
            arrivals: reader.u32()?,
            ..Self::default()
        };
        for _ in 0..reader.count()? {
            let value = reader.bytes()?;
            let carried = reader.count()?;
            for number in 0..carried + reader.count()? {
                let change = Change {
                    moment: Moment::decode(reader)?,
                    arrival: reader.u32()?,
                    present: reader.u8()? == 1,
                };
                presences.take(value, change, number < carried);
            }
        }
        Ok(presences)
    }
}

fn pay(history: &History, days: Days<'_>, paid: &mut Vec<Paid>) {
    let mut pay = |inside, change: &Change, units, days| {
        paid.push(Paid {
            inside,
            moment: change.moment,
            arrival: change.arrival,
            units,
            days,
        });
    };
    let first_day = |inside, change: &Change| {
        if inside {
            days.index(change.moment.timestamp_us)
        } else {
            0
        }
    };
    let carried = history.before.filter(|before| before.present);
    let mut since = carried.map(|before| (false, before));
    for change in history.effective(days) {
        let Some((inside, start)) = since.take() else {
            since = Some((true, change));
            continue;
        };
        let last = days.index(change.moment.timestamp_us);
        pay(inside, &start, 1, last + 1 - first_day(inside, &start));
        pay(true, &change, -1, 0);
    }
    if let Some((inside, start)) = since {
        pay(inside, &start, 1, days.left_from(first_day(inside, &start)));
    }
}
