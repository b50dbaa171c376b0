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
    Ok(())
}
