//! On another system than Linux the build ends here, in words: everything else needs this package.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if system != "linux" {
        println!(
            "cargo::error=Tympan is for Linux: its shared memory and its processes need that kernel, and this is {system}"
        );
    }
}
