//! Recomputes every hash of a log from its first entry.

use crate::chain::{CommitHasher, CommitHead, Head, USAGE_TOPIC};
use crate::error::{corrupt, CoreError, Result};
use crate::id::{hex, uuid_text, Id, IdMap};
use crate::record::Record;
use crate::segment::{Entry, Segment};
use crate::wire::Hash;

#[derive(Default)]
pub struct ChainVerifier {
    heads: IdMap<Head>,
    pub commit: CommitHead,
    pub usage_events: u64,
    segment_no: u64,
    /// Entries since the last commit, in order.
    pending: Vec<(Id, Head)>,
    /// `recorded_at_us` of the segment since the last commit.
    segment_recorded_at_us: Option<i64>,
}

impl ChainVerifier {
    pub fn head(&self, stream: Id) -> Head {
        self.heads.get(&stream).copied().unwrap_or_default()
    }

    fn seq(&self) -> u64 {
        self.commit.seq + 1
    }

    /// One command event as stored.
    pub fn feed_fact(&mut self, stream: Id, stored: Head, topic: &str, body: &[u8]) -> Result<()> {
        if self.segment_recorded_at_us.is_some() {
            return corrupt(format!(
                "commit {}: a fact follows the usage segment",
                self.seq()
            ));
        }
        let head = self.head(stream).next(stream, topic, body)?;
        self.accept(stream, &stored, head)
    }

    fn accept(&mut self, stream: Id, stored: &Head, computed: Head) -> Result<()> {
        let place = || format!("commit {}, stream {}", self.seq(), uuid_text(stream));
        if stored.version != computed.version {
            return corrupt(format!(
                "{}: found version {} where {} is next",
                place(),
                stored.version,
                computed.version
            ));
        }
        if stored.hash != computed.hash {
            return corrupt(format!(
                "{}, version {}: the hash is {} and the entry gives {}",
                place(),
                stored.version,
                hex(&stored.hash),
                hex(&computed.hash)
            ));
        }
        self.heads.insert(stream, computed);
        self.pending.push((stream, computed));
        Ok(())
    }

    /// The usage of one commit, after its facts.
    pub fn feed_segment(&mut self, bytes: &[u8]) -> Result<()> {
        let segment = Segment::open(bytes).map_err(|error| self.placed(&error))?;
        if self.segment_recorded_at_us.is_some() || segment.number != self.segment_no + 1 {
            return corrupt(format!(
                "commit {}: usage segment {} follows segment {}",
                self.seq(),
                segment.number,
                self.segment_no
            ));
        }
        let ascending = segment.entries.is_sorted_by(|a, b| a.stream < b.stream);
        let events: u64 = segment
            .entries
            .iter()
            .map(|entry| u64::from(entry.events))
            .sum();
        if !ascending || segment.entries.is_empty() || events != segment.events {
            return corrupt(format!(
                "usage segment {}: the directory contradicts itself",
                segment.number
            ));
        }
        let mut records = segment.records()?;
        for entry in &segment.entries {
            let bytes = records.bytes(entry).map_err(|error| self.placed(&error))?;
            let head = self
                .head(entry.stream)
                .next(entry.stream, USAGE_TOPIC, bytes)?;
            check_directory(segment.number, entry, bytes)?;
            self.accept(entry.stream, &entry.head, head)?;
        }
        self.segment_no = segment.number;
        self.segment_recorded_at_us = Some(segment.recorded_at_us);
        self.usage_events += events;
        Ok(())
    }

    fn placed(&self, error: &CoreError) -> CoreError {
        CoreError::Corruption(format!("commit {}: {error}", self.seq()))
    }

    /// The end of a commit: everything fed since the last one belongs to it.
    pub fn feed_commit(&mut self, recorded_at_us: i64, stored: &Hash) -> Result<()> {
        let seq = self.seq();
        if self
            .segment_recorded_at_us
            .is_some_and(|at| at != recorded_at_us)
        {
            return corrupt(format!(
                "commit {seq}: its usage segment was recorded at another time"
            ));
        }
        let mut hasher = CommitHasher::new(&self.commit, recorded_at_us);
        for (stream, head) in &self.pending {
            hasher.entry(*stream, head);
        }
        let hash = hasher.finish();
        if hash != *stored {
            return corrupt(format!(
                "commit {seq}: the hash is {} and the entries give {}",
                hex(stored),
                hex(&hash)
            ));
        }
        self.pending.clear();
        self.segment_recorded_at_us = None;
        self.commit = CommitHead { seq, hash };
        Ok(())
    }
}

/// The directory is not hashed; it must say what the record says.
fn check_directory(segment_no: u64, entry: &Entry, bytes: &[u8]) -> Result<()> {
    let record = Record::decode(bytes)?;
    let mut timestamps = record.events().map(|event| event.stamp.timestamp_us);
    let first = timestamps.next();
    let span =
        first.map(|first| timestamps.fold((first, first), |(a, b), at| (a.min(at), b.max(at))));
    if record.count == entry.events as usize && span == Some((entry.min_us, entry.max_us)) {
        return Ok(());
    }
    corrupt(format!(
        "usage segment {segment_no}, stream {}: the directory does not match the record",
        uuid_text(entry.stream)
    ))
}
