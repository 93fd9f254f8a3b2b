//! A slice of a text, kept apart from the text.

use crate::error::Result;
use crate::wire::to_u32;

/// Start and length of a slice.
#[derive(Clone, Copy)]
pub struct Part {
    start: u32,
    length: u32,
}

impl Part {
    /// Where `part` lies in `whole`; None if it lies elsewhere, as a default value does.
    pub fn of(whole: &[u8], part: &[u8]) -> Result<Option<Self>> {
        let start = (part.as_ptr().addr()).wrapping_sub(whole.as_ptr().addr());
        if start > whole.len() || part.len() > whole.len() - start {
            return Ok(None);
        }
        Ok(Some(Self {
            start: to_u32(start, "a usage event")?,
            length: to_u32(part.len(), "a usage event")?,
        }))
    }

    pub fn cut(self, whole: &[u8]) -> &[u8] {
        &whole[self.start as usize..][..self.length as usize]
    }
}
