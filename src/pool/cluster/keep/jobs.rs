//! The jobs of a kept cluster, looked at from beside its session: nothing changes by that.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use super::super::queue::{self, Former};
use super::super::{message::Join, post};

/// So long it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Those that need no session. `session`: how one reaches the server.
pub fn jobs(session: &Join) -> io::Result<Vec<Former>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let read = async {
        let (told, _) = unbounded_channel();
        let client = post::options(session, "session", told).map_err(io::Error::other)?;
        let client = client.connect(&session.server).await;
        queue::formers(&client.map_err(io::Error::other)?, &session.cluster).await
    };
    let read = runtime.block_on(async { timeout(PATIENCE, read).await });
    runtime.shutdown_background();
    read?
}
