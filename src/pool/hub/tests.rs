//! Hub, jobs and frames without processes: a small map in every order of what can happen to its engines, its
//! caller and the session's wishes, and what has to hold after each of them.

mod recorder;
mod threads;
mod trouble;
mod world;
mod worlds;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustc_hash::FxHashMap;

use super::*;
use crate::ids::ArtifactId;
use crate::pool::{EndEarly, EntryPoint};
use crate::wire::places::Places;
use world::{Event, PLAN, Plan, Trouble, World};

struct Tried {
    plan: Plan,
    seen: FxHashMap<Vec<u64>, u128>,
    path: Vec<Event>,
}

impl Tried {
    /// How many ways there are from here to an end. What was seen before is not played again, since the same
    /// comes of it.
    fn all(&mut self, mut world: World) -> u128 {
        world.check();
        let digest = world.digest();
        if let Some(ways) = self.seen.get(&digest) {
            return *ways;
        }
        let ways = if world.is_at_end() {
            world.check_next();
            1
        } else {
            let mut events = world.progress();
            assert!(!events.is_empty(), "it hangs");
            if world.troubles < self.plan.troubles {
                events.extend(world.troubles());
            }
            let mut there = Some(world);
            let mut ways = 0;
            for event in events {
                let mut next = there.take().unwrap_or_else(|| self.again());
                self.path.push(event);
                next.happens(event);
                ways += self.all(next);
                self.path.pop();
            }
            ways
        };
        self.seen.insert(digest, ways);
        ways
    }

    /// Another world in which the same has happened.
    fn again(&self) -> World {
        let mut world = World::new(self.plan);
        for event in &self.path {
            world.happens(*event);
        }
        world
    }
}

impl Drop for Tried {
    #[expect(clippy::print_stderr, reason = "a failure is told with what led to it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this came before: {:#?}", self.path);
        }
    }
}

fn every_order(plan: Plan) {
    let mut tried = Tried {
        plan,
        seen: FxHashMap::default(),
        path: Vec::new(),
    };
    let ways = tried.all(World::new(plan));
    let states = tried.seen.len();
    assert!(ways > 100 && states > 100, "{ways} orders, {states} states");
}

#[test]
fn one_trouble_of_any_kind_at_every_step() {
    every_order(Plan {
        slow_caller: true,
        ..PLAN
    });
}

#[test]
fn one_trouble_of_any_kind_while_errors_are_collected() {
    every_order(Plan {
        collect: true,
        ..PLAN
    });
}

#[test]
fn one_trouble_of_any_kind_in_the_background() {
    every_order(Plan {
        background: true,
        ..PLAN
    });
}

#[test]
fn one_trouble_of_any_kind_while_nobody_knows_how_many_inputs_there_are() {
    every_order(Plan {
        collect: true,
        unsaid: true,
        slow_caller: true,
        ..PLAN
    });
}

#[test]
fn two_engines_die_in_any_way() {
    every_order(Plan {
        items: 3,
        collect: true,
        troubles: 2,
        wanted: |trouble| matches!(trouble, Trouble::Dies { .. } | Trouble::IsSlow(_)),
        ..PLAN
    });
}

/// None of those that were there at the beginning comes to the end.
#[test]
fn every_engine_is_replaced() {
    every_order(Plan {
        items: 2,
        troubles: 3,
        wanted: |trouble| match trouble {
            Trouble::Dies { at, replaced, .. } => at && replaced,
            _ => false,
        },
        ..PLAN
    });
}

#[test]
fn a_map_is_ended_while_an_engine_dies() {
    every_order(Plan {
        items: 3,
        troubles: 2,
        wanted: |trouble| match trouble {
            Trouble::Dies { at, replaced, .. } => at && replaced,
            Trouble::IsSlow(_) | Trouble::Ends(EndEarly::Cancel | EndEarly::Kill) => true,
            _ => false,
        },
        ..PLAN
    });
}

#[test]
fn engines_give_back_what_waits_while_one_dies() {
    every_order(Plan {
        items: 5,
        dealt: true,
        troubles: 2,
        wanted: |trouble| match trouble {
            Trouble::Dies { at, .. } => at,
            Trouble::GivesBack(_) | Trouble::Ends(EndEarly::Cancel) => true,
            _ => false,
        },
        ..PLAN
    });
}

#[test]
fn an_engine_that_lacks_an_artifact_gets_it_open() {
    let mut world = World::new(Plan {
        items: 1,
        troubles: 0,
        wanted: |_| false,
        ..PLAN
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("code.so");
    std::fs::write(&file, "code").unwrap();
    let artifact = |content| ArtifactId {
        content,
        ..ArtifactId::default()
    };
    let run = |content, file: &Path| EntryPoint {
        artifact: artifact(content),
        file: file.to_owned(),
        symbol: "run".to_owned(),
        places: Places::default(),
    };
    world.runs(run(1, &file));
    world.runs(run(2, &folder.path().join("none.so")));
    let [(given, payload, _)] = <[_; 1]>::try_from(world.wants(artifact(1))).unwrap();
    assert_eq!(given, artifact(1));
    let mut text = String::new();
    let mut open = File::from(payload.into_file().expect("an open file"));
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "code");
    for (content, reason) in [(2, "none.so"), (3, "no such artifact")] {
        let [(_, payload, why)] = <[_; 1]>::try_from(world.wants(artifact(content))).unwrap();
        assert!(
            payload.into_file().is_none() && why.contains(reason),
            "{why}"
        );
    }
}
