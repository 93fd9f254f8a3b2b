//! Usage of charges that are paid in advance: what each event changed when it arrived, until it is billed (metrics.md §10).
//!
//! The order of the log is the order of billing. So the changes add up to the totals whatever the timestamps are:
//! a late event is billed on top of everything that was accepted before it.

use std::collections::VecDeque;

use crate::bucket::Bucket;
use crate::decimal::Decimal;
use crate::error::{corrupt, CoreError, Result};
use crate::event::UsageEvent;
use crate::group::{decode, Group, GroupKey};
use crate::id::Id;
use crate::plan::{Hit, Plan};
use crate::property::{Moment, Sample};
use crate::window::Window;
use crate::wire::{put_bytes, put_count, put_i64, put_id, put_u32, put_u64, to_u32, Reader};

/// Segment, event in the segment, and which of the charges that bill the event: ascending in the order of billing.
pub type Place = (u64, u32, u32);

/// Where a committed event lies in the log, and its text.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub segment: u64,
    pub event: u32,
    pub raw: &'a [u8],
}

/// What an event did to the totals of its bucket in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The bounds that name the window.
    pub bounds: (i64, i64),
    pub delta: Decimal,
    /// Units and events of the bucket right after the event.
    pub units: Decimal,
    pub events_count: u64,
}

/// One event on one charge that waits to be billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub place: Place,
    pub charge: Id,
    /// None: the default bucket.
    pub filter: Option<Id>,
    pub group: Group,
    pub timestamp_us: i64,
    pub transaction_id: String,
    pub precise_total_amount_cents: Option<String>,
    /// None: no complete window held the event when it was committed; see `trace.rs`.
    pub change: Option<Change>,
}

/// Units and events of the buckets of those hits that are billed in advance.
pub struct Totals(Vec<(Decimal, u64)>);

impl Totals {
    pub fn of(buckets: &[Bucket], hits: &[Hit<'_>]) -> Result<Self> {
        let billed = hits.iter().filter(|hit| hit.billed_in_advance);
        let totals = billed.map(|hit| {
            let found = buckets[hit.bucket].aggregate(hit.group.as_ref())?;
            found.map_or(Ok((Decimal::default(), 0)), |aggregate| {
                Ok((aggregate.units(None)?, aggregate.events_count()))
            })
        });
        totals.collect::<Result<_>>().map(Self)
    }

    /// What happened since then, for each billed hit.
    pub fn changes(
        self,
        buckets: &[Bucket],
        hits: &[Hit<'_>],
        bounds: (i64, i64),
    ) -> Result<Vec<Change>> {
        let after = Self::of(buckets, hits)?;
        let pairs = self.0.into_iter().zip(after.0);
        let changes = pairs.map(|((before, _), (units, events_count))| Change {
            bounds,
            delta: difference(&units, &before),
            units,
            events_count,
        });
        Ok(changes.collect())
    }
}

fn difference(after: &Decimal, before: &Decimal) -> Decimal {
    let mut difference = after.clone();
    difference.add_assign(&before.negated());
    difference
}

/// What an event would change in a window, for each hit that is billed; the window stays as it is.
pub fn foreseen(
    plan: &Plan,
    window: &Window,
    hits: &[Hit<'_>],
    moment: Moment,
) -> Result<Vec<Change>> {
    let billed = hits.iter().filter(|hit| hit.billed_in_advance);
    let changes = billed.map(|hit| {
        let known = window.buckets[hit.bucket].aggregate(hit.group.as_ref())?;
        let empty = plan.charges[hit.charge].aggregation.empty();
        let mut aggregate = known.cloned().unwrap_or(empty);
        let before = aggregate.units(None)?;
        aggregate.fold(&hit.operand, moment, false)?;
        let units = aggregate.units(None)?;
        Ok(Change {
            bounds: window.bounds,
            delta: difference(&units, &before),
            units,
            events_count: aggregate.events_count(),
        })
    });
    changes.collect()
}

/// The records of an event, one for each charge that bills it; `changes` is empty or has one for each.
pub fn records(
    plan: &Plan,
    hits: &[Hit<'_>],
    changes: Vec<Change>,
    sample: &Sample<'_>,
    arrival: &Arrival<'_>,
) -> Result<Vec<Pending>> {
    let mut changes = changes.into_iter();
    let mut records = Vec::new();
    for hit in hits.iter().filter(|hit| hit.billed_in_advance) {
        let event = UsageEvent::from_stored(arrival.raw, None)?;
        let transaction_id = String::from_utf8(event.transaction_id.decode().into_owned());
        let number = to_u32(records.len(), "the charges of an event")?;
        let (charge, filter, group) = plan.bucket_name(hit)?;
        records.push(Pending {
            place: (arrival.segment, arrival.event, number),
            charge,
            filter,
            group,
            timestamp_us: sample.moment.timestamp_us,
            transaction_id: transaction_id
                .map_err(|_| CoreError::Corruption("a transaction id is no text".into()))?,
            precise_total_amount_cents: event.precise_total_amount_cents,
            change: changes.next(),
        });
    }
    Ok(records)
}

/// The group of a hit; empty without group keys.
pub fn group_of(key: Option<&GroupKey>, size: usize) -> Result<Group> {
    key.map_or(Ok(Group::new()), |key| decode(key, size))
}

pub fn encode_all(pending: &VecDeque<Pending>, out: &mut Vec<u8>) -> Result<()> {
    put_count(out, pending.len())?;
    pending.iter().try_for_each(|record| record.encode(out))
}

pub fn decode_all(reader: &mut Reader<'_>) -> Result<VecDeque<Pending>> {
    (0..reader.count()?)
        .map(|_| Pending::decode(reader))
        .collect()
}

impl Pending {
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_u64(out, self.place.0);
        put_u32(out, self.place.1);
        put_u32(out, self.place.2);
        put_id(out, self.charge);
        out.push(u8::from(self.filter.is_some()));
        put_id(out, self.filter.unwrap_or_default());
        put_count(out, self.group.len())?;
        for value in &self.group {
            put_text(out, value.as_deref())?;
        }
        put_i64(out, self.timestamp_us);
        put_bytes(out, self.transaction_id.as_bytes())?;
        put_text(out, self.precise_total_amount_cents.as_deref())?;
        out.push(u8::from(self.change.is_some()));
        if let Some(change) = &self.change {
            put_i64(out, change.bounds.0);
            put_i64(out, change.bounds.1);
            put_bytes(out, change.delta.to_string().as_bytes())?;
            put_bytes(out, change.units.to_string().as_bytes())?;
            put_u64(out, change.events_count);
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let place = (reader.u64()?, reader.u32()?, reader.u32()?);
        let charge = reader.id()?;
        let filtered = reader.u8()? == 1;
        let filter = Some(reader.id()?).filter(|_| filtered);
        let group = (0..reader.count()?).map(|_| read_text(reader));
        Ok(Self {
            place,
            charge,
            filter,
            group: group.collect::<Result<_>>()?,
            timestamp_us: reader.i64()?,
            transaction_id: reader.text()?.to_owned(),
            precise_total_amount_cents: read_text(reader)?,
            change: if reader.u8()? == 1 {
                Some(Change {
                    bounds: (reader.i64()?, reader.i64()?),
                    delta: read_decimal(reader)?,
                    units: read_decimal(reader)?,
                    events_count: reader.u64()?,
                })
            } else {
                None
            },
        })
    }
}

fn put_text(out: &mut Vec<u8>, text: Option<&str>) -> Result<()> {
    out.push(u8::from(text.is_some()));
    put_bytes(out, text.unwrap_or_default().as_bytes())
}

fn read_text(reader: &mut Reader<'_>) -> Result<Option<String>> {
    let given = reader.u8()? == 1;
    let text = reader.text()?.to_owned();
    Ok(Some(text).filter(|_| given))
}

fn read_decimal(reader: &mut Reader<'_>) -> Result<Decimal> {
    match Decimal::parse_own(reader.bytes()?) {
        Some(value) => Ok(value),
        None => corrupt("a stored change is no number"),
    }
}
