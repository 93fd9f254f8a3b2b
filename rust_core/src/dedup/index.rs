//! The index on disk: opening it, moving fingerprints into runs, merging runs.
//!
//! Whatever a crash leaves, the manifest names whole runs that hold the fingerprints of the log up to the manifest's
//! position and no others. It is a function of the log: what cannot be used is thrown away and made again from it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::folder::Folder;
use super::manifest::{self, Manifest};
use super::merge::Merge;
use super::run::{Entry, Run, RunWriter};
use super::runs::Runs;
use super::{Dedup, Frozen, Position};
use crate::core::Core;
use crate::error::{CoreError, Result};
use crate::id::Id;

pub struct Index {
    pub(super) folder: Folder,
    secret_check: Id,
    manifest: Mutex<Manifest>,
    /// One spill and one merge at a time; they may meet each other.
    spilling: Mutex<()>,
    merging: Mutex<()>,
    condemned: AtomicBool,
}

impl Index {
    /// The index in a directory, an empty one if there is no manifest; files that it does not name are removed.
    pub fn open(path: &Path, secret_check: Id) -> Result<(Self, Dedup)> {
        let folder = Folder::open(path)?;
        let manifest = match folder.read(manifest::NAME) {
            Ok(bytes) => Manifest::decode(&bytes, secret_check)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Manifest::default(),
            Err(error) => return Err(error.into()),
        };
        let opened = manifest.runs.iter();
        let opened = opened.map(|&entry| Ok(Arc::new(Run::open(&folder, entry, secret_check)?)));
        let runs = Runs {
            spills: 0,
            all: opened.collect::<Result<_>>()?,
        };
        let named: Vec<String> = manifest.runs.iter().map(Entry::name).collect();
        for name in folder.names()? {
            let keep = |kept: &str| name == kept;
            if !keep(manifest::NAME) && !named.iter().any(|kept| keep(kept)) {
                folder.remove(&name)?;
            }
        }
        let dedup = Dedup::new(runs, manifest.position);
        let index = Self {
            folder,
            secret_check,
            manifest: Mutex::new(manifest),
            spilling: Mutex::default(),
            merging: Mutex::default(),
            condemned: AtomicBool::default(),
        };
        Ok((index, dedup))
    }

    /// Throws the index in a directory away.
    pub fn remove(path: &Path) -> Result<()> {
        match Folder::open(path)?.remove(manifest::NAME) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn manifest(&self) -> Result<MutexGuard<'_, Manifest>> {
        let poisoned = |_| CoreError::State("the index stopped inside a change");
        self.manifest.lock().map_err(poisoned)
    }

    fn next_entry(&self, keys: u64) -> Result<Entry> {
        let mut manifest = self.manifest()?;
        manifest.next_number += 1;
        Ok(Entry {
            number: manifest.next_number,
            keys,
        })
    }

    /// A run of so many keys, durable but in no manifest yet.
    fn write_run(
        &self,
        keys: u64,
        fill: impl FnOnce(&mut RunWriter<'_>) -> Result<()>,
    ) -> Result<Run> {
        let entry = self.next_entry(keys)?;
        let written = RunWriter::new(&self.folder, entry, self.secret_check).and_then(|mut run| {
            fill(&mut run)?;
            run.finish(&self.folder)
        });
        if written.is_err() {
            self.folder.discard(&entry.name());
        }
        written
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        if self.condemned.load(Ordering::Relaxed) {
            return Err(CoreError::State("the index was found damaged"));
        }
        let mut part = self.folder.create(manifest::NAME)?;
        part.write(&manifest.encode(self.secret_check)?)?;
        Ok(part.publish()?)
    }

    /// The index is found wrong: the next start makes it again from the log.
    fn condemn(&self) {
        self.condemned.store(true, Ordering::Relaxed);
        let _ = self.folder.remove(manifest::NAME); // If it stays, the damage will be found again.
    }
}

impl Core {
    /// Moves the fingerprints in memory into a run if there are `at_least` so many; false if not.
    ///
    /// Sorting and writing hold no lock. After an error they are still in memory, and the next call tries again.
    pub fn spill(&self, at_least: u64) -> Result<bool> {
        let Some(index) = &self.index else {
            return Ok(false);
        };
        let Ok(_only) = index.spilling.try_lock() else {
            return Ok(false);
        };
        let Some(Frozen { recent, position }) = self.lock()?.dedup.freeze(at_least) else {
            return Ok(false);
        };
        let run = index.write_run(recent.count(), |run| {
            recent.sorted().try_for_each(|key| run.push(key))
        })?;
        self.publish(index, run, &[], Some(position))?;
        Ok(true)
    }

    /// Makes one run of several if there are too many; false if not.
    pub fn merge(&self) -> Result<bool> {
        let Some(index) = &self.index else {
            return Ok(false);
        };
        let Ok(_only) = index.merging.try_lock() else {
            return Ok(false);
        };
        let Some(old) = self.runs()?.to_merge() else {
            return Ok(false);
        };
        let keys = old.iter().map(|run| run.entry.keys).sum();
        let run = index.write_run(keys, |run| Merge::new(&old)?.write(run));
        self.publish(index, self.sound(run)?, &old, None)?;
        for run in old {
            index.folder.remove(run.entry.name())?;
        }
        Ok(true)
    }

    /// The manifest first, then what is searched.
    fn publish(
        &self,
        index: &Index,
        run: Run,
        replaced: &[Arc<Run>],
        position: Option<Position>,
    ) -> Result<()> {
        let mut manifest = index.manifest()?;
        let mut next = manifest.clone();
        next.runs
            .retain(|known| !replaced.iter().any(|old| old.entry == *known));
        next.runs.push(run.entry);
        next.position = position.unwrap_or(next.position);
        index.write_manifest(&next)?;
        *manifest = next;
        let spilled = {
            let mut state = self.lock()?;
            let runs = Arc::new(self.runs()?.with(run, replaced));
            self.search(Arc::clone(&runs))?;
            state.dedup.adopt(runs)
        };
        drop(spilled); // Freeing millions of fingerprints takes a while.
        Ok(())
    }

    /// Damage that was found makes the next start begin anew.
    pub(crate) fn sound<T>(&self, result: Result<T>) -> Result<T> {
        if let (Err(CoreError::Corruption(_)), Some(index)) = (&result, &self.index) {
            index.condemn();
        }
        result.map_err(CoreError::in_index)
    }
}

impl Core {
    /// For measurements: a run of made-up fingerprints, as if so many other events had been seen.
    pub fn pretend(&self, keys: u64) -> Result<()> {
        let Some(index) = &self.index else {
            return Err(CoreError::State("there is no index"));
        };
        // One key in each of so many equal parts of all keys: random enough, and ascending.
        let width = Id::MAX / Id::from(keys.max(1));
        let mut seed = Id::from(index.next_entry(0)?.number);
        let run = index.write_run(keys, |run| {
            (0..keys).try_for_each(|part| {
                seed = seed
                    .wrapping_mul(0xDA94_2042_E4DD_58B5)
                    .wrapping_add(0x9E37_79B9_7F4A_7C15);
                let random = (seed >> 64) ^ (seed << 64);
                run.push(Id::from(part) * width + random % width)
            })
        })?;
        self.publish(index, run, &[], None)
    }
}
