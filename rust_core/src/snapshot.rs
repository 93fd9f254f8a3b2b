//! Everything committed but fingerprints in one piece, so that a start needs only the tail of the log.
//!
//! ```text
//! magic "LAGOSNP" and format version 5 · CRC-32 of the rest u32
//! secret check 16 · log · plans · subscriptions with windows and pending usage · external ids · expressions
//! ```
//! Staged usage is not part of it, nor are the fingerprints: their index stands for itself (`dedup`).

use std::path::Path;
use std::sync::Arc;

use crate::advance;
use crate::charge::Charge;
use crate::computed::Metrics;
use crate::core::Core;
use crate::error::{corrupt, Result};
use crate::fingerprint::Fingerprinter;
use crate::id::Id;
use crate::log::Log;
use crate::plan::Plan;
use crate::registry::{External, Registry, Subscription, SubscriptionSpec};
use crate::window::{Ranges, Window};
use crate::wire::{put_count, put_i64, put_id, put_u32, Reader};

const MAGIC: &[u8; 8] = b"LAGOSNP\x05";
const HEADER_BYTES: usize = 12;

impl Core {
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        put_u32(&mut out, 0);
        put_id(&mut out, self.fingerprinter.secret_check());
        let state = self.lock()?;
        state.log.encode(&mut out)?;
        encode_registry(&state.registry, &mut out)?;
        self.metrics.encode(&mut out)?;
        drop(state);
        let checksum = crc32fast::hash(&out[HEADER_BYTES..]);
        out[MAGIC.len()..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Ok(out)
    }

    /// The core that took the snapshot, under the same secret. index: as in `new`; it may have to catch up.
    pub fn restore(
        secret: Id,
        batch_max: usize,
        index: Option<&Path>,
        snapshot: &[u8],
    ) -> Result<Self> {
        let mut reader = Reader::new(snapshot, "a snapshot");
        if reader.take(MAGIC.len())? != MAGIC {
            return corrupt("a snapshot does not begin as one of this version");
        }
        if reader.u32()? != crc32fast::hash(&snapshot[HEADER_BYTES..]) {
            return corrupt("a snapshot is damaged");
        }
        if reader.id()? != Fingerprinter::new(secret).secret_check() {
            return corrupt("a snapshot was taken under another secret");
        }
        let log = Log::decode(&mut reader)?;
        let registry = decode_registry(&mut reader)?;
        let metrics = Metrics::decode(&mut reader)?;
        reader.finish()?;
        Self::with(secret, batch_max, index, (log, registry, metrics))
    }
}

fn encode_registry(registry: &Registry, out: &mut Vec<u8>) -> Result<()> {
    put_count(out, registry.plans.len())?;
    for (key, plan) in &registry.plans {
        put_id(out, *key);
        encode_charges(&plan.charges, out)?;
    }
    put_count(out, registry.subscriptions.len())?;
    for subscription in &registry.subscriptions {
        encode_subscription(subscription, out)?;
    }
    put_count(out, registry.externals.len())?;
    for (key, external) in &registry.externals {
        put_id(out, *key);
        put_count(out, external.streams.len())?;
        for &stream in &external.streams {
            put_u32(out, stream);
        }
        external.unfolded.encode(out);
    }
    Ok(())
}

fn decode_registry(reader: &mut Reader<'_>) -> Result<Registry> {
    let mut registry = Registry::default();
    for _ in 0..reader.count()? {
        let key = reader.id()?;
        let charges = decode_charges(reader)?;
        registry.plans.insert(key, Arc::new(Plan::new(charges)));
    }
    for _ in 0..reader.count()? {
        decode_subscription(&mut registry, reader)?;
    }
    for _ in 0..reader.count()? {
        let external: &mut External = registry.externals.entry(reader.id()?).or_default();
        for _ in 0..reader.count()? {
            external.streams.push(reader.u32()?);
        }
        external.unfolded = Ranges::decode(reader)?;
    }
    Ok(registry)
}

fn encode_charges(charges: &[Charge], out: &mut Vec<u8>) -> Result<()> {
    put_count(out, charges.len())?;
    charges.iter().try_for_each(|charge| charge.encode(out))
}

fn decode_charges(reader: &mut Reader<'_>) -> Result<Vec<Charge>> {
    (0..reader.count()?)
        .map(|_| Charge::decode(reader))
        .collect()
}

fn encode_subscription(subscription: &Subscription, out: &mut Vec<u8>) -> Result<()> {
    let spec = &subscription.spec;
    for id in [
        spec.id,
        spec.org,
        spec.external_key,
        spec.stream,
        spec.plan_key,
    ] {
        put_id(out, id);
    }
    put_i64(out, spec.started_at_us);
    out.push(u8::from(spec.terminated_at_us.is_some()));
    put_i64(out, spec.terminated_at_us.unwrap_or_default());
    put_count(out, subscription.windows.len())?;
    for window in &subscription.windows {
        window.encode(out)?;
    }
    advance::encode_all(&subscription.pending, out)
}

fn decode_subscription(registry: &mut Registry, reader: &mut Reader<'_>) -> Result<()> {
    let spec = SubscriptionSpec {
        id: reader.id()?,
        org: reader.id()?,
        external_key: reader.id()?,
        stream: reader.id()?,
        plan_key: reader.id()?,
        started_at_us: reader.i64()?,
        terminated_at_us: {
            let terminated = reader.u8()? == 1;
            Some(reader.i64()?).filter(|_| terminated)
        },
    };
    let Some(plan) = registry.plans.get(&spec.plan_key).map(Arc::clone) else {
        return corrupt("a snapshot's subscription has a plan that is not in it");
    };
    let mut windows = Vec::new();
    for _ in 0..reader.count()? {
        let ticket = registry.next_ticket();
        windows.push(Window::decode(&plan, ticket, reader)?);
    }
    let pending = advance::decode_all(reader)?;
    if windows.iter().any(|window| !window.complete) {
        registry.stale.insert(spec.id);
    }
    registry.insert_subscription(spec, plan).windows = windows;
    registry.restore_pending(registry.subscriptions.len() - 1, pending);
    Ok(())
}
