//! One end of a connection: frames out, frames in, and open files beside them. Large payloads and new
//! connections travel as files, so that their bytes are not copied on the way.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};

use super::WireError;
use super::frame::{self, FrameReader};

/// Payloads longer than this travel as a file in memory.
pub const INLINE: usize = 64 * 1024;

/// Where the data of a payload's file begin. Before that: a number that is not zero while somebody reads it,
/// and the data's length in bytes, eight bytes each.
pub const DATA: usize = 4096;

/// Parts of frames that go in one call to the system.
const TOGETHER: usize = 64;

/// Bytes after which a part takes no more frames.
const PART: usize = 16 * 1024;

/// Bytes that are asked for at once: at first, as each map has a connection of its own, and when that was not
/// enough.
const FIRST_READ: usize = 8 * 1024;
const LARGEST_READ: usize = 128 * 1024;

/// Files that may come with one read.
const FILES: usize = 64;

/// What a frame carries behind its header. Cheap to clone: it may be sent again to another engine.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    #[default]
    None,
    Inline(Arc<[u8]>),
    /// An anonymous file in memory, or a socket.
    Shared(Arc<OwnedFd>),
}

impl Payload {
    /// Bytes as a payload: inline when they are few, otherwise in a file of their own.
    pub fn of(bytes: Vec<u8>) -> std::io::Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::None);
        }
        if bytes.len() <= INLINE {
            return Ok(Self::Inline(bytes.into()));
        }
        let file = Self::room(bytes.len() as u64)?;
        file.write_all_at(&bytes, DATA as u64)?;
        Ok(Self::file(file.into()))
    }

    /// The file of a shared payload with so many bytes, which are still to be written, from [`DATA`] on.
    pub fn room(bytes: u64) -> std::io::Result<File> {
        let file = memory_file()?;
        file.write_all_at(&1_u64.to_ne_bytes(), 0)?;
        file.write_all_at(&bytes.to_ne_bytes(), 8)?;
        Ok(file)
    }

    /// A file with room as a payload, once so many bytes stand in it.
    pub fn written(file: File, bytes: u64) -> std::io::Result<Self> {
        file.write_all_at(&bytes.to_ne_bytes(), 8)?;
        Ok(Self::file(file.into()))
    }

    /// An open file.
    pub fn file(file: OwnedFd) -> Self {
        Self::Shared(Arc::new(file))
    }

    /// Whoever made it may write to its file again.
    pub fn release(&self) {
        if let Self::Shared(file) = self {
            // A buffer that is not released is not used again, no more.
            let _ = rustix::io::pwrite(file, &0_u64.to_ne_bytes(), 0);
        }
    }

    /// The number of its file, and the file's size in bytes.
    pub fn file_number(&self) -> (u64, u64) {
        match self {
            Self::Shared(file) => {
                rustix::fs::fstat(file).map_or((0, 0), |stat| (stat.st_ino, stat.st_size as u64))
            }
            _ => (0, 0),
        }
    }

    /// The bytes, copied, also of a shared one.
    pub fn copied(&self) -> Vec<u8> {
        let Self::Shared(file) = self else {
            return self.inline().to_vec();
        };
        let mut bytes = vec![0; usize::try_from(self.length()).unwrap_or_default()];
        match read_whole(file, DATA as u64, &mut bytes) {
            true => bytes,
            false => Vec::new(),
        }
    }

    /// The bytes of an inline payload; none of a shared one, which only engines look into.
    pub fn inline(&self) -> &[u8] {
        match self {
            Self::Inline(bytes) => bytes,
            _ => &[],
        }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Shared(file) => {
                let mut length = [0; 8];
                let read = rustix::io::pread(file, &mut length, 8);
                read.map_or(0, |_| u64::from_ne_bytes(length))
            }
        }
    }

    /// The file alone, when nobody else holds it.
    pub fn into_file(self) -> Option<OwnedFd> {
        match self {
            Self::Shared(file) => Arc::into_inner(file),
            _ => None,
        }
    }
}

/// Reads all of `to` from a file, from this place on; whether there was as much.
pub fn read_whole(file: &OwnedFd, from: u64, to: &mut [u8]) -> bool {
    let mut read = 0;
    while read < to.len() {
        match rustix::io::pread(file, &mut to[read..], from + read as u64) {
            Ok(count) if count > 0 => read += count,
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

/// A file without a name, gone with its last user.
pub fn memory_file() -> std::io::Result<File> {
    let fd = rustix::fs::memfd_create("regatta", rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(fd.into())
}

/// Frames that follow each other travel together.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    /// Sent with the first byte.
    file: Option<Arc<OwnedFd>>,
}

pub struct Channel {
    socket: Arc<UnixStream>,
    reader: FrameReader,
    files: VecDeque<OwnedFd>,
    outgoing: VecDeque<Part>,
    /// Bytes of the first outgoing part that are sent.
    sent: usize,
    buffer: Vec<u8>,
    last_read: usize,
}

impl Channel {
    pub fn new(socket: UnixStream) -> Self {
        Self::on(Arc::new(socket))
    }

    /// Another channel on the same connection, so that one reads while the other writes.
    pub fn twin(&self) -> Self {
        Self::on(self.socket.clone())
    }

    fn on(socket: Arc<UnixStream>) -> Self {
        Self {
            socket,
            reader: FrameReader::default(),
            files: VecDeque::new(),
            outgoing: VecDeque::new(),
            sent: 0,
            buffer: Vec::new(),
            last_read: 0,
        }
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub fn set_nonblocking(&self) -> std::io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    pub fn wants_to_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Queues bytes outside of any frame: the greeting.
    pub fn queue_plain(&mut self, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.outgoing.push_back(Part { bytes, file: None });
    }

    /// Queues a frame; [`Self::flush`] sends it.
    pub fn queue<T: Serialize>(&mut self, header: &T, payload: &Payload) -> Result<(), WireError> {
        self.queue_with(payload, |inline, shared, to| {
            frame::append(header, inline, shared, to)
        })
    }

    /// The same with a header that is encoded already.
    pub fn queue_raw(&mut self, header: &[u8], payload: &Payload) -> Result<(), WireError> {
        self.queue_with(payload, |inline, shared, to| {
            frame::append_raw(header, inline, shared, to)
        })
    }

    fn queue_with(
        &mut self,
        payload: &Payload,
        append: impl FnOnce(&[u8], bool, &mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let file = match payload {
            Payload::Shared(file) => Some(file.clone()),
            _ => None,
        };
        // A file goes with the first byte of its part.
        let new = file.is_some()
            || self
                .outgoing
                .back()
                .is_none_or(|last| last.bytes.len() >= PART);
        if new {
            self.outgoing.push_back(Part::default());
        }
        let Some(last) = self.outgoing.back_mut() else {
            return Ok(());
        };
        let queued = append(payload.inline(), file.is_some(), &mut last.bytes);
        last.file = file.or(last.file.take());
        if queued.is_err() && new {
            self.outgoing.pop_back();
        }
        queued
    }

    /// Bytes queued and not sent.
    pub fn queued(&self) -> usize {
        self.outgoing.iter().map(|part| part.bytes.len()).sum()
    }

    /// Sends as much as the socket takes; everything, when it waits.
    pub fn flush(&mut self) -> std::io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.send_some() {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.outgoing.clear();
                    self.sent = 0;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn send_some(&self) -> std::io::Result<usize> {
        let mut slices: Vec<IoSlice<'_>> = Vec::new();
        let mut file = None;
        for (index, part) in self.outgoing.iter().take(TOGETHER).enumerate() {
            let skipped = if index == 0 { self.sent } else { 0 };
            if let Some(of_part) = part.file.as_ref().filter(|_| skipped == 0) {
                // A file goes with the first byte of a call.
                if index > 0 {
                    break;
                }
                file = Some(of_part.as_fd());
            }
            slices.push(IoSlice::new(&part.bytes[skipped..]));
            if file.is_some() {
                break;
            }
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = file.map(|file| [file]);
        if let Some(files) = &files {
            control.push(SendAncillaryMessage::ScmRights(files));
        }
        Ok(sendmsg(
            &*self.socket,
            &slices,
            &mut control,
            SendFlags::NOSIGNAL,
        )?)
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.outgoing.front() {
            let left = first.bytes.len() - self.sent;
            if written < left {
                self.sent += written;
                return;
            }
            written -= left;
            self.sent = 0;
            self.outgoing.pop_front();
        }
    }

    /// Reads once; zero bytes mean that the other side is gone.
    fn read(&mut self, flags: RecvFlags) -> std::io::Result<usize> {
        if self.buffer.is_empty() {
            self.buffer.resize(FIRST_READ, 0);
        } else if self.last_read == self.buffer.len() && self.buffer.len() < LARGEST_READ {
            self.buffer.resize(LARGEST_READ, 0);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let received = recvmsg(
            &*self.socket,
            &mut slices,
            &mut control,
            RecvFlags::CMSG_CLOEXEC | flags,
        )?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        self.last_read = received.bytes;
        self.reader.extend(&self.buffer[..received.bytes]);
        Ok(received.bytes)
    }

    /// Reads what has come without waiting; tells when the connection has ended.
    pub fn fill(&mut self) -> Option<WireError> {
        loop {
            match self.read(RecvFlags::empty()) {
                Ok(0) => return Some(WireError::Closed),
                // A short read has emptied the socket.
                Ok(count) if count < self.buffer.len() => return None,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Some(WireError::Io(error)),
            }
        }
    }

    /// The next `N` plain bytes, when they are there: for the greeting.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.reader.take()
    }

    /// The next frame that is there whole.
    pub fn next_frame<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Payload)>, WireError> {
        let frame = self.reader.next_frame()?;
        frame
            .map(|it| with_payload(it, &mut self.files))
            .transpose()
    }

    /// The same, its header as it is.
    pub fn next_raw(&mut self) -> Result<Option<(Vec<u8>, Payload)>, WireError> {
        let frame = self.reader.next_raw()?;
        frame
            .map(|it| with_payload(it, &mut self.files))
            .transpose()
    }

    /// Waits for the next frame.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<(T, Payload), WireError> {
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(frame);
            }
            self.wait()?;
        }
    }

    /// Waits for bytes.
    pub fn wait(&mut self) -> Result<(), WireError> {
        self.wait_with(RecvFlags::empty())
    }

    /// The same without falling asleep before `until`: to be woken takes longer than many an answer.
    pub fn wait_awake(&mut self, until: Instant) -> Result<(), WireError> {
        while Instant::now() < until {
            match self.wait_with(RecvFlags::DONTWAIT) {
                Err(WireError::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    // Whoever is to answer may need this very core.
                    std::thread::yield_now();
                }
                done => return done,
            }
        }
        self.wait()
    }

    /// Takes what has come, and waits for nothing; an end shows to whoever waits next.
    pub fn look(&mut self) {
        while self.wait_with(RecvFlags::DONTWAIT).is_ok() {}
    }

    fn wait_with(&mut self, flags: RecvFlags) -> Result<(), WireError> {
        match self.read(flags) {
            Ok(0) if self.reader.is_empty() => Err(WireError::Closed),
            Ok(0) => Err(WireError::Cut),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(WireError::Closed),
            Err(error) => Err(WireError::Io(error)),
        }
    }
}

fn with_payload<T>(
    frame: frame::Frame<'_, T>,
    files: &mut VecDeque<OwnedFd>,
) -> Result<(T, Payload), WireError> {
    let payload = if frame.shared {
        Payload::file(files.pop_front().ok_or(WireError::NoFile)?)
    } else if frame.payload.is_empty() {
        Payload::None
    } else {
        Payload::Inline(frame.payload.into())
    };
    Ok((frame.header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_files_keep_their_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Channel::new(ours), Channel::new(theirs));
        let sizes = [0, 5, 70_000, 4097, 200_000, 1, 65_536, 65_537];
        let sender = std::thread::spawn(move || {
            for (number, size) in sizes.into_iter().cycle().take(200).enumerate() {
                let payload = Payload::of(vec![number as u8; size]).unwrap();
                ours.queue(&(number, size), &payload).unwrap();
                if number % 7 == 0 {
                    ours.flush().unwrap();
                }
            }
            ours.flush().unwrap();
        });
        for number in 0..200 {
            let ((seen, size), payload): ((usize, usize), Payload) = theirs.receive().unwrap();
            assert_eq!((seen, payload.length()), (number, size as u64));
            assert_eq!(payload.copied(), vec![number as u8; size]);
        }
        sender.join().unwrap();
        assert!(matches!(
            theirs.receive::<(usize, usize)>(),
            Err(WireError::Closed)
        ));
    }
}
