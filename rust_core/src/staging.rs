//! Accepted usage events on their way into a commit.

use crate::advance::Arrival;
use crate::answer::Stamp;
use crate::chain::{CommitHead, Head};
use crate::error::Result;
use crate::event::UsageEvent;
use crate::id::{Id, IdMap};
use crate::json::Text;
use crate::log::StreamIndex;
use crate::part::Part;
use crate::property::Sample;
use crate::record::RecordEvent;
use crate::registry::Committed;
use crate::wire::to_u32;

/// An accepted event with what the engine has decided about it.
pub struct Accepted<'a> {
    pub event: UsageEvent<'a>,
    pub stamp: Stamp,
    /// Identity of (organization, `external_subscription_id`); None if it names no subscription.
    pub external_key: Option<Id>,
}

impl Accepted<'_> {
    /// What makes a second event a duplicate; None: nothing does.
    pub fn dedup_key(&self) -> Option<Id> {
        self.external_key.map(|_| self.stamp.fingerprint)
    }
}

/// A batch that was larger gives its memory back; an ordinary one keeps it for the next, which need not ask for it page by page.
const RECYCLED_BYTES_MAX: usize = 16 * 1024 * 1024;

struct StagedEvent {
    stamp: Stamp,
    external_key: Option<Id>,
    defaulted: bool,
    code_escaped: bool,
    group: u32,
    start: usize,
    length: u32,
    /// Bytes of the computed property, which follows the event; 0 = none.
    computed_length: u32,
    code: Option<Part>,
    properties: Option<Part>,
}

/// The events of one stream in a batch.
pub struct Group {
    pub stream: Id,
    pub org: Id,
    pub attributed: bool,
    pub events: u32,
    pub span_us: (i64, i64),
    /// Of the reception times.
    pub received_us: (i64, i64),
}

/// Events that will be committed together.
pub struct Batch {
    pub number: u64,
    pub groups: Vec<Group>,
    by_stream: IdMap<u32>,
    events: Vec<StagedEvent>,
    /// The events' texts, one after the other.
    texts: Vec<u8>,
}

impl Batch {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            groups: Vec::new(),
            by_stream: IdMap::default(),
            events: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// An empty batch in the memory of this one, which is kept unless it is much.
    pub fn recycled(mut self, number: u64) -> Self {
        if self.bytes() > RECYCLED_BYTES_MAX {
            return Self::new(number);
        }
        self.number = number;
        self.groups.clear();
        self.by_stream.clear();
        self.events.clear();
        self.texts.clear();
        self
    }

    pub fn event_count(&self) -> usize {
        self.events.len()
    }

    /// Memory the batch stands for: texts and what is kept beside each.
    pub fn bytes(&self) -> usize {
        self.texts.len() + self.events.len() * size_of::<StagedEvent>()
    }

    pub fn stage(&mut self, accepted: &Accepted<'_>, org: Id, stream: Id) -> Result<()> {
        let event = &accepted.event;
        let computed = event.computed.as_deref().unwrap_or_default();
        let staged = StagedEvent {
            stamp: accepted.stamp,
            external_key: accepted.external_key,
            defaulted: event.timestamp_us.is_none(),
            code_escaped: event.code.is_escaped(),
            group: self.group(stream, org, accepted)?,
            start: self.texts.len(),
            length: to_u32(event.raw.len(), "a usage event")?,
            computed_length: to_u32(computed.len(), "a computed property")?,
            code: Part::of(event.raw, event.code.raw)?,
            properties: Part::of(event.raw, event.properties)?,
        };
        self.events.push(staged);
        self.texts.extend_from_slice(event.raw);
        self.texts.extend_from_slice(computed);
        Ok(())
    }

    fn group(&mut self, stream: Id, org: Id, accepted: &Accepted<'_>) -> Result<u32> {
        let at = accepted.stamp.timestamp_us;
        let received = accepted.stamp.received_at_us;
        let next = to_u32(self.groups.len(), "a batch")?;
        let index = *self.by_stream.entry(stream).or_insert(next);
        if index == next {
            self.groups.push(Group {
                stream,
                org,
                attributed: accepted.external_key.is_some(),
                events: 0,
                span_us: (at, at),
                received_us: (received, received),
            });
        }
        let group = &mut self.groups[index as usize];
        group.events += 1;
        group.span_us = (group.span_us.0.min(at), group.span_us.1.max(at));
        group.received_us = (
            group.received_us.0.min(received),
            group.received_us.1.max(received),
        );
        Ok(index)
    }

    fn text(&self, event: &StagedEvent) -> &[u8] {
        &self.texts[event.start..][..event.length as usize]
    }

    fn computed(&self, event: &StagedEvent) -> Option<&[u8]> {
        let start = event.start + event.length as usize;
        let computed = &self.texts[start..][..event.computed_length as usize];
        Some(computed).filter(|computed| !computed.is_empty())
    }

    /// Fingerprints of the events that can be repeated.
    pub fn dedup_keys(&self) -> impl Iterator<Item = Id> + '_ {
        let attributed = self
            .events
            .iter()
            .filter(|event| event.external_key.is_some());
        attributed.map(|event| event.stamp.fingerprint)
    }

    /// Positions of all events, group by group and in order of acceptance within; and where each group starts.
    pub fn positions_by_group(&self) -> (Vec<usize>, Vec<usize>) {
        let mut starts = Vec::with_capacity(self.groups.len());
        let mut start = 0;
        for group in &self.groups {
            starts.push(start);
            start += group.events as usize;
        }
        let mut next = starts.clone();
        let mut positions = vec![0; self.events.len()];
        for (position, event) in self.events.iter().enumerate() {
            let slot = &mut next[event.group as usize];
            positions[*slot] = position;
            *slot += 1;
        }
        (positions, starts)
    }

    pub fn record_event(&self, position: usize) -> RecordEvent<'_> {
        let event = &self.events[position];
        RecordEvent {
            stamp: event.stamp,
            defaulted: event.defaulted,
            raw: self.text(event),
            computed: self.computed(event),
        }
    }

    /// The events that name a subscription as events of a segment: those of each group in turn, in order of acceptance.
    ///
    /// That is the order in which they are read from the log, so ties end the same way there. groups: with the streams' positions.
    pub fn committed(
        &self,
        segment: u64,
        groups: impl Iterator<Item = (usize, StreamIndex)>,
    ) -> impl Iterator<Item = Committed<'_>> {
        let (positions, starts) = self.positions_by_group();
        let positions = groups.flat_map(move |(group, stream)| {
            let count = self.groups[group].events as usize;
            let of_it = positions[starts[group]..][..count].to_vec();
            of_it.into_iter().map(move |position| (position, stream))
        });
        positions
            .zip(0..)
            .filter_map(move |((position, stream), event)| {
                self.committed_at(&self.events[position], stream, (segment, event))
            })
    }

    fn committed_at<'a>(
        &'a self,
        staged: &'a StagedEvent,
        stream: StreamIndex,
        (segment, event): (u64, u32),
    ) -> Option<Committed<'a>> {
        let raw = self.text(staged);
        let cut = |part: Option<Part>, default| part.map_or(default, |part| part.cut(raw));
        Some(Committed {
            external_key: staged.external_key?,
            stream,
            code: Text::new(cut(staged.code, b""), staged.code_escaped).decode(),
            sample: Sample {
                moment: staged.stamp.moment(),
                raw,
                properties: cut(staged.properties, b"{}"),
                computed: self.computed(staged),
            },
            arrival: Arrival {
                segment,
                event,
                raw,
            },
        })
    }
}

/// A batch whose commit is being stored.
pub struct SealedBatch {
    pub batch: Batch,
    pub commit: CommitHead,
    /// New entries of facts, in order.
    pub fact_heads: Vec<(Id, Head)>,
    /// New entries of usage records: index of the group and head, in order.
    pub usage_heads: Vec<(usize, Head)>,
}

/// At most one batch is between `seal` and its outcome.
pub enum InCommit {
    Nothing,
    /// It is being packed, outside the lock.
    Packing {
        bytes: usize,
        events: usize,
    },
    Sealed(Box<SealedBatch>),
}

impl InCommit {
    pub fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Packing { bytes, .. } => *bytes,
            Self::Sealed(sealed) => sealed.batch.bytes(),
        }
    }

    pub fn event_count(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Packing { events, .. } => *events,
            Self::Sealed(sealed) => sealed.batch.event_count(),
        }
    }
}
