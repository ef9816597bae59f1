//! Compiles the protocol with a protoc written in Rust, so that building needs no installed one.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["agent", "coordinator", "enrolment"].map(|f| format!("quorate/v1/{f}.proto"));
    println!("cargo:rerun-if-changed=quorate/v1");
    let descriptors = protox::compile(&files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        .build_transport(false)
        // Messages with disks or plans in a oneof are large; boxing each would only hide it.
        .type_attribute(".", "#[allow(clippy::large_enum_variant)]")
        .compile_fds(descriptors)?;
    Ok(())
}
