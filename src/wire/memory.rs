//! How an engine's allocator treats large blocks, which its environment tells glibc: those that were freed are used again, as the
//! first touch of a fresh page costs more than copying into it.

/// The variable, which users may have set for themselves.
pub const TUNABLES: &str = "GLIBC_TUNABLES";

pub const KEEP_MEMORY: &str =
    "glibc.malloc.mmap_threshold=268435456:glibc.malloc.trim_threshold=268435456";

/// Blocks of so many bytes have memory that is mapped for them alone.
pub const MAPPED_FROM: i32 = 268_435_456;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_variables() {
        let told = format!("mmap_threshold={MAPPED_FROM}:");
        assert!(KEEP_MEMORY.contains(&told));
    }
}
