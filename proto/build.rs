//! Compiles the .proto files without a system protoc.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=userservice.proto");
    let descriptors = protox::compile(["userservice.proto"], ["."])?;
    // `compile_fds` ignores `file_descriptor_set_path`, so the set for reflection is written here.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("userservice.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    if std::env::var_os("CARGO_FEATURE_ETCD").is_some() {
        etcd()?;
    }
    Ok(())
}

fn etcd() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=etcd");
    let files = ["kv", "rpc", "lock", "election"].map(|name| format!("etcd/{name}.proto"));
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("etcd.bin"), descriptors.encode_to_vec())?;
    // Keys and values are shared with the message they came in or with the store, not copied.
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
