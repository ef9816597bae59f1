//! `quorate operator`: who may drive this fleet from another host.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::OperatorName;
use quorate_model::{ClusterName, Timestamp};
use quorate_proto::v1;
use serde::Serialize;

use super::{Answer, Context, output, passphrase, wire};

/// `quorate operator …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a bundle (certificate and key in one file) with which somebody works from another host; needs the root key
    Add(Add),
    /// Everybody who has a bundle, and for how long it counts
    List,
    /// Revoke all certificates of somebody, here and on every server, and end their connections
    Remove {
        /// Their name
        name: OperatorName,
    },
}

/// Options of `quorate operator add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// Their name; it stands in the certificate and in every record of what they did
    name: OperatorName,
    /// They may only look
    #[arg(long)]
    viewer: bool,
    /// They may see and change this cluster only; several times: these. None: the whole fleet
    #[arg(long = "cluster", value_name = "CLUSTER")]
    clusters: Vec<ClusterName>,
    /// Write the bundle here; the file must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Read the root key's passphrase from this file instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Works without a daemon: the root key is nothing that a daemon should see.
pub(crate) fn add(context: &Context, args: &Add) -> Answer {
    let Add {
        name,
        viewer,
        clusters,
        out,
        passphrase_file,
    } = args;
    if out.exists() {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{} exists already; it is not overwritten", out.display()),
        ));
    }
    let passphrase = passphrase::existing(passphrase_file.as_deref(), passphrase::ROOT_KEY)?;
    let bundle = crate::init::operator_bundle(&context.config, (name, *viewer), clusters, &passphrase)?;
    bundle
        .save(out)
        .map_err(|e| Failure::new(ExitCode::Failed, format!("can't write {}", out.display())).because(&e))?;
    let role = if *viewer { "viewer" } else { "operator" };
    let document = serde_json::json!({ "name": name, "role": role, "clusters": clusters, "bundle": out });
    output::either(context.format, &document, || {
        format!(
            "{} holds the certificate and key of {role} {name}, for {}. Bring it to their machine by a safe way, then delete it here.\n\
             There, coordinator.toml names it: [remote] with address and bundle.\n",
            out.display(),
            place(clusters),
        )
    });
    Ok(ExitCode::Done)
}

fn place<T: ToString>(clusters: &[T]) -> String {
    if clusters.is_empty() {
        return "the whole fleet".to_owned();
    }
    let names: Vec<String> = clusters.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// A certificate as printed for programs.
#[derive(Debug, Serialize)]
struct Certificate {
    name: String,
    role: &'static str,
    clusters: Vec<String>,
    fingerprint: String,
    made_at: Option<Timestamp>,
    not_after: Option<Timestamp>,
    removed_at: Option<Timestamp>,
}

impl From<v1::OperatorCertificate> for Certificate {
    fn from(one: v1::OperatorCertificate) -> Self {
        Self {
            name: one.name,
            role: if one.viewer { "viewer" } else { "operator" },
            clusters: one.clusters,
            fingerprint: one.fingerprint,
            made_at: wire::time(one.made_at),
            not_after: wire::time(one.not_after),
            removed_at: wire::time(one.removed_at),
        }
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Answer {
    let mut client = match &command {
        Command::Add(args) => return add(context, args),
        Command::List | Command::Remove { .. } => wire::connect(context).await?,
    };
    match command {
        Command::Add(_) => Ok(ExitCode::Internal),
        Command::List => {
            let reply = client.list_operators(v1::ListOperatorsRequest {}).await;
            let certificates = reply.map_err(wire::refused)?.into_inner().certificates;
            let certificates: Vec<Certificate> = certificates.into_iter().map(Certificate::from).collect();
            output::either(context.format, &certificates, || table(&certificates));
            Ok(ExitCode::Done)
        }
        Command::Remove { name } => {
            let request = v1::RemoveOperatorRequest { name: name.to_string() };
            let reply = client
                .remove_operator(request)
                .await
                .map_err(wire::refused)?
                .into_inner();
            let document = serde_json::json!({ "name": name, "revoked": reply.revoked, "untold": reply.untold });
            output::either(context.format, &document, || removed(&name, &reply));
            Ok(ExitCode::Done)
        }
    }
}

fn removed(name: &OperatorName, reply: &v1::RemoveOperatorReply) -> String {
    let mut text = format!(
        "{name} is removed: {} certificate(s) revoked, connections ended.\n",
        reply.revoked
    );
    if !reply.untold.is_empty() {
        text.push_str(&format!(
            "Not told yet, and told when they are connected again: {}\n",
            reply.untold.join(", ")
        ));
    }
    text
}

fn table(certificates: &[Certificate]) -> String {
    if certificates.is_empty() {
        return "Nobody works from another host. To let somebody: quorate operator add NAME --out FILE\n".to_owned();
    }
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let rows: Vec<Vec<String>> = certificates
        .iter()
        .map(|one| {
            let counts = match one.removed_at {
                Some(at) => format!("REMOVED {at}"),
                None => format!("until {}", time(one.not_after)),
            };
            vec![
                one.name.clone(),
                one.role.to_owned(),
                place(&one.clusters),
                time(one.made_at),
                counts,
            ]
        })
        .collect();
    quorate_show::table(&["NAME", "ROLE", "FOR", "MADE", "COUNTS"], &rows)
}
