use super::*;

fn one(text: &str) -> Status {
    let mut all = read(text).unwrap();
    assert_eq!(all.len(), 1);
    all.pop().unwrap()
}

fn leaves(status: &Status) -> Vec<(&str, VdevState, Option<[u64; 3]>)> {
    let leaves = status.vdevs.iter().flat_map(|vdev| &vdev.leaves);
    leaves
        .map(|leaf| {
            let name = leaf.name.rsplit('/').next().unwrap();
            let errors = leaf.health.errors.map(|all| [all.read, all.write, all.checksum]);
            (name, leaf.health.state, errors)
        })
        .collect()
}

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

fn finished(kind: ScanKind, when: &str, errors: u64) -> Option<Scan> {
    Some(Scan {
        kind,
        state: ScanState::Finished,
        at: at(when),
        percent: None,
        errors: Some(errors),
    })
}

/// The layout is zpool_main.c's: `replacing` and `spare` stand wherever a leaf may.
#[test]
fn the_only_disk_of_a_pool_and_its_successor_are_one_place() {
    let text = "  pool: solo\n state: ONLINE\n  scan: resilver in progress since Sun Nov 22 11:16:18 2026\nconfig:\n\n\
                \tNAME             STATE     READ WRITE CKSUM\n\
                \tsolo             ONLINE       0     0     0\n\
                \t  replacing-0    ONLINE       0     0     0\n\
                \t    /dev/sdb1    ONLINE       0     0     0\n\
                \t    /dev/sdc1    ONLINE       0     0     0  (resilvering)\n\
                \t  /dev/sdd1      ONLINE       0     0     0\n\n\
                errors: No known data errors\n";
    let pools = read(text).unwrap();
    let [first, second] = pools[0].vdevs.as_slice() else {
        panic!("{pools:?}")
    };
    assert_eq!(first.name, "replacing-0");
    let groups: Vec<_> = first.leaves.iter().map(|leaf| leaf.group.as_deref()).collect();
    assert_eq!(groups, [Some("replacing-0"); 2]);
    assert!(first.leaves.iter().all(Leaf::is_being_replaced));
    assert_eq!(second.leaves[0].group, None);
}

#[test]
fn the_call_asks_for_utc() {
    let call = status(&Tools::imagined()).unwrap();
    assert_eq!(call.to_string(), "/usr/bin/zpool status -Pp");
}

#[test]
fn a_healthy_mirror() {
    let pool = one(fixture!("zpool-status/2.1.11/mirror.out"));
    assert_eq!(
        (pool.name.as_str(), pool.state, pool.data_errors),
        ("tank", VdevState::Online, Some(0))
    );
    assert_eq!((&pool.complaint, &pool.scan), (&None, &None));
    let [mirror] = pool.vdevs.as_slice() else {
        panic!("{pool:?}")
    };
    assert_eq!((mirror.class, mirror.name.as_str()), (VdevClass::Data, "mirror-0"));
    let fine = (VdevState::Online, Some([0, 0, 0]));
    let wwn = |n| format!("wwn-0x5000c500a1b2c30{n}-part1");
    let expected = [(wwn(1), fine), (wwn(2), fine)];
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, (state, errors))| (name.as_str(), *state, *errors))
        .collect();
    assert_eq!(leaves(&pool), expected);
}

#[test]
fn what_is_degraded_and_why() {
    let pool = one(fixture!("zpool-status/2.1.11/offline.out"));
    assert_eq!(
        (pool.state, leaves(&pool)[1].1),
        (VdevState::Degraded, VdevState::Offline)
    );
    let complaint = "One or more devices has been taken offline by the administrator. Sufficient replicas exist for the pool to continue \
                     functioning in a degraded state.";
    assert_eq!(pool.complaint.as_deref(), Some(complaint));
    let pool = one(fixture!("zpool-status/2.1.11/removed.out"));
    assert_eq!(
        (pool.state, leaves(&pool)[1].1),
        (VdevState::Degraded, VdevState::Removed)
    );
    assert_eq!(pool.scan, finished(ScanKind::Resilver, "2026-11-22T11:16:32Z", 0));
}

#[test]
fn an_online_pool_with_errors_is_not_fine() {
    let pool = one(fixture!("zpool-status/2.1.11/repaired.out"));
    assert_eq!((pool.state, pool.data_errors), (VdevState::Online, Some(0)));
    assert_eq!(leaves(&pool)[1].2, Some([0, 0, 273]));
    let pool = one(fixture!("zpool-status/2.1.11/permanent-errors.out"));
    assert_eq!((pool.state, pool.data_errors), (VdevState::Online, Some(4)));
    assert_eq!(pool.scan, finished(ScanKind::Scrub, "2026-11-22T11:08:28Z", 140));
    let pool = one(fixture!("zpool-status/2.1.11/only-disk-pulled.out"));
    assert_eq!((pool.state, pool.data_errors), (VdevState::Online, Some(3)));
}

#[test]
fn a_scrub_that_runs() {
    let pool = one(fixture!("zpool-status/2.1.11/scrubbing.out"));
    let running = Scan {
        kind: ScanKind::Scrub,
        state: ScanState::Running,
        at: at("2026-11-22T11:16:08Z"),
        percent: Some(41.99),
        errors: None,
    };
    assert_eq!(pool.scan, Some(running));
}

#[test]
fn a_pulled_disk_stays_beside_its_successor_until_that_has_all_data() {
    let pool = one(fixture!("zpool-status/2.1.11/resilvering.out"));
    let running = Scan {
        kind: ScanKind::Resilver,
        state: ScanState::Running,
        at: at("2026-11-27T01:36:23Z"),
        percent: Some(27.96),
        errors: None,
    };
    assert_eq!(pool.scan, Some(running));
    let places = |pool: &Status| -> Vec<(VdevState, Option<String>)> {
        let all = pool.vdevs.iter().flat_map(|vdev| &vdev.leaves);
        all.map(|leaf| (leaf.health.state, leaf.group.clone())).collect()
    };
    let group = || Some("replacing-1".to_owned());
    let expected = [
        (VdevState::Online, None),
        (VdevState::Removed, group()),
        (VdevState::Online, group()),
    ];
    assert_eq!(places(&pool), expected);
    // The resilver is over, and for a moment the pool is as degraded as before.
    let pool = one(fixture!("zpool-status/2.1.11/resilvered.out"));
    assert_eq!(pool.scan, finished(ScanKind::Resilver, "2026-11-27T01:36:52Z", 0));
    assert_eq!((pool.state, places(&pool)), (VdevState::Degraded, expected.to_vec()));
}

#[test]
fn every_class_has_its_disks_and_a_replacement_both_of_them() {
    let pool = one(fixture!("zpool-status/2.1.11/all-classes.out"));
    let vdevs: Vec<_> = pool
        .vdevs
        .iter()
        .map(|vdev| (vdev.class, vdev.name.rsplit('/').next().unwrap(), vdev.leaves.len()))
        .collect();
    assert_eq!(
        vdevs,
        [
            (VdevClass::Data, "mirror-0", 3),
            (VdevClass::Data, "mirror-1", 3),
            (VdevClass::Special, "mirror-2", 2),
            (VdevClass::Log, "nvme-C-part1", 1),
            (VdevClass::Cache, "nvme-D-part1", 1),
            (VdevClass::Spare, "wwn-0x5000c500a1b2c306-part1", 1),
            (VdevClass::Spare, "wwn-0x5000c500a1b2c307-part1", 1),
        ]
    );
    let gone = &pool.vdevs[0].leaves[1];
    assert_eq!(
        (gone.name.as_str(), gone.health.state),
        ("17401683450812953081", VdevState::Unavail)
    );
    assert_eq!(gone.group.as_deref(), Some("replacing-1"));
    assert_eq!(
        gone.health.note.as_deref(),
        Some("was /dev/disk/by-id/wwn-0x5000c500a1b2c302-part1")
    );
    assert_eq!(leaves(&pool)[4].2, Some([3, 1, 2]));
    assert_eq!(pool.vdevs[5].leaves[0].health.state, VdevState::InUse);
    assert_eq!(pool.vdevs[6].leaves[0].health.state, VdevState::Available);
}

#[test]
fn several_pools_and_none() {
    let two = format!(
        "{}\n{}",
        fixture!("zpool-status/2.1.11/mirror.out"),
        fixture!("zpool-status/2.1.11/permanent-errors.out")
    );
    let names: Vec<_> = read(&two).unwrap().into_iter().map(|pool| pool.name).collect();
    assert_eq!(names, ["tank", "single"]);
    assert_eq!(read("").unwrap(), []);
    assert_eq!(read("no pools available\n").unwrap(), []);
}

#[test]
fn a_name_with_a_space_is_a_name() {
    let text = fixture!("zpool-status/2.1.11/mirror.out")
        .replace("tank   ", "a b    ")
        .replace(": tank", ": a b");
    assert_eq!(one(&text).name, "a b");
}

#[test]
fn what_is_not_understood_is_no_pool_that_is_not_there() {
    let mirror = fixture!("zpool-status/2.1.11/mirror.out");
    for broken in [
        mirror.replace(" state: ONLINE\n", ""),
        mirror.replace("\ttank  ", "\ttonk  "),
        mirror.replace("config:", "konfig:"),
        "Segmentation fault\n".to_owned(),
    ] {
        assert!(read(&broken).is_err(), "{broken}");
    }
}
