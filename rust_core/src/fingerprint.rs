//! Keyed 128-bit identities of usage events (SipHash-2-4-128).
//!
//! Keyed by the installation's secret, because clients choose the hashed bytes and could otherwise craft
//! collisions. Each kind of identity has a key of its own.

use std::hash::Hasher as _;

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hash128, Hasher128, SipHasher24};

use crate::id::Id;

#[derive(Clone)]
pub struct Fingerprinter {
    external: SipHasher24,
    event: SipHasher24,
    unattributed: SipHasher24,
    secret_check: Id,
}

impl Fingerprinter {
    pub fn new(secret: Id) -> Self {
        let keyed = |purpose| SipHasher24::new_with_key(&derived_key(secret, purpose));
        Self {
            external: keyed(b"external subscription"),
            event: keyed(b"usage event"),
            unattributed: keyed(b"unattributed usage event"),
            secret_check: finish(&keyed(b"secret check")),
        }
    }

    /// Differs between secrets, tells nothing about them.
    pub fn secret_check(&self) -> Id {
        self.secret_check
    }

    /// Identity of (organization, `external_subscription_id`).
    pub fn external_key(&self, org: Id, external_subscription_id: &[u8]) -> Id {
        let mut hasher = self.external;
        hasher.write(&org.to_be_bytes());
        hasher.write(external_subscription_id);
        finish(&hasher)
    }

    /// Identity of a usage event for de-duplication: (organization, `external_subscription_id`, `transaction_id`).
    pub fn event(&self, external_key: Id, transaction_id: &[u8]) -> Id {
        let mut hasher = self.event;
        hasher.write(&external_key.to_be_bytes());
        hasher.write(transaction_id);
        finish(&hasher)
    }

    /// Identity of an event without `external_subscription_id`; names it, and is never used to refuse one.
    pub fn unattributed(&self, org: Id, timestamp_us: i64, fields: [&[u8]; 3]) -> Id {
        let mut hasher = self.unattributed;
        hasher.write(&org.to_be_bytes());
        hasher.write(&timestamp_us.to_le_bytes());
        for field in fields {
            hasher.write(&(field.len() as u64).to_le_bytes());
            hasher.write(field);
        }
        finish(&hasher)
    }
}

fn derived_key(secret: Id, purpose: &[u8]) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update(b"lago_engine fingerprint\0")
        .chain_update(secret.to_be_bytes())
        .chain_update(purpose)
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

fn finish(hasher: &SipHasher24) -> Id {
    let Hash128 { h1, h2 } = hasher.finish128();
    (Id::from(h1) << 64) | Id::from(h2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_secrets_are_kept_apart() {
        let prints = Fingerprinter::new(1);
        let event = |org, external: &[u8], transaction: &[u8]| {
            prints.event(prints.external_key(org, external), transaction)
        };
        let all = [
            event(1, b"a-b", b"c"),
            event(1, b"a", b"b-c"),
            event(1, b"a-bc", b""),
            event(2, b"a-b", b"c"),
            prints.unattributed(1, 0, [b"a-b", b"c", b""]),
            prints.unattributed(1, 0, [b"a-b", b"", b"c"]),
        ];
        for (index, left) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|right| left != right));
        }
        let other = Fingerprinter::new(2);
        assert_ne!(prints.secret_check(), other.secret_check());
        assert_ne!(prints.external_key(1, b"a"), other.external_key(1, b"a"));
    }
}
