//! Usage windows: running totals of one subscription over a half-open span of time.

use crate::bucket::{empty_buckets, Bucket};
use crate::error::Result;
use crate::plan::{Hit, Plan};
use crate::property::Moment;
use crate::timestamp::floor_ms;
use crate::wire::{put_i64, put_u64, Reader};

/// Half-open `[start, end)` in microseconds, both cut to the millisecond, so that adjoining spans share no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: i64,
    pub end: i64,
}

impl Span {
    pub fn new(from_us: i64, to_us: i64) -> Self {
        Self {
            start: floor_ms(from_us),
            end: floor_ms(to_us),
        }
    }

    pub fn contains(&self, at_us: i64) -> bool {
        self.start <= at_us && at_us < self.end
    }

    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            start: self.start.max(other.start),
            end: self.end.min(other.end),
        }
    }

    /// The instants whose events a plan counts in this span: recurring metrics carry everything before it over.
    pub fn reach(&self, plan: &Plan) -> Self {
        Self {
            start: if plan.reaches_back {
                i64::MIN
            } else {
                self.start
            },
            end: self.end,
        }
    }

    /// True if an instant of the closed range lies in the span.
    pub fn overlaps(&self, (first, last): (i64, i64)) -> bool {
        let start = self.start.max(first);
        start < self.end && start <= last
    }

    /// The two spans that lie in exactly one of two spans, or a superset of them; they may be empty.
    pub fn differences(&self, other: &Self) -> [Self; 2] {
        let between = |a: i64, b: i64| Self {
            start: a.min(b),
            end: a.max(b),
        };
        [
            between(self.start, other.start),
            between(self.end, other.end),
        ]
    }
}

/// A few closed ranges `[first, last]` that cover every instant ever added, and as little else as possible.
///
/// Bounded, because clients choose the instants: beyond [`RANGES_MAX`] the two nearest ranges become one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(i64, i64)>);

const RANGES_MAX: usize = 4;

impl Ranges {
    pub fn add(&mut self, first: i64, last: i64) {
        if self.0.iter().any(|&(a, b)| a <= first && last <= b) {
            return;
        }
        self.0.push((first, last));
        self.0.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(self.0.len());
        for &(first, last) in &self.0 {
            match merged.last_mut() {
                Some(previous) if first <= previous.1 => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        if merged.len() > RANGES_MAX {
            let gap = |pair: usize| i128::from(merged[pair + 1].0) - i128::from(merged[pair].1);
            if let Some(nearest) = (0..merged.len() - 1).min_by_key(|&pair| gap(pair)) {
                merged[nearest].1 = merged[nearest + 1].1;
                merged.remove(nearest + 1);
            }
        }
        self.0 = merged;
    }

    pub fn overlaps(&self, span: &Span) -> bool {
        self.0.iter().any(|&range| span.overlaps(range))
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.0.len() as u64);
        for &(first, last) in &self.0 {
            put_i64(out, first);
            put_i64(out, last);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let mut ranges = Self::default();
        for _ in 0..reader.u64()? {
            ranges.0.push((reader.i64()?, reader.i64()?));
        }
        Ok(ranges)
    }
}

/// Totals of every charge of the subscription's plan over one span.
#[derive(Clone, Debug)]
pub struct Window {
    /// The bounds as given; they name the window.
    pub bounds: (i64, i64),
    pub span: Span,
    /// False: events of segments up to `since_segment` are missing from the totals.
    pub complete: bool,
    /// Newest segment when the window was registered; later events are folded as they are committed.
    pub since_segment: u64,
    /// Changes whenever the totals start anew, so that a fold from the log never meets other totals than it began with.
    pub ticket: u64,
    /// Timestamps of the events that were folded as they were committed, of any code.
    pub folded: Option<(i64, i64)>,
    pub buckets: Vec<Bucket>,
    /// Memory of the buckets, about.
    pub bytes: usize,
}

/// Adds one event to the buckets it hits; gives the bytes of memory it took.
///
/// span: the part of the window that lies in the subscription; recurring charges take what was before it, too.
pub fn fold_hits(
    buckets: &mut [Bucket],
    span: &Span,
    hits: &[Hit<'_>],
    moment: Moment,
) -> Result<usize> {
    let at = moment.timestamp_us;
    let mut grown = 0;
    for hit in hits {
        if at < span.end && (hit.recurring || span.start <= at) {
            grown += buckets[hit.bucket].fold(hit, moment, at < span.start)?;
        }
    }
    Ok(grown)
}

impl Window {
    pub fn new(bounds: (i64, i64), plan: &Plan, since_segment: u64, ticket: u64) -> Self {
        let mut window = Self {
            bounds,
            span: Span::new(bounds.0, bounds.1),
            complete: false,
            since_segment,
            ticket,
            folded: None,
            buckets: Vec::new(),
            bytes: 0,
        };
        window.clear(plan);
        window
    }

    /// Totals of no events, for the charges of `plan`.
    pub fn clear(&mut self, plan: &Plan) {
        self.buckets = empty_buckets(plan);
        self.measure();
    }

    /// Begins where a complete window before it ended; no event lies between that end and the end of this one.
    pub fn follow(&mut self, plan: &Plan, earlier: &Self) {
        let buckets = self.buckets.iter_mut().zip(&earlier.buckets);
        for ((bucket, earlier), (charge, _)) in buckets.zip(plan.buckets()) {
            if charge.recurring {
                *bucket = earlier.carry_over();
            }
        }
        self.measure();
        self.complete = true;
    }

    fn measure(&mut self) {
        let heap: usize = self.buckets.iter().map(Bucket::heap_bytes).sum();
        self.bytes = heap + self.buckets.len() * size_of::<Bucket>();
    }

    pub fn fold(&mut self, span: &Span, hits: &[Hit<'_>], moment: Moment) -> Result<()> {
        let at = moment.timestamp_us;
        let (first, last) = self.folded.unwrap_or((at, at));
        self.folded = Some((first.min(at), last.max(at)));
        self.bytes += fold_hits(&mut self.buckets, span, hits, moment)?;
        Ok(())
    }

    /// Puts the totals of older events under those of the newer ones; the window is complete then.
    ///
    /// `folded` stays as it is: the older events were noted elsewhere when they were committed.
    pub fn complete_with(&mut self, mut older: Vec<Bucket>) -> Result<()> {
        for (older, newer) in older.iter_mut().zip(&self.buckets) {
            older.merge(newer)?;
        }
        self.buckets = older;
        self.measure();
        self.complete = true;
        Ok(())
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_i64(out, self.bounds.0);
        put_i64(out, self.bounds.1);
        out.push(u8::from(self.complete));
        put_u64(out, self.since_segment);
        let mut folded = Ranges::default();
        if let Some((first, last)) = self.folded {
            folded.add(first, last);
        }
        folded.encode(out);
        self.buckets
            .iter()
            .try_for_each(|bucket| bucket.encode(out))
    }

    pub fn decode(plan: &Plan, ticket: u64, reader: &mut Reader<'_>) -> Result<Self> {
        let bounds = (reader.i64()?, reader.i64()?);
        let complete = reader.u8()? == 1;
        let since_segment = reader.u64()?;
        let mut window = Self::new(bounds, plan, since_segment, ticket);
        window.complete = complete;
        window.folded = Ranges::decode(reader)?.0.first().copied();
        for bucket in &mut window.buckets {
            bucket.decode(reader)?;
        }
        window.measure();
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_what_was_added_and_stay_few() {
        let mut ranges = Ranges::default();
        for at in [10, 12, 100, 1_000, 50, i64::MAX, i64::MIN] {
            ranges.add(at, at);
        }
        assert!(ranges.0.len() <= RANGES_MAX);
        for at in [10, 12, 100, 1_000, 50, i64::MAX - 1, i64::MIN] {
            let span = Span {
                start: at,
                end: at + 1,
            };
            assert_eq!(ranges.overlaps(&span), at != i64::MAX - 1, "{at}");
        }
        let far = Span {
            start: 2_000,
            end: 1_000_000,
        };
        assert!(!ranges.overlaps(&far));
        assert!(!ranges.overlaps(&Span { start: 10, end: 10 }));
    }

    #[test]
    fn spans_are_half_open_and_cut_to_milliseconds() {
        let span = Span::new(1_999, 3_999);
        assert!(span.contains(1_000) && span.contains(2_999));
        assert!(!span.contains(999) && !span.contains(3_000));
    }
}
