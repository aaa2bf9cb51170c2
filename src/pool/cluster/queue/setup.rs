//! The streams and object stores of a cluster's queue: made when the cluster is, seen to when its server was started anew, and
//! removed where the server does not go with it.

use std::io;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::object_store;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, Stream};

use super::objects::other;
use super::schema::{ACK_WAIT, Lane, Names};

/// Pieces that nodes have at once, at most.
const TAKEN: i64 = 65_536;

/// Requests for pieces that wait for some: a node has as many as it has engines, and more.
const WAITING: i64 = 65_536;

/// Makes what is not there.
pub async fn streams(jetstream: &Context, names: &Names) -> io::Result<()> {
    let jobs = Config {
        name: names.jobs(),
        subjects: vec![names.all_jobs()],
        max_messages_per_subject: 1,
        allow_direct: true,
        ..Config::default()
    };
    let results = Config {
        name: names.results(),
        subjects: vec![names.all_kept()],
        discard: DiscardPolicy::New,
        allow_direct: true,
        ..Config::default()
    };
    let works = Config {
        name: names.works(),
        subjects: vec![names.all_work()],
        retention: RetentionPolicy::WorkQueue,
        // What does not fit waits at the session.
        discard: DiscardPolicy::New,
        ..Config::default()
    };
    for stream in [jobs, results] {
        jetstream
            .get_or_create_stream(stream)
            .await
            .map_err(other)?;
    }
    let works = jetstream.get_or_create_stream(works).await.map_err(other)?;
    for lane in Lane::ALL {
        consumer(&works, names, lane).await?;
    }
    for bucket in [names.objects(), names.large()] {
        let bucket = object_store::Config {
            bucket,
            ..object_store::Config::default()
        };
        jetstream.create_object_store(bucket).await.map_err(other)?;
    }
    Ok(())
}

/// Nothing stays of the queue of the cluster of this name.
pub async fn leave_nothing(client: &Client, cluster: &str) {
    let jetstream = async_nats::jetstream::new(client.clone());
    let names = Names::of(cluster);
    let buckets = [names.objects(), names.large()].map(|bucket| format!("OBJ_{bucket}"));
    let streams = [names.works(), names.results(), names.jobs()];
    for stream in streams.into_iter().chain(buckets) {
        // A server that does not do it has them as they are.
        let _ = jetstream.delete_stream(stream).await;
    }
}

/// Makes the consumer by which nodes take pieces of a lane, unless it is there. One is made anew that is ahead of its stream: a
/// server that is killed while the stream is empty counts from 1 again (2.9 does), and its consumer would take what is queued
/// from then on for delivered.
async fn consumer(works: &Stream, names: &Names, lane: Lane) -> io::Result<()> {
    let config = || pull::Config {
        durable_name: Some(lane.consumer().to_owned()),
        filter_subject: names.work_of_lane(lane),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: TAKEN,
        max_waiting: WAITING,
        ..pull::Config::default()
    };
    let made = works.get_or_create_consumer(lane.consumer(), config());
    let made = made.await.map_err(other)?;
    // In this order: the stream only grows.
    let delivered = made.cached_info().delivered.stream_sequence;
    let queued = { works.get_info().await }
        .map_err(other)?
        .state
        .last_sequence;
    if delivered > queued {
        { works.delete_consumer(lane.consumer()).await }.map_err(other)?;
        { works.create_consumer(config()).await }.map_err(other)?;
    }
    Ok(())
}
