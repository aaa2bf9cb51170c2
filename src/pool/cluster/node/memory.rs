//! How much memory this host has left: what is free, and what the kernel would give up for it, as files that it remembers.

/// In bytes; `None` where the kernel does not tell (before Linux 3.14).
pub fn available() -> Option<u64> {
    told(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn told(text: &str) -> Option<u64> {
    let line = { text.lines() }.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_the_kernel_remembers_are_no_lack_of_memory() {
        let text =
            "MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable:    6000 kB\nCached: 5900 kB\n";
        assert_eq!(told(text), Some(6_144_000));
        assert_eq!(told("MemTotal: 8000 kB\n"), None);
        assert!(available().is_some_and(|bytes| bytes > 0));
    }
}
