use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::guest_config::{ConfiguredGuest, GuestConfig};
use quorate_model::observation::pools::VdevState;
use quorate_model::observation::storages::{DefinedStorage, Storages};
use quorate_model::observation::{Guest, GuestStatus, Pool};
use quorate_model::operation::Action;
use quorate_model::{ByteSize, Timestamp};

use super::super::of;
use super::*;
use crate::operations::actions::testing::{config, member};

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, Timestamp(0))
}

fn action(volume: &str) -> Action {
    Action::FreeCanaryDisc {
        cluster: "hk1".parse().unwrap(),
        guest: 900,
        owner: "prox2".parse().unwrap(),
        storage: "fast".parse().unwrap(),
        volume: volume.parse().unwrap(),
    }
}

const DISC: &str = "tank/vm-900-cloudinit";

/// What is changed of what is seen.
#[derive(Default)]
struct Odd {
    owner: Option<&'static str>,
    tag: Option<&'static str>,
    lock: Option<&'static str>,
    shared: bool,
    volumes: Option<Vec<&'static str>>,
    runs: bool,
}

/// prox1, which was lost and is back; the canary 900 is prox2's.
fn seen(odd: Odd) -> Observation {
    let mut seen = Observation::empty("prox1", Timestamp(0));
    seen.cluster = known(member(&["prox1", "prox2"]));
    let guest = GuestConfig {
        name: None,
        memory: ByteSize(256 << 20),
        cpus: Some(1),
        cpu_type: None,
        tags: vec![odd.tag.unwrap_or(TAG).to_owned()],
        template: false,
        lock: odd.lock.map(str::to_owned),
        starts_at_boot: false,
        agent: true,
        disks: vec![],
        discs: vec![],
        snapshots: vec![],
        nics: vec![],
        bound_by: vec![],
        created: None,
    };
    let mut pve = config();
    pve.guests = known(vec![ConfiguredGuest {
        guest: Guest {
            vmid: 900,
            node: odd.owner.unwrap_or("prox2").to_owned(),
            kind: GuestKind::Vm,
        },
        config: known(guest),
    }]);
    seen.config = known(pve);
    let status = GuestStatus {
        vmid: 900,
        kind: GuestKind::Vm,
        run: GuestRun::Running,
        uptime_seconds: None,
        memory_used: None,
        memory: ByteSize(1),
        lock: None,
    };
    seen.running = known(if odd.runs { vec![status] } else { vec![] });
    let mut properties = vec![("pool".to_owned(), "tank".to_owned())];
    if odd.shared {
        properties.push(("shared".to_owned(), "1".to_owned()));
    }
    seen.storages = known(Storages {
        defined: vec![DefinedStorage {
            id: "fast".to_owned(),
            kind: "zfspool".to_owned(),
            properties: properties.into_iter().collect(),
        }],
        status: Facet::not_asked(),
    });
    let volumes = odd.volumes.unwrap_or_else(|| vec![DISC, "tank/vm-900-disk-0"]);
    seen.pools = known(vec![Pool {
        name: "tank".to_owned(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vec![],
        size: ByteSize(953_482_739_712),
        allocated: ByteSize(0),
        fragmentation: None,
        ashift: Some(12),
        autotrim: None,
        compression: None,
        scrub_scheduled: None,
        import_enabled: None,
        created: None,
        volumes: known(volumes.into_iter().map(str::to_owned).collect()),
    }]);
    seen
}

fn against(action: &Action, seen: &Observation) -> Vec<(Code, String)> {
    let found = of(action).precheck(&"prox1".parse().unwrap(), seen);
    let told = found.into_iter().map(|finding| (finding.code, finding.message));
    told.collect()
}

#[test]
fn what_is_left_of_a_canary_that_runs_elsewhere_may_go() {
    let node = "prox1".parse().unwrap();
    let before = seen(Odd::default());
    assert_eq!(against(&action(DISC), &before), []);
    assert_eq!(of(&action(DISC)).state(&node, &before), State::Untouched);
    let after = seen(Odd {
        volumes: Some(vec!["tank/vm-900-disk-0"]),
        ..Odd::default()
    });
    assert!(matches!(of(&action(DISC)).state(&node, &after), State::Reached(_)));
    let mut exported = seen(Odd::default());
    exported.pools = known(vec![]);
    assert_eq!(
        of(&action(DISC)).state(&node, &exported),
        State::Untouched,
        "a pool that is not there has not lost it"
    );
}

#[test]
fn nothing_else_goes() {
    let said = |odd: Odd| {
        let found = against(&action(DISC), &seen(odd));
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    };
    let odd = |change: &dyn Fn(&mut Odd)| {
        let mut odd = Odd::default();
        change(&mut odd);
        said(odd)
    };
    let own = odd(&|odd| odd.owner = Some("prox1"));
    assert_eq!(own.1, "guest 900 is on prox1: its disc there is its own");
    let moved = odd(&|odd| odd.owner = Some("prox3"));
    assert_eq!(
        moved,
        (Code::PlanChanged, "guest 900 is on prox3, not on prox2".to_owned())
    );
    assert_eq!(odd(&|odd| odd.tag = Some("web")).0, Code::CanaryNotOurs);
    let on_its_way = odd(&|odd| odd.lock = Some("migrate"));
    assert_eq!(
        on_its_way,
        (Code::GuestLocked, "guest 900 is locked (migrate)".to_owned())
    );
    assert_eq!(odd(&|odd| odd.runs = true).1, "guest 900 runs on prox1");
    assert!(odd(&|odd| odd.shared = true).1.contains("not a storage of prox1 alone"));
    let gone = odd(&|odd| odd.volumes = Some(vec!["tank/vm-900-disk-0"]));
    assert_eq!(gone.1, "prox1 has no tank/vm-900-cloudinit any more");
    for other in ["tank/vm-900-disk-0", "tank/vm-901-cloudinit", "tank/vm-900-cloudinit-1"] {
        let found = against(&action(other), &seen(Odd::default()));
        assert_eq!(found[0].1, format!("{other} is not vm-900-cloudinit"));
    }
    let backup = against(&action("tank/backup/vm-900-cloudinit"), &seen(Odd::default()));
    assert!(backup[0].1.contains("does not lie on fast"), "{backup:?}");
}

#[test]
fn what_can_not_be_seen_stands_against_it() {
    let blind: [fn(&mut Observation); 4] = [
        |seen| seen.config = Facet::unknown(UnknownKind::TimedOut, "it hangs"),
        |seen| seen.running = Facet::unknown(UnknownKind::TimedOut, "it hangs"),
        |seen| seen.storages = Facet::unknown(UnknownKind::TimedOut, "it hangs"),
        |seen| seen.pools = Facet::unknown(UnknownKind::TimedOut, "it hangs"),
    ];
    for change in blind {
        let mut seen = seen(Odd::default());
        change(&mut seen);
        let found = against(&action(DISC), &seen);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, Code::FacetUnknown);
    }
}
