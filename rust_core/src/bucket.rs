//! Totals of one bucket of a charge in one window, split into groups if the charge wants it.

use std::collections::HashMap;

use crate::error::{CoreError, Result};
use crate::fold::{Aggregate, Aggregation};
use crate::group::GroupKey;
use crate::plan::{Hit, Plan};
use crate::property::Moment;
use crate::wire::{put_bytes, put_count, Reader};

/// About what a map needs for a group beside its key.
const GROUP_BYTES: usize = size_of::<(GroupKey, Aggregate)>() + 8;

#[derive(Clone, Debug)]
pub enum Bucket {
    Whole(Aggregate),
    /// As many groups as the events have tuples of values; there is no bound.
    Grouped(Aggregation, HashMap<GroupKey, Aggregate>),
}

/// Zeroed totals of all buckets of a plan.
pub fn empty_buckets(plan: &Plan) -> Vec<Bucket> {
    plan.buckets()
        .map(|(charge, bucket)| {
            if charge.group_keys_of(bucket).is_empty() {
                Bucket::Whole(charge.aggregation.empty())
            } else {
                Bucket::Grouped(charge.aggregation, HashMap::new())
            }
        })
        .collect()
}

impl Bucket {
    /// Takes one more event; gives the bytes of memory it took.
    pub fn fold(&mut self, hit: &Hit<'_>, moment: Moment, carried: bool) -> Result<usize> {
        match (self, &hit.group) {
            (Self::Whole(aggregate), None) => aggregate.fold(&hit.operand, moment, carried),
            (Self::Grouped(aggregation, groups), Some(key)) => {
                if let Some(aggregate) = groups.get_mut(key) {
                    return aggregate.fold(&hit.operand, moment, carried);
                }
                let mut aggregate = aggregation.empty();
                aggregate.fold(&hit.operand, moment, carried)?;
                let grown = key.len() + GROUP_BYTES + aggregate.heap_bytes();
                groups.insert(key.clone(), aggregate);
                Ok(grown)
            }
            _ => Err(mismatch()),
        }
    }

    /// The totals of a group, or of all events without groups; None before the first event of the group.
    pub fn aggregate(&self, group: Option<&GroupKey>) -> Result<Option<&Aggregate>> {
        match (self, group) {
            (Self::Whole(aggregate), None) => Ok(Some(aggregate)),
            (Self::Grouped(_, groups), Some(key)) => Ok(groups.get(key)),
            _ => Err(mismatch()),
        }
    }

    /// Takes all events of `later`, which were accepted after those of self.
    pub fn merge(&mut self, later: &Self) -> Result<()> {
        match (self, later) {
            (Self::Whole(aggregate), Self::Whole(later)) => aggregate.merge(later),
            (Self::Grouped(aggregation, groups), Self::Grouped(_, later)) => {
                for (key, later) in later {
                    if let Some(aggregate) = groups.get_mut(key) {
                        aggregate.merge(later)?;
                    } else {
                        let mut aggregate = aggregation.empty();
                        aggregate.merge(later)?;
                        groups.insert(key.clone(), aggregate);
                    }
                }
                Ok(())
            }
            _ => Err(mismatch()),
        }
    }

    /// What the bucket of a recurring charge begins the next window with.
    pub fn carry_over(&self) -> Self {
        match self {
            Self::Whole(aggregate) => Self::Whole(aggregate.carry_over()),
            Self::Grouped(aggregation, groups) => {
                let carried = groups.iter();
                let carried = carried.map(|(key, total)| (key.clone(), total.carry_over()));
                Self::Grouped(*aggregation, carried.collect())
            }
        }
    }

    /// Memory beyond that of an empty bucket, about.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Whole(aggregate) => aggregate.heap_bytes(),
            Self::Grouped(_, groups) => groups
                .iter()
                .map(|(key, aggregate)| key.len() + GROUP_BYTES + aggregate.heap_bytes())
                .sum(),
        }
    }

    pub fn group_count(&self) -> usize {
        match self {
            Self::Whole(_) => 0,
            Self::Grouped(_, groups) => groups.len(),
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Whole(aggregate) => aggregate.encode(out),
            Self::Grouped(_, groups) => {
                put_count(out, groups.len())?;
                for (key, aggregate) in groups {
                    put_bytes(out, key)?;
                    aggregate.encode(out)?;
                }
                Ok(())
            }
        }
    }

    /// Reads what `encode` wrote into the empty bucket of the same charge.
    pub fn decode(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        match self {
            Self::Whole(aggregate) => *aggregate = Aggregate::decode(aggregate.kind(), reader)?,
            Self::Grouped(aggregation, groups) => {
                for _ in 0..reader.count()? {
                    let key = reader.bytes()?.into();
                    groups.insert(key, Aggregate::decode(*aggregation, reader)?);
                }
            }
        }
        Ok(())
    }
}

/// Buckets are made from the plan whose charges fold into them, so this is a fault of ours.
fn mismatch() -> CoreError {
    CoreError::State("a bucket met the groups of another charge")
}
