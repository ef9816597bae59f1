//! Checks and generators of the repository: `cargo xtask COMMAND`.

mod bans;
mod claims;
mod cluster_file;
mod dist;
mod docs;
mod files;
mod fixtures;
mod formats;
mod fuzz;
mod graph;
mod layers;
mod licences;
mod pages;
mod policy;
mod processes;
mod record;
mod report;
mod spdx;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;

use cargo_metadata::{Metadata, MetadataCommand};

use crate::graph::Graph;
use crate::policy::Policy;
use crate::report::{Report, Stop};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  check           everything below that only looks
  layers          which crate may use which
  licences        the licence of every dependency is one we allow
  bans            banned crates, sources and second versions
  claims          what SECURITY.md claims is shown by tests that exist
  files           length of files, marks, paths of somebody's machine
  formats [--check] list what this version writes, or compare all versions with their lists
  fixtures        tests/fixtures against its list
  fuzz [--help]   everything that reads what others wrote, under libFuzzer
  record [--help] asks the tools of this machine anew, and shows what differs from tests/fixtures
  docs [--check]  write the generated documents, or compare them with what is there
  dist [--help]   make the Debian packages";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    report::finish(run(&args))
}

fn run(args: &[&str]) -> Result<Vec<Report>, Stop> {
    let checks: &[Check] = match args {
        ["dist", "--help"] => return Err(Stop::Usage(dist::USAGE)),
        ["dist", options @ ..] => return dist::run(options),
        ["fuzz", "--help"] => return Err(Stop::Usage(fuzz::USAGE)),
        ["fuzz", options @ ..] => return Ok(vec![fuzz::run(&root()?, options)?]),
        ["record", "--help"] => return Err(Stop::Usage(record::USAGE)),
        ["record", options @ ..] => return Ok(vec![record::run(&root()?, options)?]),
        ["check"] => &[layers, licences, bans, claims, files, fixtures, formats, documents],
        ["layers"] => &[layers],
        ["licences"] => &[licences],
        ["bans"] => &[bans],
        ["claims"] => &[claims],
        ["files"] => &[files],
        ["formats", "--check"] => &[formats],
        ["formats"] => &[list_formats],
        ["fixtures"] => &[fixtures],
        ["docs", "--check"] => &[documents],
        ["docs"] => &[write_documents],
        _ => return Err(Stop::Usage(USAGE)),
    };
    let repository = Repository::open()?;
    checks.iter().map(|check| check(&repository)).collect()
}

type Check = fn(&Repository) -> Result<Report, Stop>;

/// What the checks look at.
struct Repository {
    root: PathBuf,
    policy: Policy,
    graph: Graph,
}

impl Repository {
    fn open() -> Result<Self, Stop> {
        let root = root()?;
        let policy = Policy::read(&root.join("deny.toml"))?;
        // Only what is built for our targets counts; the rest need not even be downloaded.
        let targets: Vec<String> = policy
            .targets()
            .iter()
            .flat_map(|target| ["--filter-platform".to_owned(), target.clone()])
            .collect();
        let graph = Graph::from(&metadata(&targets)?);
        Ok(Self { root, policy, graph })
    }
}

/// The repository's root.
fn root() -> Result<PathBuf, Stop> {
    Ok(metadata(&["--no-deps".to_owned()])?.workspace_root.into_std_path_buf())
}

fn metadata(options: &[String]) -> Result<Metadata, Stop> {
    MetadataCommand::new()
        .other_options(options)
        .exec()
        .map_err(|error| Stop::Metadata(Box::new(error)))
}

fn layers(repository: &Repository) -> Result<Report, Stop> {
    Ok(layers::check(&repository.graph, layers::LAYERS, layers::NEVER))
}

fn licences(repository: &Repository) -> Result<Report, Stop> {
    Ok(licences::check(&repository.graph, &repository.policy))
}

fn bans(repository: &Repository) -> Result<Report, Stop> {
    Ok(bans::check(&repository.graph, &repository.policy))
}

fn claims(repository: &Repository) -> Result<Report, Stop> {
    claims::check(&repository.root)
}

fn files(repository: &Repository) -> Result<Report, Stop> {
    files::check(&repository.root, files::LONG)
}

fn formats(repository: &Repository) -> Result<Report, Stop> {
    formats::check(&repository.root.join(formats::FOLDER))
}

fn list_formats(repository: &Repository) -> Result<Report, Stop> {
    formats::list(&repository.root.join(formats::FOLDER), env!("CARGO_PKG_VERSION"))
}

fn fixtures(repository: &Repository) -> Result<Report, Stop> {
    fixtures::check(&repository.root)
}

fn documents(repository: &Repository) -> Result<Report, Stop> {
    docs::check(&repository.root, docs::GENERATED)
}

fn write_documents(repository: &Repository) -> Result<Report, Stop> {
    docs::write(&repository.root, docs::GENERATED)
}
