//! Tells the compiler that `cfg(loom)` is a word of ours.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(loom)");
}
