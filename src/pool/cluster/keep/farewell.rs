//! What is said when a kept cluster ends: nodes that came by themselves have nobody else who tells them, and a server that
//! is others' too keeps what nobody takes from it.

use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;

use super::super::backbone::ABOUT;
use super::super::message::{Join, OVER};
use super::super::{post, queue};

/// So long it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells all nodes that the cluster is over; at a server that is others' too (`is_guest`) nothing of it stays. A server that
/// does not answer has what it has.
pub fn say(join: &Join, is_guest: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return };
    let said = async {
        let (told, _) = unbounded_channel();
        let client = post::options(join, "session", told).ok()?;
        let client = client.connect(&join.server).await.ok()?;
        let to = format!("{}.beat", join.cluster);
        client.publish(to, OVER.into()).await.ok()?;
        // When this is answered, the server has it.
        client.request(ABOUT, "".into()).await.ok()?;
        if is_guest {
            queue::leave_nothing(&client, &join.cluster).await;
        }
        Some(())
    };
    let _ = runtime.block_on(async { tokio::time::timeout(PATIENCE, said).await });
    runtime.shutdown_background();
}
