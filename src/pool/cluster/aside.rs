//! Work on many bytes, beside the thread that says that its host lives.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

/// What takes no more bytes than this is done at once: another thread costs more.
const SMALL: usize = 4 << 20;

/// Whether work that goes over so many bytes is done at once.
pub fn is_little(bytes: usize) -> bool {
    bytes <= SMALL
}

/// What comes of work that goes over so many bytes.
pub async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if is_little(bytes) {
        return work();
    }
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The process ends.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// The thread goes on meanwhile: what is long waits here for something that this very thread does.
    #[test]
    fn what_is_long_holds_nobody_up() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (goes_on, waits) = channel();
            let long = aside(SMALL + 1, move || waits.recv().unwrap());
            let (came, ()) = tokio::join!(long, async { goes_on.send(7).unwrap() });
            assert_eq!(came, 7);
            let here = thread::current().id();
            assert!(aside(SMALL, move || thread::current().id() == here).await);
        });
    }
}
