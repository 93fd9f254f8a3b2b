//! Several runs read as one, in ascending order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::run::{Keys, Run, RunWriter};
use crate::error::Result;
use crate::id::Id;

pub struct Merge<'a> {
    inputs: Vec<Keys<'a>>,
    /// The next key of each input that has one.
    heads: BinaryHeap<Reverse<(Id, usize)>>,
}

impl<'a> Merge<'a> {
    pub fn new(runs: &'a [Arc<Run>]) -> Result<Self> {
        let mut merge = Self {
            inputs: runs.iter().map(|run| run.keys()).collect(),
            heads: BinaryHeap::with_capacity(runs.len()),
        };
        for input in 0..runs.len() {
            if let Some(key) = merge.inputs[input].next_key()? {
                merge.heads.push(Reverse((key, input)));
            }
        }
        Ok(merge)
    }

    /// The writer refuses a key that two runs hold.
    pub fn write(mut self, out: &mut RunWriter<'_>) -> Result<()> {
        while let Some(mut head) = self.heads.peek_mut() {
            let Reverse((key, input)) = *head;
            out.push(key)?;
            match self.inputs[input].next_key()? {
                Some(next) => *head = Reverse((next, input)),
                None => drop(std::collections::binary_heap::PeekMut::pop(head)),
            }
        }
        Ok(())
    }
}
