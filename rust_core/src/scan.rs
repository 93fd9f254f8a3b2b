//! Search in stored usage events for the read API (events.md §8, §9).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::answer::{push_event, Stamp};
use crate::error::Result;
use crate::event::UsageEvent;
use crate::id::Id;
use crate::json::Text;
use crate::segment::Segment;

/// Which events are wanted; None means any.
#[derive(Default)]
pub struct Filter {
    pub code: Option<String>,
    pub external_subscription_id: Option<String>,
    pub transaction_id: Option<String>,
    /// Inclusive bounds of the timestamp.
    pub from_us: Option<i64>,
    pub to_us: Option<i64>,
    /// Show properties as they were sent, without what expressions computed.
    pub as_sent: bool,
}

impl Filter {
    fn takes_range(&self, (first, last): (i64, i64)) -> bool {
        self.from_us.is_none_or(|from| from <= last) && self.to_us.is_none_or(|to| first <= to)
    }

    fn takes(&self, event: &UsageEvent<'_>) -> bool {
        let same = |wanted: &Option<String>, text: Option<Text<'_>>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| text.is_some_and(|text| text.is(wanted.as_bytes())))
        };
        same(&self.transaction_id, Some(event.transaction_id))
            && same(&self.code, Some(event.code))
            && same(
                &self.external_subscription_id,
                event.external_subscription_id,
            )
    }
}

/// A match in answer order: newest timestamp first, then transaction id, external id, order of acceptance.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    timestamp_us: Reverse<i64>,
    transaction_id: Vec<u8>,
    external_subscription_id: Option<Vec<u8>>,
    ordinal: u64,
    fingerprint: Id,
    received_at_us: i64,
    raw: Vec<u8>,
    computed: Option<Vec<u8>>,
}

/// Keeps the first `offset + limit` matches of all segments fed, in any order of segments.
pub struct EventScan {
    org: Id,
    filter: Filter,
    offset: usize,
    keep: usize,
    total: u64,
    best: BinaryHeap<Hit>,
}

impl EventScan {
    pub fn new(org: Id, filter: Filter, offset: usize, limit: usize) -> Self {
        Self {
            org,
            filter,
            offset,
            keep: offset.saturating_add(limit),
            total: 0,
            best: BinaryHeap::new(),
        }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let segment = Segment::open(bytes)?;
        let mut records = segment.records()?;
        let mut ordinal = segment.number << 32;
        for entry in &segment.entries {
            if !self.filter.takes_range((entry.min_us, entry.max_us)) {
                continue;
            }
            let record = records.record(entry)?;
            if record.org != self.org {
                continue;
            }
            for stored in record.events() {
                ordinal += 1;
                let at = stored.stamp.timestamp_us;
                if self.filter.takes_range((at, at)) {
                    self.consider(&stored.event()?, &stored.stamp, ordinal);
                }
            }
        }
        Ok(())
    }

    fn consider(&mut self, event: &UsageEvent<'_>, stamp: &Stamp, ordinal: u64) {
        if !self.filter.takes(event) {
            return;
        }
        self.total += 1;
        let full = self.best.len() >= self.keep;
        let beaten = |worst: &Hit| Reverse(stamp.timestamp_us) > worst.timestamp_us;
        if full && self.best.peek().is_none_or(beaten) {
            return;
        }
        let computed = event.computed.as_deref();
        let computed = computed.filter(|_| !self.filter.as_sent);
        self.best.push(Hit {
            timestamp_us: Reverse(stamp.timestamp_us),
            transaction_id: event.transaction_id.decode().into_owned(),
            external_subscription_id: event
                .external_subscription_id
                .map(|text| text.decode().into_owned()),
            ordinal,
            fingerprint: stamp.fingerprint,
            received_at_us: stamp.received_at_us,
            raw: event.raw.to_vec(),
            computed: computed.map(<[u8]>::to_vec),
        });
        if full {
            self.best.pop();
        }
    }

    /// Number of all matches, and the page as a JSON array of event objects.
    pub fn finish(self) -> Result<(u64, Vec<u8>)> {
        let mut out = vec![b'['];
        for hit in self.best.into_sorted_vec().iter().skip(self.offset) {
            if out.len() > 1 {
                out.push(b',');
            }
            let stamp = Stamp {
                fingerprint: hit.fingerprint,
                timestamp_us: hit.timestamp_us.0,
                received_at_us: hit.received_at_us,
            };
            let event = UsageEvent::from_stored(&hit.raw, hit.computed.as_deref())?;
            push_event(&mut out, &event, &stamp)?;
        }
        out.push(b']');
        Ok((self.total, out))
    }
}
