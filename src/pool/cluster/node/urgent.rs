//! What a node hears before what it was told earlier: Ctrl-C overtakes what ranks of several hosts send each other.

use super::super::message::{ToNode, Urgent};
use super::Node;
use super::engine::Here;

impl Node {
    /// It has come on the way of its own. What it cannot be done with yet comes again in its turn.
    pub fn hurried(&self, message: ToNode) {
        if let ToNode::Urgent { number, word } = message
            && self.post.is_next(number)
            && self.is_due(word)
        {
            self.post.was_heard(number);
            self.urgent(word);
        }
    }

    /// Whether what it is about has come.
    fn is_due(&self, word: Urgent) -> bool {
        let is_here = |engine| self.engines.borrow().contains_key(engine);
        match word {
            Urgent::StopRun { world, .. } => self.knows_world(world),
            Urgent::StopJob { engine, .. } | Urgent::EndWaits { engine } => is_here(&engine),
            Urgent::Interrupt { engine, run, .. } => {
                let engines = self.engines.borrow();
                engines.get(&engine).is_some_and(|it| it.has_begun(run))
            }
        }
    }

    pub fn urgent(&self, word: Urgent) {
        match word {
            Urgent::StopRun { world, run } => {
                for engine in self.engines.borrow().values() {
                    engine.is_stopped();
                }
                self.stop_run(world, run);
            }
            Urgent::StopJob { engine, job } => self.with(engine, |it| it.stop_job(job)),
            Urgent::EndWaits { engine } => self.with(engine, Here::end_waits),
            Urgent::Interrupt {
                engine,
                run,
                signal,
            } => {
                let here = self.engines.borrow().get(&engine).cloned();
                if let Some(here) = here {
                    here.interrupt(run, signal);
                }
            }
        }
    }
}
