//! From a closed batch to what is stored: stream versions, hash chains and the packed segment.

use crate::chain::{CommitHasher, CommitHead, Head};
use crate::error::{CoreError, Result};
use crate::id::{Id, IdMap};
use crate::record;
use crate::segment::{Packer, SegmentWriter};
use crate::staging::{Batch, SealedBatch};
use crate::wire::Hash;

/// A command event of the same commit; its body is opaque here.
pub struct Fact<'a> {
    pub stream: Id,
    pub topic: &'a str,
    pub body: &'a [u8],
}

/// What one commit has to store.
pub struct Sealed {
    pub batch: u64,
    pub commit_seq: u64,
    pub commit_hash: Hash,
    /// New heads of the facts' streams, in the order of the facts.
    pub facts: Vec<Head>,
    pub segment: Option<Vec<u8>>,
    /// 0 without a segment.
    pub segment_no: u64,
    pub usage_events: usize,
}

/// Everything packing needs, taken out of the shared state so that it needs no lock.
pub struct Packing {
    pub batch: Batch,
    pub recorded_at_us: i64,
    pub previous: CommitHead,
    /// Heads of the streams that get facts; each fact moves its own.
    pub fact_heads: IdMap<Head>,
    /// Committed heads of the streams of the batch's groups, in their order.
    pub usage_heads: Vec<Head>,
    pub segment_no: u64,
}

impl Packing {
    /// Facts come first, usage records after them in ascending order of their streams.
    pub fn pack(&mut self, facts: &[Fact<'_>], packer: &mut Packer) -> Result<(Sealed, Outcome)> {
        let mut hasher = CommitHasher::new(&self.previous, self.recorded_at_us);
        let fact_heads = self.chain_facts(facts, &mut hasher)?;
        let (segment, usage_heads) = self.pack_usage(&mut hasher, packer)?;
        let seq = self.previous.seq.checked_add(1);
        let commit = CommitHead {
            seq: seq.ok_or(CoreError::Overflow("the number of commits"))?,
            hash: hasher.finish(),
        };
        let sealed = Sealed {
            batch: self.batch.number,
            commit_seq: commit.seq,
            commit_hash: commit.hash,
            facts: fact_heads.iter().map(|(_, head)| *head).collect(),
            segment_no: if segment.is_some() {
                self.segment_no
            } else {
                0
            },
            segment,
            usage_events: self.batch.event_count(),
        };
        let outcome = Outcome {
            commit,
            fact_heads,
            usage_heads,
        };
        Ok((sealed, outcome))
    }

    fn chain_facts(
        &mut self,
        facts: &[Fact<'_>],
        hasher: &mut CommitHasher,
    ) -> Result<Vec<(Id, Head)>> {
        let mut entries = Vec::with_capacity(facts.len());
        for fact in facts {
            let known = self.fact_heads.entry(fact.stream).or_default();
            let head = known.next(fact.stream, fact.topic, fact.body)?;
            hasher.entry(fact.stream, &head);
            *known = head;
            entries.push((fact.stream, head));
        }
        Ok(entries)
    }

    #[allow(clippy::type_complexity)] // Used once; a name would say no more.
    fn pack_usage(
        &self,
        hasher: &mut CommitHasher,
        packer: &mut Packer,
    ) -> Result<(Option<Vec<u8>>, Vec<(usize, Head)>)> {
        let batch = &self.batch;
        if batch.event_count() == 0 {
            return Ok((None, Vec::new()));
        }
        let (positions, starts) = batch.positions_by_group();
        let mut order: Vec<usize> = (0..batch.groups.len()).collect();
        order.sort_unstable_by_key(|&index| batch.groups[index].stream);
        let mut writer = SegmentWriter::new(self.segment_no, self.recorded_at_us, packer);
        let mut usage_heads = Vec::with_capacity(order.len());
        for index in order {
            let group = &batch.groups[index];
            let events = positions[starts[index]..][..group.events as usize]
                .iter()
                .map(|&position| batch.record_event(position));
            let fact = self.fact_heads.get(&group.stream);
            let head = writer.record(
                group.stream,
                fact.unwrap_or(&self.usage_heads[index]),
                group.span_us,
                group.events,
                |out| record::encode(out, group.org, group.attributed, events),
            )?;
            hasher.entry(group.stream, &head);
            usage_heads.push((index, head));
        }
        Ok((Some(writer.finish()?), usage_heads))
    }

    pub fn into_sealed(self, outcome: Outcome) -> SealedBatch {
        SealedBatch {
            batch: self.batch,
            commit: outcome.commit,
            fact_heads: outcome.fact_heads,
            usage_heads: outcome.usage_heads,
        }
    }
}

/// The heads a commit leads to.
pub struct Outcome {
    commit: CommitHead,
    fact_heads: Vec<(Id, Head)>,
    usage_heads: Vec<(usize, Head)>,
}
