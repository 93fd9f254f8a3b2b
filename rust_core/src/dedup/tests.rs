use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::testing::{key, Temporary};
use super::*;
use crate::core::Core;

fn admit(
    dedup: &mut Dedup,
    fingerprints: &[Id],
    batch: u64,
) -> std::result::Result<(), Duplicates> {
    let fingerprints: Vec<_> = fingerprints.iter().copied().map(Some).collect();
    dedup.admit(&fingerprints, &[], batch)
}

fn refused(indexes: &[usize], wait_for: &[u64]) -> std::result::Result<(), Duplicates> {
    Err(Duplicates {
        indexes: indexes.to_vec(),
        wait_for: wait_for.to_vec(),
    })
}

fn position(seq: u64) -> Position {
    Position {
        commit: CommitHead {
            seq,
            hash: [u8::try_from(seq % 251).unwrap(); 32],
        },
        segment_no: seq,
    }
}

#[test]
fn a_body_waits_for_every_batch_it_repeats() {
    let mut dedup = Dedup::default();
    assert_eq!(admit(&mut dedup, &[1, 2], 1), Ok(()));
    assert_eq!(admit(&mut dedup, &[3], 2), Ok(()));
    assert_eq!(
        admit(&mut dedup, &[9, 2, 9, 3], 2),
        refused(&[1, 2, 3], &[1, 2])
    );
    dedup.commit([1, 2].into_iter(), position(1)).unwrap();
    assert_eq!(admit(&mut dedup, &[2, 3], 3), refused(&[0, 1], &[2]));
    assert_eq!(admit(&mut dedup, &[2], 3), refused(&[0], &[]));
    dedup.forget([3].into_iter());
    assert_eq!(admit(&mut dedup, &[3, 9], 3), Ok(()));
}

#[test]
fn nothing_of_a_refused_body_remains() {
    let mut dedup = Dedup::default();
    assert_eq!(admit(&mut dedup, &[5, 6, 5], 1), refused(&[2], &[]));
    assert_eq!(admit(&mut dedup, &[5, 6], 1), Ok(()));
    assert_eq!(dedup.admit(&[None, None], &[], 1), Ok(()));
    assert!(dedup.commit([5, 6].into_iter(), position(1)).is_ok());
    assert!(dedup.in_flight.is_empty());
    assert!(dedup.insert(5).is_err());
}

#[test]
fn the_index_follows_one_log_without_a_gap() {
    let mut dedup = Dedup::default();
    dedup.advance(position(1)).unwrap();
    assert!(dedup.advance(position(3)).is_err());
    assert!(dedup.advance(position(1)).is_ok());
    let mut other = position(1);
    other.commit.hash[5] ^= 1;
    assert!(matches!(dedup.advance(other), Err(CoreError::Index(_))));
    assert!(dedup.begin_segment(3).is_err());
    assert!(!dedup.begin_segment(1).unwrap());
    assert!(dedup.begin_segment(2).unwrap());
    // Inside a commit nothing is frozen: the position does not cover all of what memory holds.
    dedup.insert(1).unwrap();
    assert!(dedup.freeze(1).is_none());
    dedup.advance(position(2)).unwrap();
    assert!(dedup.freeze(2).is_none());
    assert_eq!(dedup.freeze(1).unwrap().position, position(2));
}

/// An index in a folder, the keys of the log's commits, and the one that the next commit begins with.
struct Machine {
    folder: Temporary,
    core: Core,
    /// The log: keys of each commit.
    log: Vec<Vec<u64>>,
    known: BTreeSet<u64>,
    random: u64,
}

impl Machine {
    fn new(seed: u64) -> Self {
        let folder = Temporary::folder();
        Self {
            core: Core::new(1, 100, Some(folder.path())).unwrap(),
            folder,
            log: Vec::new(),
            known: BTreeSet::new(),
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    fn pick(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn admit(&self, numbers: &[u64], batch: u64) -> std::result::Result<(), Duplicates> {
        let keys: Vec<Option<Id>> = numbers.iter().map(|&number| Some(key(number))).collect();
        let (mut state, found) = self.core.find(&keys).unwrap();
        state.dedup.admit(&keys, &found, batch)
    }

    /// Admits some keys, known and unknown ones; commits them or takes them back.
    fn body(&mut self) {
        let length = self.pick(8);
        let numbers: BTreeSet<u64> = (0..length).map(|_| self.pick(400)).collect();
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let seq = self.log.len() as u64 + 1;
        let repeated: Vec<usize> = (0..numbers.len())
            .filter(|&index| self.known.contains(&numbers[index]))
            .collect();
        if !repeated.is_empty() {
            assert_eq!(self.admit(&numbers, seq), refused(&repeated, &[]));
            return;
        }
        assert_eq!(self.admit(&numbers, seq), Ok(()));
        let keys = numbers.iter().map(|&number| key(number));
        let mut state = self.core.lock().unwrap();
        if numbers.first().is_some_and(|number| number % 5 == 0) {
            state.dedup.forget(keys);
            return;
        }
        state.dedup.commit(keys, position(seq)).unwrap();
        drop(state);
        self.known.extend(&numbers);
        self.log.push(numbers);
    }

    fn folder(&self) -> &folder::Folder {
        &self.core.index.as_ref().unwrap().folder
    }

    /// The process ends after so many more operations on files, in the middle of what it does; a new one goes on.
    fn crash(&mut self, steps: u32, work: impl Fn(&Core) -> Result<bool>) -> bool {
        self.folder().steps_left.store(steps, Ordering::Relaxed);
        let finished = work(&self.core).is_ok();
        self.reopen();
        finished
    }

    fn reopen(&mut self) {
        self.core = Core::new(1, 100, Some(self.folder.path())).unwrap();
        let mut state = self.core.lock().unwrap();
        let stands = state.dedup.position();
        assert_eq!(stands, position(stands.commit.seq).or_default());
        for (seq, numbers) in (1..)
            .zip(&self.log)
            .skip(usize::try_from(stands.segment_no).unwrap())
        {
            assert!(state.dedup.begin_segment(seq).unwrap());
            let keys = numbers.iter().map(|&number| key(number));
            state.dedup.insert_all(keys).unwrap();
            state.dedup.advance(position(seq)).unwrap();
        }
    }

    fn check(&self) {
        let figures = self.core.lock().unwrap().dedup.figures();
        assert_eq!(figures.fingerprints, self.known.len() as u64);
        let keys: Vec<Option<Id>> = (0..400).map(|number| Some(key(number))).collect();
        let (state, found) = self.core.find(&keys).unwrap();
        for (number, key) in (0..400).zip(&keys) {
            let index = usize::try_from(number).unwrap();
            let is_known = found.contains(&index) || state.dedup.is_in_memory(key.unwrap());
            assert_eq!(is_known, self.known.contains(&number), "key {number}");
        }
    }
}

impl Position {
    /// The position of an index that stands for nothing.
    fn or_default(self) -> Self {
        if self.segment_no == 0 {
            Self::default()
        } else {
            self
        }
    }
}

#[test]
fn an_index_behaves_as_a_set_whatever_happens_to_it() {
    for seed in 1..=20 {
        let mut machine = Machine::new(seed);
        for _ in 0..150 {
            match machine.pick(20) {
                0 => drop(machine.core.spill(1).unwrap()),
                1 => drop(machine.core.merge().unwrap()),
                2 => machine.reopen(),
                3 => {
                    let steps = u32::try_from(machine.pick(12)).unwrap();
                    machine.crash(steps, |core| core.spill(1));
                }
                4 => {
                    let steps = u32::try_from(machine.pick(16)).unwrap();
                    machine.crash(steps, Core::merge);
                }
                5 => {
                    // The disk is full for a moment; the process lives on and tries again.
                    let steps = u32::try_from(machine.pick(12)).unwrap();
                    machine.folder().steps_left.store(steps, Ordering::Relaxed);
                    let _ = machine.core.spill(1);
                    machine.body();
                    machine.check();
                    let _ = machine.core.merge();
                    machine
                        .folder()
                        .steps_left
                        .store(u32::MAX, Ordering::Relaxed);
                }
                _ => machine.body(),
            }
            machine.check();
        }
    }
}

/// Four runs, and something in memory.
fn filled() -> Machine {
    let mut machine = Machine::new(99);
    while machine.core.runs().unwrap().all.len() < 4 {
        machine.body();
        machine.core.spill(5).unwrap();
    }
    let runs = machine.core.runs().unwrap().all.len();
    while machine.core.lock().unwrap().dedup.figures().in_memory == 0 {
        machine.body();
    }
    assert_eq!(runs, 4);
    machine
}

#[test]
fn a_crash_after_any_step_of_a_spill_or_merge_loses_nothing() {
    for work in [
        (|core| core.spill(1)) as fn(&Core) -> Result<bool>,
        Core::merge,
    ] {
        let finished_after = (0..100).find(|&steps| {
            let mut machine = filled();
            let finished = machine.crash(steps, work);
            machine.check();
            let names = machine.folder().names().unwrap().len();
            assert_eq!(names, machine.core.runs().unwrap().all.len() + 1);
            finished
        });
        assert!(finished_after.unwrap() >= 10);
    }
}

#[test]
fn runs_become_fewer_and_old_files_go() {
    let mut machine = filled();
    assert!(machine.core.merge().unwrap());
    assert!(!machine.core.merge().unwrap());
    assert_eq!(machine.core.runs().unwrap().all.len(), 1);
    assert_eq!(machine.folder().names().unwrap().len(), 2);
    machine.check();
    machine.reopen();
    machine.check();
}

#[test]
fn a_changed_or_missing_byte_is_found() {
    let machine = filled();
    let names = machine.folder().names().unwrap();
    assert_eq!(names.len(), 5);
    for name in names {
        let path = machine.folder.path().join(&name);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(11) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            assert!(machine.is_found_damaged(), "{} at {at}", name.display());
            if at % 50 == 0 {
                std::fs::write(&path, &whole[..at]).unwrap();
                assert!(machine.is_found_damaged(), "{} cut at {at}", name.display());
            }
        }
        if name != manifest::NAME {
            std::fs::remove_file(&path).unwrap();
            assert!(machine.is_found_damaged(), "{} is gone", name.display());
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(!machine.is_found_damaged());
    assert!(Core::new(2, 100, Some(machine.folder.path())).is_err());
}

impl Machine {
    /// Whether opening the index, or reading all of it, says that it is damaged.
    fn is_found_damaged(&self) -> bool {
        let read = |core: Core| {
            for run in &core.runs()?.all {
                let mut keys = run.keys();
                while keys.next_key()?.is_some() {}
            }
            Ok(())
        };
        match Core::new(1, 100, Some(self.folder.path())).and_then(read) {
            Ok(()) => false,
            Err(CoreError::Index(_) | CoreError::Corruption(_)) => true,
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_damaged_block_ends_the_index() {
    let machine = filled();
    let runs = machine.core.runs().unwrap();
    let path = machine.folder.path().join(runs.all[0].entry.name());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let keys: Vec<Option<Id>> = (0..400).map(|number| Some(key(number))).collect();
    assert!(matches!(machine.core.find(&keys), Err(CoreError::Index(_))));
    assert!(!machine.folder.path().join(manifest::NAME).exists());
    assert!(machine.core.spill(1).is_err());
    assert!(!machine.folder.path().join(manifest::NAME).exists());
}

#[test]
fn a_key_in_two_runs_is_found_by_the_merge() {
    let machine = Machine::new(1);
    for seq in 1..=4 {
        let mut state = machine.core.lock().unwrap();
        let keys = [key(seq % 3), key(seq + 10)];
        state.dedup.commit(keys.into_iter(), position(seq)).unwrap();
        drop(state);
        assert!(machine.core.spill(1).unwrap());
    }
    assert!(matches!(machine.core.merge(), Err(CoreError::Index(_))));
}

#[test]
fn questions_during_spills_and_merges_are_answered_right() {
    let machine = Machine::new(3);
    let commit = |seq: u64| {
        let keys = (0..50).map(|number| key(seq * 1000 + number));
        let mut state = machine.core.lock().unwrap();
        state.dedup.commit(keys, position(seq)).unwrap();
    };
    commit(1);
    std::thread::scope(|threads| {
        let upkeep = threads.spawn(|| {
            for seq in 2..200 {
                commit(seq);
                machine.core.spill(100).unwrap();
                machine.core.merge().unwrap();
            }
        });
        while !upkeep.is_finished() {
            let keys: Vec<_> = (0..60).map(|number| Some(key(1000 + number))).collect();
            let (mut state, found) = machine.core.find(&keys).unwrap();
            let duplicates = state.dedup.admit(&keys, &found, 9).unwrap_err();
            assert_eq!(duplicates.indexes, (0..50).collect::<Vec<_>>());
        }
    });
    assert!(machine.core.runs().unwrap().all.len() < 16);
}
