//! `quorate freeze CLUSTER`: from now on nothing that disturbs the cluster begins.

use quorate_model::Hold;
use quorate_model::failure::ExitCode;
use quorate_model::ids::ClusterName;
use quorate_proto::{field, v1};

use super::{Answer, Context, output, wire};

/// Options of `quorate freeze`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster
    cluster: ClusterName,
    /// Let it be disturbed again
    #[arg(long)]
    off: bool,
    /// Why, for whoever is held up by it
    #[arg(long, default_value = "", value_name = "TEXT", conflicts_with = "off")]
    reason: String,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let request = v1::FreezeRequest {
        cluster: args.cluster.to_string(),
        frozen: !args.off,
        reason: args.reason,
    };
    let reply = client.freeze(request).await.map_err(wire::refused)?.into_inner();
    let hold: Hold = field("hold", reply.hold).map_err(wire::unreadable)?;
    let document = serde_json::json!({ "cluster": args.cluster, "hold": hold, "untold": reply.untold });
    output::either(context.format, &document, || show(&args.cluster, &hold, &reply.untold));
    Ok(ExitCode::Done)
}

fn show(cluster: &ClusterName, hold: &Hold, untold: &[String]) -> String {
    let mut text = match &hold.frozen {
        Some(_) => format!(
            "{cluster} is frozen: no step that disturbs it begins. What has begun goes on to its end, and what was done for the time of a \
             rollout is still taken back.\nLet it go again: quorate freeze {cluster} --off\n"
        ),
        None => format!("{cluster} is no longer frozen.\n"),
    };
    if hold.frozen.is_none() && !hold.windows.is_empty() {
        let windows: Vec<String> = hold.windows.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "Its maintenance windows still count (UTC): {}\n",
            windows.join(", ")
        ));
    }
    if !untold.is_empty() {
        text.push_str(&format!(
            "Not told yet, since their agents did not answer: {}. The coordinator itself keeps to it for them too.\n",
            untold.join(", ")
        ));
    }
    text
}
