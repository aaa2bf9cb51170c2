//! Clusters: their nodes reached, before any engine is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::crew::{Awaited, Crew};
use super::{Failed, Pool, PoolRequest, Session, explain};
use crate::compiler::Setting;
use crate::ids::{EngineId, Rank};
use crate::outcome::{
    About, Doing, ErrorKind, Event, KeepFault, NodeFault, Notice, PoolCause, PoolKind, Progress,
    Report, ServerFault, Sink, SlurmState,
};
use crate::pool::Starter;
use crate::pool::cluster::keep::{self, Shelf};
use crate::pool::cluster::{
    Asked, Cluster, Invitation, NodeId, NodeState, NodeStatus, Surroundings, Wanted, Way, Which,
    slurm_address,
};
use crate::wire::since_1970;

/// What a cluster is made of.
#[derive(Debug)]
pub struct ClusterRequest {
    /// Hosts, with the engines that each may run; as many as it has cores without it.
    pub nodes: Vec<Wanted>,
    /// How many of them have to come.
    pub need: Option<usize>,
    /// Its server.
    pub server: Which,
    /// What Slurm is asked to start.
    pub slurm: Option<Asked>,
    /// Maps go through a queue.
    pub is_durable: bool,
    /// How long it goes on without a session, and under which name; `None` when it ends with this one.
    pub keep: Option<(String, Duration)>,
}

/// Hosts that come to a cluster that there is.
#[derive(Debug)]
pub struct MoreHosts {
    pub nodes: Vec<Wanted>,
    /// What Slurm is asked to start.
    pub slurm: Option<Asked>,
}

/// A cluster with what there is of it: how many engines its nodes may run, and the nodes that did not come.
pub type Opened = (Arc<Cluster>, u32, Vec<NodeStatus>);

impl Session {
    /// The name of a cluster that is to be kept: this one, which no pool has, or one that no other such cluster has either.
    pub fn kept_name(&self, name: Option<&str>) -> Result<String, Report> {
        let kept = Shelf::find()?.all();
        let is_kept = |name: &str| kept.iter().any(|record| record.name == name);
        Ok(self.crew.free_name(name, "c", is_kept)?.0)
    }

    /// Takes a cluster that has outlived its session: a pool with its name, of fresh engines. `steal`: also when another
    /// session has it.
    pub fn attach_cluster(
        &mut self,
        name: &str,
        steal: bool,
        more: MoreHosts,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, Vec<NodeStatus>), Failed> {
        if let Some(pool) = self.pools().iter().find(|pool| pool.name.0 == name) {
            let cluster = pool.starter.cluster();
            if cluster.is_some_and(|cluster| cluster.kept().is_some()) {
                let report = Report::usage(format!("this session has the cluster {name} already"));
                return Err(report.hint(format!("`%pool use {name}` uses it")).into());
            }
            return Err(Report::usage(PoolCause::Taken(name.to_owned())).into());
        }
        let (waker, wanted, of_slurm) = (self.waker(), name.to_owned(), more.slurm.is_some());
        let attach = move || match of_slurm && !keep::is_reached(&wanted)? {
            true => Ok(None),
            false => Cluster::attach(&wanted, steal, waker).map(Some),
        };
        let attached: Result<Option<Cluster>, KeepFault> = self.opened(attach, sink)?;
        let Some(cluster) = attached? else {
            let what = format!("hosts of Slurm do not reach the server of {name}");
            let hint =
                "a cluster that is started with `--slurm` or `--listen` has one that they reach";
            return Err(Report::usage(what).hint(hint).into());
        };
        let cluster = Arc::new(cluster);
        let native = self.workshop.is_for_this_processor();
        cluster.are_for_this_processor(native).map_err(unfit)?;
        self.reach_more(&cluster, &more, sink)?;
        let (_, size, gone) = counted(&cluster);
        if size == 0 {
            // Nothing that was asked for goes on for nobody.
            cluster.recall();
            let name = name.to_owned();
            return Err(KeepFault::NoNode { name }.into());
        }
        let request = PoolRequest {
            kind: PoolKind::Processes,
            size: Some(size.into()),
            name: Some(name.to_owned()),
            init: None,
            items: None,
            starter: Starter::Cluster(cluster.clone()),
        };
        let (pool, _) = self.start_pool(request, sink)?;
        let met = self.meet_formers(&cluster, &pool);
        let mut said = match met.len() {
            0 => String::new(),
            1 => "1 job is there: `%jobs` shows it".to_owned(),
            jobs => format!("{jobs} jobs are there: `%jobs` lists them"),
        };
        for (there, here) in met.iter().filter(|(there, here)| there != here) {
            said.push_str(&format!("; its job {there} is job {here} here"));
        }
        if !said.is_empty() {
            sink.send(Event::Text(said));
        }
        Ok((pool, gone))
    }

    fn asks_slurm_from(&self) -> Surroundings {
        Surroundings::of(self.environment_variables())
    }

    /// Has Slurm start nodes of a cluster.
    fn submit(
        &mut self,
        cluster: &Arc<Cluster>,
        asked: &Asked,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let from = self.asks_slurm_from();
        let (of, asked) = (cluster.clone(), asked.clone());
        let submitted = self.opened(move || of.submit(&asked, from), sink)?;
        submitted.map_err(|error| not_done(cluster, "Slurm cannot be asked", &error))
    }

    /// Waits for the nodes that a cluster has, and for these. When that comes to nothing, the cluster is as it was.
    fn reach_more(
        &mut self,
        cluster: &Arc<Cluster>,
        more: &MoreHosts,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let nodes = { more.nodes.iter() }.cloned();
        let new: Vec<NodeId> = nodes.map(|mut it| cluster.add(&mut it)).collect();
        let mut reached = self.reach(cluster, Waits::Hosts, sink);
        if reached.is_ok()
            && let Some(asked) = &more.slurm
        {
            let before = cluster.nodes().len();
            reached = self.submit(cluster, asked, sink);
            if reached.is_ok() {
                let waits = Waits::Slurm { before, need: None };
                reached = self.reach(cluster, waits, sink);
            }
            if reached.is_err() {
                cluster.recall();
            }
        }
        if reached.is_err() {
            new.iter().for_each(|node| cluster.remove(*node));
        }
        reached
    }

    /// Tells of the clusters that go on when this session ends, and lets go of them.
    pub fn leave(&mut self, sink: &mut dyn Sink) {
        let ending = self.ending_jobs();
        for pool in self.pools() {
            let Some(cluster) = pool.starter.cluster() else {
                continue;
            };
            if let Some((name, lease)) = cluster.kept() {
                let parts = ending.iter().filter(|it| it.pool == pool.name);
                let notice = Notice::GoesOn {
                    name: name.to_owned(),
                    now: since_1970(),
                    lease,
                    jobs: self.going_on(&pool.name),
                    parts: parts
                        .filter_map(|it| it.queued.map(|(queued, all)| (it.job, queued, all)))
                        .collect(),
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
        let opening = Answering {
            answer,
            doing: Doing::StartingEngines,
        };
        self.until(opening, sink)
    }

    /// Waits for the nodes of a cluster that have been started, and for those that nobody here starts.
    fn reach(
        &mut self,
        cluster: &Arc<Cluster>,
        waits: Waits,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let reaching = Reaching {
            cluster: cluster.clone(),
            waits,
            said: SlurmState::Asked,
            came: (0, Instant::now()),
            since: Instant::now(),
            missing: Vec::new(),
        };
        let reached = self.until(reaching, sink);
        sink.send(Event::Progress(None));
        reached
    }

    /// Starts a server and reaches the nodes; how many engines they may run, and which nodes did not come.
    pub fn open_cluster(
        &mut self,
        mut request: ClusterRequest,
        sink: &mut dyn Sink,
    ) -> Result<Opened, Failed> {
        let path = self.environment_variable("PATH");
        let (waker, on_path) = (self.waker(), path);
        let of_slurm = { request.slurm.as_ref() }.map(|_| self.asks_slurm_from());
        let server = request.server;
        let has_key = matches!(
            &server,
            Which::Given {
                credentials: Some(_),
                ..
            }
        );
        let server = move || reached(server, of_slurm.as_ref());
        let cluster = match request.keep {
            None => {
                let is_durable = request.is_durable;
                let open = move || Cluster::open(on_path.as_deref(), &server()?, is_durable, waker);
                self.opened(open, sink)?.map_err(no_server)?
            }
            Some((name, lease)) => {
                let open = move || {
                    let server = server().map_err(KeepFault::Server)?;
                    Cluster::keep(on_path.as_deref(), &server, (&name, lease), waker)
                };
                self.opened(open, sink)??
            }
        };
        let cluster = Arc::new(cluster);
        for wanted in &mut request.nodes {
            cluster.add(wanted);
        }
        let native = self.workshop.is_for_this_processor();
        // Nobody is there yet who could not.
        let _ = cluster.are_for_this_processor(native);
        let need = request.need.unwrap_or(request.nodes.len()).max(1);
        // What no launcher starts, somebody does.
        let by_hand = need > request.nodes.len() && request.slurm.is_none();
        if by_hand {
            let of = cluster.clone();
            let way = self.opened(move || of.way_in(), sink)?;
            let way = way.map_err(|error| not_done(&cluster, NO_FILE, &error))?;
            let nodes = need - request.nodes.len();
            sink.send(Event::Text(how_to_join(&way, nodes, has_key)));
        }
        let before = cluster.nodes().len();
        if let Some(asked) = &request.slurm {
            self.submit(&cluster, asked, sink)?;
        }
        let waits = match &request.slurm {
            Some(_) => Waits::Slurm {
                before,
                need: request.need,
            },
            None if by_hand => Waits::All(need),
            None => Waits::Hosts,
        };
        self.reach(&cluster, waits, sink)?;
        let (up, size, gone) = counted(&cluster);
        if up < need {
            return Err(too_few(&gone, &request.nodes, up, need).into());
        }
        Ok((cluster, size, gone))
    }
}

impl Session {
    /// Whether some of what was compiled is for this host's processor alone.
    pub fn has_native_code(&self) -> bool {
        self.workshop.is_for_this_processor()
    }

    /// Compiles later cells for this host's processor, or for all of its architecture. Nodes that could not run them are named,
    /// and nothing has changed. What was compiled for this processor stays so: nodes that come need it until [`Self::reset`].
    pub fn choose_cpu(&mut self, native: bool) -> Result<(), Failed> {
        let needed = native || self.workshop.is_for_this_processor();
        let clusters = { self.pools().iter() }.filter_map(|pool| pool.starter.cluster());
        for cluster in clusters {
            cluster.are_for_this_processor(needed).map_err(|nodes| {
                unfit(nodes)
                    .hint("`%pool remove HOST` takes a node out; cells are compiled as before")
            })?;
        }
        self.configure(Setting::NativeCpu(native));
        Ok(())
    }

    /// Writes what nodes need to join the cluster in use by themselves.
    pub fn join_file(
        &mut self,
        path: Option<PathBuf>,
        sink: &mut dyn Sink,
    ) -> Result<Invitation, Failed> {
        let cluster = self.cluster_in_use()?;
        let of = cluster.clone();
        let written = self.opened(move || of.join_file(path.as_deref()), sink)?;
        written.map_err(|error| not_done(&cluster, NO_FILE, &error))
    }

    /// Adds hosts to a cluster's pool, or with none of them the nodes that have joined by themselves: the engines that they
    /// run have the ranks behind those that there are, and take part in the maps under way.
    pub fn add_hosts(
        &mut self,
        name: Option<&str>,
        mut nodes: Vec<Wanted>,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, u32, Duration), Failed> {
        let since = Instant::now();
        let (pool, cluster) = self.cluster_named(name)?;
        let new: Vec<NodeId> = { nodes.iter_mut() }.map(|it| cluster.add(it)).collect();
        let reached = self.reach(&cluster, Waits::Hosts, sink);
        let all = cluster.nodes();
        let is_up = |node: &&NodeId| {
            let status = all.get(node.0);
            status.is_some_and(|status| status.state == NodeState::Up)
        };
        if reached.is_err() || !new.iter().all(|node| is_up(&node)) {
            let gone: Vec<NodeStatus> = { new.iter().filter(|node| !is_up(node)) }
                .filter_map(|node| all.get(node.0).cloned())
                .collect();
            new.iter().for_each(|node| cluster.remove(*node));
            reached?;
            let report = Report::new(ErrorKind::System, missing(&gone));
            let what_now = what_now(&gone, &nodes);
            return Err(report
                .hint(format!("the pool is as it was{what_now}"))
                .into());
        }
        let more = cluster.free();
        if more == 0 {
            let what = format!("no node of {} has room for another engine", pool.name);
            let hint = "`%pool add HOST:N` starts a node; hosts join by themselves with the file of `%nodes --join-file`";
            return Err(Report::usage(what).hint(hint).into());
        }
        let size = i64::from(pool.size) + i64::from(more);
        let resized = self.crew.resize(Some(&pool.name.0), size, sink);
        let (pool, ranks) =
            resized.inspect_err(|_| new.iter().for_each(|node| cluster.remove(*node)))?;
        self.begin_engines(&pool.name, &ranks, sink)?;
        Ok((pool, more, since.elapsed()))
    }

    /// Takes a host out of a cluster's pool. Its engines end the chunks and cells that they are at, unless it is to be `now`;
    /// the engines that stay have the ranks from 0 on.
    pub fn remove_host(
        &mut self,
        name: Option<&str>,
        host: &str,
        now: bool,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, usize), Failed> {
        let (pool, cluster) = self.cluster_named(name)?;
        let nodes = cluster.nodes_of(host);
        let all = cluster.nodes();
        if nodes.is_empty() {
            if cluster.forget(host) {
                return Ok((pool, 0));
            }
            let up = all.iter().filter(|node| node.state == NodeState::Up);
            let hosts: Vec<&str> = up.map(|node| node.host.as_str()).collect();
            let report = Report::usage(format!("{} has no node {host}", pool.name));
            return Err(report
                .hint(format!("its nodes are {}", hosts.join(", ")))
                .into());
        }
        let ranks: Vec<Rank> = { nodes.iter() }
            .filter_map(|node| all.get(node.0))
            .flat_map(|status| status.ranks.iter().copied())
            .collect();
        let of_rank = |rank: &Rank| pool.engines.get(rank.0 as usize).copied();
        let engines: Vec<EngineId> = ranks.iter().filter_map(of_rank).collect();
        if engines.len() == pool.engines.len() {
            let report = Report::usage(format!("{host} has all engines of {}", pool.name));
            return Err(report
                .hint(format!("`%pool stop {}` stops it", pool.name))
                .into());
        }
        if !now {
            self.crew.hub().leave(engines.clone());
            let leaving = Leaving {
                host: host.to_owned(),
                engines: engines.clone(),
                since: Instant::now(),
            };
            let left = self.until(leaving, sink);
            sink.send(Event::Progress(None));
            left?;
        }
        let pool = self.crew.dismiss(&pool.name, &engines)?;
        nodes.into_iter().for_each(|node| cluster.remove(node));
        Ok((pool, engines.len()))
    }

    fn cluster_named(&self, name: Option<&str>) -> Result<(Pool, Arc<Cluster>), Failed> {
        let pool = self.pool_named(name)?;
        let none = || {
            let hint = match pool.starter.mpi() {
                Some(_) => {
                    "an MPI pool has the engines that it starts with: `%pool start mpi -n N` starts another"
                }
                None => "`%pool resize N` changes the number of engines of other pools",
            };
            Report::usage(format!("{} is no cluster", pool.name)).hint(hint)
        };
        let cluster = pool.starter.cluster().ok_or_else(none)?;
        Ok((pool.clone(), cluster.clone()))
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

/// The server that is asked for; where Slurm's hosts are to come, one that they reach.
fn reached(server: Which, of_slurm: Option<&Surroundings>) -> Result<Which, ServerFault> {
    match (server, of_slurm) {
        (Which::Own, Some(from)) => slurm_address(from)
            .map(Which::Listens)
            .ok_or(ServerFault::NoAddress),
        (server, _) => Ok(server),
    }
}

/// How many nodes there are, how many engines they may run, and the nodes that did not come.
fn counted(cluster: &Cluster) -> (usize, u32, Vec<NodeStatus>) {
    let (up, gone): (Vec<NodeStatus>, Vec<NodeStatus>) =
        { cluster.nodes().into_iter() }.partition(|node| node.state == NodeState::Up);
    let slots = |node: &NodeStatus| node.about.as_ref().map_or(0, |about| about.slots);
    (up.len(), up.iter().map(slots).sum(), gone)
}

/// Nodes that could not run what is compiled for this host's processor.
fn unfit(nodes: Vec<(String, NodeFault)>) -> Report {
    let line = |(host, why): (String, NodeFault)| format!("node {host}: {why}");
    let lines: Vec<String> = nodes.into_iter().map(line).collect();
    Report::new(ErrorKind::System, lines.join("\n"))
}

fn no_server(fault: ServerFault) -> Failed {
    let report = Report::new(ErrorKind::System, fault.to_string());
    match fault.hint() {
        Some(hint) => report.hint(hint).into(),
        None => report.into(),
    }
}

/// It may have been written, and not be of use yet.
const NO_FILE: &str = "there is no file that nodes can join with";

/// What was asked of a cluster and did not come to be.
fn not_done(cluster: &Cluster, what: &str, error: &std::io::Error) -> Failed {
    if let (Some((name, pid)), std::io::ErrorKind::TimedOut) = (cluster.keeper(), error.kind()) {
        let name = name.to_owned();
        return KeepFault::Silent { name, pid }.into();
    }
    let why = match error.kind() {
        std::io::ErrorKind::TimedOut => NodeFault::NoServer.to_string(),
        _ => error.to_string(),
    };
    Report::new(ErrorKind::System, format!("{what}: {why}")).into()
}

/// What to do on the other hosts. `way`: a file, or a URL, to which a user's key belongs when the session `has_key`.
fn how_to_join(way: &str, need: usize, has_key: bool) -> String {
    let nodes = match need {
        1 => "a node".to_owned(),
        _ => format!("{need} nodes"),
    };
    let waiting =
        format!("waiting for {nodes}, with as many engines each as it has cores, or `--slots N`");
    let quoted = shell_words::quote(way);
    match (way.contains("://"), has_key) {
        (true, true) => {
            format!("{waiting}:\n  regatta node --join {quoted} --creds FILE")
        }
        (true, false) => format!("{waiting}:\n  regatta node --join {quoted}"),
        (false, _) => format!("{waiting}:\n{}", by_file(Path::new(way))),
    }
}

/// How nodes join by a file, here and on other hosts.
pub fn by_file(file: &Path) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("regatta"));
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        shell_words::quote(&name.to_string_lossy()).into_owned()
    };
    let whole = |path: &Path| shell_words::quote(&path.to_string_lossy()).into_owned();
    format!(
        "  regatta node --join {file}\nto another host: `scp -p {program} {file} HOST:`, and there `./{its} node --join {name}`",
        file = whole(file),
        program = whole(&program),
        its = name(&program),
        name = name(file),
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

/// What can be done about nodes that did not come, where their words leave that open. `wanted`: how they were asked for.
fn what_now(gone: &[NodeStatus], wanted: &[Wanted]) -> String {
    let of = |fault: fn(&NodeFault) -> bool| {
        let is_it = |node: &&NodeStatus| matches!(&node.state, NodeState::Gone(why) if fault(why));
        gone.iter().find(is_it)
    };
    if of(|why| matches!(why, NodeFault::Version { .. })).is_some() {
        return "; a node that is started by hand needs this session's program: `%nodes --join-file` says how it gets there"
            .to_owned();
    }
    if of(|why| matches!(why, NodeFault::Libc { .. })).is_some() {
        return "; a session on the host with the oldest C library has nodes on all of them"
            .to_owned();
    }
    let silent = of(|why| matches!(why, NodeFault::Says(_) | NodeFault::Ended));
    let way = silent.and_then(|node| wanted.iter().find(|it| it.host == node.host));
    match way.map(|wanted| &wanted.way) {
        Some(Way::Ssh { to, options }) => {
            let words = ["ssh"]
                .into_iter()
                .chain(options.iter().map(String::as_str));
            let tries = shell_words::join(words.chain([to.as_str(), "true"]));
            format!("; try the host with `!{tries}` first")
        }
        _ => String::new(),
    }
}

fn too_few(gone: &[NodeStatus], wanted: &[Wanted], up: usize, need: usize) -> Report {
    let what = match gone {
        [] => format!("{up} nodes came, and {need} are needed"),
        _ => missing(gone),
    };
    let report = Report::new(ErrorKind::System, what);
    match up {
        0 => report.hint(format!("no pool was started{}", what_now(gone, wanted))),
        _ => report.hint(format!(
            "no pool was started: {up} of {} nodes came, and {need} are needed; `--need {up}` starts it with those",
            up + gone.len()
        )),
    }
}

/// What the cluster's thread answers, or another that does something with it.
pub(super) struct Answering<T> {
    pub answer: Receiver<T>,
    pub doing: Doing,
}

impl<T> Awaited for Answering<T> {
    type Outcome = T;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        Ok(match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                return Err(
                    Report::new(ErrorKind::System, "the cluster's thread has ended").into(),
                );
            }
        })
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(explain::interrupted(self.doing).into())
    }
}

/// For which nodes.
#[derive(Clone, Copy)]
enum Waits {
    /// Those that have been started: until each has come or is given up.
    Hosts,
    /// So many of all besides, because some are started by hand.
    All(usize),
    /// As many as Slurm will start besides, whose places are from `before` on; or so many of all.
    Slurm { before: usize, need: Option<usize> },
}

/// Until they are there.
struct Reaching {
    cluster: Arc<Cluster>,
    waits: Waits,
    said: SlurmState,
    /// How many have come or are gone, and since when.
    came: (usize, Instant),
    since: Instant,
    /// Hosts that are waited for.
    missing: Vec<String>,
}

/// Who waits longer sees for what.
const TOLD_AFTER: Duration = Duration::from_millis(700);

impl Reaching {
    /// `all`: of the nodes, when that is known.
    fn tell(&mut self, nodes: &[NodeStatus], all: Option<usize>, sink: &mut dyn Sink) {
        let starting = { nodes.iter() }.filter(|node| node.state == NodeState::Starting);
        self.missing = starting.map(|node| node.host.clone()).collect();
        let elapsed = self.since.elapsed();
        if elapsed < TOLD_AFTER {
            return;
        }
        let up = { nodes.iter() }.filter(|node| node.state == NodeState::Up);
        sink.send(Event::Progress(Some(Progress {
            what: match &self.missing[..] {
                [] => "waiting for nodes".to_owned(),
                hosts => format!("waiting for {}", some_of(hosts)),
            },
            unit: "nodes",
            done: up.count() as u64,
            total: all.map(|all| all as u64),
            elapsed,
        })));
    }
}

/// The first of these hosts, and how many more there are.
fn some_of(hosts: &[String]) -> String {
    const MOST: usize = 3;
    let first = hosts.get(..MOST).unwrap_or(hosts).join(", ");
    match hosts.len().saturating_sub(MOST) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// How long nodes that nobody knows may take to say that they are there.
const ANSWERING: Duration = Duration::from_secs(3);

/// Slurm's nodes that have not come so long after another one did are not waited for.
const STRAGGLING: Duration = Duration::from_secs(30);

impl Awaited for Reaching {
    type Outcome = ();

    fn look(&mut self, _: &mut Crew, sink: &mut dyn Sink) -> Result<Option<()>, Failed> {
        self.cluster.look_for_late();
        let (need, before, is_slurms) = match self.waits {
            Waits::Hosts => (Some(0), 0, false),
            Waits::All(need) => (Some(need), 0, false),
            Waits::Slurm { before, need } => (need, before, true),
        };
        let mut asked = Awaits { need, all: None };
        if is_slurms && let Some((state, nodes)) = self.cluster.submitted() {
            if matches!(state, SlurmState::Over { .. }) {
                return Err(Report::new(ErrorKind::System, state.to_string()).into());
            }
            if state != self.said {
                sink.send(Event::Text(state.to_string()));
                self.said = state;
            }
            asked.all = nodes.map(|nodes| nodes as usize);
        }
        let nodes = self.cluster.nodes();
        let new = nodes.get(before..).unwrap_or_default();
        let of = |nodes: &[NodeStatus], state| nodes.iter().filter(|it| it.state == state).count();
        let starting = of(&nodes, NodeState::Starting);
        let came = new.len() - of(new, NodeState::Starting);
        let (up, new_up) = (of(&nodes, NodeState::Up), of(new, NodeState::Up));
        if came != self.came.0 {
            self.came = (came, Instant::now());
        }
        let all = match (need, asked.all) {
            (Some(need @ 1..), _) => Some(need),
            (_, Some(all)) => Some(before + all),
            _ => Some(up + starting),
        };
        self.tell(&nodes, all, sink);
        if starting > 0 {
            return Ok(None);
        }
        // Those that came by themselves while there was no session are not known, and say so.
        if self.cluster.is_open() && up == 0 && self.since.elapsed() < ANSWERING {
            return Ok(None);
        }
        let quiet = is_slurms.then(|| self.came.1.elapsed());
        let found = asked.found(up, (new_up, came), quiet);
        if let (Some(Found::Part), Some(all)) = (found, asked.all) {
            sink.send(Event::Text(format!(
                "{came} of {all} nodes have come; the others are not waited for, and `%pool add` takes in those that come"
            )));
        }
        Ok(found.map(drop))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        let report = explain::interrupted(Doing::StartingEngines);
        Err(match &self.missing[..] {
            [] => report,
            hosts => report.hint(format!("not there yet: {}", some_of(hosts))),
        }
        .into())
    }
}

/// How many nodes are to be there: so many that are up, and of Slurm's so many in all.
#[derive(Clone, Copy)]
struct Awaits {
    need: Option<usize>,
    all: Option<usize>,
}

/// What ends the wait for nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Enough,
    /// Others are not waited for.
    Part,
}

impl Awaits {
    /// `up`: of all; `new`: of Slurm's, those that are up, and that are up or gone; `quiet`: so long none of Slurm's has come.
    fn found(
        self,
        up: usize,
        (new, came): (usize, usize),
        quiet: Option<Duration>,
    ) -> Option<Found> {
        let is_enough = match self.need {
            Some(need) => up >= need,
            None => self.all.is_some_and(|all| new >= all),
        };
        if is_enough || self.all.is_some_and(|all| came >= all) {
            return Some(Found::Enough);
        }
        let are_straggling = new > 0 && quiet.is_some_and(|quiet| quiet > STRAGGLING);
        are_straggling.then_some(Found::Part)
    }
}

/// Until engines have ended what they are at.
struct Leaving {
    host: String,
    engines: Vec<EngineId>,
    since: Instant,
}

impl Awaited for Leaving {
    type Outcome = ();

    fn look(&mut self, crew: &mut Crew, sink: &mut dyn Sink) -> Result<Option<()>, Failed> {
        if crew.hub().are_free(self.engines.clone()) {
            return Ok(Some(()));
        }
        let elapsed = self.since.elapsed();
        if elapsed >= TOLD_AFTER {
            sink.send(Event::Progress(Some(Progress {
                what: format!("{} ends what it is at", self.host),
                unit: "engines",
                done: 0,
                total: None,
                elapsed,
            })));
        }
        Ok(None)
    }

    fn interrupted(&mut self, crew: &mut Crew) -> Result<(), Failed> {
        crew.hub().stay(self.engines.clone());
        let what = "interrupted: the host is still there, and takes no part in the maps under way";
        Err(Report::new(ErrorKind::Interrupted, what)
            .hint("`%pool remove HOST --now` does not wait")
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_slurm_that_do_not_come_are_not_waited_for_for_ever() {
        let short = Some(Duration::from_secs(1));
        let long = Some(STRAGGLING + Duration::from_secs(1));
        let four = Awaits {
            need: None,
            all: Some(4),
        };
        assert_eq!(four.found(3, (3, 3), short), None);
        assert_eq!(four.found(4, (4, 4), short), Some(Found::Enough));
        // One of them was refused.
        assert_eq!(four.found(3, (3, 4), short), Some(Found::Enough));
        assert_eq!(four.found(3, (3, 3), long), Some(Found::Part));
        assert_eq!(four.found(0, (0, 0), long), None, "the job may be queued");
        let two = Awaits {
            need: Some(2),
            ..four
        };
        assert_eq!(two.found(2, (2, 2), short), Some(Found::Enough));
        // Of hosts that ssh has reached none is Slurm's.
        let mixed = Awaits {
            need: Some(4),
            ..four
        };
        assert_eq!(mixed.found(2, (0, 0), long), None, "the job may be queued");
        assert_eq!(mixed.found(4, (2, 2), short), Some(Found::Enough));
        // Whoever is started by hand has time.
        let by_hand = Awaits {
            need: Some(2),
            all: None,
        };
        assert_eq!(by_hand.found(1, (1, 1), None), None);
    }
}
