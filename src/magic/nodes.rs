//! `%nodes`: the hosts of clusters, and how they are.

use std::path::PathBuf;

use clap::Args;

use super::{Call, Example, Magic};
use crate::outcome::{Event, Field, NodeFault, Sink, Table};
use crate::pool::cluster::{Invitation, NodeState, NodeStatus};
use crate::session::{Done, Session, by_file};

/// lists the nodes of clusters: engines, cores, load, memory, round trip, clock
#[derive(Args)]
#[command(
    after_help = "With `--join-file` hosts may join that nobody has started: `regatta node --join FILE --slots N` there, and \
                  `%pool add` here takes their engines into the pool in use. Hosts reach clusters that were started with \
                  `--listen` or `--slurm`, or at the `--url` of a server that they reach; others only this one. The file is yours alone (0600), holds the \
                  secrets of one cluster, and is removed and worth nothing when that ends. Several nodes may have one file; they \
                  are not kept apart from each other then, as those of different files are.\n\nThe load is of processes that run or wait for a core, over the last minute. `rtt` is the time of a word there and \
                  back; `clock` how far the node's is ahead of this host's; `heard` how long ago it was heard of. `4 of 2` engines are more than \
                  the node was started with: `%pool resize` puts them where the fewest are. A node of which nothing is \
                  heard for 5 s is given up: its engines are dead, and `%pool restart` starts others on the nodes that are left."
)]
pub struct NodesTable {
    /// writes what `regatta node --join FILE` needs, to this file or to one of the cluster's own
    #[arg(long = "join-file", value_name = "FILE")]
    join_file: Option<Option<PathBuf>>,
}

impl Magic for NodesTable {
    const NAME: &'static str = "nodes";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%nodes",
        shows: "no cluster",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if let Some(path) = &self.join_file {
            let Invitation {
                file,
                is_for_others,
            } = session.join_file(path.clone(), sink)?;
            let said = match is_for_others {
                true => by_file(&file),
                false => format!(
                    "  regatta node --join {}\non this host alone: its server is reached by others only over ways that the session \
                     makes; one that was started with `--listen ADDRESS` is reached by all",
                    shell_words::quote(&file.to_string_lossy())
                ),
            };
            sink.send(Event::Text(said));
            return Ok(());
        }
        let mut is_none = true;
        for pool in session.pools() {
            let Some(cluster) = pool.starter.cluster() else {
                continue;
            };
            is_none = false;
            let mut nodes = cluster.nodes();
            nodes.retain(|node| node.state != NodeState::Gone(NodeFault::Removed));
            let columns = vec![
                "node", "state", "engines", "cores", "load", "memory", "rtt", "clock", "heard",
            ];
            sink.send(Event::Table(Table {
                title: Some(format!("nodes of {}", pool.name)),
                columns,
                rows: nodes.iter().map(row).collect(),
            }));
            // A table cuts what is too wide for it.
            for node in &nodes {
                if let NodeState::Gone(why) = &node.state {
                    sink.send(Event::Text(format!("{} is gone: {why}", node.host)));
                }
            }
        }
        if is_none {
            let text = "no cluster: `%pool start cluster --ssh node1:8,node2` starts one";
            sink.send(Event::Text(text.to_owned()));
        }
        Ok(())
    }
}

fn row(node: &NodeStatus) -> Vec<Field> {
    let about = node.about.as_ref();
    let pulse = node.pulse.as_ref();
    let heard = node.heard.map(|heard| heard.elapsed().as_secs_f64());
    vec![
        Field::Text(node.host.clone()),
        match &node.state {
            NodeState::Starting => Field::Text("starting".to_owned()),
            NodeState::Up => Field::Text("up".to_owned()),
            NodeState::Gone(_) => Field::Failure("gone".to_owned()),
        },
        about.map_or(Field::Empty, |about| {
            Field::Text(format!("{} of {}", node.ranks.len(), about.slots))
        }),
        about.map_or(Field::Empty, |about| Field::Count(about.cores.into())),
        pulse.map_or(Field::Empty, |pulse| {
            Field::Text(format!("{:.2}", pulse.load))
        }),
        match (pulse, about) {
            (Some(pulse), Some(about)) => {
                Field::Text(format!("{} %", 100 * pulse.used / about.memory.max(1)))
            }
            _ => Field::Empty,
        },
        node.round_trip
            .map_or(Field::Empty, |time| Field::Seconds(time.as_secs_f64())),
        node.offset.map_or(Field::Empty, |offset| {
            Field::Text(format!("{:+.1} ms", 1000.0 * offset))
        }),
        heard.map_or(Field::Empty, |heard| Field::Text(format!("{heard:.1} s"))),
    ]
}
