//! A packed usage record: all usage events of one stream in one commit; the unit of the stream's hash chain.
//!
//! ```text
//! format      u8    1, or 2 with computed properties
//! attributed  u8    1: events name an external subscription; 0: they name none, and are never de-duplicated
//! org         16
//! count       u32   n
//! columns     n × fingerprint 16, n × timestamp i64, n × received at i64, n × flags u8, n × length u32
//!             2: n × computed length u32
//! raw         n event objects as sent, one after the other
//! computed    2: the results of expressions (`computed.rs`), one after the other; length 0 is none
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
const FORMAT_COMPUTED: u8 = 2;
const FLAG_DEFAULTED: u8 = 1;

/// One event of a record.
#[derive(Clone, Copy)]
pub struct RecordEvent<'a> {
    pub stamp: Stamp,
    /// The timestamp is the reception time because none was sent.
    pub defaulted: bool,
    /// The event object as sent.
    pub raw: &'a [u8],
    /// The object with the computed property; None if its metric had no expression.
    pub computed: Option<&'a [u8]>,
}

impl<'a> RecordEvent<'a> {
    pub fn event(&self) -> Result<UsageEvent<'a>> {
        UsageEvent::from_stored(self.raw, self.computed)
    }

    /// What metering sees of it; `properties` are those of the event.
    pub fn sample(&self, properties: &'a [u8]) -> Sample<'a> {
        Sample {
            moment: self.stamp.moment(),
            raw: self.raw,
            properties,
            computed: self.computed,
        }
    }
}

/// Appends a record.
pub fn encode<'a, I>(out: &mut Vec<u8>, org: Id, attributed: bool, events: I) -> Result<()>
where
    I: ExactSizeIterator<Item = RecordEvent<'a>> + Clone,
{
    let computed = events.clone().any(|event| event.computed.is_some());
    let format = if computed { FORMAT_COMPUTED } else { FORMAT };
    out.extend_from_slice(&[format, u8::from(attributed)]);
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
    if computed {
        for event in events.clone() {
            let length = event.computed.map_or(0, <[u8]>::len);
            put_u32(out, to_u32(length, "a computed property")?);
        }
    }
    for event in events.clone() {
        out.extend_from_slice(event.raw);
    }
    for event in events {
        out.extend_from_slice(event.computed.unwrap_or_default());
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
    /// Empty in the first format.
    computed_lengths: &'a [u8],
    raw: &'a [u8],
    computed: &'a [u8],
}

impl<'a> Record<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, "a usage record");
        let computed = match reader.u8()? {
            FORMAT => false,
            FORMAT_COMPUTED => true,
            _ => return corrupt("a usage record has an unknown format"),
        };
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
        let fingerprints = reader.take(column(16)?)?;
        let timestamps = reader.take(column(8)?)?;
        let received = reader.take(column(8)?)?;
        let flags = reader.take(count)?;
        let raw_lengths = reader.take(column(4)?)?;
        let computed_lengths = reader.take(if computed { column(4)? } else { 0 })?;
        let raw = reader.take(lengths(raw_lengths).sum())?;
        let computed = reader.take(lengths(computed_lengths).sum())?;
        reader.finish()?;
        Ok(Self {
            org,
            attributed,
            count,
            fingerprints,
            timestamps,
            received,
            flags,
            lengths: raw_lengths,
            computed_lengths,
            raw,
            computed,
        })
    }

    /// Fingerprints of the events that can be repeated.
    pub fn dedup_keys(&self) -> impl Iterator<Item = Id> + use<'a> {
        let fingerprints = if self.attributed {
            self.fingerprints
        } else {
            &[]
        };
        fields(fingerprints).map(Id::from_be_bytes)
    }

    /// First and last reception time; None of a record without events.
    pub fn received_span(&self) -> Option<(i64, i64)> {
        let received = || fields(self.received).map(i64::from_le_bytes);
        received().min().zip(received().max())
    }

    /// Events in the order of their acceptance.
    pub fn events(&self) -> impl Iterator<Item = RecordEvent<'a>> + use<'a> {
        let (mut raw, mut computed) = (self.raw, self.computed);
        let mut computed_lengths = lengths(self.computed_lengths);
        let fingerprints = fields(self.fingerprints).map(Id::from_be_bytes);
        let timestamps = fields(self.timestamps).map(i64::from_le_bytes);
        let received = fields(self.received).map(i64::from_le_bytes);
        fingerprints
            .zip(timestamps)
            .zip(received)
            .zip(self.flags)
            .zip(lengths(self.lengths))
            .map(
                move |((((fingerprint, timestamp_us), received_at_us), flags), length)| {
                    let computed = cut(&mut computed, computed_lengths.next().unwrap_or(0));
                    RecordEvent {
                        stamp: Stamp {
                            fingerprint,
                            timestamp_us,
                            received_at_us,
                        },
                        defaulted: flags & FLAG_DEFAULTED != 0,
                        raw: cut(&mut raw, length),
                        computed: Some(computed).filter(|computed| !computed.is_empty()),
                    }
                },
            )
    }
}

fn lengths(column: &[u8]) -> impl Iterator<Item = usize> + use<'_> {
    fields::<4>(column).map(|bytes| u32::from_le_bytes(bytes) as usize)
}

/// The first bytes, which are taken away; the lengths of a decoded record add up.
fn cut<'a>(texts: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (first, rest) = texts.split_at(length);
    *texts = rest;
    first
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

    fn event(
        raw: &'static str,
        computed: Option<&'static str>,
        at: i64,
        defaulted: bool,
    ) -> RecordEvent<'static> {
        RecordEvent {
            stamp: Stamp {
                fingerprint: at.unsigned_abs().into(),
                timestamp_us: at,
                received_at_us: at + 1,
            },
            defaulted,
            raw: raw.as_bytes(),
            computed: computed.map(str::as_bytes),
        }
    }

    fn assert_round_trip(events: &[RecordEvent<'_>], format: u8) {
        let mut bytes = Vec::new();
        encode(&mut bytes, 9, true, events.iter().copied()).unwrap();
        assert_eq!(bytes[0], format);
        let record = Record::decode(&bytes).unwrap();
        assert_eq!((record.org, record.attributed, record.count), (9, true, 2));
        for (read, written) in record.events().zip(events) {
            assert_eq!(read.stamp.fingerprint, written.stamp.fingerprint);
            assert_eq!(read.stamp.moment(), written.stamp.moment());
            assert_eq!((read.defaulted, read.raw), (written.defaulted, written.raw));
            assert_eq!(read.computed, written.computed);
        }
        for length in 0..bytes.len() {
            assert!(Record::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
        bytes.push(0);
        assert!(Record::decode(&bytes).is_err());
    }

    #[test]
    fn round_trip_and_damage() {
        let plain = [
            event("{}", None, 5, true),
            event(r#"{"a":1}"#, None, -7, false),
        ];
        assert_round_trip(&plain, 1);
        let computed = [plain[0], event("{}", Some(r#"{"gb":"1.0"}"#), 3, false)];
        assert_round_trip(&computed, 2);
    }
}
