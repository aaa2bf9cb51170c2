//! An engine's page of numbers on its way to the session: of its 4 KiB few words change from one look to the next, and each
//! chunk is a reason to look.

use serde::{Deserialize, Serialize};

use crate::wire::status;

/// Bytes of a number.
const WORD: usize = 8;

/// Numbers that the hub writes: what an engine's host has in their place is not told.
const OF_HUB: [usize; 2] = [status::STOP, status::END_WAITS];

/// Numbers that stand beside each other, from the one of this index on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    word: u16,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl Change {
    /// Where they stand, in bytes.
    pub fn at(&self) -> u64 {
        (WORD * usize::from(self.word)) as u64
    }

    /// Whether all of them are in the page, and for the engine to write.
    pub fn is_of_engine(&self) -> bool {
        let first = usize::from(self.word);
        let words = first..first + self.bytes.len().div_ceil(WORD);
        self.at() + self.bytes.len() as u64 <= status::LENGTH
            && !OF_HUB.iter().any(|word| words.contains(word))
    }
}

/// What is other in `after`; what `before` does not have was 0.
pub fn changes(before: &[u8], after: &[u8]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut next = None;
    for (word, bytes) in after.chunks_exact(WORD).enumerate() {
        let from = WORD * word;
        let same = before.get(from..from + WORD).unwrap_or(&[0; WORD]) == bytes;
        if same || OF_HUB.contains(&word) {
            continue;
        }
        match changes.last_mut().filter(|_| next == Some(word)) {
            Some(last) => last.bytes.extend_from_slice(bytes),
            None => changes.push(Change {
                word: word as u16,
                bytes: bytes.to_vec(),
            }),
        }
        next = Some(word + 1);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(words: &[(usize, u64)]) -> Vec<u8> {
        let mut page = vec![0; status::LENGTH as usize];
        for (word, number) in words {
            page[WORD * word..WORD * (word + 1)].copy_from_slice(&number.to_ne_bytes());
        }
        page
    }

    #[test]
    fn what_changes_gives_the_page_and_leaves_the_hubs_words_alone() {
        let last = status::LENGTH as usize / WORD - 1;
        let pages = [
            Vec::new(),
            page(&[(status::ITEM, 8), (status::JOB, 1), (status::BEGUN, 9)]),
            page(&[(status::ITEM, 0), (status::JOB, 1), (status::BEGUN, 10)]),
            page(&[(status::STOP, 1), (status::END_WAITS, 2), (last, 3)]),
            page(&[(status::WAITS, u64::MAX), (last, 3), (status::SAID, 4)]),
        ];
        let mut there = page(&[(status::STOP, 7), (status::END_WAITS, 7)]);
        for pair in pages.windows(2) {
            let changes = changes(&pair[0], &pair[1]);
            let told: usize = changes.iter().map(|change| change.bytes.len()).sum();
            assert!(told <= 5 * WORD, "{changes:?}");
            for change in &changes {
                assert!(change.is_of_engine(), "{change:?}");
                let from = change.at() as usize;
                there[from..from + change.bytes.len()].copy_from_slice(&change.bytes);
            }
            let mut expected = pair[1].clone();
            for word in OF_HUB {
                expected[WORD * word..][..WORD].copy_from_slice(&7_u64.to_ne_bytes());
            }
            assert!(there == expected);
        }
        assert_eq!(changes(&there, &there), []);
    }

    #[test]
    fn what_a_node_makes_up_is_not_written() {
        let of = |word, length| Change {
            word,
            bytes: vec![1; length],
        };
        let last = (status::LENGTH / 8 - 1) as u16;
        assert!(of(0, 16).is_of_engine() && of(last, 8).is_of_engine());
        for wrong in [
            of(0, 17),
            of(0, 4096),
            of(status::STOP as u16, 8),
            of(status::END_WAITS as u16, 1),
            of(last, 9),
            of(u16::MAX, 8),
        ] {
            assert!(!wrong.is_of_engine(), "{wrong:?}");
        }
    }
}
