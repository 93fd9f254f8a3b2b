//! The values of events in order of time; those of one moment in order of arrival.

use crate::decimal::Decimal;
use crate::error::Result;
use crate::fold::{put_decimal, read_decimal};
use crate::property::Moment;
use crate::wire::{put_count, Reader};

/// Late values wait at the end until they are this part of all of them: sorting then costs little per value.
const LATE_PART: usize = 8;
const LATE_MIN: usize = 64;

/// 32 bytes for an event, unless its number is long.
#[derive(Clone, Debug)]
struct Entry {
    moment: Moment,
    value: Packed,
}

#[derive(Clone, Debug)]
enum Packed {
    Small { mantissa: i64, scale: u32 },
    Large(Box<Decimal>),
}

impl Packed {
    fn new(value: &Decimal) -> Self {
        match value.small_parts() {
            Some((mantissa, scale)) => Self::Small { mantissa, scale },
            None => Self::Large(Box::new(value.clone())),
        }
    }

    fn decimal(&self) -> Decimal {
        match self {
            Self::Small { mantissa, scale } => Decimal::from_parts(*mantissa, *scale),
            Self::Large(value) => Decimal::clone(value),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Values {
    /// In order up to `sorted`; the rest is late, in order of arrival.
    entries: Vec<Entry>,
    sorted: usize,
}

impl Values {
    /// Gives the bytes of memory it took.
    pub fn push(&mut self, value: &Decimal, moment: Moment) -> usize {
        self.add(Entry {
            moment,
            value: Packed::new(value),
        });
        size_of::<Entry>()
    }

    fn add(&mut self, entry: Entry) {
        let in_order = self.sorted == self.entries.len()
            && self
                .entries
                .last()
                .is_none_or(|last| last.moment <= entry.moment);
        self.entries.push(entry);
        if in_order {
            self.sorted += 1;
        } else if self.entries.len() - self.sorted > LATE_MIN.max(self.sorted / LATE_PART) {
            // Stable: of one moment the one that came first stays first.
            self.entries.sort_by_key(|entry| entry.moment);
            self.sorted = self.entries.len();
        }
    }

    /// Takes all values of `later`, which arrived after those of self.
    pub fn merge(&mut self, later: &Self) {
        later.visit(|entry| self.add(entry.clone()));
    }

    fn visit(&self, each: impl FnMut(&Entry)) {
        if self.sorted == self.entries.len() {
            self.entries.iter().for_each(each);
            return;
        }
        let mut ordered: Vec<&Entry> = self.entries.iter().collect();
        ordered.sort_by_key(|entry| entry.moment);
        ordered.into_iter().for_each(each);
    }

    /// Timestamp and value of every event, in order.
    pub fn each(&self, mut take: impl FnMut(i64, Decimal)) {
        self.visit(|entry| take(entry.moment.timestamp_us, entry.value.decimal()));
    }

    /// The values in order, successive equal ones as one with their number.
    pub fn runs(&self) -> Vec<(Decimal, u64)> {
        let mut runs: Vec<(Decimal, u64)> = Vec::new();
        self.each(|_, value| match runs.last_mut() {
            Some((last, times)) if *last == value => *times += 1,
            _ => runs.push((value, 1)),
        });
        runs
    }

    pub fn total(&self) -> Decimal {
        let mut total = Decimal::default();
        for entry in &self.entries {
            total.add_assign(&entry.value.decimal());
        }
        total
    }

    pub fn heap_bytes(&self) -> usize {
        self.entries.len() * size_of::<Entry>()
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_count(out, self.entries.len())?;
        let mut result = Ok(());
        self.visit(|entry| {
            entry.moment.encode(out);
            if result.is_ok() {
                result = put_decimal(out, &entry.value.decimal());
            }
        });
        result
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let mut values = Self::default();
        for _ in 0..reader.count()? {
            let moment = Moment::decode(reader)?;
            values.push(&read_decimal(reader)?, moment);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(timestamps: impl Iterator<Item = i64>) -> Vec<(i64, String)> {
        let mut values = Values::default();
        for (arrival, timestamp_us) in timestamps.enumerate() {
            let value = Decimal::from_integer(arrival as i128);
            let moment = Moment {
                timestamp_us,
                received_at_us: 0,
            };
            values.push(&value, moment);
        }
        let mut seen = Vec::new();
        values.each(|at, value| seen.push((at, value.to_string())));
        seen
    }

    #[test]
    fn late_values_find_their_place_behind_those_of_their_moment() {
        let timestamps: Vec<i64> = (0..2_000).map(|n| n * 7_919 % 97).collect();
        let mut expected: Vec<(i64, usize)> = timestamps.iter().copied().zip(0..).collect();
        expected.sort_unstable();
        let expected: Vec<(i64, String)> = expected
            .into_iter()
            .map(|(at, arrival)| (at, arrival.to_string()))
            .collect();
        assert_eq!(order(timestamps.into_iter()), expected);
    }

    #[test]
    fn an_event_takes_32_bytes_and_long_numbers_stay_exact() {
        assert_eq!(size_of::<Entry>(), 32);
        for text in ["1e30", "-0.5", "9223372036854775807", "1e-400"] {
            let value = Decimal::parse(text.as_bytes()).unwrap();
            assert_eq!(Packed::new(&value).decimal(), value);
        }
    }
}
