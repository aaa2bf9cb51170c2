//! What processors can beside what all of their architecture can: code that is compiled for one of them runs on another one
//! that can as much.

use std::collections::BTreeSet;

use crate::outcome::NodeFault;

/// The names of those features that this processor has.
macro_rules! present {
    ($ask:ident: $($name:tt)*) => {
        [$(($name, std::arch::$ask!($name))),*]
    };
}

/// What this host's processor can.
#[cfg(target_arch = "x86_64")]
pub fn features() -> BTreeSet<String> {
    had(&present!(is_x86_feature_detected:
        "sse3" "ssse3" "sse4.1" "sse4.2" "sse4a" "popcnt" "lzcnt" "bmi1" "bmi2" "adx" "movbe" "cmpxchg16b" "aes"
        "pclmulqdq" "sha" "rdrand" "rdseed" "fxsr" "xsave" "xsavec" "xsaveopt" "xsaves" "avx" "avx2" "fma" "f16c"
        "gfni" "vaes" "vpclmulqdq" "avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "avx512ifma" "avx512vbmi"
        "avx512vbmi2" "avx512vnni" "avx512bitalg" "avx512vpopcntdq" "avx512bf16" "avx512fp16" "avxvnni"
    ))
}

/// What this host's processor can.
#[cfg(target_arch = "aarch64")]
pub fn features() -> BTreeSet<String> {
    had(&present!(is_aarch64_feature_detected:
        "aes" "sha2" "sha3" "sm4" "crc" "lse" "lse2" "rdm" "dotprod" "fp16" "fhm" "fcma" "jsconv" "rcpc" "rcpc2" "dit"
        "flagm" "frintts" "i8mm" "bf16" "sve" "sve2" "sb" "ssbs" "paca" "pacg" "bti" "dpb" "dpb2" "mte" "rand"
    ))
}

/// Of others it is not known.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn features() -> BTreeSet<String> {
    BTreeSet::new()
}

#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    expect(dead_code, reason = "unused-elsewhere")
)]
fn had(all: &[(&str, bool)]) -> BTreeSet<String> {
    let had = all.iter().filter(|(_, has)| *has);
    had.map(|(name, _)| (*name).to_owned()).collect()
}

/// What a processor with these features lacks of this one's.
pub fn lacks(features: &BTreeSet<String>) -> Option<NodeFault> {
    let lacks: Vec<String> = self::features().difference(features).cloned().collect();
    (!lacks.is_empty()).then_some(NodeFault::Processor { lacks })
}
