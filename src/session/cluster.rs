//! Clusters: their nodes reached, before any engine is started.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use super::crew::{Awaited, Crew};
use super::{Failed, Pool, PoolRequest, Session, explain};
use crate::outcome::{
    About, Doing, ErrorKind, Event, KeepFault, Notice, PoolCause, PoolKind, Report, Sink,
};
use crate::pool::Starter;
use crate::pool::cluster::keep::{self, Shelf};
use crate::pool::cluster::{Cluster, NodeState, NodeStatus, ServerError, Way};

/// What a cluster is made of.
#[derive(Debug)]
pub struct ClusterRequest {
    /// Hosts, with the engines that each may run; as many as it has cores without it.
    pub nodes: Vec<(String, Way, Option<u32>)>,
    /// How many of them have to come.
    pub need: usize,
    /// How long it goes on without a session, and under which name; `None` when it ends with this one.
    pub keep: Option<(String, Duration)>,
}

/// A cluster with what there is of it: how many engines its nodes may run, and the nodes that did not come.
pub type Opened = (Arc<Cluster>, u32, Vec<NodeStatus>);

impl Session {
    /// A name for a cluster that is to be kept: neither a pool nor another such cluster has it.
    pub fn kept_name(&self) -> Result<String, Report> {
        let kept = Shelf::find()?.all();
        let is_free = |name: &String| {
            let (mut kept, mut pools) = (kept.iter(), self.pools().iter());
            !kept.any(|record| record.name == *name) && !pools.any(|pool| pool.name.0 == *name)
        };
        let name = (0..).map(|n| format!("c{n}")).find(is_free);
        Ok(name.unwrap_or_default())
    }

    /// Takes a cluster that has outlived its session: a pool with its name, of fresh engines. `steal`: also when another
    /// session has it.
    pub fn attach_cluster(
        &mut self,
        name: &str,
        steal: bool,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, Vec<NodeStatus>), Failed> {
        if self.pools().iter().any(|pool| pool.name.0 == name) {
            return Err(Report::usage(PoolCause::Taken(name.to_owned())).into());
        }
        let (waker, wanted) = (self.waker(), name.to_owned());
        let cluster = self.opened(move || Cluster::attach(&wanted, steal, waker), sink)?;
        let cluster = cluster?;
        let (cluster, size, gone) = self.reached(cluster, sink)?;
        if size == 0 {
            let name = name.to_owned();
            return Err(KeepFault::NoNode { name }.into());
        }
        let request = PoolRequest {
            kind: PoolKind::Processes,
            size: Some(size.into()),
            name: Some(name.to_owned()),
            init: None,
            items: None,
            starter: Starter::Cluster(cluster),
        };
        let (pool, _) = self.start_pool(request, sink)?;
        Ok((pool, gone))
    }

    /// Tells of the clusters that go on when this session ends, and lets go of them.
    pub fn leave(&mut self, sink: &mut dyn Sink) {
        for pool in self.pools() {
            let Some(cluster) = pool.starter.cluster() else {
                continue;
            };
            if let Some((name, lease)) = cluster.kept() {
                let notice = Notice::GoesOn {
                    name: name.to_owned(),
                    now: keep::now(),
                    lease,
                    jobs: 0,
                };
                sink.send(Event::Notice(About::default(), notice));
                cluster.leave();
            }
        }
    }

    /// What `open` gives, which may take its time.
    fn opened<T: Send + 'static>(
        &mut self,
        open: impl FnOnce() -> T + Send + 'static,
        sink: &mut dyn Sink,
    ) -> Result<T, Failed> {
        let waker = self.waker();
        let (opened, answer) = channel();
        std::thread::spawn(move || {
            // Who has gone takes no answer.
            let _ = opened.send(open());
            waker.wake();
        });
        self.until(Opening(answer), sink)
    }

    /// Waits for the nodes of a cluster.
    fn reached(&mut self, cluster: Cluster, sink: &mut dyn Sink) -> Result<Opened, Failed> {
        let cluster = self.until(Reaching(Some(cluster)), sink)?;
        let (up, gone): (Vec<NodeStatus>, Vec<NodeStatus>) =
            { cluster.nodes().into_iter() }.partition(|node| node.state == NodeState::Up);
        let slots = |node: &NodeStatus| node.about.as_ref().map_or(0, |about| about.slots);
        let size = up.iter().map(slots).sum();
        Ok((Arc::new(cluster), size, gone))
    }

    /// Starts a server and reaches the nodes; how many engines they may run, and which nodes did not come.
    pub fn open_cluster(
        &mut self,
        request: ClusterRequest,
        sink: &mut dyn Sink,
    ) -> Result<Opened, Failed> {
        let path = self.environment_variable("PATH");
        let (waker, keep) = (self.waker(), request.keep);
        let cluster = match keep {
            None => {
                let opened = self.opened(move || Cluster::open(path.as_deref(), waker), sink)?;
                opened.map_err(no_server)?
            }
            Some((name, lease)) => {
                let open = move || Cluster::keep(path.as_deref(), &name, lease, waker);
                self.opened(open, sink)??
            }
        };
        for (host, way, slots) in &request.nodes {
            cluster.add(host, way, *slots);
        }
        let (cluster, size, gone) = self.reached(cluster, sink)?;
        let up = cluster.nodes().len() - gone.len();
        if up < request.need.max(1) {
            return Err(too_few(&gone, up, request.need).into());
        }
        Ok((cluster, size, gone))
    }
}

fn no_server(error: ServerError) -> Failed {
    let report = Report::new(ErrorKind::System, error.to_string());
    match error {
        ServerError::Missing => report
            .hint("install it: `apt install nats-server`, `brew install nats-server`")
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

struct Opening<T>(Receiver<T>);

impl<T> Awaited for Opening<T> {
    type Outcome = T;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        Ok(match self.0.try_recv() {
            Ok(opened) => Some(opened),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                let what = "the cluster is lost: what was to open it has ended";
                return Err(Report::new(ErrorKind::System, what).into());
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
