//! A packed usage record: all usage events of one stream in one commit; the unit of the stream's hash chain.
//!
//! ```text
//! format      u8    1
//! attributed  u8    1: events name an external subscription; 0: they name none, and are never de-duplicated
//! org         16
//! count       u32   n
//! columns     n × fingerprint 16, n × timestamp i64, n × received at i64, n × flags u8, n × length u32
//! raw         n event objects as sent, one after the other
//! ```
//! Columns, because the random fingerprints would otherwise break every match the compressor finds. Flag bit 0:
//! the event had no timestamp and got its reception time.

use crate::answer::Stamp;
use crate::error::{corrupt, CoreError, Result};
use crate::event::UsageEvent;
use crate::id::Id;
use crate::property::Sample;
use crate::wire::{put_i64, put_id, put_u32, to_u32, Reader};

const FORMAT: u8 = 1;
const FLAG_DEFAULTED: u8 = 1;

/// One event of a record.
#[derive(Clone, Copy)]
pub struct RecordEvent<'a> {
    pub stamp: Stamp,
    /// The timestamp is the reception time because none was sent.
    pub defaulted: bool,
    /// The event object as sent.
    pub raw: &'a [u8],
}

impl<'a> RecordEvent<'a> {
    /// What metering sees of it; `event` is what was read from `raw`.
    pub fn sample(&self, event: &UsageEvent<'a>) -> Sample<'a> {
        Sample {
            moment: self.stamp.moment(),
            properties: event.properties,
            computed: None,
        }
    }
}

/// Appends a record.
pub fn encode<'a, I>(out: &mut Vec<u8>, org: Id, attributed: bool, events: I) -> Result<()>
where
    I: ExactSizeIterator<Item = RecordEvent<'a>> + Clone,
{
    out.extend_from_slice(&[FORMAT, u8::from(attributed)]);
    put_id(out, org);
    put_u32(out, to_u32(events.len(), "a usage record")?);
    for event in events.clone() {
        put_id(out, event.stamp.fingerprint);
    }
    for event in events.clone() {
        put_i64(out, event.stamp.timestamp_us);
    }
    for event in events.clone() {
        put_i64(out, event.stamp.received_at_us);
    }
    for event in events.clone() {
        out.push(if event.defaulted { FLAG_DEFAULTED } else { 0 });
    }
    for event in events.clone() {
        put_u32(out, to_u32(event.raw.len(), "a usage event")?);
    }
    for event in events {
        out.extend_from_slice(event.raw);
    }
    Ok(())
}

/// A record read in place.
pub struct Record<'a> {
    pub org: Id,
    pub attributed: bool,
    pub count: usize,
    fingerprints: &'a [u8],
    timestamps: &'a [u8],
    received: &'a [u8],
    flags: &'a [u8],
    lengths: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Record<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, "a usage record");
        if reader.u8()? != FORMAT {
            return corrupt("a usage record has an unknown format");
        }
        let attributed = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return corrupt("a usage record is neither attributed nor unattributed"),
        };
        let org = reader.id()?;
        let count = reader.count()?;
        let column = |width: usize| {
            count
                .checked_mul(width)
                .ok_or(CoreError::Overflow("a usage record"))
        };
        let record = Self {
            org,
            attributed,
            count,
            fingerprints: reader.take(column(16)?)?,
            timestamps: reader.take(column(8)?)?,
            received: reader.take(column(8)?)?,
            flags: reader.take(count)?,
            lengths: reader.take(column(4)?)?,
            raw: reader.rest(),
        };
        let total: u64 = record.lengths().map(|length| length as u64).sum();
        if total != record.raw.len() as u64 {
            return corrupt("a usage record's lengths do not add up");
        }
        Ok(record)
    }

    fn lengths(&self) -> impl Iterator<Item = usize> + use<'a> {
        fields::<4>(self.lengths).map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    /// Events in the order of their acceptance.
    pub fn events(&self) -> impl Iterator<Item = RecordEvent<'a>> + use<'a> {
        let mut raw = self.raw;
        let fingerprints = fields(self.fingerprints).map(Id::from_be_bytes);
        let timestamps = fields(self.timestamps).map(i64::from_le_bytes);
        let received = fields(self.received).map(i64::from_le_bytes);
        fingerprints
            .zip(timestamps)
            .zip(received)
            .zip(self.flags)
            .zip(self.lengths())
            .map(
                move |((((fingerprint, timestamp_us), received_at_us), flags), length)| {
                    let (event, rest) = raw.split_at(length);
                    raw = rest;
                    RecordEvent {
                        stamp: Stamp {
                            fingerprint,
                            timestamp_us,
                            received_at_us,
                        },
                        defaulted: flags & FLAG_DEFAULTED != 0,
                        raw: event,
                    }
                },
            )
    }
}

fn fields<const N: usize>(column: &[u8]) -> impl Iterator<Item = [u8; N]> + use<'_, N> {
    column.chunks_exact(N).map(|chunk| {
        let mut field = [0; N];
        field.copy_from_slice(chunk);
        field
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let events = [("{}", 5, 1, true), (r#"{"a":1}"#, -7, 2, false)].map(
            |(raw, at, fingerprint, defaulted)| {
                let stamp = Stamp {
                    fingerprint,
                    timestamp_us: at,
                    received_at_us: at + 1,
                };
                RecordEvent {
                    stamp,
                    defaulted,
                    raw: raw.as_bytes(),
                }
            },
        );
        let mut bytes = Vec::new();
        encode(&mut bytes, 9, true, events.iter().copied()).unwrap();
        let record = Record::decode(&bytes).unwrap();
        assert_eq!((record.org, record.attributed, record.count), (9, true, 2));
        for (read, written) in record.events().zip(&events) {
            assert_eq!(read.stamp.fingerprint, written.stamp.fingerprint);
            assert_eq!(read.stamp.timestamp_us, written.stamp.timestamp_us);
            assert_eq!(read.stamp.received_at_us, written.stamp.received_at_us);
            assert_eq!((read.defaulted, read.raw), (written.defaulted, written.raw));
        }
        for length in 0..bytes.len() {
            assert!(Record::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }
}
