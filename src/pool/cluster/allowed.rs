//! Whether the user of a server that is there may say and hear what a cluster's session and nodes do. It is tried before
//! anything is made, because who may not later waits for what never comes. What is tried changes nothing, whatever is there.

use std::fmt::Display;
use std::io::{Error, ErrorKind};
use std::time::Duration;

use async_nats::header::NATS_EXPECTED_STREAM;
use async_nats::{Client, Event, HeaderMap};
use futures_util::StreamExt as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::backbone::ABOUT;
use super::queue::schema::{Lane, Names};
use crate::ids::JobId;
use crate::outcome::ServerFault;

/// Of the seat of a node that has joined by a file.
const OWN: [&str; 4] = ["to.f1.x", "now.f1.x", "from.f1.x", "pulse.f1.x"];
const BEAT: &str = "beat";

/// No stream has this name, and no question is this.
const NOTHING: &str = "-";

/// What the server refuses is known before what it sends later, but is told by another task.
const TOLD: Duration = Duration::from_millis(20);

/// What is asked of a stream, after its name.
const QUESTIONS: [(&str, &str); 10] = [
    ("$JS.API.STREAM.INFO.", ""),
    ("$JS.API.STREAM.CREATE.", ""),
    ("$JS.API.STREAM.PURGE.", ""),
    ("$JS.API.STREAM.MSG.GET.", ""),
    ("$JS.API.DIRECT.GET.", ".x"),
    ("$JS.API.CONSUMER.CREATE.", ".x.x"),
    ("$JS.API.CONSUMER.INFO.", ".x"),
    ("$JS.API.CONSUMER.DELETE.", ".x"),
    ("$JS.API.CONSUMER.MSG.NEXT.", ".x"),
    ("$JS.ACK.", ".x.1.1.1.1.0"),
];

fn heard(cluster: &str, queue: Option<&Names>, inbox: &str) -> Vec<String> {
    let own = ["to.f1.x", "now.f1.x", "from.>", "pulse.>", BEAT];
    let own = own.map(|what| format!("{cluster}.{what}"));
    let of_queue = |names: &Names| {
        let answers = format!("{inbox}.*.*");
        [names.all_jobs(), names.all_results(), answers]
    };
    let queue = queue.map(of_queue).into_iter().flatten();
    own.into_iter().chain(queue).collect()
}

fn said(cluster: &str, queue: Option<&Names>) -> Vec<String> {
    let own = OWN.map(|what| format!("{cluster}.{what}"));
    let queue = queue.map(said_of_queue).into_iter().flatten();
    own.into_iter().chain(queue).collect()
}

/// Subjects of which no session and no node takes what has come there for something of its own.
fn said_of_queue(names: &Names) -> Vec<String> {
    let work = Lane::ALL.map(|lane| names.work(lane, JobId(0), 0));
    let buckets = [names.objects(), names.large()];
    let parts = buckets.iter().flat_map(|it| {
        let subject = |what: &str| format!("$O.{it}.{what}.x");
        [subject("C"), subject("M")]
    });
    let streams = { [names.jobs(), names.works(), names.results()] }.into_iter();
    let streams = streams.chain(buckets.iter().map(|bucket| format!("OBJ_{bucket}")));
    let questions = streams
        .flat_map(|stream| QUESTIONS.map(|(before, behind)| format!("{before}{stream}{behind}")));
    let others = [ABOUT.to_owned(), names.epoch(), names.strikes(JobId(0), 0)];
    { others.into_iter().chain(work) }
        .chain(parts)
        .chain(questions)
        .collect()
}

/// Tries it; what is refused first is named.
pub async fn look(
    client: &Client,
    cluster: &str,
    is_durable: bool,
    events: &mut UnboundedReceiver<Event>,
    url: &str,
) -> Result<(), ServerFault> {
    let failed = |error: &dyn Display| refused(url, cluster, error.to_string());
    let names = is_durable.then(|| Names::of(cluster));
    let mut ears = Vec::new();
    for subject in heard(cluster, names.as_ref(), &client.new_inbox()) {
        let ear = client.subscribe(subject).await;
        ears.push(ear.map_err(|error| failed(&error))?);
    }
    let beat = format!("{cluster}.{BEAT}");
    let mut echo = { client.subscribe(beat.clone()).await }.map_err(|error| failed(&error))?;
    // All at once, because the server may be far; the last comes back when it has seen the others.
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_STREAM, NOTHING);
    for subject in said(cluster, names.as_ref()).into_iter().chain([beat]) {
        let sent = client.publish_with_headers(subject, headers.clone(), NOTHING.into());
        sent.await.map_err(|error| failed(&error))?;
    }
    let refusal = tokio::select! {
        _ = echo.next() => timeout(TOLD, refusal(events)).await.ok(),
        refusal = refusal(events) => Some(refusal),
    };
    refusal.map_or(Ok(()), |says| Err(refused(url, cluster, says)))
}

fn refused(url: &str, cluster: &str, says: String) -> ServerFault {
    // It says so in quotes.
    let subject = says.split('"').nth(1).unwrap_or(cluster).to_owned();
    ServerFault::NotAllowedThere {
        url: url.to_owned(),
        subject,
        says,
    }
}

/// What the server refuses next.
async fn refusal(events: &mut UnboundedReceiver<Event>) -> String {
    loop {
        match events.recv().await {
            Some(Event::ServerError(error)) => return error.to_string(),
            Some(_) => {}
            None => return Error::from(ErrorKind::ConnectionAborted).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the guide has a user be allowed: all of it is tried, and nothing else.
    #[test]
    fn what_is_tried_is_what_the_guide_asks_for() {
        let own = ["c.to.", "c.now.", "c.from.", "c.pulse.", "c.beat"];
        let queue = ["c.job.", "c.work.", "c.result.", "$JS.", "$O.", "_INBOX."];
        let names = Names::of("c");
        for (names, asked) in [
            (None, own.to_vec()),
            (Some(&names), [&own[..], &queue].concat()),
        ] {
            let mut tried = heard("c", names, "_INBOX.me.1");
            tried.extend(said("c", names));
            for subject in &tried {
                assert!(asked.iter().any(|it| subject.starts_with(it)), "{subject}");
            }
            for it in asked {
                assert!(tried.iter().any(|subject| subject.starts_with(it)), "{it}");
            }
        }
    }

    #[test]
    fn who_is_refused_is_told_which_subject() {
        let says = "nats: Permissions Violation for Publish to \"$O.c-large.C.x\"";
        let fault = refused("nats://host", "c", says.to_owned());
        assert!(
            matches!(&fault, ServerFault::NotAllowedThere { subject, .. } if subject == "$O.c-large.C.x")
        );
    }
}
