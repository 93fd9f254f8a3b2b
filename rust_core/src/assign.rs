//! Which bucket of a charge an event falls into (charges.md §7.3 DO): exactly one.

use std::borrow::Cow;

use crate::charge::{Charge, Filter};
use crate::json::Value;
use crate::property::{text, Names};

type Name = Box<[u8]>;

struct Matcher {
    /// Position in the charge's order of filters, which is the bucket.
    bucket: usize,
    /// Position of a property, and the texts it may have.
    keys: Vec<(usize, Box<[Name]>)>,
    /// Buckets of the filters that are narrower than this one.
    narrower: Vec<usize>,
}

/// A charge's filters, those with most keys first.
pub struct Assigner {
    matchers: Vec<Matcher>,
    /// Positions of all the properties that decide.
    positions: Vec<usize>,
    default_bucket: usize,
}

impl Assigner {
    pub fn new(charge: &Charge, names: &mut Names) -> Self {
        let filters = &charge.filters;
        let mut matchers: Vec<Matcher> = filters
            .iter()
            .enumerate()
            .map(|(bucket, filter)| matcher(bucket, filter, filters, names))
            .collect();
        matchers.sort_by_key(|matcher| std::cmp::Reverse(matcher.keys.len()));
        let keys = matchers.iter().flat_map(|matcher| &matcher.keys);
        let mut positions: Vec<usize> = keys.map(|(position, _)| *position).collect();
        positions.sort_unstable();
        positions.dedup();
        Self {
            matchers,
            positions,
            default_bucket: filters.len(),
        }
    }

    /// Of the matching filters: most keys, then the narrower one, then the first in order; else the default bucket.
    pub fn bucket(&self, values: &[Option<Value<'_>>]) -> usize {
        if self.matchers.is_empty() {
            return self.default_bucket;
        }
        let texts: Vec<(usize, Option<Cow<'_, [u8]>>)> = self
            .positions
            .iter()
            .map(|&position| (position, values[position].as_ref().and_then(text)))
            .collect();
        let mut matching: Vec<&Matcher> = Vec::new();
        for matcher in &self.matchers {
            if matching
                .first()
                .is_some_and(|best| best.keys.len() > matcher.keys.len())
            {
                break;
            }
            if matcher.takes(&texts) {
                matching.push(matcher);
            }
        }
        let beaten = |matcher: &&&Matcher| {
            let narrower = |other: &&Matcher| matcher.narrower.contains(&other.bucket);
            matching.iter().any(narrower)
        };
        let best = matching.iter().filter(|matcher| !beaten(matcher));
        best.map(|matcher| matcher.bucket)
            .min()
            .unwrap_or(self.default_bucket)
    }
}

fn matcher(bucket: usize, filter: &Filter, all: &[Filter], names: &mut Names) -> Matcher {
    let keys = filter.values.iter();
    let narrower = all.iter().enumerate();
    Matcher {
        bucket,
        keys: keys
            .map(|(key, texts)| (names.position(key), texts.clone()))
            .collect(),
        narrower: narrower
            .filter(|(_, other)| other.is_narrower_than(filter))
            .map(|(other, _)| other)
            .collect(),
    }
}

impl Matcher {
    fn takes(&self, texts: &[(usize, Option<Cow<'_, [u8]>>)]) -> bool {
        self.keys.iter().all(|(position, accepted)| {
            let found = texts.iter().find(|(other, _)| other == position);
            let text = found.and_then(|(_, text)| text.as_deref());
            text.is_some_and(|text| {
                accepted
                    .binary_search_by(|known| (**known).cmp(text))
                    .is_ok()
            })
        })
    }
}
