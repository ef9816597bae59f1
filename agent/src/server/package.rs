//! A package on its way here: what it is to be, then its bytes.

use std::path::PathBuf;
use std::sync::Arc;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::PackageDigest;
use quorate_model::{Code, Finding};
use quorate_proto::status::{refuse, to_status};
use quorate_proto::v1::package_part::Part;
use quorate_proto::{field, limits, v1};
use tonic::{Status, Streaming};

use crate::errors::chain;
use crate::host::Host;
use crate::release::{self, ReleaseError};

/// Reads the head of a package.
pub(super) async fn head(stream: &mut Streaming<v1::PackagePart>) -> Result<v1::PackageHead, Status> {
    match next(stream).await? {
        Some(Part::Head(head)) => Ok(head),
        _ => Err(usage("it does not begin with what it is".to_owned())),
    }
}

/// Takes the rest, and keeps it if it is to be believed.
pub(super) async fn keep(
    (host, state_dir, node): (Arc<Host>, PathBuf, &str),
    head: v1::PackageHead,
    stream: &mut Streaming<v1::PackagePart>,
) -> Result<(), Status> {
    let package: PackageDigest = field("package", head.package)?;
    if head.size > release::LARGEST {
        return Err(usage(ReleaseError::TooLarge(head.size).to_string()));
    }
    let size = usize::try_from(head.size).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    while let Some(part) = next(stream).await? {
        let Part::Bytes(more) = part else {
            return Err(usage("it begins twice".to_owned()));
        };
        if bytes.len().saturating_add(more.len()) > size {
            return Err(usage(format!("it has more than the {size} bytes that were announced")));
        }
        bytes.extend(more);
    }
    if bytes.len() != size {
        return Err(usage(format!("it has {} bytes and not {size}", bytes.len())));
    }
    // A signature over megabytes takes a while, and the disk may, too.
    let kept = tokio::task::spawn_blocking(move || release::keep(&host, &state_dir, &package, &bytes, &head.signature));
    match kept.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error @ (ReleaseError::Io(_) | ReleaseError::Folder(_)))) => {
            let failure = Failure::new(ExitCode::Failed, "the package can't be kept").because(&error);
            Err(to_status(failure.hint(
                "look at the disk that holds the agent's state directory on the node",
            )))
        }
        Ok(Err(error)) => Err(refuse(Finding::new(
            Code::PackageNotTrusted,
            node,
            chain(&error),
            format!(
                "compare the package with its signature (minisign -V), and the key with {} on {node}",
                release::KEYS
            ),
        ))),
        Err(error) => Err(to_status(
            Failure::new(ExitCode::Internal, "the package was not looked at").because(&error),
        )),
    }
}

async fn next(stream: &mut Streaming<v1::PackagePart>) -> Result<Option<Part>, Status> {
    let message = tokio::time::timeout(limits::PACKAGE_SILENCE, stream.message()).await;
    let message = message.map_err(|_| usage("it does not go on".to_owned()))??;
    match message {
        None => Ok(None),
        Some(v1::PackagePart { part: Some(part) }) => Ok(Some(part)),
        Some(_) => Err(usage("a part of it is nothing that is known here".to_owned())),
    }
}

fn usage(why: String) -> Status {
    to_status(Failure::new(
        ExitCode::Usage,
        format!("the package is not taken: {why}"),
    ))
}
