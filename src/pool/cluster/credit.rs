//! What one side may send before the other has told that it has taken some of it.

use std::cell::Cell;

use tokio::sync::Notify;

/// Bytes of frames that an engine may have on their way to a hub that does not take them.
pub const FRAMES: i64 = 16 << 20;

/// What has been taken is told when it is so much: each word costs too.
pub const TOLD: u64 = 256 * 1024;

pub struct Credit {
    room: Cell<i64>,
    more: Notify,
}

impl Credit {
    pub fn of(bytes: i64) -> Self {
        Self {
            room: Cell::new(bytes),
            more: Notify::new(),
        }
    }

    /// What is sent once there was any room may be larger than that.
    pub fn spend(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.room.set(self.room.get().saturating_sub(bytes));
    }

    /// The other side has taken so much.
    pub fn give(&self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.room.set(self.room.get().saturating_add(bytes));
        self.more.notify_one();
    }

    /// Nobody takes anything: who waits goes on once.
    pub fn go_on(&self) {
        self.room.set(self.room.get().max(1));
        self.more.notify_one();
    }

    /// Waits until there is some room.
    pub async fn any(&self) {
        while self.room.get() <= 0 {
            self.more.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_spent_all_waits_until_some_is_taken() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let credit = Credit::of(10);
            credit.any().await;
            credit.spend(25);
            credit.give(15);
            let waits = futures_util::FutureExt::now_or_never(credit.any());
            assert_eq!(waits, None);
            tokio::join!(credit.any(), async { credit.give(1) });
        });
    }
}
