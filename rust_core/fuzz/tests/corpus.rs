//! The targets hold for the corpus and for a bounded number of its mutations; the same ones every time.

use std::fs;
use std::path::Path;

use lago_engine_fuzz::{check_body, check_expression};

const MUTATIONS: usize = 10_000;
const LENGTH_MAX: usize = 4_096;
const PIECES: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\ud83d",
    b"\\u0000",
    b"\xff",
    b"\xed\xa0\x80",
    b"\x00",
    b" ",
    b"null",
    b"true",
    b"-",
    b"0",
    b"9999999999999999999999",
    b"1e400",
    b".",
    b"e",
    b"\"timestamp\":",
    b"\"code\":\"net\",",
    b"\"properties\":{\"mb\":1},",
    b"\"transaction_id\":1,",
    b"\"external_subscription_id\":\"s\",",
    b"\"events\":[",
    b"round(",
    b"/ 0",
    b"event.properties.mb",
    b"'",
    b"(",
    b")",
    b"concat(",
];

/// Files of a folder beside this crate's manifest, by name.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    paths.sort();
    let read = |path| fs::read(path).expect("it can be read");
    paths.iter().map(read).collect()
}

/// A generator of its own, so that a failure comes back (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).expect("31 bits") % end.max(1)
    }
}

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(8)).min(input.len());
        match random.below(5) {
            0 => drop(input.drain(at..end)),
            1 => {
                let piece = PIECES[random.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
            2 => {
                let copied = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, copied);
            }
            3 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    input.truncate(LENGTH_MAX);
    input
}

fn run(name: &str, check: fn(&[u8])) {
    let corpus = corpus(name);
    assert!(corpus.len() >= 10, "a corpus is there");
    for input in &corpus {
        check(input);
    }
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..MUTATIONS {
        check(&mutate(&mut random, &corpus));
    }
}

#[test]
fn bodies() {
    run("body", check_body);
}

#[test]
fn expressions() {
    run("expression", check_expression);
}
