//! A connection on this host whose other end is on another one: bytes are taken off here and put on there. Each side sends
//! no more than the other has said it has room for, so that who does not read holds up nobody else.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::message::LineId;

/// Bytes that may be on their way in one direction, and what is read at once.
const WINDOW: usize = 1 << 20;
const SLICE: usize = 64 * 1024;

/// What one end tells the other.
#[derive(Debug, Serialize, Deserialize)]
pub enum Word {
    Bytes(Vec<u8>),
    /// So many bytes have been put on.
    Taken(u64),
    Over,
}

/// One end.
pub struct Tunnel {
    /// What has come from the other end and is not put on yet.
    queue: RefCell<VecDeque<Vec<u8>>>,
    queued: Cell<usize>,
    due: Notify,
    /// Bytes that may still be sent to the other end.
    room: Cell<usize>,
    more_room: Notify,
    /// Nothing more comes from the other end.
    is_over: Cell<bool>,
}

impl Tunnel {
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::default(),
            queued: Cell::new(0),
            due: Notify::new(),
            room: Cell::new(WINDOW),
            more_room: Notify::new(),
            is_over: Cell::new(false),
        })
    }

    /// Whether nothing more comes from the other end.
    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// What the other end has told.
    pub fn hear(&self, word: Word) {
        match word {
            Word::Bytes(bytes) => {
                let queued = self.queued.get() + bytes.len();
                if queued > WINDOW {
                    // It was told that there is no room for it.
                    return self.hang_up();
                }
                self.queued.set(queued);
                self.queue.borrow_mut().push_back(bytes);
                self.due.notify_one();
            }
            Word::Taken(bytes) => {
                let bytes = usize::try_from(bytes).unwrap_or(WINDOW);
                self.room
                    .set((self.room.get() + bytes.min(WINDOW)).min(WINDOW));
                self.more_room.notify_one();
            }
            Word::Over => self.hang_up(),
        }
    }

    /// What has come is still put on; then the connection ends.
    pub fn hang_up(&self) {
        self.is_over.set(true);
        self.due.notify_one();
    }

    /// Carries until one end is over; whether the other end is still to be told so.
    pub async fn serve(&self, socket: UnixStream, tell: impl Fn(Word)) -> bool {
        tokio::select! {
            () = self.take(&socket, &tell) => {}
            () = self.put(&socket, &tell) => {}
        }
        // Whoever is at the other end sees it, also while somebody has this one yet.
        let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
        !self.is_over()
    }

    async fn take(&self, socket: &UnixStream, tell: &impl Fn(Word)) {
        let mut bytes = vec![0; SLICE];
        loop {
            while self.room.get() == 0 {
                self.more_room.notified().await;
            }
            if socket.readable().await.is_err() {
                return;
            }
            let most = self.room.get().min(SLICE);
            match socket.try_read(&mut bytes[..most]) {
                Ok(0) => return,
                Ok(count) => {
                    self.room.set(self.room.get() - count);
                    tell(Word::Bytes(bytes[..count].to_vec()));
                }
                Err(error) if goes_on(&error) => {}
                Err(_) => return,
            }
        }
    }

    async fn put(&self, socket: &UnixStream, tell: &impl Fn(Word)) {
        loop {
            let next = self.queue.borrow_mut().pop_front();
            match next {
                Some(bytes) => {
                    if put_all(socket, &bytes).await.is_err() {
                        return;
                    }
                    self.queued.set(self.queued.get() - bytes.len());
                    tell(Word::Taken(bytes.len() as u64));
                }
                None if self.is_over() => return,
                None => self.due.notified().await,
            }
        }
    }
}

async fn put_all(socket: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if goes_on(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn goes_on(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The tunnels of one session and node, by the numbers that the node gives them.
#[derive(Default)]
pub struct Tunnels(RefCell<HashMap<LineId, Rc<Tunnel>>>);

impl Tunnels {
    /// Of a number that is no other's.
    pub fn add(&self, number: LineId, tunnel: Rc<Tunnel>) {
        self.0.borrow_mut().insert(number, tunnel);
    }

    pub fn has(&self, number: LineId) -> bool {
        self.0.borrow().contains_key(&number)
    }

    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }

    pub fn remove(&self, number: LineId) {
        self.0.borrow_mut().remove(&number);
    }

    pub fn hear(&self, number: LineId, word: Word) {
        let tunnel = self.0.borrow().get(&number).cloned();
        if let Some(tunnel) = tunnel {
            tunnel.hear(word);
        }
    }

    /// The other side is gone.
    pub fn hang_up(&self) {
        for tunnel in self.0.borrow().values() {
            tunnel.hang_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream as Socket;
    use std::time::Duration;

    use tokio::task::{LocalSet, spawn_local};

    /// Two ends, between which words go at once.
    async fn carried(one: Socket, other: Socket) {
        let ends = [Tunnel::new(), Tunnel::new()];
        for (socket, near, far) in [(one, 0, 1), (other, 1, 0)] {
            socket.set_nonblocking(true).unwrap();
            let socket = UnixStream::from_std(socket).unwrap();
            let (near, far) = (ends[near].clone(), ends[far].clone());
            spawn_local(async move {
                let heard = far.clone();
                if near.serve(socket, move |word| heard.hear(word)).await {
                    far.hear(Word::Over);
                }
            });
        }
        // Until both are over, which their users see.
        std::future::pending().await
    }

    #[test]
    fn more_than_the_window_goes_both_ways_and_the_end_comes_last() {
        let (here, near) = Socket::pair().unwrap();
        let (there, far) = Socket::pair().unwrap();
        let sent: Vec<u8> = (0..5 * WINDOW as u32).map(|n| (n % 251) as u8).collect();
        let echo = std::thread::spawn(move || {
            let mut there = there;
            let mut all = Vec::new();
            there.read_to_end(&mut all).unwrap();
            all
        });
        let expected = sent.clone();
        let write = std::thread::spawn(move || {
            let mut here = here;
            here.write_all(&sent).unwrap();
            // Dropped, it is over.
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let waited = std::thread::spawn(move || {
            write.join().unwrap();
            echo.join().unwrap()
        });
        LocalSet::new().block_on(&runtime, async {
            let come = async {
                while !waited.is_finished() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! { () = carried(near, far) => {} () = come => {} }
        });
        assert!(waited.join().unwrap() == expected);
    }

    #[test]
    fn who_sends_more_than_there_is_room_for_is_hung_up_on() {
        let tunnel = Tunnel::new();
        tunnel.hear(Word::Bytes(vec![0; WINDOW]));
        assert!(!tunnel.is_over());
        tunnel.hear(Word::Bytes(vec![0]));
        assert!(tunnel.is_over());
    }
}
