//! Groups: the tuples of property values that split a bucket (metrics.md §8.1).

use crate::error::{corrupt, Result};
use crate::json::Value;
use crate::property::text;
use crate::wire::{put_bytes, Reader};

/// A tuple of texts and nulls in one piece: 0 for null, else 1, the length and the text.
pub type GroupKey = Box<[u8]>;

/// A group as told outside: one text per group key, null if the property is missing, null or empty.
pub type Group = Vec<Option<String>>;

/// Appends one value of a tuple.
pub fn push_value(key: &mut Vec<u8>, value: Option<&Value<'_>>) -> Result<()> {
    let text = value.and_then(text);
    push_text(key, text.as_deref())
}

fn push_text(key: &mut Vec<u8>, text: Option<&[u8]>) -> Result<()> {
    match text.filter(|text| !text.is_empty()) {
        None => {
            key.push(0);
            Ok(())
        }
        Some(text) => {
            key.push(1);
            put_bytes(key, text)
        }
    }
}

pub fn encode(group: &[Option<String>]) -> Result<GroupKey> {
    let mut key = Vec::new();
    for text in group {
        push_text(&mut key, text.as_deref().map(str::as_bytes))?;
    }
    Ok(key.into())
}

pub fn decode(key: &[u8], size: usize) -> Result<Group> {
    let mut reader = Reader::new(key, "a group");
    let mut group = Group::with_capacity(size);
    for _ in 0..size {
        group.push(match reader.u8()? {
            0 => None,
            1 => Some(reader.text()?.to_owned()),
            _ => return corrupt("a group holds neither a text nor null"),
        });
    }
    reader.finish()?;
    Ok(group)
}

/// The order groups are told in: by their texts, null after every text.
pub fn order(group: &[Option<String>]) -> Vec<(bool, &str)> {
    let texts = group.iter();
    texts
        .map(|text| (text.is_none(), text.as_deref().unwrap_or_default()))
        .collect()
}
