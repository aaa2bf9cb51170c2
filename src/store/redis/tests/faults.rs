//! Servers that go and come back.

use super::*;

#[test]
fn a_call_says_that_the_server_is_gone_and_goes_on_when_it_is_back() {
    let mut server = Running::start(true);
    let mut store = server.store();
    store.set("k", "1");
    server.kill();
    let Reply::Failed(Trouble::Unavailable { address, why }) = store.incr("k", Number::Int(1))
    else {
        panic!("there is no server")
    };
    assert!(address.contains("redis.sock"), "{address}");
    assert!(why.contains("nothing was changed"), "{why}");
    server.restart();
    assert_eq!(
        store.incr("k", Number::Int(1)),
        Reply::Number(Number::Int(2))
    );
    // Waiting goes on across a restart.
    let waiter = std::thread::spawn({
        let mut store = server.store();
        move || {
            store.ask(Call::Wait {
                key: "k".to_owned(),
                unlike: Some("2".to_owned()),
                wait: Some(20_000),
            })
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    server.restart();
    server.cli(&["SET", "k", "3"]);
    assert_eq!(waiter.join().unwrap(), value("3"));
    let mut nowhere = Redis::at_url("redis://127.0.0.1:1").unwrap();
    let began = Instant::now();
    assert!(matches!(
        nowhere.ask(Call::Get {
            key: "k".to_owned()
        }),
        Reply::Failed(Trouble::Unavailable { .. })
    ));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "nobody ever was there"
    );
}

/// How often the server is killed.
const KILLS: usize = 50;

#[test]
fn killed_servers_lose_no_acknowledged_call_and_give_no_lock_twice() {
    let seed = std::env::var("REGATTA_SEED")
        .ok()
        .and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let _ = writeln!(std::io::stderr(), "REGATTA_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = Running::start(true);
    server.forgets_nothing();
    let over = Arc::new(AtomicBool::new(false));
    let inside = Arc::new(AtomicU64::new(0));
    let last_fence = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..3)
        .map(|number| {
            let mut store = server.stranger(number);
            let (over, inside, last) = (over.clone(), inside.clone(), last_fence.clone());
            std::thread::spawn(move || {
                let (mut done, mut unknown, mut locked) = (0_u64, 0_u64, 0_u64);
                while !over.load(Ordering::Relaxed) {
                    match store.incr("n", Number::Int(1)) {
                        Reply::Number(_) => done += 1,
                        Reply::Failed(Trouble::Lost { .. }) => unknown += 1,
                        Reply::Failed(Trouble::Unavailable { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                    match store.lock("l", Some(200)) {
                        Reply::Granted { fence } => {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "held twice");
                            let before = last.swap(fence, Ordering::SeqCst);
                            assert!(before < fence, "{before} was before {fence}");
                            std::thread::sleep(Duration::from_millis(1));
                            inside.fetch_sub(1, Ordering::SeqCst);
                            locked += 1;
                            store.release(Kind::Lock, "l", fence);
                        }
                        Reply::Held { .. } | Reply::Failed(Trouble::Unavailable { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
                (done, unknown, locked)
            })
        })
        .collect();
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(random.u64(1..40)));
        server.restart();
    }
    std::thread::sleep(Duration::from_millis(300));
    over.store(true, Ordering::Relaxed);
    let (mut done, mut unknown, mut locked) = (0, 0, 0);
    for worker in workers {
        let (these, maybe, holds) = worker.join().expect("no lock was held twice");
        (done, unknown, locked) = (done + these, unknown + maybe, locked + holds);
    }
    let counted: u64 = server.cli(&["GET", "n"]).parse().unwrap();
    let _ = writeln!(
        std::io::stderr(),
        "{done} increments, {unknown} of which nothing is known, {locked} locks; counted {counted}"
    );
    assert!(done > 100 && locked > 50, "there was load");
    assert!(
        counted >= done,
        "{counted} of {done} acknowledged ones were counted"
    );
    assert!(
        counted <= done + unknown,
        "{counted}, but {done} and {unknown} were made"
    );
}
