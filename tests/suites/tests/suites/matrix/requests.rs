//! A request for every method: about cluster hk1 where it is about a cluster, and without effect where it is let through.

use prost::Message as _;
use quorate_proto::v1;

/// A cluster file of hk1.
const FILE: &str =
    "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n\n[nodes.prox1]\naddress = \"192.168.1.11\"\n";

pub(crate) fn request(path: &str, csr_der: &[u8]) -> Vec<u8> {
    let (cluster, rollout) = ("hk1".to_owned(), "hk1-99".to_owned());
    match path.rsplit('/').next().unwrap() {
        "InviteNode" => v1::InviteNodeRequest {
            cluster,
            node: "prox9".to_owned(),
            address: "127.0.0.1".to_owned(),
            valid_seconds: 0,
        }
        .encode_to_vec(),
        "RemoveNode" => v1::RemoveNodeRequest {
            cluster,
            node: "prox8".to_owned(),
            even_if_member: false,
        }
        .encode_to_vec(),
        "GetView" => v1::GetViewRequest {
            cluster,
            ..Default::default()
        }
        .encode_to_vec(),
        "KeepReach" => v1::KeepReachRequest {
            reach: Some(v1::Reach {
                cluster,
                node: "prox1".to_owned(),
                bridge: "vmbr0".to_owned(),
                at: Some(v1::Time { unix_micros: 0 }),
                ..Default::default()
            }),
        }
        .encode_to_vec(),
        "Network" | "MeasureNetwork" => v1::NetworkRequest {
            cluster,
            ..Default::default()
        }
        .encode_to_vec(),
        "Plan" => v1::PlanRequest {
            file_name: "hk1.toml".to_owned(),
            text: FILE.to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        // Without steps of the plan that was shown, nothing is begun.
        "Apply" => v1::ApplyRequest {
            file_name: "hk1.toml".to_owned(),
            text: FILE.to_owned(),
            shown: Some(v1::Plan {
                cluster,
                ..Default::default()
            }),
            ..Default::default()
        }
        .encode_to_vec(),
        "WatchRollout" => v1::WatchRolloutRequest { rollout }.encode_to_vec(),
        "CancelRollout" => v1::CancelRolloutRequest { rollout }.encode_to_vec(),
        "UndoInfo" => v1::UndoInfoRequest { rollout }.encode_to_vec(),
        "Freeze" => v1::FreezeRequest {
            cluster,
            frozen: false,
            reason: String::new(),
        }
        .encode_to_vec(),
        "Applied" => v1::AppliedRequest { cluster }.encode_to_vec(),
        "PreviewDrill" => v1::PreviewDrillRequest { order: order(cluster) }.encode_to_vec(),
        // Nothing was shown: nothing is begun.
        "StartDrill" => v1::StartDrillRequest {
            order: order(cluster),
            shown: String::new(),
        }
        .encode_to_vec(),
        "WatchDrill" => v1::WatchDrillRequest { cluster, number: 99 }.encode_to_vec(),
        "AbortDrill" => v1::AbortDrillRequest { cluster }.encode_to_vec(),
        // Nobody is called: this is no target.
        "ProbeFrom" => v1::ProbeFromRequest {
            nodes: vec![format!("{cluster}/prox1")],
            ..Default::default()
        }
        .encode_to_vec(),
        "ListDrills" => v1::ListDrillsRequest { cluster }.encode_to_vec(),
        "GetDrill" => v1::GetDrillRequest { cluster, number: 99 }.encode_to_vec(),
        "RemoveOperator" => v1::RemoveOperatorRequest {
            name: "nobody".to_owned(),
        }
        .encode_to_vec(),
        "Enrol" => v1::EnrolRequest {
            secret: "guessed".to_owned(),
            csr_der: csr_der.to_vec(),
            hostname: "prox9".to_owned(),
            agent_version: String::new(),
        }
        .encode_to_vec(),
        // An empty message is a question where a question is empty, and makes no sense as a command.
        _ => Vec::new(),
    }
}

/// A drill that no cluster file has.
fn order(cluster: String) -> Option<v1::DrillOrder> {
    Some(v1::DrillOrder {
        cluster,
        name: "none".to_owned(),
        ..Default::default()
    })
}
