//! `quorate node upgrade`: agents get another version, one server after another.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, NodeRef, PackageDigest};
use quorate_model::wish::AgentUpgrade;
use quorate_model::{Release, Wish};
use quorate_proto::{limits, v1};
use sha2::{Digest, Sha256};

use super::applied::applied;
use super::apply::{How, carry_out};
use super::cluster_file;
use super::proposal::Proposal;
use super::wire::{self, Client};
use super::{Answer, Context};
use crate::packages;

/// Options of `quorate node upgrade`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// CLUSTER/NODE: only these, of one cluster
    #[arg(value_name = "NODE", required_unless_present = "cluster", conflicts_with = "cluster")]
    nodes: Vec<NodeRef>,
    /// All servers of this cluster
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<ClusterName>,
    /// The agent's package, as it was published: quorate-agent_VERSION_ARCHITECTURE.deb. Beside it lies its signature, FILE.deb.minisig
    #[arg(long, value_name = "FILE.deb")]
    package: PathBuf,
    /// The cluster file; none: the one that was applied last
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// A package and what goes with it.
struct Package {
    version: Release,
    digest: PackageDigest,
    bytes: Vec<u8>,
    signature: String,
}

pub(crate) async fn run(context: &Context, client: &mut Client, args: Args) -> Answer {
    let cluster = one_cluster(&args)?;
    let package = read(&args.package)?;
    let source = match &args.file {
        Some(path) => cluster_file::read(path)?,
        None => applied(client, cluster.as_str()).await?,
    };
    let head = v1::PackageHead {
        driver: None,
        package: package.digest.to_string(),
        size: package.bytes.len() as u64,
        signature: package.signature,
    };
    let parts = tokio_stream::iter(packages::parts(head, &package.bytes));
    client.keep_package(parts).await.map_err(wire::refused)?;
    let wish = Wish {
        upgrade: Some(AgentUpgrade {
            version: package.version,
            package: package.digest,
            size: package.bytes.len() as u64,
            nodes: args.nodes.iter().map(|node| node.node.clone()).collect(),
        }),
        ..Wish::default()
    };
    let proposal = Proposal::ask(client, &source, vec![], wish).await?;
    carry_out(context, client, proposal, &args.how).await
}

fn one_cluster(args: &Args) -> Result<ClusterName, Failure> {
    let mut clusters = args.nodes.iter().map(|node| &node.cluster).chain(&args.cluster);
    let first = clusters.next();
    match first {
        Some(first) if clusters.all(|other| other == first) => Ok(first.clone()),
        _ => Err(Failure::new(ExitCode::Usage, "servers of one cluster at a time")),
    }
}

/// Reads a package and its signature. What it says of itself, the servers read; here its name counts.
fn read(path: &Path) -> Result<Package, Failure> {
    let shown = path.display();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let version = name.strip_suffix(".deb").and_then(|stem| stem.split('_').nth(1));
    let version = version
        .and_then(|version| Release::of_package(version).ok())
        .ok_or_else(|| {
            Failure::new(ExitCode::Usage, format!("{shown} does not say of which version it is"))
                .hint("leave it the name under which it was published: quorate-agent_VERSION_ARCHITECTURE.deb")
        })?;
    let unreadable = |path: &Path| {
        let message = format!("can't read {}", path.display());
        move |error: std::io::Error| Failure::new(ExitCode::Usage, message).because(&error)
    };
    let size = std::fs::metadata(path).map_err(unreadable(path))?.len();
    if size > limits::MAX_PACKAGE {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{shown} has {size} bytes, which no package of ours has"),
        ));
    }
    let bytes = std::fs::read(path).map_err(unreadable(path))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".minisig");
    let beside = PathBuf::from(beside);
    let signature = std::fs::read_to_string(&beside)
        .map_err(unreadable(&beside))
        .map_err(|failure| {
            failure.hint("its signature is published with it, and the servers take no package without one")
        })?;
    let digest = PackageDigest::new(HEXLOWER.encode(&Sha256::digest(&bytes)));
    let digest = digest.map_err(|error| Failure::new(ExitCode::Internal, "a digest is none").because(&error))?;
    Ok(Package {
        version,
        digest,
        bytes,
        signature,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_told_by_its_name_and_needs_its_signature() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quorate-agent_0.2.0-1_amd64.deb");
        std::fs::write(&path, "deb").unwrap();
        let unsigned = read(&path).map(|_| ()).unwrap_err();
        assert!(unsigned.message.contains(".deb.minisig"), "{unsigned}");
        std::fs::write(dir.path().join("quorate-agent_0.2.0-1_amd64.deb.minisig"), "sig").unwrap();
        let package = read(&path).unwrap();
        assert_eq!(
            (package.version.to_string().as_str(), package.signature.as_str()),
            ("0.2.0", "sig")
        );
        let other = dir.path().join("agent.deb");
        std::fs::write(&other, "deb").unwrap();
        assert!(read(&other).map(|_| ()).unwrap_err().message.contains("does not say"));
    }
}
