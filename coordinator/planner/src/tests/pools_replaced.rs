//! A disk that is replaced by the operator's word: on whatever server, and however the others are.

use quorate_model::facet::Facet;
use quorate_model::observation::pools::{Vdev, VdevClass};
use quorate_model::{Code, Severity, Wish};

use super::pools::{file, ids, members, plan_with, pool, refusals};
use super::pools_later::{ONE, applied, codes, on_prox1, replacing, with_mirror};
use crate::checker::check;
use crate::testkit::{NOW, Servers, disk};

const REPLACE: [&str; 1] = ["zfs.replace/prox1/data_zfs"];

#[test]
fn a_disk_of_a_witness_is_replaced_too() {
    // prox1 has the pool; here it is prox2 and prox3, which are witnesses, and a server that the file does not name.
    let mut wish = replacing("2b", None);
    wish.replace_disk.as_mut().unwrap().node = "prox2".parse().unwrap();
    let servers = members().with("prox2", |seen| {
        seen.pools = Facet::known(vec![pool(&["/dev/sdb", "/dev/sdc"], 960_000_000_000)], NOW);
        let Facet::Known { value, .. } = &mut seen.disks else {
            panic!("no disks")
        };
        value.disks.push(disk("/dev/sdd", "2d"));
    });
    let of_witness = plan_with(ONE, &wish, &servers);
    assert_eq!(
        (refusals(&of_witness), ids(&of_witness)),
        (vec![], vec!["zfs.replace/prox2/data_zfs"])
    );
    let mut without = file("");
    without.nodes.remove(&"prox2".parse().unwrap());
    let plan = crate::plan(&without, &wish, &servers.view);
    assert_eq!(check(&without, &wish, &servers.view, &plan), []);
    assert_eq!(ids(&plan), ["zfs.replace/prox2/data_zfs"]);
}

#[test]
fn a_server_that_nobody_knows_of_is_told_and_never_taken_for_done() {
    let mut wish = replacing("2b", None);
    wish.replace_disk.as_mut().unwrap().node = "prox9".parse().unwrap();
    let plan = plan_with(ONE, &wish, &with_mirror());
    assert_eq!(codes(&plan), [Code::NodeNotEnrolled]);
    let plan = plan_with(ONE, &replacing("1b", None), &with_mirror().unreachable("prox1"));
    assert_eq!(codes(&plan), [Code::NodeUnreachable]);
    assert!(plan.is_empty());
}

#[test]
fn a_disk_is_replaced_while_another_server_is_down_and_whatever_else_the_file_wants() {
    let down = with_mirror().unreachable("prox3");
    let plan = plan_with(ONE, &replacing("1b", None), &down);
    assert_eq!((refusals(&plan), ids(&plan)), (vec![], REPLACE.to_vec()));
    // It is told, though nothing hangs on it.
    let told = plan
        .findings
        .iter()
        .find(|finding| finding.code == Code::NodeUnreachable)
        .unwrap();
    assert_eq!(told.severity, Severity::Warning);
    // The file wants a pool for which there are no disks.
    let more = format!("{ONE}[zfs.other]\nraid = \"mirror\"\n[zfs.other.disks]\nprox1 = {{ count = 9 }}\n");
    let plan = plan_with(&more, &replacing("1b", None), &with_mirror());
    assert_eq!((refusals(&plan), ids(&plan)), (vec![], REPLACE.to_vec()));
    applied(ONE, &replacing("1b", Some("ata-SAMSUNG_1e")), down);
    // Nothing is measured for it either, though a server is to join.
    let joins = Servers::bare(2);
    assert!(crate::leans_on_the_network(&file(""), &Wish::default(), &joins.view));
    assert!(!crate::leans_on_the_network(
        &file(""),
        &replacing("1b", None),
        &joins.view
    ));
}

#[test]
fn what_may_be_another_s_lun_replaces_a_disk_only_if_that_is_accepted() {
    let sas = on_prox1(with_mirror(), |disks| {
        disks
            .disks
            .iter_mut()
            .for_each(|disk| disk.transport = Some("sas".to_owned()));
    });
    let down = sas.unreachable("prox3");
    assert_eq!(
        codes(&plan_with(ONE, &replacing("1b", None), &down)),
        [Code::DisksTooFew]
    );
    let named = plan_with(ONE, &replacing("1b", Some("ata-SAMSUNG_1d")), &down);
    assert_eq!(
        (codes(&named), ids(&named)),
        (vec![Code::DiskMaybeShared], REPLACE.to_vec())
    );
}

fn with_cache() -> Servers {
    with_mirror().with("prox1", |seen| {
        let Facet::Known { value, .. } = &mut seen.pools else {
            panic!("no pools")
        };
        let mut cache: Vdev = pool(&["/dev/sdd"], 0).vdevs.remove(0);
        (cache.class, cache.name) = (VdevClass::Cache, "/dev/sdd".to_owned());
        value[0].vdevs.push(cache);
    })
}

#[test]
fn a_cache_is_taken_out_and_put_in_and_not_replaced() {
    let plan = plan_with(ONE, &replacing("1d", Some("ata-SAMSUNG_1e")), &with_cache());
    let (code, message) = refusals(&plan)[0];
    assert_eq!(code, Code::DiskNotFree);
    assert_eq!(
        message,
        "1d is one of the cache of pool data_zfs of prox1, and zpool replaces none of those"
    );
    let next = &plan.findings.iter().find(|finding| finding.refuses()).unwrap().next;
    assert!(
        next.contains("zpool remove data_zfs /dev/sdd; zpool add data_zfs cache NEW"),
        "{next}"
    );
}

#[test]
fn what_may_be_done_already_is_said_so() {
    let done = applied(ONE, &replacing("1b", Some("ata-SAMSUNG_1e")), with_mirror());
    let again = plan_with(ONE, &replacing("1b", None), &done);
    let told = again.findings.iter().find(|finding| finding.refuses()).unwrap();
    assert!(
        told.next.starts_with("if it was replaced already, that is done"),
        "{told:?}"
    );
    // By the successor's name it can be told.
    let again = plan_with(ONE, &replacing("1b", Some("ata-SAMSUNG_1e")), &done);
    assert_eq!((refusals(&again), ids(&again)), (vec![], vec![]));
    let told = again
        .findings
        .iter()
        .find(|finding| finding.code == Code::PartDone)
        .unwrap();
    assert_eq!(
        told.message,
        "1b is not in pool data_zfs of prox1 any more, and its successor is"
    );
}
