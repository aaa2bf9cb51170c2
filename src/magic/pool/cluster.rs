//! What `%pool` asks of clusters: which hosts, and which server.

use std::net::Ipv6Addr;

use clap::Args;

use super::{Start, Started, described, milliseconds};
use crate::ids::PoolName;
use crate::outcome::{Report, Sink};
use crate::pool::cluster::{Asked, Cluster, Listen, NodeState, Wanted, Way, Which};
use crate::session::{ClusterRequest, Failed, MOST_ENGINES, MoreHosts, Session};

#[derive(Args)]
pub struct Add {
    /// `user@node3:8,node4`; without any, the nodes that have joined by themselves
    #[arg(value_name = "HOSTS")]
    hosts: Option<String>,
    /// which cluster; the pool in use without it
    #[arg(value_name = "POOL")]
    pool: Option<PoolName>,
    #[command(flatten)]
    ssh_options: SshOptions,
}

/// How hosts are reached that are added and that a cluster starts with.
#[derive(Args)]
pub struct SshOptions {
    /// options of ssh, such as `-F FILE` or `-J HOST`
    #[arg(
        long = "ssh-options",
        value_name = "OPTIONS",
        allow_hyphen_values = true
    )]
    ssh_options: Option<String>,
}

/// The hosts of a cluster that the session reaches, or has reached for it.
#[derive(Args)]
pub struct Hosts {
    /// the hosts of a cluster, and how many engines each runs: `user@node1:8,node2`; as many as it has cores without
    /// a number
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    ssh: Vec<String>,
    #[command(flatten)]
    ssh_options: SshOptions,
    /// has Slurm start a node on each host of a job, with an engine per task: `-N 4 -n 64 -p short`; inside an allocation
    /// on its hosts
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    slurm: Option<String>,
}

impl Hosts {
    /// Those of ssh, with so many engines when they do not say.
    fn of_ssh(&self, slots: Option<u32>) -> Result<Vec<Wanted>, Report> {
        let options = self.ssh_options.words()?;
        all_by_ssh(&self.ssh, slots, &options)
    }

    fn of_slurm(&self) -> Result<Option<Asked>, Report> {
        let options = self.slurm.as_deref().map(words).transpose()?;
        Ok(options.map(Asked::parse))
    }

    pub fn are_none(&self) -> bool {
        self.ssh.is_empty() && self.slurm.is_none()
    }

    /// What comes to a cluster that there is.
    pub fn more(&self) -> Result<MoreHosts, Report> {
        Ok(MoreHosts {
            nodes: self.of_ssh(None)?,
            slurm: self.of_slurm()?,
        })
    }
}

impl SshOptions {
    fn words(&self) -> Result<Vec<String>, Report> {
        words(self.ssh_options.as_deref().unwrap_or_default())
    }
}

impl Add {
    pub fn run(self, session: &mut Session, sink: &mut dyn Sink) -> Result<String, Failed> {
        let options = self.ssh_options.words()?;
        let name = self.pool.as_ref().map(|pool| pool.0.as_str());
        let hosts = self.hosts.as_deref().map(|hosts| hosts.split(','));
        let hosts: Vec<String> = hosts.into_iter().flatten().map(str::to_owned).collect();
        if hosts.last().is_some_and(String::is_empty) {
            // What stands behind a space is a pool.
            let what = "a host is missing behind the last comma";
            return Err(Report::usage(what)
                .hint("without spaces: `%pool add node3:8,node4`")
                .into());
        }
        let nodes = all_by_ssh(&hosts, None, &options)?;
        let (pool, more, took) = session.add_hosts(name, nodes, sink)?;
        let engines = if more == 1 { "engine" } else { "engines" };
        let (pool, took) = (described(&pool), milliseconds(took));
        Ok(format!("{pool}; {more} {engines} more, up in {took}"))
    }
}

#[derive(Args)]
pub struct Remove {
    #[arg(value_name = "HOST")]
    host: String,
    /// which cluster; the pool in use without it
    #[arg(value_name = "POOL")]
    pool: Option<PoolName>,
    /// do not wait: what its engines are at begins anew on others
    #[arg(long)]
    now: bool,
}

impl Remove {
    pub fn run(self, session: &mut Session, sink: &mut dyn Sink) -> Result<String, Failed> {
        let name = self.pool.as_ref().map(|pool| pool.0.as_str());
        let (pool, gone) = session.remove_host(name, &self.host, self.now, sink)?;
        let (pool, host) = (described(&pool), self.host);
        Ok(match gone {
            0 => format!("{pool}; {host} is not listed any more"),
            1 => format!("{pool}; {host} is gone with 1 engine"),
            gone => format!("{pool}; {host} is gone with {gone} engines"),
        })
    }
}

impl Start {
    /// Of those that are no clusters, that they have no option of clusters.
    pub(super) fn is_of_its_kind(&self) -> Result<(), Report> {
        if self.kind == Started::Cluster {
            return Ok(());
        }
        let options = [
            ("--ssh", !self.hosts.ssh.is_empty()),
            (
                "--ssh-options",
                self.hosts.ssh_options.ssh_options.is_some(),
            ),
            ("--need", self.need.is_some()),
        ];
        let of_hosts = options.into_iter().find(|(_, is_given)| *is_given);
        let of_hosts = of_hosts.map(|(option, _)| option);
        if let Some(option) = of_hosts.or_else(|| self.of_server()) {
            return Err(Report::usage(format!(
                "`{option}` is for clusters: `%pool start cluster {option} …`",
            )));
        }
        match self.keep {
            Some(_) => Err(Report::usage("`--keep` is for clusters")
                .hint("the engines of other pools end with their session")),
            None => Ok(()),
        }
    }

    /// An option of clusters whose nodes come by themselves, or to a server that is there.
    fn of_others(&self) -> Option<&'static str> {
        let options = [
            ("--listen", self.listen.is_some()),
            ("--url", self.url.is_some()),
            ("--slurm", self.hosts.slurm.is_some()),
        ];
        let given = options.into_iter().find(|(_, given)| *given);
        given.map(|(option, _)| option)
    }

    /// The same, or the option of queues.
    fn of_server(&self) -> Option<&'static str> {
        self.of_others().or(self.durable.then_some("--durable"))
    }

    /// The nodes that are asked for.
    pub(super) fn cluster(&self) -> Result<ClusterRequest, Report> {
        let slots = self.engines_per_node()?;
        let mut nodes = self.hosts.of_ssh(slots)?;
        if let Some(launcher) = &self.launcher {
            let command = words(launcher)?;
            if command.is_empty() {
                return Err(Report::usage("`--launcher` has no command"));
            }
            nodes.push(Wanted {
                host: launcher.clone(),
                way: Way::Launcher(command),
                slots,
            });
        }
        self.is_asked_for_once(&nodes)?;
        if self.keep.is_some() && self.durable {
            let report = Report::usage("`--keep` has the queue of `--durable` already");
            return Err(report.hint("leave `--durable` out"));
        }
        let server = match (&self.listen, &self.url) {
            (Some(listen), _) => Which::Listens(listen.clone()),
            (None, Some(url)) => Which::Given {
                url: url.clone(),
                credentials: self.creds.clone(),
            },
            (None, None) => Which::Own,
        };
        let slurm = self.hosts.of_slurm()?;
        if nodes.is_empty() && server == Which::Own && slurm.is_none() {
            let hint = "`%pool start cluster --ssh node1:8,node2`, `--launcher 'COMMAND {command}'`, or `--listen ADDRESS` for \
                        nodes that are started by hand";
            return Err(Report::usage("a cluster needs hosts").hint(hint));
        }
        Ok(ClusterRequest {
            need: self.need,
            slurm,
            nodes,
            server,
            is_durable: self.durable,
            keep: None,
        })
    }

    /// Hosts that say how many engines they are to have are not told so once more; nor are more needed than there are.
    fn is_asked_for_once(&self, nodes: &[Wanted]) -> Result<(), Report> {
        let are_all = self.launcher.is_none() && !nodes.is_empty();
        let all_say = are_all && self.hosts.ssh.iter().all(|host| host.contains(':'));
        if let (Some(size), true) = (self.size, all_say) {
            return Err(Report::usage(format!(
                "`-n {size}` is for hosts that do not say how many engines they have, and all of these do"
            ))
            .hint(format!("`--ssh node1 -n {size}`, or `--ssh node1:{size}`")));
        }
        if let (Some(size), true) = (self.size, nodes.is_empty()) {
            let its = match self.hosts.slurm {
                Some(_) => {
                    "Slurm's own options say how many tasks there are: `--slurm '-N 2 -n 8'`"
                }
                None => {
                    "nodes that are started by hand say themselves how many: `regatta node --slots N`"
                }
            };
            return Err(Report::usage(format!(
                "`-n {size}` is for hosts that the session starts nodes on"
            ))
            .hint(its));
        }
        match self.need {
            Some(need) if are_all && self.of_others().is_none() && need > nodes.len() => {
                Err(Report::usage(format!(
                    "`--need {need}`: that many nodes cannot come, {} are asked for",
                    nodes.len()
                )))
            }
            _ => Ok(()),
        }
    }

    fn engines_per_node(&self) -> Result<Option<u32>, Report> {
        self.size
            .map(|size| engines_of("node", &format!("-n {size}"), u32::try_from(size).ok()))
            .transpose()
    }
}

fn words(text: &str) -> Result<Vec<String>, Report> {
    shell_words::split(text)
        .map_err(|_| Report::usage(format!("{text}: a quotation mark is missing")))
}

/// How many engines one machine is to have, `typed` like this.
fn engines_of(what: &str, typed: &str, engines: Option<u32>) -> Result<u32, Report> {
    match engines {
        None | Some(0) => Err(Report::usage(format!(
            "{typed}: the engines of a {what} are a number from 1 on"
        ))),
        Some(engines) if engines > MOST_ENGINES => {
            let report = Report::usage(format!("{typed}: too many for one machine"));
            let port = match what {
                "host" => format!("; a port is ssh's: `--ssh-options '-p {engines}'`"),
                _ => String::new(),
            };
            Err(report.hint(format!("the most is {MOST_ENGINES}{port}")))
        }
        Some(engines) => Ok(engines),
    }
}

/// Hosts as they are asked for, separated by commas: `user@node1:8,node2`.
fn all_by_ssh(
    hosts: &[String],
    slots: Option<u32>,
    options: &[String],
) -> Result<Vec<Wanted>, Report> {
    let named = hosts.iter().map(|host| host.trim());
    let named: Vec<&str> = named.filter(|host| !host.is_empty()).collect();
    if named.is_empty() && !hosts.is_empty() {
        return Err(Report::usage("there is no host between the commas").hint(A_HOST));
    }
    let hosts = named.into_iter();
    hosts.map(|host| by_ssh(host, slots, options)).collect()
}

const A_HOST: &str = "`node1`, `user@node1:8` for 8 engines, `[2001:db8::1]:8`";

/// A host as it is asked for: `user@node1:8`; with so many engines when it does not say.
fn by_ssh(host: &str, slots: Option<u32>, options: &[String]) -> Result<Wanted, Report> {
    if let Some(rest) = host.strip_prefix("ssh://") {
        let name = rest.split(['/', ':']).next().unwrap_or_default();
        return Err(Report::usage(format!("`{host}`: a host, not a URL"))
            .hint(format!("`{name}:8` has 8 engines; ports are ssh's: `--ssh-options '-p 2222'`, or its configuration")));
    }
    let (name, number) = parts(host);
    let slots = match number {
        Some(number) => Some(engines_of("host", host, number.parse().ok())?),
        None => slots,
    };
    // What begins with a hyphen would be an option of ssh's.
    let is_none = name.is_empty() || name.starts_with(['-', '@']) || name.ends_with('@');
    if is_none || name.contains(char::is_whitespace) {
        return Err(Report::usage(format!("`{host}`: that is no host")).hint(A_HOST));
    }
    if name.bytes().all(|it| it.is_ascii_digit()) {
        return Err(Report::usage(format!("`{host}`: a number is no host"))
            .hint("engines stand behind their host: `node1:8`"));
    }
    let way = Way::Ssh {
        to: name.clone(),
        options: options.to_vec(),
    };
    Ok(Wanted {
        host: name,
        way,
        slots,
    })
}

/// A host's name, and what stands for its engines. Addresses with colons are in brackets, unless nothing stands behind them.
fn parts(host: &str) -> (String, Option<&str>) {
    let (user, place) = match host.rsplit_once('@') {
        Some((user, place)) => (format!("{user}@"), place),
        None => (String::new(), host),
    };
    let bracketed = place
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    if let Some((address, rest)) = bracketed {
        let number = rest
            .strip_prefix(':')
            .or((!rest.is_empty()).then_some(rest));
        return (user + address, number);
    }
    if place.parse::<Ipv6Addr>().is_ok() {
        return (user + place, None);
    }
    match place.rsplit_once(':') {
        Some((name, number)) => (user + name, Some(number)),
        None => (user + place, None),
    }
}

/// The hosts of a cluster.
pub fn hosts(cluster: &Cluster) -> String {
    let up = cluster
        .nodes()
        .into_iter()
        .filter(|node| node.state == NodeState::Up);
    up.map(|node| node.host).collect::<Vec<_>>().join(", ")
}

pub fn listen(text: &str) -> Result<Listen, Report> {
    Listen::parse(text).ok_or_else(|| {
        Report::usage(format!("--listen {text}: that is no address"))
            .hint("`--listen 192.0.2.1`, `--listen 0.0.0.0:4222`, `--listen [2001:db8::1]:4222`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str) -> Option<(String, Option<u32>)> {
        let wanted = by_ssh(host, None, &[]).ok()?;
        Some((wanted.host, wanted.slots))
    }

    #[test]
    fn hosts_are_names_or_addresses_with_engines_behind_them() {
        for (host, name, slots) in [
            ("node1", "node1", None),
            ("user@node1:8", "user@node1", Some(8)),
            ("192.0.2.1:3", "192.0.2.1", Some(3)),
            ("2001:db8::1", "2001:db8::1", None),
            ("::1", "::1", None),
            ("[::1]:2", "::1", Some(2)),
            ("user@[2001:db8::1]", "user@2001:db8::1", None),
        ] {
            assert_eq!(read(host), Some((name.to_owned(), slots)), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_told() {
        for host in [
            "",
            ":2",
            "node1:",
            "node1:0",
            "node1:-1",
            "node1:x",
            "8",
            "@node1",
            "user@",
            "-p",
            "node 1",
            "ssh://node1:22",
            "[::1]x",
            "[::1]:x",
        ] {
            assert_eq!(read(host), None, "{host}");
        }
    }

    #[test]
    fn spaces_and_a_last_comma_do_no_harm() {
        let all = |text: &str| {
            let words: Vec<String> = text.split(',').map(str::to_owned).collect();
            let all = all_by_ssh(&words, Some(2), &[]).ok()?;
            Some(all.into_iter().map(|it| it.host).collect::<Vec<_>>())
        };
        let both = Some(vec!["node1".to_owned(), "node2".to_owned()]);
        assert_eq!(all("node1:1, node2:1"), both);
        assert_eq!(all("node1,node2,"), both);
        assert_eq!(all(" , "), None);
    }
}
