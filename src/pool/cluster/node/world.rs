//! This host's memory of the pool's world, and what carries it to and from the others.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Instant, sleep};

use super::super::message::{FromNode, OpenWorld, WorldTold, WorldWord};
use super::Node;
use crate::engine::relay::{Bell, Nonsense, Relay};
use crate::ids::Rank;
use crate::wire::relayed::{News, Notes};
use crate::wire::world::{Layout, MAGIC, header};
use crate::wire::{Payload, memory_file, monotonic};

/// Ranks that begin to wait ring nobody: so often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// To tell of ranks again and again takes no more than half of the node's time, unless it is as short as this.
const SHORT: Duration = Duration::from_millis(1);

/// What ranks count and note is told when their runs end, and so often meanwhile.
const NOTES: Duration = Duration::from_millis(250);

pub struct World {
    number: u32,
    relay: RefCell<Relay>,
    file: Payload,
    noted: Cell<Instant>,
}

impl World {
    fn open(number: u32, of: &OpenWorld) -> io::Result<Self> {
        let layout = Layout::of(of.size);
        let file = memory_file()?;
        file.set_len(layout.length())?;
        for (at, word) in [
            (header::CONTEXTS, of.contexts),
            (header::CONTEXT_STEP, of.context_step),
            (header::SIZE, of.size.into()),
            (header::MAGIC, MAGIC),
        ] {
            file.write_all_at(&word.to_ne_bytes(), at)?;
        }
        let relay = Relay::open(file.try_clone()?.into(), &of.here)?;
        relay.hub(&of.words);
        Ok(Self {
            number,
            relay: RefCell::new(relay),
            file: Payload::file(file.into()),
            noted: Cell::new(Instant::now()),
        })
    }
}

impl Node {
    /// The session tells.
    pub fn world_told(node: &Rc<Self>, word: WorldWord) -> Result<(), Nonsense> {
        let number = word.number;
        if let WorldTold::Open(of) = &word.told {
            // Without memory its engines are told that there is none.
            let world = World::open(number, of).ok().map(Rc::new);
            node.world.borrow_mut().clone_from(&world);
            if let Some(world) = world {
                let rung = Arc::new(Notify::new());
                listen(world.relay.borrow().bell(), rung.clone());
                spawn_local(carry(node.clone(), Rc::downgrade(&world), rung));
            }
            return Ok(());
        }
        let world = node.world.borrow().clone();
        let Some(world) = world.filter(|world| world.number == number) else {
            return Ok(());
        };
        match &word.told {
            WorldTold::Hub(words) => world.relay.borrow().hub(words),
            WorldTold::News(news) => world.relay.borrow_mut().put(news)?,
            WorldTold::Open(_) | WorldTold::Notes(..) => {}
        }
        Ok(())
    }

    /// Whether there is this world, or was.
    pub fn knows_world(&self, number: u32) -> bool {
        let world = self.world.borrow();
        world.as_ref().is_some_and(|world| world.number >= number)
    }

    /// Ctrl-C has ended this run of ranks.
    pub fn stop_run(&self, number: u32, run: u64) {
        let world = self.world.borrow();
        if let Some(world) = world.as_ref().filter(|world| world.number == number) {
            world.relay.borrow().stop(run);
        }
    }

    /// The memory of this world; `None`: there is none.
    pub fn world_file(&self, number: u32) -> Option<Payload> {
        let world = self.world.borrow();
        let world = world.as_ref().filter(|world| world.number == number);
        world.map(|world| world.file.clone())
    }

    /// Tells the session what ranks of this host have done.
    fn tell_of_world(&self) {
        let world = self.world.borrow().clone();
        let Some(world) = world else { return };
        let mut relay = world.relay.borrow_mut();
        let news = relay.news();
        let notes = match world.noted.get().elapsed() < NOTES {
            true => Vec::new(),
            false => {
                world.noted.set(Instant::now());
                relay.notes(self.ahead.get().nanoseconds())
            }
        };
        self.tell(world.number, news, notes, relay.contexts());
    }

    /// The same of the rank of an engine, before what that says: of all the others for each that says something would take
    /// long. `ends`: its run, or it.
    pub fn tell_of_rank(&self, rank: Rank, ends: bool) {
        let world = self.world.borrow().clone();
        let Some(world) = world else { return };
        let mut relay = world.relay.borrow_mut();
        let news = relay.news_of(rank.0);
        let notes = match ends {
            true => relay.notes_of(rank.0, self.ahead.get().nanoseconds()),
            false => Vec::new(),
        };
        self.tell(world.number, news, notes, relay.contexts());
    }

    fn tell(&self, number: u32, news: Option<News>, notes: Vec<Notes>, contexts: u64) {
        let tell = |told| {
            self.post.send(&FromNode::World(WorldWord { number, told }));
        };
        if let Some(news) = news {
            tell(WorldTold::News(news));
        }
        if !notes.is_empty() {
            tell(WorldTold::Notes(notes, contexts));
        }
    }

    /// The session's clock said this when it sent a word that has come now.
    pub fn compare_clocks(&self, sent: u64) {
        self.ahead.set(self.ahead.get().heard(sent, monotonic()));
    }
}

/// Passes on that the bell was rung, on a thread, until the world is over.
fn listen(bell: Bell, rung: Arc<Notify>) {
    let thread = std::thread::Builder::new().name("world".to_owned());
    // Without it the look now and then does.
    let _ = thread.spawn(move || {
        let mut heard = 0;
        while bell.wait(&mut heard) {
            rung.notify_one();
        }
    });
}

async fn carry(node: Rc<Node>, world: std::rc::Weak<World>, rung: Arc<Notify>) {
    while world.strong_count() > 0 {
        let _ = tokio::time::timeout(LOOK, rung.notified()).await;
        node.post.has_room().await;
        let begun = Instant::now();
        node.tell_of_world();
        // It may have been rung meanwhile, and so on: the node has other work, such as to say that it lives.
        let took = begun.elapsed();
        match took < SHORT {
            true => yield_now().await,
            false => sleep(took.min(LOOK)).await,
        }
    }
}
