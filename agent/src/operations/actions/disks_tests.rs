use quorate_model::compression::Compression;
use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::config::PveConfig;
use quorate_model::observation::disks::{Edges, Holder, Smart};
use quorate_model::observation::eligibility::{Reason, judge};
use quorate_model::observation::guests::{GuestDevice, HostDevice};
use quorate_model::observation::pools::{Leaf, Vdev, VdevClass, VdevErrors, VdevHealth, VdevState};
use quorate_model::operation::Action;
use quorate_model::pool_layout::PoolLayout;
use quorate_model::raid::Raid;
use quorate_model::{ByteSize, Timestamp};

use super::super::{State, of};
use super::*;

const SIZE: u64 = 960_197_124_096;

fn disk(letter: char) -> Disk {
    let mut disk = Disk {
        path: format!("/dev/sd{letter}"),
        by_id: vec![format!("ata-SSD_{letter}")],
        wwn: Some(format!("0x5000{letter}")),
        serial: Some(format!("S{letter}")),
        model: Some("SSD".to_owned()),
        size: ByteSize(SIZE),
        transport: Some("sata".to_owned()),
        smart: Facet::<Smart>::not_asked(),
        edges: Facet::known(Edges::default(), Timestamp(0)),
        ..Disk::default()
    };
    disk.verdicts = Role::ALL.iter().map(|role| judge(&disk, *role)).collect();
    disk
}

fn identity(letter: char) -> DiskIdentity {
    DiskIdentity::of(&disk(letter)).unwrap()
}

fn layout() -> PoolLayout {
    PoolLayout {
        name: "tank".parse().unwrap(),
        raid: Raid::Single,
        disks: vec![identity('b')],
        data_vdevs: 1,
        beside: vec![],
        ashift: 12,
        compression: Compression::On,
        autotrim: true,
        accepted: BTreeSet::new(),
    }
}

/// A pool on this disk alone.
fn pool(letter: char) -> Pool {
    let health = VdevHealth {
        state: VdevState::Online,
        errors: Some(VdevErrors::default()),
        note: None,
    };
    let name = format!("/dev/disk/by-id/ata-SSD_{letter}-part1");
    Pool {
        name: "tank".to_owned(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vec![Vdev {
            class: VdevClass::Data,
            name: name.clone(),
            health: health.clone(),
            leaves: vec![Leaf {
                name,
                health,
                group: None,
            }],
        }],
        size: ByteSize(953_482_739_712),
        allocated: ByteSize(0),
        fragmentation: None,
        ashift: Some(12),
        autotrim: None,
        compression: None,
        scrub_scheduled: None,
        import_enabled: None,
        volumes: Facet::not_asked(),
        created: None,
    }
}

/// Three blank disks, no pool, and guests that are given none of them.
fn seen() -> Observation {
    let mut seen = Observation::empty("prox1", Timestamp(0));
    let disks = ['a', 'b', 'c'].map(disk).to_vec();
    seen.disks = Facet::known(Disks { disks }, Timestamp(0));
    seen.pools = Facet::known(vec![], Timestamp(0));
    seen.config = with_devices(Facet::known(vec![], Timestamp(0)));
    seen
}

fn with_devices(guest_devices: Facet<Vec<GuestDevice>>) -> Facet<PveConfig> {
    let config = PveConfig {
        guest_devices,
        ..super::super::testing::config()
    };
    Facet::known(config, Timestamp(0))
}

fn against(action: &Action, seen: &Observation) -> Vec<String> {
    let findings = of(action).precheck(&"prox1".parse().unwrap(), seen);
    findings.into_iter().map(|finding| finding.message).collect()
}

fn change(seen: &mut Observation, letter: char, change: impl FnOnce(&mut Disk)) {
    let Facet::Known { value, .. } = &mut seen.disks else {
        panic!("no disks")
    };
    let path = format!("/dev/sd{letter}");
    change(value.disks.iter_mut().find(|disk| disk.path == path).unwrap());
}

/// Whatever gives the disk `sdb` to a pool or wipes it, and what must be there for that.
fn each() -> [(Action, Vec<Pool>); 4] {
    let replace = Action::ReplaceDisk {
        pool: "tank".parse().unwrap(),
        old: "/dev/disk/by-id/ata-SSD_a-part1".to_owned(),
        with: identity('b'),
        accepted: BTreeSet::new(),
    };
    let wipe = Action::WipeDisk {
        disk: identity('b'),
        carries: BTreeSet::new(),
    };
    [
        (Action::CreatePool { layout: layout() }, vec![]),
        (wipe, vec![]),
        (Action::GrowPool { layout: layout() }, vec![pool('a')]),
        (replace, vec![pool('a')]),
    ]
}

#[test]
fn a_disk_that_a_guest_is_given_is_nobody_s_to_touch() {
    for (action, pools) in each() {
        let mut seen = seen();
        seen.pools = Facet::known(pools, Timestamp(0));
        assert_eq!(against(&action, &seen), [""; 0], "{action:?}");
        // On another node: a link by identity means this disk wherever its guest runs.
        let device = GuestDevice {
            vmid: 100,
            key: "scsi1".to_owned(),
            node: "prox2".to_owned(),
            device: HostDevice::Path("/dev/disk/by-id/ata-SSD_b".to_owned()),
        };
        seen.config = with_devices(Facet::known(vec![device], Timestamp(0)));
        let told = "the disk ata-SSD_b (/dev/sdb): guest 100 is given it (scsi1: /dev/disk/by-id/ata-SSD_b)";
        assert_eq!(against(&action, &seen), [told], "{action:?}");
        seen.config = with_devices(Facet::unknown(UnknownKind::TimedOut, "/etc/pve does not answer"));
        let told = against(&action, &seen);
        assert_eq!(
            told,
            ["its config can't be seen: /etc/pve does not answer"],
            "{action:?}"
        );
        assert!(
            of(&action)
                .precheck_facets()
                .contains(&quorate_model::observation::FacetName::Config)
        );
    }
}

#[test]
fn a_pool_is_not_made_beside_another_one_s_label_of_its_name() {
    let mut seen = seen();
    let label = |name: &str| Holder {
        device: "/dev/sdc1".to_owned(),
        kind: HolderKind::ZfsLabel,
        name: name.to_owned(),
        uuid: Some("4711".to_owned()),
    };
    let create = Action::CreatePool { layout: layout() };
    change(&mut seen, 'c', |disk| disk.holders.push(label("oldtank")));
    assert_eq!(against(&create, &seen), [""; 0]);
    change(&mut seen, 'c', |disk| disk.holders.push(label("tank")));
    let told = "ata-SSD_c (/dev/sdc) carries the ZFS label of a pool tank, which is not imported";
    assert_eq!(against(&create, &seen), [told]);
}

#[test]
fn a_disk_that_is_never_touched_is_not_taken_out_either() {
    let [.., (replace, pools)] = each();
    let mut seen = seen();
    seen.pools = Facet::known(pools, Timestamp(0));
    change(&mut seen, 'a', |disk| {
        disk.verdicts[0].against.push(Reason {
            kind: ReasonKind::NeverTouch,
            text: "/etc/quorate/agent.toml says never to touch Sa".to_owned(),
        });
    });
    let told = "the disk ata-SSD_a (/dev/sda) must stay where it is: /etc/quorate/agent.toml says never to touch Sa";
    assert_eq!(against(&replace, &seen), [told]);
}

#[test]
fn a_pool_of_which_only_the_import_at_boot_is_missing_is_mended() {
    let create = Action::CreatePool { layout: layout() };
    let state = |import_enabled: Option<bool>| {
        let mut seen = seen();
        let made = Pool {
            import_enabled,
            ..pool('b')
        };
        seen.pools = Facet::known(vec![made], Timestamp(0));
        let state = of(&create).state(&"prox1".parse().unwrap(), &seen);
        (state, against(&create, &seen).len())
    };
    assert!(matches!(state(Some(true)).0, State::Reached(_)));
    assert!(matches!(state(None).0, State::Reached(_)));
    // Neither done nor untouched, and nothing stands against trying again.
    let (between, against) = state(Some(false));
    assert!(matches!(between, State::Between(_)), "{between:?}");
    assert_eq!(against, 0);
}
