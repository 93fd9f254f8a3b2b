//! Hash chains: one per stream, and one over the commits.
//!
//! entry  = SHA-256(previous entry of the stream ‖ stream id ‖ version ‖ topic length ‖ topic ‖ body)
//! commit = SHA-256(previous commit ‖ recorded at ‖ (stream id ‖ version ‖ entry hash) of each new entry in order)
//!
//! Integers are little-endian (u64, u16, i64), ids their 16 bytes; the first predecessor is 32 zero bytes.
//! Versions count 1, 2, 3, … per stream without gaps.

use sha2::{Digest, Sha256};

use crate::error::{CoreError, Result};
use crate::id::Id;
use crate::wire::Hash;

/// Topic under which a packed usage record enters its stream's chain.
pub const USAGE_TOPIC: &str = "usage_recorded.v1";

/// The newest entry of a stream; version 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub version: u64,
    pub hash: Hash,
}

impl Head {
    /// The head after one more entry.
    pub fn next(&self, stream: Id, topic: &str, body: &[u8]) -> Result<Self> {
        let version = self
            .version
            .checked_add(1)
            .ok_or(CoreError::Overflow("a stream version"))?;
        let topic_length =
            u16::try_from(topic.len()).map_err(|_| CoreError::Overflow("a topic"))?;
        let hash = Sha256::new()
            .chain_update(self.hash)
            .chain_update(stream.to_be_bytes())
            .chain_update(version.to_le_bytes())
            .chain_update(topic_length.to_le_bytes())
            .chain_update(topic)
            .chain_update(body)
            .finalize()
            .into();
        Ok(Self { version, hash })
    }
}

/// The chain over commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitHead {
    pub seq: u64,
    pub hash: Hash,
}

/// Collects the entries of one commit.
pub struct CommitHasher(Sha256);

impl CommitHasher {
    pub fn new(previous: &CommitHead, recorded_at_us: i64) -> Self {
        let hasher = Sha256::new()
            .chain_update(previous.hash)
            .chain_update(recorded_at_us.to_le_bytes());
        Self(hasher)
    }

    pub fn entry(&mut self, stream: Id, head: &Head) {
        self.0.update(stream.to_be_bytes());
        self.0.update(head.version.to_le_bytes());
        self.0.update(head.hash);
    }

    pub fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// Stream of events that arrive for an external subscription id nobody has registered yet.
pub fn inbox_stream(org: Id, external_subscription_id: &[u8]) -> Id {
    derived_stream(
        b"lago_engine usage_inbox.v1\0",
        org,
        external_subscription_id,
    )
}

/// Stream of an organization's events without `external_subscription_id`.
pub fn unattributed_stream(org: Id) -> Id {
    derived_stream(b"lago_engine usage_unattributed.v1\0", org, b"")
}

fn derived_stream(tag: &[u8], org: Id, name: &[u8]) -> Id {
    let digest = Sha256::new()
        .chain_update(tag)
        .chain_update(org.to_be_bytes())
        .chain_update(name)
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    Id::from_be_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::hex;

    #[test]
    fn chain_follows_the_documented_bytes() {
        let first = Head::default().next(7, "a.v1", b"body").unwrap();
        let mut bytes = vec![0; 32];
        bytes.extend_from_slice(&7_u128.to_be_bytes());
        bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
        bytes.extend_from_slice(b"a.v1body");
        let expected: Hash = Sha256::digest(&bytes).into();
        assert_eq!((first.version, first.hash), (1, expected));

        let mut hasher = CommitHasher::new(&CommitHead::default(), -1);
        hasher.entry(7, &first);
        let mut bytes = vec![0; 32];
        bytes.extend_from_slice(&[0xFF; 8]);
        bytes.extend_from_slice(&7_u128.to_be_bytes());
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        bytes.extend_from_slice(&expected);
        assert_eq!(hex(&hasher.finish()), hex(&Sha256::digest(&bytes)));
    }

    #[test]
    fn topic_and_body_do_not_run_into_each_other() {
        let start = Head::default();
        let left = start.next(1, "ab", b"c").unwrap();
        let right = start.next(1, "a", b"bc").unwrap();
        assert_ne!(left.hash, right.hash);
    }
}
