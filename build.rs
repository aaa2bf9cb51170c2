//! Makes the host table visible to the artifacts that the engine role of this binary loads.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=regatta_host_v5");
    println!("cargo::rerun-if-changed=build.rs");
}
