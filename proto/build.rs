//! Compiles the protocol with a protoc written in Rust, so that building needs no installed one.

/// Messages that carry a secret, or a program: `src/secrets.rs` writes their `Debug` by hand.
const SECRET: [&str; 8] = [
    "quorate.v1.OpenEchoRequest",
    "quorate.v1.MeasureRequest",
    "quorate.v1.CloseEchoRequest",
    "quorate.v1.JoinSecret",
    "quorate.v1.StorageSecret",
    "quorate.v1.GuestProgram",
    "quorate.v1.EnrolRequest",
    "quorate.v1.InviteNodeReply",
];

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
        // Equal messages have equal bytes.
        .btree_map(".")
        .skip_debug(SECRET)
        .compile_fds(descriptors)?;
    Ok(())
}
