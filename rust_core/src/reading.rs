//! Reading the totals of a window: units per bucket and group, in the plan's order.

use crate::bucket::Bucket;
use crate::charge::Charge;
use crate::decimal::Decimal;
use crate::error::{argument, Result};
use crate::fold::{Aggregate, Weighing};
use crate::group::{decode, encode, order, Group, GroupKey};
use crate::id::Id;
use crate::plan::Plan;
use crate::window::Span;

/// What weighted sums need to know of the period; see [`Weighing`].
#[derive(Clone, Copy)]
pub struct Period {
    pub until_us: i64,
    pub days: u32,
}

/// Level of a recurring weighted sum at the beginning of the window.
pub struct Level {
    charge: Id,
    filter: Option<Id>,
    group: GroupKey,
    value: Decimal,
}

impl Level {
    pub fn new(
        charge: Id,
        filter: Option<Id>,
        group: &[Option<String>],
        value: &str,
    ) -> Result<Self> {
        match Decimal::parse(value.as_bytes()) {
            Some(value) => Ok(Self {
                charge,
                filter,
                group: encode(group)?,
                value,
            }),
            None => argument("a level is a decimal number"),
        }
    }
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
}

/// Everything of the buckets of a plan. A bucket without groups yet has one of nulls.
///
/// span: the part of the window that lies in the subscription.
pub fn read(
    plan: &Plan,
    buckets: &[Bucket],
    span: Span,
    period: Option<Period>,
    levels: &[Level],
) -> Result<Vec<BucketUsage>> {
    if period.is_some_and(|period| period.days == 0) {
        return argument("a period has at least one day");
    }
    let mut usage = Vec::with_capacity(plan.bucket_count);
    for ((charge, number), bucket) in plan.buckets().zip(buckets) {
        let reader = BucketReader {
            charge,
            filter: charge.filters.get(number).map(|filter| filter.id),
            group_size: charge.group_keys_of(number).len(),
            from_us: span.start,
            period,
        };
        reader.read(bucket, levels, &mut usage)?;
    }
    Ok(usage)
}

struct BucketReader<'a> {
    charge: &'a Charge,
    filter: Option<Id>,
    group_size: usize,
    from_us: i64,
    period: Option<Period>,
}

impl BucketReader<'_> {
    fn read(&self, bucket: &Bucket, levels: &[Level], usage: &mut Vec<BucketUsage>) -> Result<()> {
        let mine: Vec<&Level> = levels
            .iter()
            .filter(|level| (level.charge, level.filter) == (self.charge.id, self.filter))
            .collect();
        let level_of = |key: &[u8]| {
            let found = mine.iter().find(|level| *level.group == *key);
            found.map(|level| &level.value)
        };
        let groups = match bucket {
            Bucket::Whole(aggregate) => {
                usage.push(self.usage(Group::new(), aggregate, level_of(&[]))?);
                return Ok(());
            }
            Bucket::Grouped(_, groups) => groups,
        };
        let empty = self.charge.aggregation.empty();
        let only_levels = mine
            .iter()
            .filter(|level| !groups.contains_key(&level.group));
        let mut found: Vec<(Group, &Aggregate, Option<&Decimal>)> = Vec::new();
        for (key, aggregate) in groups {
            found.push((decode(key, self.group_size)?, aggregate, level_of(key)));
        }
        for level in only_levels {
            let group = decode(&level.group, self.group_size)?;
            found.push((group, &empty, Some(&level.value)));
        }
        if found.is_empty() {
            found.push((vec![None; self.group_size], &empty, None));
        }
        found.sort_by(|a, b| order(&a.0).cmp(&order(&b.0)));
        for (group, aggregate, level) in found {
            usage.push(self.usage(group, aggregate, level)?);
        }
        Ok(())
    }

    fn usage(
        &self,
        group: Group,
        aggregate: &Aggregate,
        level: Option<&Decimal>,
    ) -> Result<BucketUsage> {
        let weighing = self.period.map(|period| Weighing {
            from_us: self.from_us,
            until_us: period.until_us,
            days: period.days,
            level,
        });
        let total = aggregate.total_aggregated_units(weighing.as_ref())?;
        Ok(BucketUsage {
            charge: self.charge.id,
            filter: self.filter,
            group,
            units: aggregate.units(weighing.as_ref())?.to_string(),
            events_count: aggregate.events_count(),
            total_aggregated_units: total.map(|total| total.to_string()),
        })
    }
}
