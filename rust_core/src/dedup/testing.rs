//! Keys and folders for the tests of this module.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::id::Id;

/// A key as random as a fingerprint (`SplitMix64`, twice).
pub fn key(number: u64) -> Id {
    let half = |seed: u64| {
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Id::from(mixed ^ (mixed >> 31))
    };
    let seed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (half(seed) << 64) | half(!seed)
}

/// A directory that is removed in the end.
pub struct Temporary(PathBuf);

impl Temporary {
    pub fn folder() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lago-engine-index-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // It may never have been made.
    }
}
