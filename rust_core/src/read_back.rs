//! Stored segments on their way back: unpacked and cut into events by threads of their own, ahead of the fold.
//!
//! A thread gets the memory of a segment back when it is folded, and uses it for a later one.

use std::sync::mpsc::{channel, sync_channel, Receiver, SyncSender};
use std::thread;

use crate::advance::Arrival;
use crate::chain::Head;
use crate::error::{corrupt, CoreError, Result};
use crate::event::FoldedEvent;
use crate::fingerprint::Fingerprinter;
use crate::id::Id;
use crate::json::Text;
use crate::log::StreamIndex;
use crate::part::Part;
use crate::property::{Moment, Sample};
use crate::record::Record;
use crate::registry::Committed;
use crate::segment::{Segment, Unpacker};

/// Segments that a thread may be ahead of the fold.
const AHEAD: usize = 2;
/// A fold takes about as long as a read: more threads would wait for it.
const READERS_MAX: usize = 2;

/// A record without its events.
pub struct StoredRecord {
    pub stream: Id,
    pub head: Head,
    pub org: Id,
    pub timestamps: (i64, i64),
    /// None: it has no events.
    pub received: Option<(i64, i64)>,
}

/// An event that names a subscription; its parts lie in the texts of the segment.
struct StoredEvent {
    external_key: Id,
    /// Position of its record, and its own among all events of the segment.
    record: u32,
    number: u32,
    moment: Moment,
    raw: Part,
    code: Part,
    code_escaped: bool,
    /// None: it has none.
    properties: Option<Part>,
    computed: Option<Part>,
}

/// A segment out of its compression, cut into its events.
#[derive(Default)]
pub struct ReadSegment {
    pub number: u64,
    pub records: Vec<StoredRecord>,
    /// Fingerprints of the events that can be repeated.
    pub keys: Vec<Id>,
    pub event_count: u64,
    events: Vec<StoredEvent>,
    texts: Vec<u8>,
}

impl ReadSegment {
    /// Reads a segment into the memory of this one.
    fn read(
        mut self,
        bytes: &[u8],
        unpacker: &mut Unpacker,
        fingerprinter: &Fingerprinter,
    ) -> Result<Self> {
        let segment = Segment::open(bytes)?;
        self.number = segment.number;
        self.records.clear();
        self.keys.clear();
        self.events.clear();
        self.event_count = 0;
        let mut texts = std::mem::take(&mut self.texts);
        unpacker.unpack(&segment, &mut texts)?;
        for entry in &segment.entries {
            let record = unpacker.record(&segment, entry, &texts)?;
            if record.attributed {
                self.take(&record, &texts, fingerprinter)?;
            }
            self.keys.extend(record.dedup_keys());
            self.event_count += u64::from(entry.events);
            self.records.push(StoredRecord {
                stream: entry.stream,
                head: entry.head,
                org: record.org,
                timestamps: (entry.min_us, entry.max_us),
                received: record.received_span(),
            });
        }
        self.texts = texts;
        Ok(self)
    }

    /// The events of the next record.
    fn take(
        &mut self,
        record: &Record<'_>,
        texts: &[u8],
        fingerprinter: &Fingerprinter,
    ) -> Result<()> {
        let mut last: Option<(&[u8], Id)> = None;
        let position = to_position(self.records.len())?;
        let first = to_position(self.event_count)?;
        for (number, stored) in (first..).zip(record.events()) {
            let event = FoldedEvent::read(stored.raw)?;
            let Some(external) = event.external_subscription_id else {
                return corrupt("an attributed usage event names no subscription");
            };
            let external_key = match last {
                Some((raw, key)) if raw == external.raw => key,
                _ => fingerprinter.external_key(record.org, &external.decode()),
            };
            last = Some((external.raw, external_key));
            let part = |text| Part::of(texts, text);
            let (Some(raw), Some(code)) = (part(stored.raw)?, part(event.code.raw)?) else {
                return Err(CoreError::State("an event lies outside its segment"));
            };
            self.events.push(StoredEvent {
                external_key,
                record: position,
                number,
                moment: stored.stamp.moment(),
                raw,
                code,
                code_escaped: event.code.is_escaped(),
                properties: part(event.properties)?,
                computed: stored.computed.map_or(Ok(None), part)?,
            });
        }
        Ok(())
    }

    /// Its events in the order of the log. streams: of the records.
    pub fn committed<'a>(
        &'a self,
        streams: &'a [StreamIndex],
    ) -> impl Iterator<Item = Committed<'a>> {
        self.events.iter().map(move |event| {
            let raw = event.raw.cut(&self.texts);
            let properties = event.properties.map(|part| part.cut(&self.texts));
            Committed {
                external_key: event.external_key,
                stream: streams[event.record as usize],
                code: Text::new(event.code.cut(&self.texts), event.code_escaped).decode(),
                sample: Sample {
                    moment: event.moment,
                    raw,
                    properties: properties.unwrap_or(b"{}"),
                    computed: event.computed.map(|part| part.cut(&self.texts)),
                },
                arrival: Arrival {
                    segment: self.number,
                    event: event.number,
                    raw,
                },
            }
        })
    }
}

/// Reads segments and gives each to `fold`, in order and with its position, while threads read those after it.
pub fn read_all(
    segments: &[&[u8]],
    fingerprinter: &Fingerprinter,
    mut fold: impl FnMut(usize, &ReadSegment) -> Result<()>,
) -> Result<()> {
    if let [only] = segments {
        let read = ReadSegment::default().read(only, &mut Unpacker::new()?, fingerprinter)?;
        return fold(0, &read);
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let readers = cores.saturating_sub(1).clamp(1, READERS_MAX);
    thread::scope(|scope| {
        let lines: Vec<_> = (0..readers)
            .map(|reader| {
                let (filled, read) = sync_channel(AHEAD);
                let (folded, again) = channel();
                let share = segments.iter().skip(reader).step_by(readers);
                scope.spawn(move || read_share(share, fingerprinter, &filled, &again));
                (read, folded)
            })
            .collect();
        for position in 0..segments.len() {
            let (read, folded) = &lines[position % readers];
            let stopped = |_| CoreError::State("a thread that reads the log stopped");
            let segment = read.recv().map_err(stopped)??;
            fold(position, &segment)?;
            let _ = folded.send(segment); // Nobody needs the memory when the thread has read its share.
        }
        Ok(())
    })
}

fn read_share<'s>(
    share: impl Iterator<Item = &'s &'s [u8]>,
    fingerprinter: &Fingerprinter,
    filled: &SyncSender<Result<ReadSegment>>,
    again: &Receiver<ReadSegment>,
) {
    let mut unpacker = Unpacker::new();
    for bytes in share {
        let memory = again.try_recv().unwrap_or_default();
        let read = match &mut unpacker {
            Ok(unpacker) => memory.read(bytes, unpacker, fingerprinter),
            Err(_) => Err(CoreError::State("zstd gave no memory")),
        };
        let failed = read.is_err();
        if filled.send(read).is_err() || failed {
            return;
        }
    }
}

fn to_position(count: impl TryInto<u32>) -> Result<u32> {
    let too_many = |_| CoreError::Overflow("the number of events in a segment");
    count.try_into().map_err(too_many)
}
