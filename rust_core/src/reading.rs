//! Reading the totals of a window: units per bucket and group, in the plan's order.

use crate::bucket::Bucket;
use crate::cell::Cell;
use crate::charge::Charge;
use crate::error::{argument, Result};
use crate::fold::Weighing;
use crate::group::{decode, order, Group};
use crate::id::Id;
use crate::keep::{Days, KeptUsage};
use crate::plan::Plan;
use crate::window::Span;

/// What some charges need to know of the period.
#[derive(Clone, Copy, Default)]
pub struct Period<'a> {
    /// The last instant and the days of the full period: weighted sums; see [`Weighing`].
    pub length: Option<(i64, u32)>,
    /// The local days of the window: prorated charges.
    pub days: Option<Days<'a>>,
}

/// Totals of one charge, filter and group.
pub struct BucketUsage {
    pub charge: Id,
    /// None: the default bucket.
    pub filter: Option<Id>,
    /// Empty without group keys.
    pub group: Group,
    pub units: String,
    pub events_count: u64,
    /// None: the same as the units.
    pub total_aggregated_units: Option<String>,
    /// None: the charge keeps nothing else.
    pub kept: Option<KeptUsage>,
}

/// Everything of the buckets of a plan. A bucket without groups yet has one of nulls.
///
/// span: the part of the window that lies in the subscription.
pub fn read(
    plan: &Plan,
    buckets: &[Bucket],
    span: Span,
    period: Period<'_>,
) -> Result<Vec<BucketUsage>> {
    let weighing = match period.length {
        Some((_, 0)) => return argument("a period has at least one day"),
        length => length.map(|(until_us, days)| Weighing {
            from_us: span.start,
            until_us,
            days,
        }),
    };
    let mut usage = Vec::with_capacity(plan.bucket_count);
    for ((charge, number), bucket) in plan.buckets().zip(buckets) {
        let reader = BucketReader {
            charge,
            filter: charge.filters.get(number).map(|filter| filter.id),
            group_size: charge.group_keys_of(number).len(),
            weighing: weighing.as_ref(),
            days: period.days,
        };
        reader.read(bucket, &mut usage)?;
    }
    Ok(usage)
}

struct BucketReader<'a> {
    charge: &'a Charge,
    filter: Option<Id>,
    group_size: usize,
    weighing: Option<&'a Weighing>,
    days: Option<Days<'a>>,
}

impl BucketReader<'_> {
    fn read(&self, bucket: &Bucket, usage: &mut Vec<BucketUsage>) -> Result<()> {
        let groups = match bucket {
            Bucket::Whole(cell) => {
                usage.push(self.usage(Group::new(), cell)?);
                return Ok(());
            }
            Bucket::Grouped(recipe, groups) if groups.is_empty() => {
                usage.push(self.usage(vec![None; self.group_size], &recipe.empty())?);
                return Ok(());
            }
            Bucket::Grouped(_, groups) => groups,
        };
        let mut found: Vec<(Group, &Cell)> = Vec::with_capacity(groups.len());
        for (key, cell) in groups {
            found.push((decode(key, self.group_size)?, cell));
        }
        found.sort_by(|a, b| order(&a.0).cmp(&order(&b.0)));
        for (group, cell) in found {
            usage.push(self.usage(group, cell)?);
        }
        Ok(())
    }

    fn usage(&self, group: Group, cell: &Cell) -> Result<BucketUsage> {
        let totals = &cell.totals;
        let kept = cell.kept.as_ref();
        let kept = kept.map(|kept| kept.read(self.charge.keep, self.weighing, self.days));
        Ok(BucketUsage {
            charge: self.charge.id,
            filter: self.filter,
            group,
            units: totals.units(self.weighing)?.to_string(),
            events_count: totals.events_count(),
            total_aggregated_units: totals
                .total_aggregated_units()
                .map(|total| total.to_string()),
            kept: kept.transpose()?,
        })
    }
}
