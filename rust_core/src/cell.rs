//! One bucket or group of a charge in one window: totals, and what else the charge has kept.

use crate::error::Result;
use crate::fold::{Aggregate, Aggregation};
use crate::keep::{Keep, Kept};
use crate::plan::Hit;
use crate::property::Moment;
use crate::wire::Reader;

/// What makes an empty cell.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub aggregation: Aggregation,
    pub keep: Keep,
}

impl Recipe {
    pub fn empty(self) -> Cell {
        Cell {
            totals: self.aggregation.empty(),
            kept: self.keep.empty(self.aggregation),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Cell {
    pub totals: Aggregate,
    /// In a box: few charges need it.
    pub kept: Option<Box<Kept>>,
}

impl Cell {
    /// carried: the event lies before the window. Gives the bytes of memory it took.
    pub fn fold(&mut self, hit: &Hit<'_>, moment: Moment, carried: bool) -> Result<usize> {
        let grown = self.totals.fold(&hit.operand, moment, carried)?;
        match &mut self.kept {
            Some(kept) => Ok(grown + kept.fold(hit, moment, carried)?),
            None => Ok(grown),
        }
    }

    /// Takes all events of `later`, which were accepted after those of self.
    pub fn merge(&mut self, later: &Self) -> Result<()> {
        if let (Some(kept), Some(later)) = (&mut self.kept, &later.kept) {
            kept.merge(later)?;
        }
        self.totals.merge(&later.totals)
    }

    /// What a recurring metric begins the next window with.
    pub fn carry_over(&self) -> Self {
        Self {
            totals: self.totals.carry_over(),
            kept: self.kept.as_ref().map(|kept| Box::new(kept.carry_over())),
        }
    }

    /// Bytes beyond those of the struct itself, about.
    pub fn heap_bytes(&self) -> usize {
        self.totals.heap_bytes() + self.kept.as_ref().map_or(0, |kept| kept.heap_bytes())
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        self.totals.encode(out)?;
        self.kept.as_ref().map_or(Ok(()), |kept| kept.encode(out))
    }

    /// Reads what `encode` wrote over the empty cell of the same charge.
    pub fn decode(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        self.totals = Aggregate::decode(self.totals.kind(), reader)?;
        self.kept
            .as_mut()
            .map_or(Ok(()), |kept| kept.decode(reader))
    }
}
