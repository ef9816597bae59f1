//! Disks that zpool would not take, and who of several claims gets a disk.

use quorate_model::facet::Facet;
use quorate_model::observation::disks::{Disks, HolderKind};
use quorate_model::observation::eligibility::{Reason, ReasonKind};
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::{ByteSize, Code, Wish};

use super::pools::{ids, members, plan_with, refusals};
use super::pools_later::{codes, destroying, on_prox1, with_leftover};
use crate::testkit::{Servers, disk};

const GB: u64 = 1_000_000_000;

/// prox1 has disks `1a`, `1b`, … of these sizes.
pub(super) fn of_sizes(sizes: &[u64]) -> Servers {
    on_prox1(members(), |disks: &mut Disks| {
        disks.disks = sizes
            .iter()
            .zip('a'..)
            .map(|(size, letter)| {
                let mut disk = disk(&format!("/dev/sd{letter}"), &format!("1{letter}"));
                disk.size = ByteSize(*size * GB);
                disk
            })
            .collect();
    })
}

fn pool(raid: &str, disks: &str) -> String {
    format!("[zfs.data_zfs]\nraid = \"{raid}\"\n[zfs.data_zfs.disks]\nprox1 = {disks}\n")
}

fn planned(pools: &str, servers: &Servers) -> Plan {
    plan_with(pools, &Wish::default(), servers)
}

fn links(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let of = |disks: &[quorate_model::pool_layout::DiskIdentity]| disks.iter().map(|disk| disk.link.clone()).collect();
    let mut links = Vec::new();
    for step in &plan.steps {
        let (Action::CreatePool { layout } | Action::GrowPool { layout }) = &step.action else {
            continue;
        };
        links.push(("data".to_owned(), of(&layout.disks)));
        for beside in &layout.beside {
            links.push((beside.class.as_str().to_owned(), of(&beside.disks)));
        }
    }
    links
}

#[test]
fn disks_of_different_sizes_are_refused_before_zpool_refuses_them() {
    let mirror = planned(&pool("mirror", "{ count = 2 }"), &of_sizes(&[960, 480]));
    let why = "data of pool data_zfs on prox1: zpool does not lay out disks of different sizes as mirror, and ata-SAMSUNG_1b (480 GB), \
               ata-SAMSUNG_1a (960 GB) are";
    assert_eq!(refusals(&mirror), [(Code::DisksUnfit, why)]);
    assert!(ids(&mirror).is_empty());
    let raid10 = pool("raid10", "{ count = 4 }");
    assert_eq!(
        codes(&planned(&raid10, &of_sizes(&[960, 1000, 1000, 1000]))),
        [Code::DisksUnfit]
    );
    assert_eq!(refusals(&planned(&raid10, &of_sizes(&[960, 960, 1000, 1000]))), []);
}

#[test]
fn a_selector_without_a_number_is_counted_once_it_has_chosen() {
    let with = |class: &str| {
        format!(
            "{}[zfs.data_zfs.{class}]\nprox1 = {{ max_size = \"200GB\" }}\n",
            pool("mirror", "[\"1a\", \"1b\"]")
        )
    };
    let three_small = of_sizes(&[960, 960, 100, 100, 100]);
    let why = |class: &str, rest: &str| format!("{class} of pool data_zfs on prox1: {rest}");
    let log = planned(&with("log"), &three_small);
    let expected = why("logs", "a log is one disk, or two, and these are 3");
    assert_eq!(refusals(&log), [(Code::DisksUnfit, expected.as_str())]);
    let special = planned(&with("special"), &three_small);
    let rest = "special disks are to survive what the data does, the loss of 1: that takes 2, and these are 3";
    let expected = why("special", rest);
    assert_eq!(refusals(&special), [(Code::DisksUnfit, expected.as_str())]);
    assert_eq!(
        refusals(&planned(&with("special"), &of_sizes(&[960, 960, 100, 100]))),
        []
    );
    assert_eq!(refusals(&planned(&with("cache"), &three_small)), []);
}

#[test]
fn a_disk_by_two_names_is_one_disk() {
    let twice = planned(&pool("mirror", "[\"1a\", \"ata-SAMSUNG_1a\"]"), &of_sizes(&[960, 960]));
    let why = "ata-SAMSUNG_1a of prox1 is not free: is the same disk as 1a, which is named beside it";
    assert_eq!(refusals(&twice), [(Code::DiskNotFree, why)]);
    let two_pools = format!(
        "{}[zfs.other]\nraid = \"single\"\n[zfs.other.disks]\nprox1 = [\"wwn-0x5002538e1a\"]\n",
        pool("single", "[\"1a\"]")
    );
    let shared = planned(&two_pools, &of_sizes(&[960, 960]));
    let why = "wwn-0x5002538e1a of prox1 is not free: is chosen for data of pool data_zfs";
    assert_eq!(refusals(&shared), [(Code::DiskNotFree, why)]);
}

#[test]
fn what_is_named_goes_before_what_is_described_wherever_it_stands() {
    // The selector of the data comes first, and would take the smallest.
    let with_log = format!(
        "{}[zfs.data_zfs.log]\nprox1 = [\"1a\"]\n",
        pool("mirror", "{ count = 2 }")
    );
    let plan = planned(&with_log, &of_sizes(&[960, 960, 960]));
    assert_eq!(refusals(&plan), []);
    let expected = [("data", vec!["1b", "1c"]), ("logs", vec!["1a"])];
    let expected: Vec<(String, Vec<String>)> = expected
        .into_iter()
        .map(|(class, disks)| {
            (
                class.to_owned(),
                disks.iter().map(|disk| format!("ata-SAMSUNG_{disk}")).collect(),
            )
        })
        .collect();
    assert_eq!(links(&plan), expected);
    let passed = "not ata-SAMSUNG_1a (SAMSUNG, 1a, 960 GB): is named for pool data_zfs in the cluster file";
    let why = &plan.steps[0].why;
    assert!(
        why.iter()
            .any(|why| why == &passed.replace("ata-SAMSUNG_1a", "/dev/sda")),
        "{why:?}"
    );
}

#[test]
fn where_all_that_fit_are_meant_consent_makes_a_disk_fit() {
    let all = pool("mirror", "{ min_size = \"1GB\" }");
    let servers = with_leftover(HolderKind::FileSystem, "ext4");
    let said = plan_with(&all, &destroying(&["prox1:ata-SAMSUNG_1b"]), &servers);
    assert_eq!(refusals(&said), []);
    assert_eq!(
        ids(&said),
        ["zfs.wipe/prox1/ata-SAMSUNG_1b", "zfs.create/prox1/data_zfs"]
    );
}

#[test]
fn names_that_no_step_can_have_are_written_otherwise_in_its_id() {
    let servers = on_prox1(with_leftover(HolderKind::FileSystem, "ext4"), |disks| {
        disks.disks[0].by_id = vec!["ata-X+Y@1#2=3".to_owned()];
    });
    let named = pool("mirror", "[\"1b\", \"1c\"]");
    let plan = plan_with(&named, &destroying(&["prox1:ata-X+Y@1#2=3"]), &servers);
    assert_eq!(refusals(&plan), []);
    assert_eq!(
        ids(&plan),
        ["zfs.wipe/prox1/ata-X:2bY:401:232:3d3", "zfs.create/prox1/data_zfs"]
    );
}

#[test]
fn a_disk_that_is_not_used_changes_nothing_of_what_is_done() {
    let file = pool("mirror", "{ count = 2, max_size = \"1TB\" }");
    let before = planned(&file, &of_sizes(&[960, 960]));
    let stick = planned(&file, &of_sizes(&[960, 960, 2000]));
    assert_ne!(before.steps[0].why, stick.steps[0].why);
    assert!(before.same_steps(&stick) && crate::diff::differences(&before, &stick).is_empty());
    let other = planned(&file, &of_sizes(&[970, 960, 960]));
    assert!(!before.same_steps(&other));
}

#[test]
fn what_may_be_shared_with_a_server_that_cant_be_seen_is_used_only_if_that_is_accepted() {
    let sas = |servers: Servers| {
        on_prox1(servers, |disks| {
            disks
                .disks
                .iter_mut()
                .for_each(|disk| disk.transport = Some("sas".to_owned()));
        })
    };
    let selected = pool("mirror", "{ count = 2 }");
    assert_eq!(refusals(&planned(&selected, &sas(members()))), []);
    let unseen = || sas(members()).unreachable("prox3");
    let few = planned(&selected, &unseen());
    let told = few
        .findings
        .iter()
        .find(|finding| finding.code == Code::DisksTooFew)
        .unwrap();
    assert!(
        told.next
            .contains("ata-SAMSUNG_1b and ata-SAMSUNG_1c would do if named"),
        "{told:?}"
    );
    let named = planned(&pool("mirror", "[\"1b\", \"1c\"]"), &unseen());
    let message = "ata-SAMSUNG_1b of prox1, for data of pool data_zfs, may be a LUN that prox3 sees as well: what disks are there could not be seen";
    assert!(
        refusals(&named).contains(&(Code::DiskMaybeShared, message)),
        "{:?}",
        refusals(&named)
    );
    assert!(Code::DiskMaybeShared.entry().overridable);
    // What hangs on the server's own board is its own.
    let own = planned(&selected, &members().unreachable("prox3"));
    assert_eq!(codes(&own), [Code::NodeUnreachable]);
}

#[test]
fn what_is_not_decided_is_never_chosen_by_a_selector() {
    let doubtful = on_prox1(members(), |_| {}).with("prox1", |seen| {
        let Facet::Known { value, .. } = &mut seen.disks else {
            panic!("no disks")
        };
        for verdict in &mut value.disks[0].verdicts {
            verdict.against.push(Reason {
                kind: ReasonKind::MaybeShared,
                text: "may be a LUN".to_owned(),
            });
        }
    });
    assert_eq!(
        codes(&planned(&pool("mirror", "{ count = 2 }"), &doubtful)),
        [Code::DisksTooFew]
    );
}
