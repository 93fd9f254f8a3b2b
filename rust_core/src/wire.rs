//! Little-endian fields of our binary formats: append and checked read.

use crate::error::{corrupt, CoreError, Result};
use crate::id::Id;

pub type Hash = [u8; 32];

pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Ids are written big-endian: the 16 bytes of the UUID.
pub fn put_id(out: &mut Vec<u8>, id: Id) {
    out.extend_from_slice(&id.to_be_bytes());
}

/// A length (u32) and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    put_count(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// The number of things that follow, as u32.
pub fn put_count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    put_u32(out, to_u32(count, "a count")?);
    Ok(())
}

pub fn to_u32(value: usize, what: &'static str) -> Result<u32> {
    u32::try_from(value).map_err(|_| CoreError::Overflow(what))
}

/// Reads fields from the front; running out of bytes is corruption of `what`.
pub struct Reader<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.bytes.split_at_checked(length) else {
            return corrupt(format!("{} ends too early", self.what));
        };
        self.bytes = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let what = self.what;
        let bytes = self.take(N)?;
        bytes
            .try_into()
            .map_err(|_| CoreError::Corruption(format!("{what} is cut")))
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn id(&mut self) -> Result<Id> {
        Ok(Id::from_be_bytes(self.array()?))
    }

    pub fn hash(&mut self) -> Result<Hash> {
        self.array()
    }

    pub fn count(&mut self) -> Result<usize> {
        Ok(self.u32()? as usize)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    /// Bytes that must be UTF-8.
    pub fn text(&mut self) -> Result<&'a str> {
        let what = self.what;
        std::str::from_utf8(self.bytes()?)
            .map_err(|_| CoreError::Corruption(format!("{what} holds text that is not UTF-8")))
    }

    pub fn rest(self) -> &'a [u8] {
        self.bytes
    }

    /// Every byte must have been read.
    pub fn finish(self) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        corrupt(format!(
            "{} has {} bytes too many",
            self.what,
            self.bytes.len()
        ))
    }
}
