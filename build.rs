//! Makes the host table visible to the artifacts that the engine role of this binary loads, and builds the crates
//! that the binary carries.

#[path = "build/carried.rs"]
mod carried;

fn main() {
    println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=regatta_host_v15");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    if let Err(why) = carried::write() {
        println!(
            "cargo::warning=the binary carries no built crates, so the first start takes longer: {why}"
        );
    }
}
