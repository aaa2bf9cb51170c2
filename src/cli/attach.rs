//! `regatta attach`: the clusters that have outlived their sessions, listed, taken and ended.

use crate::magic::attach::{self, Hosts};
use crate::outcome::{Event, Report, Sink};
use crate::session::{Done, Failed, Session};

#[derive(clap::Args)]
pub struct Attach {
    /// Which; without it they are listed.
    name: Option<String>,
    /// Also when another session has it, which loses it then.
    #[arg(long)]
    steal: bool,
    /// End the cluster, with its nodes; of one that a session has only with `--steal`.
    #[arg(long, requires = "name")]
    end: bool,
    /// With `--end`: also the results of jobs that it has.
    #[arg(long, requires = "end")]
    drop: bool,
    /// Run one cell on it and exit.
    #[arg(
        short = 'e',
        long = "eval",
        value_name = "CODE",
        allow_hyphen_values = true,
        requires = "name",
        conflicts_with = "end"
    )]
    pub eval: Option<String>,
    #[command(flatten)]
    hosts: Hosts,
}

impl Attach {
    /// Whether a session is needed.
    pub fn opens(&self) -> bool {
        self.name.is_some() && !self.end
    }

    /// Lists them, or ends one; whether that went well.
    pub fn without_session(&self, sink: &mut dyn Sink) -> bool {
        let went = match &self.name {
            Some(name) if !self.hosts.are_none() => {
                let what = format!("{name} is to end: it takes no hosts any more");
                Err(Report::usage(what).into())
            }
            None if !self.hosts.are_none() => attach::is_named(&self.hosts).map_err(Failed::from),
            Some(name) => attach::end(name, self.steal, self.drop).map(|()| {
                sink.send(Event::Text(format!("the cluster {name} has ended")));
            }),
            None => attach::list(sink),
        };
        told(went, sink)
    }

    /// Takes one for the session; whether that went well.
    pub fn take(&self, session: &mut Session, sink: &mut dyn Sink) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        let taken = attach::take(name, self.steal, &self.hosts, session, sink);
        let said = taken.map(|pool| match self.eval {
            // One cell may ask for its jobs.
            Some(_) => attach::described(&pool),
            None => attach::told(&pool, session, sink),
        });
        told(said.map(|said| sink.send(Event::Text(said))), sink)
    }
}

/// Tells of what went wrong; whether nothing did.
fn told(went: Done, sink: &mut dyn Sink) -> bool {
    went.map_err(|failed| failed.tell(sink)).is_ok()
}
