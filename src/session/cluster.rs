//! Clusters: their nodes reached, before any engine is started.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::crew::{Awaited, Crew};
use super::{Failed, Session, explain};
use crate::outcome::{Doing, ErrorKind, Report, Sink};
use crate::pool::cluster::{Cluster, NodeState, NodeStatus, ServerError, Way};

/// What a cluster is made of.
#[derive(Debug)]
pub struct ClusterRequest {
    /// Hosts, with the engines that each may run; as many as it has cores without it.
    pub nodes: Vec<(String, Way, Option<u32>)>,
    /// How many of them have to come.
    pub need: usize,
}

impl Session {
    /// Starts a server and reaches the nodes; how many engines they may run, and which nodes did not come.
    pub fn open_cluster(
        &mut self,
        request: ClusterRequest,
        sink: &mut dyn Sink,
    ) -> Result<(Arc<Cluster>, u32, Vec<NodeStatus>), Failed> {
        let path = self.environment_variable("PATH");
        let waker = self.waker();
        let (opened, answer) = channel();
        std::thread::spawn({
            let waker = waker.clone();
            move || {
                // Who has gone takes no answer.
                let _ = opened.send(Cluster::open(path.as_deref(), waker.clone()));
                waker.wake();
            }
        });
        let cluster = self.until(Opening(answer), sink)?.map_err(no_server)?;
        for (host, way, slots) in &request.nodes {
            cluster.add(host, way, *slots);
        }
        let cluster = self.until(Reaching(Some(cluster)), sink)?;
        let (up, gone): (Vec<NodeStatus>, Vec<NodeStatus>) =
            { cluster.nodes().into_iter() }.partition(|node| node.state == NodeState::Up);
        if up.len() < request.need.max(1) {
            return Err(too_few(&gone, up.len(), request.need).into());
        }
        let slots = |node: &NodeStatus| node.about.as_ref().map_or(0, |about| about.slots);
        let size = up.iter().map(slots).sum();
        Ok((Arc::new(cluster), size, gone))
    }
}

fn no_server(error: ServerError) -> Failed {
    let report = Report::new(ErrorKind::System, error.to_string());
    match error {
        ServerError::Missing => report
            .hint("install it: `apt install nats-server`, `brew install nats-server`")
            .into(),
        ServerError::Start(error) if error.kind() == std::io::ErrorKind::StorageFull => report
            .hint("make room there, or set TMPDIR to another folder before you start regatta")
            .into(),
        ServerError::Start(_) => report.into(),
    }
}

/// Why a node did not come, one per line.
pub fn missing(gone: &[NodeStatus]) -> String {
    let line = |node: &NodeStatus| match &node.state {
        NodeState::Gone(why) => format!("node {} did not come: {why}", node.host),
        _ => format!("node {} did not come", node.host),
    };
    gone.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn too_few(gone: &[NodeStatus], up: usize, need: usize) -> Report {
    let report = Report::new(ErrorKind::System, missing(gone));
    match up {
        0 => report.hint("no pool was started; try the host with `ssh HOST true` first"),
        _ => report.hint(format!(
            "no pool was started: {up} of {} nodes came, and {need} are needed; `--need {up}` starts it with those",
            up + gone.len()
        )),
    }
}

struct Opening(Receiver<Result<Cluster, ServerError>>);

impl Awaited for Opening {
    type Outcome = Result<Cluster, ServerError>;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        Ok(match self.0.try_recv() {
            Ok(opened) => Some(opened),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(ServerError::Start(std::io::Error::other("it is lost"))))
            }
        })
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(explain::interrupted(Doing::StartingEngines).into())
    }
}

/// Until each node has come or is given up.
struct Reaching(Option<Cluster>);

impl Awaited for Reaching {
    type Outcome = Cluster;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Cluster>, Failed> {
        if let Some(cluster) = &self.0 {
            cluster.look_for_late();
        }
        let starting = |node: &NodeStatus| node.state == NodeState::Starting;
        let is_there = |cluster: &mut Cluster| !cluster.nodes().iter().any(starting);
        Ok(self.0.take_if(is_there))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(explain::interrupted(Doing::StartingEngines).into())
    }
}
