//! Pools that lie on disks: listed, imported, and what of them is there after a boot.

use quorate_lab::control::{PoolHappens, Press};
use quorate_lab::zfs::{PoolLeft, PoolPlant, VdevPlant};
use quorate_lab::{Lab, Plant, Script};

use super::disks::*;
use crate::captured;
use crate::{nothing_unknown, until};

/// Numbers differ.
fn without_ids(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("     id: ") {
        Some(_) => "     id: …",
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

async fn lists(lab: &Lab, fixture: &str) {
    let shown = run(lab, "zpool import -d /dev/disk/by-id").await;
    let recorded = captured::read(&format!("zpool-import/2.1.11/{fixture}"));
    assert_eq!(
        (shown.code(), without_ids(&shown.stdout), shown.stderr),
        (Some(recorded.code), without_ids(&recorded.stdout), recorded.stderr)
    );
}

async fn pull(lab: &Lab, disk: &str) {
    lab.script("prox1", Script::RemoveDisk(disk.to_owned()))
        .await
        .expect("gone");
}

#[tokio::test]
async fn what_is_degraded_is_imported_and_what_lacks_disks_is_not() {
    let lab = machine().await;
    done(&lab, &format!("zpool create tank mirror {S1} {S3}")).await;
    pull(&lab, "sdc").await;
    done(&lab, "zpool export tank").await;
    lists(&lab, "list-degraded").await;
    as_recorded(&lab, "zpool-import/2.1.11/nope", "zpool import nope").await;
    done(&lab, "zpool import -d /dev/disk/by-id tank").await;
    assert!(
        run(&lab, "zpool status tank")
            .await
            .stdout
            .contains("  REMOVED      0     0     0\n")
    );
    done(&lab, "zpool destroy tank").await;

    done(&lab, &format!("zpool create -f str {PERC} {SMALL}")).await;
    done(&lab, "zpool export str").await;
    pull(&lab, "sdd").await;
    // The destroyed one is listed by -D only.
    let shown = run(&lab, "zpool import -D").await.stdout;
    assert!(
        shown.contains("   pool: tank\n") && shown.contains(" (DESTROYED)\n"),
        "{shown}"
    );
    as_recorded(
        &lab,
        "zpool-import/2.1.11/unavailable",
        "zpool import -d /dev/disk/by-id str",
    )
    .await;
    let listed = run(&lab, "zpool import -d /dev/disk/by-id").await.stdout;
    let recorded = captured::read("zpool-import/2.1.11/list-unavailable").stdout;
    let pools = |text: &str| {
        let mut pools: Vec<String> = without_ids(text).split("\n\n   pool: ").map(str::to_owned).collect();
        pools
            .iter_mut()
            .for_each(|pool| *pool = pool.trim_start_matches("   pool: ").trim_end().to_owned());
        pools.sort();
        pools
    };
    assert_eq!(pools(&listed), pools(&recorded));
    nothing_unknown(&lab);
}

#[tokio::test]
async fn of_two_pools_of_one_name_the_number_tells_which() {
    let lab = with_tank().await;
    let other = PoolPlant {
        name: "tank".to_owned(),
        vdevs: vec![VdevPlant {
            raid: None,
            class: None,
            disks: vec!["sdc".to_owned()],
        }],
        left: Some(PoolLeft::Exported),
    };
    lab.script("prox1", Script::Plant(Plant::Pool(other)))
        .await
        .expect("planted");
    let taken = run(&lab, "zpool import tank").await;
    assert_eq!(taken.code(), Some(1));
    assert!(
        taken
            .stderr
            .starts_with("cannot import 'tank': a pool with that name already exists\n"),
        "{taken:?}"
    );
    done(&lab, "zpool export tank").await;
    let both = run(&lab, "zpool import tank").await;
    assert_eq!(
        (both.code(), both.stderr.as_str()),
        (
            Some(1),
            "cannot import 'tank': more than one matching pool\nimport by numeric ID instead\n"
        )
    );
    let listed = run(&lab, "zpool import").await.stdout;
    let ids: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("     id: "))
        .collect();
    let id = ids.first().expect("a number");
    done(&lab, &format!("zpool import {id} tank2")).await;
    assert_eq!(run(&lab, "zpool list -Hp -o name").await.stdout, "tank2\n");
    nothing_unknown(&lab);
}

async fn boots(lab: &Lab) {
    lab.power("prox1", Press::Reset).await.expect("reset");
    until(lab, "the boot", async || {
        lab.status()
            .await
            .is_ok_and(|list| list.iter().any(|server| server.off))
    })
    .await;
    until(lab, "the boot", async || {
        lab.status()
            .await
            .is_ok_and(|list| list.iter().all(|server| !server.off))
    })
    .await;
}

#[tokio::test]
async fn a_boot_imports_what_stands_in_the_cache_file_or_has_its_unit() {
    let lab = with_tank().await;
    let pools = async || run(&lab, "zpool list -Hp -o name").await.stdout;
    let unit = async || {
        let shown = run(
            &lab,
            "systemctl show -p ActiveState,UnitFileState zfs-import@tank.service",
        )
        .await;
        shown.stdout
    };
    let plant = async |what| lab.script("prox1", Script::Plant(what)).await.expect("planted");
    boots(&lab).await;
    assert_eq!(pools().await, "tank\n");
    plant(Plant::ZpoolCacheLost { lost: true }).await;
    boots(&lab).await;
    assert_eq!(pools().await, "");
    done(&lab, "zpool import -d /dev/disk/by-id -o cachefile=none tank").await;
    run(&lab, "systemctl enable zfs-import@tank.service").await;
    boots(&lab).await;
    assert_eq!(
        (pools().await, unit().await),
        (
            "tank\n".to_owned(),
            "ActiveState=active\nUnitFileState=enabled\n".to_owned()
        )
    );
    let fails = |fails| Plant::ImportFails {
        pool: "tank".to_owned(),
        fails,
    };
    plant(fails(true)).await;
    boots(&lab).await;
    assert_eq!(
        (pools().await, unit().await),
        (String::new(), "ActiveState=failed\nUnitFileState=enabled\n".to_owned())
    );
    done(&lab, "zpool import -d /dev/disk/by-id tank").await;
    let gone = Script::Pool {
        name: "tank".to_owned(),
        happens: PoolHappens::NotImported,
    };
    lab.script("prox1", gone).await.expect("scripted");
    assert_eq!(pools().await, "");
    nothing_unknown(&lab);
}
