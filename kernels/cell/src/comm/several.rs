//! Several requests: whichever is done first, or those that are. Their places stay as they are; a request that has given
//! its value is over, and is passed by.

use super::request::Wait;
use super::table::{Envelope, Outcome};
use super::{checked, table};

/// Waits for requests, and gives what comes of them in their order.
#[track_caller]
pub fn wait_all<R: Wait>(requests: impl IntoIterator<Item = R>) -> Vec<R::Value> {
    let mut values = Vec::new();
    for request in requests {
        values.push(request.wait());
    }
    values
}

/// Waits until one of the requests is done: its place among them and what comes of it; `None` when all are over.
#[track_caller]
pub fn wait_any<R: Wait>(requests: &mut [R]) -> Option<(usize, R::Value)> {
    let place = done(requests, true)?;
    Some((place, requests[place].take()))
}

/// The same without waiting; `None` when none is done now.
#[track_caller]
pub fn test_any<R: Wait>(requests: &mut [R]) -> Option<(usize, R::Value)> {
    let place = done(requests, false)?;
    Some((place, requests[place].take()))
}

/// Waits until one of the requests is done, and gives all that are; empty when all are over.
#[track_caller]
pub fn wait_some<R: Wait>(requests: &mut [R]) -> Vec<(usize, R::Value)> {
    let mut all = Vec::new();
    if let Some(one) = wait_any(requests) {
        all.push(one);
        all.append(&mut test_some(requests));
    }
    all
}

/// Those that are done now.
#[track_caller]
pub fn test_some<R: Wait>(requests: &mut [R]) -> Vec<(usize, R::Value)> {
    let mut all = Vec::new();
    while let Some(one) = test_any(requests) {
        all.push(one);
    }
    all
}

/// What comes of all requests that are not over, in their order, when all of them are done now; otherwise they stay as
/// they are.
#[track_caller]
pub fn test_all<R: Wait>(requests: &mut [R]) -> Option<Vec<R::Value>> {
    for request in &*requests {
        let number = request.number();
        if number != 0 {
            first(&request.envelope(), &[number], false)?;
        }
    }
    let mut values = Vec::new();
    for request in requests {
        if request.number() != 0 {
            values.push(request.take());
        }
    }
    Some(values)
}

#[track_caller]
fn done<R: Wait>(requests: &[R], wait: bool) -> Option<usize> {
    let numbers: Vec<u64> = requests.iter().map(Wait::number).collect();
    let under_way = numbers.iter().position(|number| *number != 0)?;
    first(&requests[under_way].envelope(), &numbers, wait)
}

#[track_caller]
fn first(of: &Envelope, numbers: &[u64], wait: bool) -> Option<usize> {
    let (start, count, mut place) = (numbers.as_ptr(), numbers.len() as u64, 0);
    let ended = (table().await_any)(of, start, count, wait, &mut place);
    checked(ended);
    (ended == Outcome::Done).then_some(place as usize)
}
