//! One bucket of a charge in one window, split into groups if the charge wants it.

use std::collections::HashMap;

use crate::cell::{Cell, Recipe};
use crate::error::{CoreError, Result};
use crate::fold::Aggregate;
use crate::group::GroupKey;
use crate::plan::{Hit, Plan};
use crate::property::Moment;
use crate::wire::{put_bytes, put_count, Reader};

/// About what a map needs for a group beside its key.
const GROUP_BYTES: usize = size_of::<(GroupKey, Cell)>() + 8;

#[derive(Clone, Debug)]
pub enum Bucket {
    Whole(Cell),
    /// As many groups as the events have tuples of values; there is no bound.
    Grouped(Recipe, HashMap<GroupKey, Cell>),
}

/// Zeroed totals of all buckets of a plan.
pub fn empty_buckets(plan: &Plan) -> Vec<Bucket> {
    plan.buckets()
        .map(|(charge, bucket)| {
            let recipe = charge.recipe();
            if charge.group_keys_of(bucket).is_empty() {
                Bucket::Whole(recipe.empty())
            } else {
                Bucket::Grouped(recipe, HashMap::new())
            }
        })
        .collect()
}

impl Bucket {
    /// How many events of the whole bucket, or how many groups: reads what a fold begins with.
    pub fn count(&self) -> u64 {
        match self {
            Self::Whole(cell) => cell.totals.events_count(),
            Self::Grouped(_, groups) => groups.len() as u64,
        }
    }

    /// Takes one more event; gives the bytes of memory it took.
    pub fn fold(&mut self, hit: &Hit<'_>, moment: Moment, carried: bool) -> Result<usize> {
        match (self, &hit.group) {
            (Self::Whole(cell), None) => cell.fold(hit, moment, carried),
            (Self::Grouped(recipe, groups), Some(key)) => {
                if let Some(cell) = groups.get_mut(key) {
                    return cell.fold(hit, moment, carried);
                }
                let mut cell = recipe.empty();
                cell.fold(hit, moment, carried)?;
                let grown = key.len() + GROUP_BYTES + cell.heap_bytes();
                groups.insert(key.clone(), cell);
                Ok(grown)
            }
            _ => Err(mismatch()),
        }
    }

    /// The totals of a group, or of all events without groups; None before the first event of the group.
    pub fn aggregate(&self, group: Option<&GroupKey>) -> Result<Option<&Aggregate>> {
        match (self, group) {
            (Self::Whole(cell), None) => Ok(Some(&cell.totals)),
            (Self::Grouped(_, groups), Some(key)) => Ok(groups.get(key).map(|cell| &cell.totals)),
            _ => Err(mismatch()),
        }
    }

    /// Takes all events of `later`, which were accepted after those of self.
    pub fn merge(&mut self, later: &Self) -> Result<()> {
        match (self, later) {
            (Self::Whole(cell), Self::Whole(later)) => cell.merge(later),
            (Self::Grouped(recipe, groups), Self::Grouped(_, later)) => {
                for (key, later) in later {
                    let known = groups.entry(key.clone());
                    known.or_insert_with(|| recipe.empty()).merge(later)?;
                }
                Ok(())
            }
            _ => Err(mismatch()),
        }
    }

    /// What the bucket of a recurring charge begins the next window with.
    pub fn carry_over(&self) -> Self {
        match self {
            Self::Whole(cell) => Self::Whole(cell.carry_over()),
            Self::Grouped(recipe, groups) => {
                let carried = groups.iter();
                let carried = carried.map(|(key, cell)| (key.clone(), cell.carry_over()));
                Self::Grouped(*recipe, carried.collect())
            }
        }
    }

    /// Memory beyond that of an empty bucket, about.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Whole(cell) => cell.heap_bytes(),
            Self::Grouped(_, groups) => groups
                .iter()
                .map(|(key, cell)| key.len() + GROUP_BYTES + cell.heap_bytes())
                .sum(),
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Whole(cell) => cell.encode(out),
            Self::Grouped(_, groups) => {
                put_count(out, groups.len())?;
                for (key, cell) in groups {
                    put_bytes(out, key)?;
                    cell.encode(out)?;
                }
                Ok(())
            }
        }
    }

    /// Reads what `encode` wrote into the empty bucket of the same charge.
    pub fn decode(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        match self {
            Self::Whole(cell) => cell.decode(reader)?,
            Self::Grouped(recipe, groups) => {
                for _ in 0..reader.count()? {
                    let key = reader.bytes()?.into();
                    let mut cell = recipe.empty();
                    cell.decode(reader)?;
                    groups.insert(key, cell);
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
