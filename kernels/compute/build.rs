//! Compiles the kernels in C, where they are asked for.

fn main() {
    println!("cargo:rerun-if-changed=c");
    #[cfg(feature = "c")]
    compile();
}

#[cfg(feature = "c")]
fn compile() {
    cc::Build::new()
        .files(["fib", "mandelbrot", "pi", "primes"].map(|name| format!("c/{name}.c")))
        .opt_level(3)
        // A product and a sum in one step would round once less than Rust does.
        .flag("-ffp-contract=off")
        .std("c11")
        .warnings_into_errors(true)
        .compile("regatta_kernels_c");
}
