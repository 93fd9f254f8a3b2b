//! 128-bit ids (UUIDs, keyed hashes) and maps keyed by them.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};

/// A UUID or a keyed hash, read big-endian, so that numeric order is byte order.
pub type Id = u128;

pub type IdMap<V> = HashMap<Id, V, BuildHasherDefault<IdHasher>>;
pub type IdSet = HashSet<Id, BuildHasherDefault<IdHasher>>;

/// Ids are random already (UUIDs or hashes under a secret key), so one multiplication spreads them enough.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u128(u128::from(byte));
        }
    }

    fn write_u128(&mut self, id: u128) {
        let folded = low_half(id) ^ low_half(id >> 64).rotate_left(32) ^ self.0;
        let mixed = folded.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[allow(clippy::cast_possible_truncation)] // Taking the low half is the point.
fn low_half(id: u128) -> u64 {
    id as u64
}

/// The id with the version 8 and variant bits of RFC 9562 set.
pub fn as_uuid8(id: Id) -> Id {
    const VERSION_MASK: u128 = 0xF << 76;
    const VARIANT_MASK: u128 = 0x3 << 62;
    (id & !VERSION_MASK & !VARIANT_MASK) | (0x8 << 76) | (0x2 << 62)
}

/// Appends the 36 characters of a UUID.
pub fn push_uuid(out: &mut Vec<u8>, id: Id) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (index, byte) in id.to_be_bytes().into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// The UUID as text, for messages.
pub fn uuid_text(id: Id) -> String {
    let mut text = Vec::with_capacity(36);
    push_uuid(&mut text, id);
    String::from_utf8_lossy(&text).into_owned()
}

/// Lower-case hexadecimal, for messages.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_has_version_and_variant() {
        assert_eq!(
            uuid_text(as_uuid8(u128::MAX)),
            "ffffffff-ffff-8fff-bfff-ffffffffffff"
        );
        assert_eq!(
            uuid_text(as_uuid8(0)),
            "00000000-0000-8000-8000-000000000000"
        );
    }
}
