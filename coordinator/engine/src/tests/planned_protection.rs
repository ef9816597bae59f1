//! Copies of guests and HA: plans of the planner that are carried out.

use quorate_model::facet::Facet;
use quorate_model::observation::config::KeptSpec;
use quorate_model::observation::ha::HaResource;
use quorate_model::observation::replication::ReplicationJob;
use quorate_model::spec::digest_of;
use quorate_planner::testkit::{NOW, Servers, guest, job, known, parse, text};

use super::{FAST, Scene, THREE, members, scene, wanting};

const COPIES: &str = "[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\", \"prox3\"]\nevery = \"5m\"\n";
const HA: &str = "[ha]\nguests = [100]\nmax_restart = 2\n";

fn guests() -> Servers {
    members(3, THREE).with_guests(&[guest(100, "prox1", "data_zfs")])
}

fn copied() -> Servers {
    guests().with_jobs(&[job("100-0", "prox1", "prox2"), job("100-1", "prox1", "prox3")])
}

fn file(more: &str) -> quorate_model::spec::ClusterFile {
    parse(&format!("{}{more}", text(3, FAST)))
}

pub(super) fn scenes() -> Vec<Scene> {
    let both = format!("{COPIES}{HA}");
    let network = text(3, FAST).replacen("[nodes", "migration_network = \"10.10.10.0/24\"\n[nodes", 1);
    let slow = ReplicationJob {
        schedule: "*/15".to_owned(),
        ..job("100-0", "prox1", "prox2")
    };
    let under = copied().of_pve("9.2.11").with_shared_ha(|ha| {
        known(&mut ha.resources).insert("vm:100".to_owned(), HaResource::of("started"));
    });
    let before = format!("{}{COPIES}", text(3, FAST));
    let kept = KeptSpec {
        digest: digest_of(&before),
        applied_at: NOW,
        rollout: String::new(),
        text: before,
    };
    let kept = copied().with_each(|seen| known(&mut seen.config).spec = Facet::known(Some(kept.clone()), NOW));
    let fewer = COPIES.replace(", \"prox3\"", "");
    vec![
        scene(
            "first copies, then HA by a rule",
            file(&both),
            guests().of_pve("9.2.11"),
        ),
        scene("HA by a group", file(&both), copied().of_pve("8.4.21")),
        scene("HA that is there", file(&both), under),
        scene("the network for migration", parse(&network), guests()),
        scene(
            "another schedule",
            file(COPIES),
            guests().with_jobs(&[slow, job("100-1", "prox1", "prox3")]),
        ),
        wanting(scene("a copy that goes", file(&fewer), kept), |wish| {
            wish.destroy_replicas.extend(["replica:100@prox3".parse().unwrap()]);
        }),
    ]
}
