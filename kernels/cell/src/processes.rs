//! Maps on process pools: inputs and results travel, and the function is found again on the other side.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::rc::Rc;

use serde::{Serialize, de::DeserializeOwned};

use crate::captures::{Captured, Feed, Kept};
use crate::checks::Exchanged;
use crate::codec;
use crate::error::ItemError;
use crate::exchange::{
    Exchange, Handle, MovableExchange, MovablePlan, Outcome, OutcomeSink, Plan, Request, tagged,
};
use crate::host::{Describe, Step};
use crate::inputs::{Iterated, length};
use crate::job::{How, Job, SharedSink};
use crate::pool::PoolView;
use crate::remote::{mapping, reducing};

impl PoolView {
    /// A map as it will be asked for; results are taken in the order of their inputs.
    fn request<It, O>(&self, inputs: &It, describe: Describe) -> Request
    where
        It: Iterator,
    {
        Request {
            options: self.options.clone(),
            items: length(inputs, &self.options),
            input_type: type_name::<It::Item>(),
            output_type: type_name::<O>(),
            describe,
            ordered: true,
        }
    }

    fn plan<'a, C, It, O>(
        &self,
        captured: C,
        inputs: It,
        describe: Describe,
        take: OutcomeSink<'a>,
    ) -> Plan<'a>
    where
        C: Captured + 'a,
        It: Iterator + 'a,
        It::Item: Serialize,
    {
        Plan {
            request: self.request::<_, O>(&inputs, describe),
            feed: Box::new(move |to| captured.feed(&mut Feed::new(to))),
            source: Box::new(Iterated::new(inputs, &self.options)),
            take,
        }
    }

    /// A map on a process pool; `maker` makes the function from the captured variables.
    #[doc(hidden)]
    #[track_caller]
    pub fn on_processes<C, I, O, M, F>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
    ) -> Vec<O>
    where
        C: Captured,
        I: Exchanged,
        O: Exchanged,
        M: FnOnce(C::Owned) -> F,
        F: Fn(I) -> O,
    {
        let describe = described::<C, _, _, I, O>(maker);
        let inputs = inputs.into_iter();
        let mut results = Vec::with_capacity(room(length(&inputs, &self.options)));
        let take = |outcome: Outcome<'_>| match outcome {
            Outcome::Results {
                count, mut bytes, ..
            } => codec::take_many(count as usize, &mut bytes, &mut results).is_ok(),
            Outcome::Failed(_) => true,
        };
        let mut plan = self.plan::<_, _, O>(captured, inputs, describe, Box::new(take));
        plan.request.ordered = !self.options.unordered;
        follow(plan);
        results
    }

    /// As [`Self::on_processes`], collecting errors.
    #[doc(hidden)]
    #[track_caller]
    pub fn try_on_processes<C, I, O, M, F>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
    ) -> Vec<Result<O, ItemError>>
    where
        C: Captured,
        I: Exchanged,
        O: Exchanged,
        M: FnOnce(C::Owned) -> F,
        F: Fn(I) -> O,
    {
        self.try_on_processes_seen(captured, inputs, maker, &|_| {}, &mut |_, _| {})
    }

    /// The same; `begun` is given the map when it has begun, `seen` each result as it comes, with the index of its
    /// input.
    #[track_caller]
    pub(crate) fn try_on_processes_seen<C, I, O, M, F>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
        begun: &dyn Fn(&Handle),
        seen: &mut dyn FnMut(u64, &Result<O, ItemError>),
    ) -> Vec<Result<O, ItemError>>
    where
        C: Captured,
        I: Exchanged,
        O: Exchanged,
        M: FnOnce(C::Owned) -> F,
        F: Fn(I) -> O,
    {
        let describe = described::<C, _, _, I, O>(maker);
        let mut results = Vec::new();
        let mut arrived = Vec::new();
        let unordered = self.options.unordered;
        let take = |outcome: Outcome<'_>| match outcome {
            Outcome::Results {
                first,
                count,
                mut bytes,
                ..
            } => (first..first + count).all(|item| {
                arrived.extend(unordered.then_some(item));
                let result = tagged(item, &mut bytes);
                result.is_some_and(|result| {
                    seen(item, &result);
                    place(&mut results, item, result)
                })
            }),
            Outcome::Failed(error) => {
                arrived.extend(unordered.then_some(error.item()));
                let result = Err(error.clone());
                seen(error.item(), &result);
                place(&mut results, error.item(), result)
            }
        };
        let mut plan = self.plan::<_, _, O>(captured, inputs.into_iter(), describe, Box::new(take));
        plan.request.options.collect = true;
        plan.request.ordered = false;
        let all = plan.request.items;
        let mut exchange = self::begun(plan);
        begun(exchange.hosted().handle());
        match exchange.hosted().run() {
            Step::Finished => drop(exchange),
            // What is done is kept, and the rest is told to be missing.
            Step::Cancelled => {
                drop(exchange);
                if all <= MOST_CANCELLED {
                    let all = results.len().max(all as usize);
                    results.resize_with(all, || None);
                }
            }
            _ => known(exchange.hosted().handle().failure()),
        }
        whole(results, unordered.then_some(arrived))
    }

    /// A reduction on a process pool; `maker` makes both functions.
    #[doc(hidden)]
    #[track_caller]
    pub fn reduce_on_processes<C, I, O, M, F, P>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
        combine: impl Fn(O, O) -> O,
    ) -> Option<O>
    where
        C: Captured,
        I: Exchanged,
        O: Exchanged,
        M: FnOnce(C::Owned) -> (F, P),
        F: Fn(I) -> O,
        P: Fn(O, O) -> O,
    {
        std::mem::forget(maker);
        self.reduced::<C, I, O>(captured, inputs, reducing::<C, M, F, P, I, O>, combine)
    }

    /// As [`Self::reduce_on_processes`] with nothing captured: what combines on the engines combines here too.
    #[track_caller]
    pub(crate) fn reduce_both_on_processes<I, O, M, F, P>(
        &self,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
    ) -> Option<O>
    where
        I: Exchanged,
        O: Exchanged,
        M: FnOnce(()) -> (F, P),
        F: Fn(I) -> O,
        P: Fn(O, O) -> O,
    {
        let (f, combine) = maker(());
        std::mem::forget(f);
        self.reduced::<(), I, O>((), inputs, reducing::<(), M, F, P, I, O>, combine)
    }

    #[track_caller]
    fn reduced<C, I, O>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        describe: Describe,
        combine: impl Fn(O, O) -> O,
    ) -> Option<O>
    where
        C: Captured,
        I: Exchanged,
        O: Exchanged,
    {
        // One of each chunk, in order.
        let mut parts: Vec<O> = Vec::new();
        let take = |outcome: Outcome<'_>| match outcome {
            Outcome::Results { mut bytes, .. } => {
                codec::take_many(1, &mut bytes, &mut parts).is_ok()
            }
            Outcome::Failed(_) => true,
        };
        follow(self.plan::<_, _, O>(captured, inputs.into_iter(), describe, Box::new(take)));
        parts.into_iter().reduce(combine)
    }

    /// As [`Self::map_iter`]; `maker` makes the function from the captured variables.
    #[track_caller]
    pub(crate) fn iter_on_processes<'a, C, It, O, M, F>(
        &self,
        captured: C,
        inputs: It,
        maker: M,
    ) -> MapIter<'a, O>
    where
        C: Captured + 'a,
        It: IntoIterator,
        It::IntoIter: 'a,
        It::Item: Exchanged,
        O: Exchanged + 'a,
        M: FnOnce(C::Owned) -> F,
        F: Fn(It::Item) -> O,
    {
        let describe = described::<C, _, _, It::Item, O>(maker);
        let arrived = Rc::new(RefCell::new(VecDeque::new()));
        let to = arrived.clone();
        let mut plan = self.plan::<_, _, O>(
            captured,
            inputs.into_iter(),
            describe,
            Box::new(move |outcome| {
                each(outcome, &mut |item, result| {
                    to.borrow_mut().push_back((item, result))
                })
            }),
        );
        plan.request.ordered = false;
        MapIter(Box::new(Arriving {
            exchange: begun(plan),
            arrived,
            over: false,
        }))
    }

    /// A map in the background; `maker` makes the function from the captured variables.
    #[doc(hidden)]
    #[track_caller]
    pub fn start_on_processes<C, It, O, M, F>(&self, captured: C, inputs: It, maker: M) -> Job<O>
    where
        C: Captured,
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Exchanged,
        O: Exchanged + Send + 'static,
        M: FnOnce(C::Owned) -> F,
        F: Fn(It::Item) -> O,
    {
        self.start_on_processes_seen(captured, inputs, maker, None)
    }

    /// The same; `seen` is given each result as it comes, with the index of its input.
    #[track_caller]
    pub(crate) fn start_on_processes_seen<C, It, O, M, F>(
        &self,
        captured: C,
        inputs: It,
        maker: M,
        seen: Option<SeenResult<O>>,
    ) -> Job<O>
    where
        C: Captured,
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Exchanged,
        O: Exchanged + Send + 'static,
        M: FnOnce(C::Owned) -> F,
        F: Fn(It::Item) -> O,
    {
        let describe = described::<C, _, _, It::Item, O>(maker);
        let whole = |_: u64, bytes: &mut &[u8]| codec::take(bytes, codec::form::<O>()).ok();
        let seen = seen.map(|seen| -> Seen {
            Box::new(move |outcome| {
                each(outcome, &mut |item, result| seen(item, result));
            })
        });
        self.start_job::<C, It, O, O>(captured, inputs, describe, (Box::new(whole), None), seen)
    }

    /// As [`Self::start_on_processes`], collecting errors.
    #[doc(hidden)]
    #[track_caller]
    pub fn try_start_on_processes<C, It, O, M, F>(
        &self,
        captured: C,
        inputs: It,
        maker: M,
    ) -> Job<Result<O, ItemError>>
    where
        C: Captured,
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Exchanged,
        O: Exchanged + Send + 'static,
        M: FnOnce(C::Owned) -> F,
        F: Fn(It::Item) -> O,
    {
        let describe = described::<C, _, _, It::Item, O>(maker);
        let how: How<_> = (Box::new(tagged::<O>), Some(Err));
        self.start_job::<C, It, Result<O, ItemError>, O>(captured, inputs, describe, how, None)
    }

    #[track_caller]
    fn start_job<C, It, O, R>(
        &self,
        captured: C,
        inputs: It,
        describe: Describe,
        how: How<O>,
        seen: Option<Seen>,
    ) -> Job<O>
    where
        C: Captured,
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Serialize,
        O: Send + 'static,
    {
        // What is captured is handed over now: its variables may change while the job runs.
        let kept = Kept::of(&captured);
        let inputs = inputs.into_iter();
        let mut request = self.request::<_, R>(&inputs, describe);
        request.options.background = true;
        request.options.collect = how.1.is_some();
        let feed = Box::new(move |to: &mut dyn FnMut(u64, &[u8])| kept.feed(&mut Feed::new(to)));
        let source = Box::new(Iterated::new(inputs, &self.options));
        request.ordered = false;
        let items = request.items;
        let begin = |take: SharedSink| {
            let take: SharedSink = match seen {
                None => take,
                Some(seen) => Box::new(move |outcome| {
                    seen(outcome);
                    take(outcome)
                }),
            };
            MovableExchange::begin_movable(MovablePlan {
                request,
                feed,
                source,
                take: Box::new(take),
            })
        };
        match Job::begin(items, how, self.options.unordered, begin) {
            Ok(job) => job,
            Err(why) => panic!("{why}"),
        }
    }
}

/// Looks at a result, with the index of its input.
type SeenResult<O> = Box<dyn Fn(u64, O) + Send + Sync>;

/// Looks at what comes back.
type Seen = Box<dyn Fn(Outcome<'_>) + Send + Sync>;

/// A cancelled map of more inputs has no errors for those that were not even pulled.
const MOST_CANCELLED: u64 = 10_000_000;

/// Results that room is made for before they come.
const ROOM: u64 = 1 << 24;

fn room(items: u64) -> usize {
    if items < ROOM { items as usize } else { 0 }
}

/// What has come of all inputs, by their index; in the order of their arrival where that is given.
pub(crate) fn whole<O>(
    mut results: Vec<Option<Result<O, ItemError>>>,
    arrived: Option<Vec<u64>>,
) -> Vec<Result<O, ItemError>> {
    let whole =
        |(item, result): (u64, Option<_>)| result.unwrap_or(Err(ItemError::Cancelled { item }));
    let Some(mut arrived) = arrived else {
        return (0..).zip(results).map(whole).collect();
    };
    let missing = (0..)
        .zip(&results)
        .filter(|(_, result)| result.is_none())
        .map(|(item, _)| item);
    // What did not arrive comes last.
    arrived.extend(missing);
    arrived
        .into_iter()
        .filter_map(|item| Some((item, results.get_mut(usize::try_from(item).ok()?)?.take())))
        .map(whole)
        .collect()
}

/// How other processes find the function that `maker` makes.
fn described<C, M, F, I, O>(maker: M) -> Describe
where
    C: Captured,
    M: FnOnce(C::Owned) -> F,
    F: Fn(I) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    std::mem::forget(maker);
    mapping::<C, M, F, I, O>
}

/// Ends the cell for a reason that the session knows already.
pub(crate) fn known(why: String) -> ! {
    // Not a panic of the user's code: no hook, no message.
    std::panic::resume_unwind(Box::new(why))
}

#[track_caller]
fn begun(plan: Plan<'_>) -> Exchange<'_> {
    match Exchange::begin(plan) {
        Ok(exchange) => exchange,
        Err(why) => panic!("{why}"),
    }
}

/// A map from its begin to its end.
#[track_caller]
fn follow(plan: Plan<'_>) {
    let mut exchange = begun(plan);
    if exchange.hosted().run() != Step::Finished {
        known(exchange.hosted().handle().failure());
    }
}

/// Decodes results one by one, each with the index of its input.
fn each<O: DeserializeOwned>(outcome: Outcome<'_>, to: &mut dyn FnMut(u64, O)) -> bool {
    let Outcome::Results {
        first,
        count,
        mut bytes,
        ..
    } = outcome
    else {
        return true;
    };
    let form = codec::form::<O>();
    (first..first + count).all(|item| match codec::take(&mut bytes, form) {
        Ok(result) => {
            to(item, result);
            true
        }
        Err(_) => false,
    })
}

/// Puts a result where its input stands.
fn place<R>(results: &mut Vec<Option<R>>, item: u64, result: R) -> bool {
    let item = item as usize;
    if results.len() <= item {
        results.resize_with(item + 1, || None);
    }
    results[item] = Some(result);
    true
}

/// The results of a map as they arrive; see [`crate::pool::map_iter`].
pub struct MapIter<'a, O>(pub(crate) Box<dyn Iterator<Item = (u64, O)> + 'a>);

impl<O> Iterator for MapIter<'_, O> {
    type Item = (u64, O);

    fn next(&mut self) -> Option<(u64, O)> {
        self.0.next()
    }
}

impl<O> FusedIterator for MapIter<'_, O> {}

/// The results of a map on a process pool as they arrive.
struct Arriving<'a, O> {
    exchange: Exchange<'a>,
    arrived: Rc<RefCell<VecDeque<(u64, O)>>>,
    over: bool,
}

impl<O> Iterator for Arriving<'_, O> {
    type Item = (u64, O);

    fn next(&mut self) -> Option<(u64, O)> {
        loop {
            let next = self.arrived.borrow_mut().pop_front();
            if next.is_some() || self.over {
                return next;
            }
            match self.exchange.hosted().step(-1) {
                Step::Going | Step::Waited => {}
                Step::Finished => self.over = true,
                Step::Failed | Step::Cancelled => known(self.exchange.hosted().handle().failure()),
            }
        }
    }
}
