//! Finds the programs that a lab runs, building them first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::process::Program;

/// The programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The coordinator: daemon and command line.
    pub quorate: PathBuf,
    /// The agent.
    pub agent: PathBuf,
    /// The lab.
    pub lab: PathBuf,
    /// The lab's multi-call tool.
    pub labtool: PathBuf,
    /// The numbered writer for guests.
    pub tally: PathBuf,
}

/// Builds all five, once per process, in this build's profile; in a test run with what the tests are built with.
///
/// # Errors
/// When cargo fails.
pub fn ensure_built() -> io::Result<Binaries> {
    static BUILT: OnceLock<Result<Binaries, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let found = build(&["quorate", "quorate-agent", "quorate-lab", "quorate-tally"])
                .map_err(|error| error.to_string())?;
            let get = |name: &str| found.iter().find(|(n, _)| n == name).map(|(_, path)| path.clone());
            let missing = |name: &str| format!("cargo built no program called {name}");
            Ok(Binaries {
                quorate: get("quorate").ok_or_else(|| missing("quorate"))?,
                agent: get("quorate-agent").ok_or_else(|| missing("quorate-agent"))?,
                lab: get("quorate-lab").ok_or_else(|| missing("quorate-lab"))?,
                labtool: get("quorate-labtool").ok_or_else(|| missing("quorate-labtool"))?,
                tally: get("quorate-tally").ok_or_else(|| missing("quorate-tally"))?,
            })
        })
        .clone()
        .map_err(io::Error::other)
}

/// The lab's own program, for a world without the product: this program if it is the lab, else built.
///
/// # Errors
/// When cargo fails.
pub fn lab_only() -> io::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            if own.file_name().is_some_and(|name| name == "quorate-lab") {
                return Ok(own);
            }
            let found = build(&["quorate-lab"]).map_err(|error| error.to_string())?;
            let lab = found
                .into_iter()
                .find(|(name, _)| name == "quorate-lab")
                .map(|(_, path)| path);
            lab.ok_or_else(|| "cargo built no program called quorate-lab".to_owned())
        })
        .clone()
        .map_err(io::Error::other)
}

/// The program that plays seeded drills: it comes from another package, which uses this one.
///
/// # Errors
/// When cargo fails.
pub fn drills() -> io::Result<PathBuf> {
    let found = build(&["quorate-suites"])?;
    let drills = found.into_iter().find(|(name, _)| name == "quorate-drills");
    let drills = drills.map(|(_, path)| path);
    drills.ok_or_else(|| io::Error::other("cargo built no program called quorate-drills"))
}

/// Says that the programs are those of a test run.
pub const BESIDE_TESTS: &str = "QUORATE_LAB_BESIDE_TESTS";

/// Some small test of the workspace.
const SMALL_TEST: &str = "reads";

/// In a test run the programs are built as `cargo test --workspace` builds them. Its crates have features that only tests want; without
/// them, cargo would build nearly everything a second time, for minutes. It takes those features for whoever builds a test as well.
fn beside_tests() -> bool {
    let in_deps = |exe: PathBuf| exe.parent().is_some_and(|folder| folder.ends_with("deps"));
    std::env::var_os(BESIDE_TESTS).is_some() || std::env::current_exe().is_ok_and(in_deps)
}

fn build(packages: &[&str]) -> io::Result<Vec<(String, PathBuf)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let manifest = manifest.to_string_lossy().into_owned();
    let mut args = vec!["build", "--quiet", "--bins", "--message-format=json-render-diagnostics"];
    args.extend(["--manifest-path", &manifest]);
    if !cfg!(debug_assertions) {
        args.push("--release");
    }
    if beside_tests() {
        args.extend(["--workspace", "--test", SMALL_TEST]);
    } else {
        packages.iter().for_each(|package| args.extend(["-p", package]));
    }
    let messages = Program::new(PathBuf::from(cargo)).args(args).build()?;
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let name = message.pointer("/target/name").and_then(serde_json::Value::as_str);
        let path = message.get("executable").and_then(serde_json::Value::as_str);
        if let (Some(name), Some(path)) = (name, path) {
            found.push((name.to_owned(), PathBuf::from(path)));
        }
    }
    Ok(found)
}
