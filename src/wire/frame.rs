//! Frames on a byte stream: `u32` total length, `u32` header length (little-endian both), the header in
//! postcard, the payload.

use std::io::{IoSlice, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

use super::WireError;

/// A frame longer than this is a fault of the sender, not a reason to allocate.
const LONGEST: u64 = 2 << 30;

const PREFIX: usize = 8;

/// Writes one frame.
pub fn write_frame<T: Serialize>(
    to: &mut impl Write,
    header: &T,
    payload: &[u8],
) -> Result<(), WireError> {
    let mut start = vec![0; PREFIX];
    start = postcard::to_extend(header, start)?;
    let header_len = start.len() - PREFIX;
    let total = header_len as u64 + payload.len() as u64;
    let (Ok(total_len), true) = (u32::try_from(total), total <= LONGEST) else {
        return Err(WireError::TooLong(total));
    };
    start[..4].copy_from_slice(&total_len.to_le_bytes());
    start[4..8].copy_from_slice(&u32::try_from(header_len).unwrap_or(u32::MAX).to_le_bytes());
    if payload.is_empty() {
        to.write_all(&start)?;
    } else {
        write_both(to, &start, payload)?;
    }
    Ok(())
}

/// Both parts in one call to the system where it takes them whole: most frames are small, and a second
/// call would wake the reader twice.
fn write_both(to: &mut impl Write, start: &[u8], payload: &[u8]) -> std::io::Result<()> {
    let written = loop {
        match to.write_vectored(&[IoSlice::new(start), IoSlice::new(payload)]) {
            Ok(written) => break written,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    if written < start.len() {
        to.write_all(&start[written..])?;
        to.write_all(payload)
    } else {
        to.write_all(&payload[written - start.len()..])
    }
}

/// Reads one frame, waiting for it.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> Result<(T, Vec<u8>), WireError> {
    let mut prefix = [0; PREFIX];
    read_all(from, &mut prefix)?;
    let (total, header_len) = lengths(prefix)?;
    let mut header = vec![0; header_len];
    read_all(from, &mut header)?;
    let mut payload = vec![0; total - header_len];
    read_all(from, &mut payload)?;
    Ok((postcard::from_bytes(&header)?, payload))
}

fn lengths(prefix: [u8; PREFIX]) -> Result<(usize, usize), WireError> {
    let total = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
    let header = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]) as usize;
    if total as u64 > LONGEST || header > total {
        return Err(WireError::TooLong(total as u64));
    }
    Ok((total, header))
}

fn read_all(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), WireError> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
            WireError::Closed
        }
        _ => WireError::Io(error),
    })
}

/// Takes bytes as they come in and gives frames as they become whole.
#[derive(Debug, Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    /// Where the first frame not yet given begins.
    at: usize,
}

impl FrameReader {
    /// Adds what was read.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.at > 0 && self.at == self.bytes.len() {
            self.bytes.clear();
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next `N` plain bytes, when they are there: for the greeting.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(taken)
    }

    /// The next whole frame.
    pub fn next_frame<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<u8>)>, WireError> {
        let waiting = &self.bytes[self.at..];
        let Some(prefix) = waiting.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let (total, header_len) = lengths(*prefix)?;
        if waiting.len() < PREFIX + total {
            return Ok(None);
        }
        let header = postcard::from_bytes(&waiting[PREFIX..PREFIX + header_len])?;
        let payload = waiting[PREFIX + header_len..PREFIX + total].to_vec();
        self.at += PREFIX + total;
        if self.at > 1 << 20 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        Ok(Some((header, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut_of_the_stream() {
        let mut stream = Vec::new();
        for n in 0_u32..20 {
            let payload = vec![n as u8; n as usize * 7];
            write_frame(&mut stream, &(n, format!("frame {n}")), &payload).unwrap();
        }
        for cut in 1..64 {
            let mut reader = FrameReader::default();
            let mut seen = 0_u32;
            for part in stream.chunks(cut) {
                reader.extend(part);
                while let Some(((n, name), payload)) = reader.next_frame::<(u32, String)>().unwrap()
                {
                    assert_eq!((n, name), (seen, format!("frame {seen}")));
                    assert_eq!(payload, vec![n as u8; n as usize * 7]);
                    seen += 1;
                }
            }
            assert_eq!(seen, 20, "cut into parts of {cut} bytes");
        }
    }

    #[test]
    fn a_closed_stream_is_told_from_a_broken_one() {
        let mut stream = Vec::new();
        write_frame(&mut stream, &7_u32, b"payload").unwrap();
        let cut = stream.len() - 1;
        let closed = read_frame::<u32>(&mut &stream[..cut]).unwrap_err();
        assert!(matches!(closed, WireError::Closed), "{closed}");
        let absurd = read_frame::<u32>(&mut &[0xff_u8; 64][..]).unwrap_err();
        assert!(matches!(absurd, WireError::TooLong(_)), "{absurd}");
    }

    #[test]
    fn payloads_arrive_whole_through_a_writer_that_takes_little() {
        struct Slow(Vec<u8>);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let taken = bytes.len().min(3);
                self.0.extend_from_slice(&bytes[..taken]);
                Ok(taken)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut slow = Slow(Vec::new());
        write_frame(&mut slow, &"header", &[9; 100]).unwrap();
        let (header, payload) = read_frame::<String>(&mut &slow.0[..]).unwrap();
        assert_eq!((header.as_str(), payload), ("header", vec![9; 100]));
    }
}
