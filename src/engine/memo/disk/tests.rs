//! The file of kept results, without an engine.

use std::time::Duration;

use super::*;

fn open(folder: &Path) -> Opened {
    // In a process of its own it would be this test's.
    Disk::open(folder, |folder| {
        check(folder).map_err(|error| error.to_string())
    })
    .unwrap()
}

fn key(function: u8, n: u32) -> Key {
    let mut key = [function; 32];
    key[16..20].copy_from_slice(&n.to_be_bytes());
    key
}

fn result(value: &[u8], made: u64) -> Found {
    Found {
        value: value.to_vec(),
        made,
        took: 5,
    }
}

const LIMIT: u64 = 1 << 30;

fn put(
    disk: &Disk,
    key: Key,
    name: &'static str,
    found: Found,
    limit: u64,
) -> Result<(), DiskError> {
    disk.put(&[Put {
        key,
        found,
        name,
        made_of: "",
        origin: Vec::new(),
        limit,
        soon: false,
    }])
}

#[test]
fn results_are_there_for_the_next_one_who_opens() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path()).disk;
    let big = vec![7; 100_000];
    put(&disk, key(1, 1), "f", result(b"one", 3), LIMIT).unwrap();
    put(&disk, key(1, 2), "f", result(&big, 4), LIMIT).unwrap();
    put(&disk, key(2, 1), "g", result(b"", 4), LIMIT).unwrap();
    put(&disk, key(1, 1), "f", result(b"anew", 5), LIMIT).unwrap();
    drop(disk);
    let opened = open(folder.path());
    assert_eq!(opened.aside, None);
    let disk = opened.disk;
    assert_eq!(disk.get(&key(1, 1)).unwrap(), Some(result(b"anew", 5)));
    assert_eq!(disk.get(&key(1, 2)).unwrap(), Some(result(&big, 4)));
    assert_eq!(disk.get(&key(2, 2)).unwrap(), None);
    let of = |name: &str, entries, bytes| MemoShare {
        name: name.to_owned(),
        entries,
        bytes,
    };
    let shares = disk.shares().unwrap();
    assert_eq!(shares, [of("f", 2, 2 * 60 + 4 + 100_000), of("g", 1, 60)]);
    disk.clear(Some(&["f".to_owned()])).unwrap();
    assert_eq!(disk.get(&key(1, 1)).unwrap(), None);
    assert_eq!(disk.get(&key(2, 1)).unwrap(), Some(result(b"", 4)));
    disk.clear(None).unwrap();
    assert_eq!(disk.shares().unwrap(), []);
}

#[test]
fn the_oldest_results_go_when_a_function_has_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path()).disk;
    put(&disk, key(2, 0), "other", result(&[0; 100], 0), LIMIT).unwrap();
    let limit = 100 * 160;
    for n in 0..150 {
        let made = u64::from(1000 + n);
        put(&disk, key(1, n), "f", result(&[0; 100], made), limit).unwrap();
        let share = &disk.shares().unwrap()[0];
        assert!(share.bytes <= limit && share.bytes == 160 * share.entries);
    }
    let has = |n| disk.get(&key(1, n)).unwrap().is_some();
    assert!(has(149) && has(100) && !has(0));
    let went = |n| disk.went(&key(1, n)).unwrap().is_some();
    assert!(went(0) && !went(149) && !went(999));
    assert!(disk.get(&key(2, 0)).unwrap().is_some());
    put(&disk, key(1, 999), "f", result(&vec![0; 20_000], 9), limit).unwrap();
    assert!(!has(999) && has(149), "it is more than all may take");
}

#[test]
fn a_file_that_was_cut_replaced_or_deleted_is_noticed_while_it_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let harms: [&dyn Fn(); 3] = [
        &|| {
            File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_len(5000)
                .unwrap()
        },
        &|| fs::remove_file(&file).unwrap(),
        &|| {
            fs::copy(&file, folder.path().join("copy")).unwrap();
            fs::rename(folder.path().join("copy"), &file).unwrap();
        },
    ];
    for harm in harms {
        let disk = open(folder.path()).disk;
        for n in 0..100 {
            put(&disk, key(1, n), "f", result(&[1; 500], 1), LIMIT).unwrap();
        }
        harm();
        assert!(matches!(disk.get(&key(1, 1)), Err(DiskError::Changed)));
        let put = put(&disk, key(1, 1), "f", result(b"", 1), LIMIT);
        assert!(matches!(put, Err(DiskError::Changed)));
    }
}

#[test]
fn a_file_that_grows_is_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let disk = &open(folder.path()).disk;
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    disk.get(&key(1, 1)).unwrap();
                }
            });
        }
        for n in 0..3000 {
            put(disk, key(1, n), "f", result(&[1; 5000], 1), LIMIT).unwrap();
        }
        done.store(true, Relaxed);
    });
}

#[test]
fn a_seal_fits_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path()).disk;
    put(&disk, key(1, 1), "f", result(b"one", 3), LIMIT).unwrap();
    assert!(!is_sealed(folder.path()));
    disk.seal();
    assert!(is_sealed(folder.path()));
    std::thread::sleep(Duration::from_millis(20));
    put(&disk, key(1, 2), "f", result(b"two", 3), LIMIT).unwrap();
    assert!(!is_sealed(folder.path()));
}
