//! Frames on a byte stream: `u32` total length, `u32` header length (little-endian both; its highest bit: the
//! payload is a file that travels beside), the header in postcard, the payload.

use serde::{Serialize, de::DeserializeOwned};

use super::WireError;

/// A frame longer than this is a fault of the sender, not a reason to allocate.
const LONGEST: u64 = 1 << 30;

const PREFIX: usize = 8;

/// In the header's length: the payload is a file that travels beside.
const SHARED: u32 = 1 << 31;

/// Appends a frame; after an error `to` is as it was.
pub fn append<T: Serialize>(
    header: &T,
    payload: &[u8],
    shared: bool,
    to: &mut Vec<u8>,
) -> Result<(), WireError> {
    whole(payload, shared, to, |to| {
        postcard::to_io(header, to)?;
        Ok(())
    })
}

/// The same with a header that is encoded already.
pub fn append_raw(
    header: &[u8],
    payload: &[u8],
    shared: bool,
    to: &mut Vec<u8>,
) -> Result<(), WireError> {
    whole(payload, shared, to, |to| {
        to.extend_from_slice(header);
        Ok(())
    })
}

fn whole(
    payload: &[u8],
    shared: bool,
    to: &mut Vec<u8>,
    header: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let start = to.len();
    to.extend_from_slice(&[0; PREFIX]);
    let done = header(to).and_then(|()| end(start, payload, shared, to));
    if done.is_err() {
        to.truncate(start);
    }
    done
}

/// Of a frame that begins at `start`, what follows its header, and its prefix.
fn end(start: usize, payload: &[u8], shared: bool, to: &mut Vec<u8>) -> Result<(), WireError> {
    let header_len = to.len() - start - PREFIX;
    let total = (header_len + payload.len()) as u64;
    if total > LONGEST {
        return Err(WireError::TooLong(total));
    }
    let flag = if shared { SHARED } else { 0 };
    to[start..start + 4].copy_from_slice(&(total as u32).to_le_bytes());
    to[start + 4..start + PREFIX].copy_from_slice(&(header_len as u32 | flag).to_le_bytes());
    to.extend_from_slice(payload);
    Ok(())
}

fn lengths(prefix: [u8; PREFIX]) -> Result<(usize, usize, bool), WireError> {
    let total = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
    let header = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
    let (shared, header) = (header & SHARED != 0, (header & !SHARED) as usize);
    if total as u64 > LONGEST || header > total {
        return Err(WireError::TooLong(total as u64));
    }
    Ok((total, header, shared))
}

/// A frame that has come whole.
#[derive(Debug)]
pub struct Frame<'a, T> {
    pub header: T,
    pub payload: &'a [u8],
    /// The payload is a file instead.
    pub shared: bool,
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
        // What was given goes when that moves little, or when it is much.
        if self.is_empty() || self.at > 1 << 20 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether no part of a frame is waiting for the rest.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next `N` plain bytes, when they are there: for the greeting.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(taken)
    }

    /// The next whole frame.
    pub fn next_frame<T: DeserializeOwned>(&mut self) -> Result<Option<Frame<'_, T>>, WireError> {
        self.next_with(|header| Ok(postcard::from_bytes(header)?))
    }

    /// The next whole frame, its header as it is.
    pub fn next_raw(&mut self) -> Result<Option<Frame<'_, Vec<u8>>>, WireError> {
        self.next_with(|header| Ok(header.to_vec()))
    }

    fn next_with<T>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<T, WireError>,
    ) -> Result<Option<Frame<'_, T>>, WireError> {
        let waiting = &self.bytes[self.at..];
        let Some(prefix) = waiting.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let (total, header_len, shared) = lengths(*prefix)?;
        if waiting.len() < PREFIX + total {
            return Ok(None);
        }
        let header = read(&waiting[PREFIX..PREFIX + header_len])?;
        let payload = self.at + PREFIX + header_len..self.at + PREFIX + total;
        self.at = payload.end;
        Ok(Some(Frame {
            header,
            payload: &self.bytes[payload],
            shared,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(header: &impl Serialize, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        append(header, payload, false, &mut frame).unwrap();
        frame
    }

    #[test]
    fn frames_survive_any_cut_of_the_stream() {
        let mut stream = Vec::new();
        for n in 0_u32..20 {
            stream.extend(frame(
                &(n, format!("frame {n}")),
                &vec![n as u8; n as usize * 7],
            ));
        }
        for cut in 1..64 {
            let mut reader = FrameReader::default();
            let mut seen = 0_u32;
            for part in stream.chunks(cut) {
                reader.extend(part);
                while let Some(frame) = reader.next_frame::<(u32, String)>().unwrap() {
                    let (n, name) = frame.header;
                    assert_eq!((n, name), (seen, format!("frame {seen}")));
                    assert!(!frame.shared);
                    assert_eq!(frame.payload, vec![n as u8; n as usize * 7]);
                    seen += 1;
                }
            }
            assert_eq!(seen, 20, "cut into parts of {cut} bytes");
        }
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let mut reader = FrameReader::default();
        reader.extend(&[0xff; 64]);
        let absurd = reader.next_frame::<u32>().unwrap_err();
        assert!(matches!(absurd, WireError::TooLong(_)), "{absurd}");
    }
}
