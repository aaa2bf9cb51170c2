//! Results on their way to the disk. A thread of the engine writes those that may wait, all at once that have come
//! together while it wrote: a write of a hundred costs as much as that of one. The lock of a key is given
//! back when its result can be found.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Builder;

use super::disk::{Key, Put};
use super::shelf::Shelf;

/// Bytes of a result that waits for nobody.
const LARGE: usize = 64 << 10;
/// Results that may wait.
const WAITING: usize = 256;

enum Order {
    Put(Put),
    Leave(Key),
    Flush(Sender<()>),
}

/// The thread, from its first order on.
#[derive(Default)]
pub struct Writer {
    orders: OnceLock<Option<SyncSender<Order>>>,
    /// Orders that are not done yet.
    open: AtomicUsize,
}

impl Writer {
    /// Takes a result, or gives it back to be written at once.
    pub fn put(&'static self, shelf: &'static Shelf, put: Put) -> Result<(), Put> {
        if !put.soon || put.found.value.len() >= LARGE {
            return Err(put);
        }
        let orders = self.orders.get_or_init(|| {
            let (orders, taken) = sync_channel(WAITING);
            let thread = Builder::new().name("memo".to_owned());
            // Without a thread, everything is written at once.
            let begun = thread.spawn(move || write(&taken, shelf, &self.open));
            begun.ok().map(|_| orders)
        });
        match orders {
            Some(orders) => match self.order(orders, Order::Put(put)) {
                Err(Order::Put(put)) => Err(put),
                _ => Ok(()),
            },
            None => Err(put),
        }
    }

    /// Gives a key's lock back after what is to be written; false: nothing is.
    pub fn leave(&self, key: Key) -> bool {
        self.is_busy()
            .is_some_and(|orders| self.order(orders, Order::Leave(key)).is_ok())
    }

    /// Waits until everything is written.
    pub fn flush(&self) {
        if let Some(orders) = self.is_busy() {
            let (done, written) = channel();
            if self.order(orders, Order::Flush(done)).is_ok() {
                let _ = written.recv();
            }
        }
    }

    fn is_busy(&self) -> Option<&SyncSender<Order>> {
        let orders = self.orders.get()?.as_ref()?;
        (self.open.load(Ordering::Acquire) > 0).then_some(orders)
    }

    fn order(&self, orders: &SyncSender<Order>, order: Order) -> Result<(), Order> {
        self.open.fetch_add(1, Ordering::AcqRel);
        orders.send(order).map_err(|back| {
            self.open.fetch_sub(1, Ordering::AcqRel);
            back.0
        })
    }
}

fn write(orders: &Receiver<Order>, shelf: &Shelf, open: &AtomicUsize) {
    while let Ok(first) = orders.recv() {
        let (mut puts, mut left, mut waiting, mut done) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for order in std::iter::once(first).chain(orders.try_iter().take(WAITING)) {
            done += 1;
            match order {
                Order::Put(put) => puts.push(put),
                Order::Leave(key) => left.push(key),
                Order::Flush(sender) => waiting.push(sender),
            }
        }
        shelf.write(&puts);
        for key in left {
            shelf.leave_now(&key);
        }
        open.fetch_sub(done, Ordering::AcqRel);
        for sender in waiting {
            let _ = sender.send(());
        }
    }
}
