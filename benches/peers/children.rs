//! Children: fifty scripts that write to the store, until all of them have. The peer is a shell loop that starts them
//! with `&` and has them write with redis-cli.

use std::process::Command;
use std::time::Instant;

use crate::figures::{Ratio, Row, Target};
use crate::outside::{Outcome, Programs, output};
use crate::store::Redis;
use crate::{progress, session};

const CHILDREN: usize = 50;
const ROUNDS: usize = 5;

pub fn fifty(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("children");
    let redis = Redis::start(programs)?;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    let regatta = programs.regatta.display();
    let rounds = session::alternate(
        programs,
        &["1 + 1".to_owned()],
        ROUNDS,
        |round| {
            vec![
                format!(
                    "%spawn -n {CHILDREN} --name c{round} -- sh -c '{regatta} store push done{round} {{rank}}'"
                ),
                format!(
                    "while store::len(\"done{round}\") < {CHILDREN} {{ std::thread::sleep(std::time::Duration::from_micros(200)); }}"
                ),
                format!("%wait c{round}"),
            ]
        },
        &mut |round| {
            let socket = redis.socket.display();
            let script = format!(
                "for rank in $(seq {CHILDREN}); do sh -c \"redis-cli -s {socket} rpush done{round} $rank\" >/dev/null & done; wait"
            );
            let begin = Instant::now();
            output(Command::new("bash").args(["-c", &script]), "")?;
            if round > 0 {
                theirs.push(begin.elapsed().as_secs_f64());
            }
            Ok(())
        },
    )?;
    ours.extend(rounds.iter().map(|round| round[0].observed + round[1].run));
    let row = Row::against(
        "50 children until all have written",
        &ours,
        (&theirs, "a shell loop, &, redis-cli"),
        Ratio::Faster,
        Target::AtLeast(1.0),
    );
    let note = format!(
        "children: the cell `%spawn -n {CHILDREN} … -- sh -c 'regatta store push …'`, and the `run` of the cell that waits \
         until all {CHILDREN} are in the list; {ROUNDS} alternating rounds."
    );
    Ok((vec![row], note))
}
