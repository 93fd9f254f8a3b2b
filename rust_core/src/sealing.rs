//! The way of a batch into the log: sealed, stored by the caller, then confirmed or rolled back.

use crate::chain::Head;
use crate::commit::{Fact, Outcome, Packing, Sealed};
use crate::core::{half_changed, Core, State};
use crate::dedup::Position;
use crate::error::{CoreError, Result};
use crate::id::IdMap;
use crate::staging::{Batch, Group, InCommit, SealedBatch};

impl Core {
    /// Closes the open batch and prepares its commit.
    pub fn seal(&self, recorded_at_us: i64, facts: &[Fact<'_>]) -> Result<Sealed> {
        let mut packing = self.start_packing(recorded_at_us, facts)?;
        let packed = self.pack(&mut packing, facts);
        let mut state = self.lock()?;
        match packed {
            Ok((sealed, outcome)) => {
                state.in_commit = InCommit::Sealed(Box::new(packing.into_sealed(outcome)));
                self.publish_staged_bytes(&state);
                Ok(sealed)
            }
            Err(error) => {
                state.dedup.forget(packing.batch.dedup_keys());
                state.in_commit = InCommit::Nothing;
                self.publish_staged_bytes(&state);
                Err(error)
            }
        }
    }

    /// One batch is packed at a time, so nobody waits for the packer.
    fn pack(&self, packing: &mut Packing, facts: &[Fact<'_>]) -> Result<(Sealed, Outcome)> {
        let mut packer = self.packer.lock().map_err(half_changed)?;
        packing.pack(facts, &mut packer)
    }

    fn start_packing(&self, recorded_at_us: i64, facts: &[Fact<'_>]) -> Result<Packing> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        if !matches!(state.in_commit, InCommit::Nothing) {
            return Err(CoreError::State(
                "a sealed batch awaits confirm or rollback",
            ));
        }
        state.assert_caught_up()?;
        let number = state.open.number + 1;
        let spare = state.spare.take();
        let next = spare.map_or_else(|| Batch::new(number), |batch| batch.recycled(number));
        let batch = std::mem::replace(&mut state.open, next);
        state.in_commit = InCommit::Packing {
            bytes: batch.bytes(),
            events: batch.event_count(),
        };
        let fact_streams = facts.iter().map(|fact| fact.stream);
        let usage_streams = batch.groups.iter().map(|group| group.stream);
        let fact_heads: IdMap<Head> = fact_streams
            .map(|stream| (stream, state.log.head(stream)))
            .collect();
        let usage_heads = usage_streams.map(|stream| state.log.head(stream)).collect();
        Ok(Packing {
            batch,
            recorded_at_us,
            previous: state.log.commit,
            fact_heads,
            usage_heads,
            segment_no: state.log.segment_no + 1,
        })
    }

    /// The sealed batch is stored.
    pub fn confirm(&self) -> Result<()> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        let sealed = take_sealed(state)?;
        state.commit(&sealed)?;
        state.spare = Some(sealed.batch);
        self.publish_staged_bytes(state);
        Ok(())
    }

    /// The sealed batch was not stored.
    pub fn rollback(&self) -> Result<()> {
        let mut guard = self.lock()?;
        let state = &mut *guard;
        let sealed = take_sealed(state)?;
        state.dedup.forget(sealed.batch.dedup_keys());
        self.publish_staged_bytes(state);
        Ok(())
    }
}

fn take_sealed(state: &mut State) -> Result<SealedBatch> {
    match std::mem::replace(&mut state.in_commit, InCommit::Nothing) {
        InCommit::Sealed(sealed) => Ok(*sealed),
        other => {
            state.in_commit = other;
            Err(CoreError::State("no batch is sealed"))
        }
    }
}

impl State {
    fn commit(&mut self, sealed: &SealedBatch) -> Result<()> {
        for &(stream, head) in &sealed.fact_heads {
            self.log.advance(stream, head)?;
        }
        let batch = &sealed.batch;
        if !sealed.usage_heads.is_empty() {
            self.log.segment_no += 1;
        }
        let records = sealed.usage_heads.iter();
        let records = records.map(|&(group, head)| (batch.groups[group].stream, head));
        let streams = self.log.advance_usage(records)?;
        for &(group, _) in &sealed.usage_heads {
            let Group {
                org,
                span_us,
                received_us,
                ..
            } = batch.groups[group];
            self.log
                .orgs
                .add(org, self.log.segment_no, span_us, received_us);
        }
        let position = Position {
            commit: sealed.commit,
            segment_no: self.log.segment_no,
        };
        self.dedup.commit(batch.dedup_keys(), position)?;
        let groups = sealed.usage_heads.iter().map(|&(group, _)| group);
        let committed = batch.committed(self.log.segment_no, groups.zip(streams));
        self.registry.fold_all(committed)?;
        self.log.usage_events += batch.event_count() as u64;
        self.log.commit = sealed.commit;
        Ok(())
    }
}
