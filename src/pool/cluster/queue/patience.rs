//! What a server does not do now is tried again, for as long as it may take to come back.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::objects::is_damaged;
use crate::pool::cluster::PATIENCE;

/// What the server does not take now is sent again after so long.
pub const AGAIN: Duration = Duration::from_millis(200);

/// Tries for as long as a server may take to come back.
pub async fn patiently<T>(what: impl AsyncFnMut() -> io::Result<T>) -> io::Result<T> {
    unless(|_| false, what).await
}

/// The same of what is read once: damaged, it stays so.
pub async fn unless_damaged<T>(what: impl AsyncFnMut() -> io::Result<T>) -> io::Result<T> {
    unless(is_damaged, what).await
}

async fn unless<T>(
    is_final: impl Fn(&io::Error) -> bool,
    mut what: impl AsyncFnMut() -> io::Result<T>,
) -> io::Result<T> {
    let since = Instant::now();
    loop {
        match what().await {
            Err(error) if is_final(&error) || since.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(AGAIN).await,
            ok => return ok,
        }
    }
}
