//! Content that many engines take, on its way to their node: in pieces that follow each other, each with its digest behind
//! it. A piece is read when it is sent, and is in its place as soon as it has come, so that neither end has all of it twice.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::ordered::LONGEST;
use crate::wire::{DATA, Payload, memory_file, read_whole};

/// Bytes of a piece: with its digest, and the message before it, it is no longer than a fragment.
const PIECE: usize = LONGEST - DIGEST - 64;

/// Bytes of its digest, in little-endian.
const DIGEST: usize = 16;

/// Where content is.
pub enum Source {
    Bytes(Vec<u8>),
    /// So many bytes of a file that nobody writes to.
    File {
        file: Arc<OwnedFd>,
        from: u64,
        length: u64,
    },
}

impl Source {
    /// A payload's that is made once.
    pub fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Shared(file) => Self::File {
                file: file.clone(),
                from: DATA as u64,
                length: payload.length(),
            },
            _ => Self::Bytes(payload.inline().to_vec()),
        }
    }

    /// In bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Appends so many bytes from `at` on; none when they cannot be read.
    pub fn read(&self, at: u64, length: usize, to: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes) => to.extend_from_slice(&bytes[at as usize..][..length]),
            Self::File { file, from, .. } => {
                let begin = to.len();
                to.resize(begin + length, 0);
                if !read_whole(file, from + at, &mut to[begin..]) {
                    to.truncate(begin);
                }
            }
        }
    }
}

/// A piece of content, with its digest.
pub struct Piece {
    source: Rc<Source>,
    at: u64,
    bytes: usize,
}

impl Piece {
    /// With its digest, bytes.
    pub fn length(&self) -> usize {
        self.bytes + DIGEST
    }

    /// Appends it. What cannot be read any more has a digest that says so.
    pub fn write(&self, to: &mut Vec<u8>) {
        let begin = to.len();
        self.source.read(self.at, self.bytes, to);
        let is_whole = to.len() == begin + self.bytes;
        let digest = xxh3_128(&to[begin..]) ^ u128::from(!is_whole);
        to.extend_from_slice(&digest.to_le_bytes());
    }
}

/// All of it, in order.
pub fn pieces(source: Source) -> impl Iterator<Item = Piece> {
    let (length, source) = (source.length(), Rc::new(source));
    (0..length).step_by(PIECE).map(move |at| Piece {
        source: source.clone(),
        at,
        bytes: (length - at).min(PIECE as u64) as usize,
    })
}

/// A piece without its digest, when it is the one that was sent.
pub fn checked(piece: &[u8]) -> Option<&[u8]> {
    let (bytes, digest) = piece.split_last_chunk()?;
    (xxh3_128(bytes) == u128::from_le_bytes(*digest)).then_some(bytes)
}

/// A file in memory that grows by pieces, and is a payload with a header of its own unless it is `bare`.
pub struct Growing {
    file: std::fs::File,
    from: u64,
    length: u64,
    came: u64,
}

impl Growing {
    /// Of so many bytes in the end.
    pub fn new(length: u64, bare: bool) -> io::Result<Self> {
        Ok(Self {
            file: match bare {
                true => memory_file()?,
                false => Payload::room(length)?,
            },
            from: if bare { 0 } else { DATA as u64 },
            length,
            came: 0,
        })
    }

    /// The next bytes. Those that are too many are an error.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > self.length - self.came {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all_at(bytes, self.from + self.came)?;
        self.came += bytes.len() as u64;
        Ok(())
    }

    pub fn is_whole(&self) -> bool {
        self.came == self.length
    }

    pub fn payload(self) -> Payload {
        Payload::file(self.file.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_pieces_is_what_was_there() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let payload = Payload::of(bytes.clone()).unwrap();
            for bare in [true, false] {
                let mut growing = Growing::new(length as u64, bare).unwrap();
                for piece in pieces(Source::of(&payload)) {
                    assert!(!growing.is_whole());
                    let mut sent = Vec::new();
                    piece.write(&mut sent);
                    assert_eq!(sent.len(), piece.length());
                    assert!(sent.len() + 64 <= LONGEST);
                    growing.write(checked(&sent).unwrap()).unwrap();
                    sent[piece.length() / 2] ^= 1;
                    assert_eq!(checked(&sent), None);
                }
                assert!(growing.is_whole());
                assert!(growing.write(&[0]).is_err());
                let Payload::Shared(file) = growing.payload() else {
                    panic!("no file");
                };
                let from = if bare { 0 } else { DATA as u64 };
                let mut came = Vec::new();
                let length = length as u64;
                Source::File { file, from, length }.read(0, bytes.len(), &mut came);
                assert!(came == bytes);
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_piece() {
        let file = Payload::of(vec![7; 100_000]).unwrap();
        let Payload::Shared(file) = file else {
            panic!("no file");
        };
        // It says that there is more than there is.
        let source = Source::File {
            file,
            from: DATA as u64,
            length: 100_001,
        };
        let piece = pieces(source).next().unwrap();
        let mut sent = Vec::new();
        piece.write(&mut sent);
        assert_eq!(checked(&sent), None);
        assert_eq!(checked(b"short"), None);
    }
}
