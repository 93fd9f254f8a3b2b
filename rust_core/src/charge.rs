//! One charge of a plan version: which usage events it counts, how, and into which buckets.

use crate::cell::Recipe;
use crate::error::{argument, CoreError, Result};
use crate::fold::Aggregation;
use crate::id::Id;
use crate::keep::Keep;
use crate::wire::{put_bytes, put_count, put_id, Reader};

type Name = Box<[u8]>;

/// A charge filter (charges.md §7): events whose property has one of the values, for every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub id: Id,
    /// Ascending by key, values ascending: so equal filters are equal.
    pub values: Box<[(Name, Box<[Name]>)]>,
    pub group_keys: Box<[Name]>,
}

impl Filter {
    /// values: "all values" is expanded already.
    pub fn new<'a>(
        id: Id,
        values: impl Iterator<Item = (&'a str, Vec<&'a str>)>,
        group_keys: &[&str],
    ) -> Result<Self> {
        let mut pairs: Vec<(Name, Box<[Name]>)> = Vec::new();
        for (key, texts) in values {
            let mut texts = names(&texts);
            texts.sort_unstable();
            texts.dedup();
            pairs.push((name(key), texts.into()));
        }
        pairs.sort_unstable();
        let repeated = pairs.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if pairs.is_empty() || repeated || pairs.iter().any(|(_, texts)| texts.is_empty()) {
            return argument("a charge filter names each of its keys once, and values for each");
        }
        Ok(Self {
            id,
            values: pairs.into(),
            group_keys: names(group_keys).into(),
        })
    }

    /// True if the keys are the same and every value is one of the other's, but not the other way round.
    pub fn is_narrower_than(&self, other: &Self) -> bool {
        let within = self.values.len() == other.values.len()
            && self.values.iter().zip(&other.values).all(|(mine, theirs)| {
                let found = |text: &Name| theirs.1.binary_search(text).is_ok();
                mine.0 == theirs.0 && mine.1.iter().all(found)
            });
        within && self.values != other.values
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_id(out, self.id);
        put_count(out, self.values.len())?;
        for (key, texts) in &self.values {
            put_bytes(out, key)?;
            put_names(out, texts)?;
        }
        put_names(out, &self.group_keys)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let id = reader.id()?;
        let mut values = Vec::new();
        for _ in 0..reader.count()? {
            values.push((reader.bytes()?.into(), read_names(reader)?));
        }
        Ok(Self {
            id,
            values: values.into(),
            group_keys: read_names(reader)?,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub id: Id,
    pub metric_code: Name,
    pub aggregation: Aggregation,
    /// Empty for `count_agg`.
    pub field: Name,
    /// Events from before the window count too (metrics.md §2).
    pub recurring: bool,
    /// Property names whose values split the default bucket into groups.
    pub group_keys: Box<[Name]>,
    /// In order; each has a bucket of its own, before the default bucket.
    pub filters: Box<[Filter]>,
    /// What its buckets keep beside totals.
    pub keep: Keep,
    /// Property names whose values units are broken down by, in every bucket.
    pub presentation_keys: Box<[Name]>,
    /// Its events are billed when they arrive (metrics.md §10).
    pub pay_in_advance: bool,
}

impl Charge {
    pub fn new(
        id: Id,
        metric_code: &str,
        aggregation: Aggregation,
        field_name: Option<&str>,
        recurring: bool,
    ) -> Result<Self> {
        let field = match (aggregation, field_name) {
            (Aggregation::Count, _) => "",
            (_, Some(field)) => field,
            (_, None) => {
                let name = aggregation.type_name();
                return argument(format!("{name} needs a field_name"));
            }
        };
        if recurring && !aggregation.may_recur() {
            let name = aggregation.type_name();
            return argument(format!("a {name} metric cannot be recurring"));
        }
        Ok(Self {
            id,
            metric_code: name(metric_code),
            aggregation,
            field: name(field),
            recurring,
            group_keys: Box::default(),
            filters: Box::default(),
            keep: Keep::default(),
            presentation_keys: Box::default(),
            pay_in_advance: false,
        })
    }

    pub fn split(self, group_keys: &[&str], filters: Vec<Filter>) -> Self {
        Self {
            group_keys: names(group_keys).into(),
            filters: filters.into(),
            ..self
        }
    }

    /// keep: its number of presentation keys is that of the names.
    pub fn keeping(self, keep: Keep, presentation_keys: &[&str]) -> Result<Self> {
        keep.check(self.aggregation, self.recurring)?;
        Ok(Self {
            keep: Keep {
                presentation_keys: presentation_keys.len(),
                ..keep
            },
            presentation_keys: names(presentation_keys).into(),
            ..self
        })
    }

    /// The charge, billed when its events arrive.
    pub fn paid_in_advance(self) -> Result<Self> {
        if !self.aggregation.may_be_paid_in_advance() {
            let name = self.aggregation.type_name();
            return argument(format!("a {name} metric cannot be paid in advance"));
        }
        Ok(Self {
            pay_in_advance: true,
            ..self
        })
    }

    pub fn recipe(&self) -> Recipe {
        Recipe {
            aggregation: self.aggregation,
            keep: self.keep,
        }
    }

    /// One per filter, and the default bucket.
    pub fn bucket_count(&self) -> usize {
        self.filters.len() + 1
    }

    /// Names of the properties that split a bucket; past the filters comes the default bucket.
    pub fn group_keys_of(&self, bucket: usize) -> &[Name] {
        self.filters
            .get(bucket)
            .map_or(&self.group_keys, |filter| &filter.group_keys)
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_id(out, self.id);
        put_bytes(out, &self.metric_code)?;
        put_bytes(out, self.aggregation.type_name().as_bytes())?;
        put_bytes(out, &self.field)?;
        out.push(u8::from(self.recurring));
        put_names(out, &self.group_keys)?;
        put_count(out, self.filters.len())?;
        self.filters
            .iter()
            .try_for_each(|filter| filter.encode(out))?;
        for kept in [self.keep.values, self.keep.changes, self.keep.amounts] {
            out.push(u8::from(kept));
        }
        put_names(out, &self.presentation_keys)?;
        out.push(u8::from(self.pay_in_advance));
        Ok(())
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let id = reader.id()?;
        let metric_code = reader.bytes()?.into();
        let aggregation = Aggregation::parse(reader.text()?)
            .ok_or_else(|| CoreError::Corruption("an unknown aggregation is stored".into()))?;
        let field = reader.bytes()?.into();
        let recurring = reader.u8()? == 1;
        let group_keys = read_names(reader)?;
        let mut filters = Vec::new();
        for _ in 0..reader.count()? {
            filters.push(Filter::decode(reader)?);
        }
        let (values, changes, amounts) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let presentation_keys = read_names(reader)?;
        Ok(Self {
            id,
            metric_code,
            aggregation,
            field,
            recurring,
            group_keys,
            filters: filters.into(),
            keep: Keep {
                values: values == 1,
                changes: changes == 1,
                amounts: amounts == 1,
                presentation_keys: presentation_keys.len(),
            },
            presentation_keys,
            pay_in_advance: reader.u8()? == 1,
        })
    }
}

fn name(text: &str) -> Name {
    text.as_bytes().into()
}

fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| name(text)).collect()
}

fn put_names(out: &mut Vec<u8>, names: &[Name]) -> Result<()> {
    put_count(out, names.len())?;
    names.iter().try_for_each(|name| put_bytes(out, name))
}

fn read_names(reader: &mut Reader<'_>) -> Result<Box<[Name]>> {
    let mut names: Vec<Name> = Vec::new();
    for _ in 0..reader.count()? {
        names.push(reader.bytes()?.into());
    }
    Ok(names.into())
}
