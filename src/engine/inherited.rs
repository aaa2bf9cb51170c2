//! What a session has from whoever started it and neither needs nor may hand on: open files, and how ends of children
//! are told.

/// Lets this process have as many open files as the system allows: each artifact and each large value is one.
pub fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // One that cannot be raised stays.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

/// The first file that is none of the standard streams.
const FIRST: i32 = 3;

/// Lets none of it reach the programs that this process starts. To be called before anything is opened or started.
pub fn hand_on_nothing() {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let open = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // A pipe or a lock of the starter's would be held by children, engines and a compiler that outlives the session.
    for file in open.filter(|file: &i32| *file >= FIRST) {
        // SAFETY: it changes a flag of a file and touches no memory; one that is closed by now is refused.
        unsafe { libc::fcntl(file, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // Where it is ignored, the kernel keeps no exit status: everything would seem to have ended well.
    // SAFETY: the default action runs no code of this process.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}
