//! Scenes with disks: pools that are made, grow and get another disk, and their storages.

use quorate_model::Facet;
use quorate_model::observation::disks::{Holder, HolderKind};
use quorate_model::observation::eligibility::{Role, judge};
use quorate_model::wish::DiskReplacement;
use quorate_planner::testkit::parse;

use super::{ClusterFile, FAST, Scene, Servers, TWO, apply, scene, wanting};

const SERIALS: [[&str; 4]; 2] = [["1A", "1B", "1C", "1D"], ["2A", "2B", "2C", "2D"]];

/// prox1 and prox2, and this pool on the first `pools` of them; the others are witnesses.
fn wanted(raid: &str, count: usize, pools: usize) -> ClusterFile {
    let mut text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n".to_owned();
    for n in 1..=2 {
        let role = if n > pools { "role = \"witness\"\n" } else { "" };
        text.push_str(&format!("[nodes.prox{n}]\naddress = \"192.168.1.{}\"\n{role}", 10 + n));
    }
    text.push_str(&format!(
        "[zfs.data_zfs]\nraid = \"{raid}\"\ndisks = {{ count = {count} }}\n"
    ));
    parse(&text)
}

fn servers() -> Servers {
    let servers = Servers::bare(2).members("hk1", TWO, FAST);
    let [first, second] = SERIALS;
    servers.with_disks("prox1", &first).with_disks("prox2", &second)
}

/// As they are when all that a scene wants is done.
fn after(scene: &Scene) -> Servers {
    let mut servers = scene.servers.clone();
    for step in &scene.plan().steps {
        apply(&mut servers.view, step);
    }
    servers
}

fn with_leftover() -> Servers {
    servers().with("prox1", |seen| {
        let Facet::Known { value, .. } = &mut seen.disks else {
            panic!("no disks")
        };
        for disk in &mut value.disks {
            disk.holders.push(Holder {
                device: format!("{}1", disk.path),
                kind: HolderKind::FileSystem,
                name: "ext4".into(),
                uuid: None,
            });
            disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
        }
    })
}

pub(super) fn scenes() -> Vec<Scene> {
    let mirror = || scene("a pool on one of two", wanted("mirror", 2, 1), servers());
    let wiped = scene(
        "a pool where something is left",
        wanted("mirror", 2, 1),
        with_leftover(),
    );
    let wiped = wanting(wiped, |wish| {
        let disks = ["prox1:ata-SAMSUNG_1A", "prox1:ata-SAMSUNG_1B"];
        wish.destroy = disks.iter().map(|disk| disk.parse().unwrap()).collect();
    });
    let second = scene("a pool on the other one too", wanted("mirror", 2, 2), after(&mirror()));
    let grown = scene("a pool grows", wanted("raid10", 4, 1), after(&mirror()));
    let replaced = scene("a disk is replaced", wanted("mirror", 2, 1), after(&mirror()));
    let replaced = wanting(replaced, |wish| {
        wish.replace_disk = Some(DiskReplacement {
            node: "prox1".parse().unwrap(),
            pool: "data_zfs".parse().unwrap(),
            old: "1A".to_owned(),
            with: Some("ata-SAMSUNG_1C".parse().unwrap()),
        });
    });
    vec![mirror(), wiped, second, grown, replaced]
}
