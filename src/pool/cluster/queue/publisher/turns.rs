//! What one job has under way for all: others that want the same wait, and find it done. For one thread.

use std::cell::RefCell;
use std::collections::HashSet;

use tokio::sync::Notify;

#[derive(Default)]
pub struct Turns {
    taken: RefCell<HashSet<u128>>,
    over: Notify,
}

/// Whose turn it is, until it is dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
    content: u128,
}

impl Turns {
    /// Waits until nobody else is at it.
    pub async fn take(&self, content: u128) -> Turn<'_> {
        loop {
            let over = self.over.notified();
            if self.taken.borrow_mut().insert(content) {
                return Turn {
                    turns: self,
                    content,
                };
            }
            over.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken.borrow_mut().remove(&self.content);
        self.turns.over.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    #[test]
    fn of_the_same_one_is_at_work_at_a_time() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (turns, at_work, done) = (Turns::default(), Cell::new(0), Cell::new(0));
            let _of_another = turns.take(8).await;
            let work = join_all((0..20).map(async |_| {
                let _turn = turns.take(7).await;
                assert_eq!(at_work.replace(1), 0);
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                at_work.set(0);
                done.set(done.get() + 1);
            }));
            work.await;
            assert_eq!(done.get(), 20);
        });
    }
}
