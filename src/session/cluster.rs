//! Clusters: their nodes reached, before any engine is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::crew::{Awaited, Crew};
use super::{Failed, Session, explain};
use crate::outcome::{Doing, ErrorKind, Event, Report, ServerFault, Sink};
use crate::pool::cluster::{Cluster, Listen, NodeState, NodeStatus, Way};

/// What a cluster is made of.
#[derive(Debug)]
pub struct ClusterRequest {
    /// Hosts, with the engines that each may run; as many as it has cores without it.
    pub nodes: Vec<(String, Way, Option<u32>)>,
    /// How many of them have to come.
    pub need: usize,
    /// Where other hosts reach its server.
    pub listen: Option<Listen>,
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
            let (waker, listen) = (waker.clone(), request.listen.clone());
            move || {
                // Who has gone takes no answer.
                let cluster = Cluster::open(path.as_deref(), listen.as_ref(), waker.clone());
                let _ = opened.send(cluster);
                waker.wake();
            }
        });
        let cluster = self.until(Opening(answer), sink)?.map_err(no_server)?;
        for (host, way, slots) in &request.nodes {
            cluster.add(host, way, *slots);
        }
        let by_hand = request.nodes.is_empty();
        if by_hand {
            let file = cluster.join_file(None).map_err(|error| no_file(&error))?;
            sink.send(Event::Text(how_to_join(&file, request.need)));
        }
        let reaching = Reaching {
            cluster: Some(cluster),
            need: if by_hand { request.need } else { 0 },
        };
        let cluster = self.until(reaching, sink)?;
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

impl Session {
    /// Writes what nodes need to join the cluster in use by themselves; where.
    pub fn join_file(&self, path: Option<&Path>) -> Result<PathBuf, Failed> {
        let cluster = self.cluster_in_use()?;
        cluster.join_file(path).map_err(|error| no_file(&error))
    }

    fn cluster_in_use(&self) -> Result<Arc<Cluster>, Failed> {
        let used = self.current_pool().and_then(|pool| pool.starter.cluster());
        let none = || {
            Report::usage("no cluster is in use")
                .hint("`%pool start cluster` starts one, `%pool use NAME` uses it")
        };
        Ok(used.ok_or_else(none)?.clone())
    }
}

fn no_server(fault: ServerFault) -> Failed {
    let report = Report::new(ErrorKind::System, fault.to_string());
    match fault.hint() {
        Some(hint) => report.hint(hint).into(),
        None => report.into(),
    }
}

fn no_file(error: &std::io::Error) -> Failed {
    let what = format!("the file for nodes cannot be written: {error}");
    Report::new(ErrorKind::System, what).into()
}

/// What to do on the other hosts.
fn how_to_join(file: &Path, need: usize) -> String {
    let nodes = match need {
        1 => "a node".to_owned(),
        _ => format!("{need} nodes"),
    };
    format!(
        "waiting for {nodes}, with as many engines each as it has cores, or `--slots N`:\n  regatta node --join {}",
        file.display()
    )
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

struct Opening(Receiver<Result<Cluster, ServerFault>>);

impl Awaited for Opening {
    type Outcome = Result<Cluster, ServerFault>;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        Ok(match self.0.try_recv() {
            Ok(opened) => Some(opened),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                return Err(
                    Report::new(ErrorKind::System, "the cluster's thread has ended").into(),
                );
            }
        })
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(explain::interrupted(Doing::StartingEngines).into())
    }
}

/// Until each node has come or is given up, and so many are there of those that nobody has started.
struct Reaching {
    cluster: Option<Cluster>,
    need: usize,
}

impl Awaited for Reaching {
    type Outcome = Cluster;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Cluster>, Failed> {
        if let Some(cluster) = &self.cluster {
            cluster.look_for_late();
        }
        let need = self.need;
        let is_there = |cluster: &mut Cluster| {
            let nodes = cluster.nodes();
            let of = |state| nodes.iter().filter(|node| node.state == state).count();
            of(NodeState::Starting) == 0 && of(NodeState::Up) >= need
        };
        Ok(self.cluster.take_if(is_there))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(explain::interrupted(Doing::StartingEngines).into())
    }
}
