use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::held::Held;
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::observation::pools::VdevState;
use quorate_model::observation::storages::{DefinedStorage, Storages};
use quorate_model::observation::{Guest, GuestKind, GuestStatus, Pool};
use quorate_model::operation::Action;
use quorate_model::{ByteSize, Timestamp};

use super::super::of;
use super::*;
use crate::operations::actions::testing::{config, member};

const SINCE: Timestamp = Timestamp(1_795_345_772_000_000);
const KEPT: &str = "tank/quorate-kept-vm-100-disk-0-20261122T110932Z";

fn pool(name: &str) -> Pool {
    Pool {
        name: name.to_owned(),
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
        volumes: Facet::not_asked(),
    }
}

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, Timestamp(0))
}

fn action(volumes: &[&str]) -> Action {
    Action::KeepVolumes {
        cluster: "hk1".parse().unwrap(),
        guest: 100,
        volumes: volumes.iter().map(|name| name.parse().unwrap()).collect(),
        since: SINCE,
    }
}

/// prox1, which was lost and is back; its guest is prox2's.
fn seen(owner: &str, job: ReplicationJob, volumes: &[&str]) -> Observation {
    let mut seen = Observation::empty("prox1", Timestamp(0));
    let mut config = config();
    config.guests = known(vec![ConfiguredGuest {
        guest: Guest {
            vmid: 100,
            node: owner.to_owned(),
            kind: GuestKind::Vm,
        },
        config: Facet::not_asked(),
    }]);
    config.replication = known(vec![job]);
    seen.config = known(config);
    seen.cluster = known(member(&["prox1", "prox2"]));
    seen.running = known(vec![]);
    seen.storages = known(Storages {
        defined: vec![DefinedStorage {
            id: "fast".to_owned(),
            kind: "zfspool".to_owned(),
            properties: [("pool".to_owned(), "tank".to_owned())].into(),
        }],
        status: Facet::not_asked(),
    });
    let volumes = volumes.iter().map(|name| (*name).to_owned()).collect();
    seen.pools = known(vec![Pool {
        volumes: known(volumes),
        ..pool("tank")
    }]);
    seen
}

fn held() -> ReplicationJob {
    let held = Held {
        node: "prox1".to_owned(),
        since: SINCE,
    };
    ReplicationJob {
        source: Some("prox2".to_owned()),
        comment: Some(held.comment()),
        disabled: true,
        ..ReplicationJob::of("100-0", 100, "prox1")
    }
}

fn against(action: &Action, seen: &Observation) -> Vec<(Code, String)> {
    let found = of(action).precheck(&"prox1".parse().unwrap(), seen);
    found
        .into_iter()
        .map(|finding| (finding.code, finding.message))
        .collect()
}

#[test]
fn what_is_held_here_gets_another_name() {
    let action = action(&["tank/vm-100-disk-0"]);
    let node = "prox1".parse().unwrap();
    let before = seen("prox2", held(), &["tank/vm-100-disk-0"]);
    assert_eq!(against(&action, &before), []);
    assert_eq!(of(&action).state(&node, &before), State::Untouched);
    let after = seen("prox2", held(), &[KEPT]);
    assert!(matches!(of(&action).state(&node, &after), State::Reached(_)));
}

#[test]
fn half_of_it_is_gone_on_with() {
    let action = action(&["tank/vm-100-disk-0", "tank/vm-100-disk-1"]);
    let half = seen("prox2", held(), &[KEPT, "tank/vm-100-disk-1"]);
    assert_eq!(against(&action, &half), []);
    assert_eq!(of(&action).state(&"prox1".parse().unwrap(), &half), State::Untouched);
}

#[test]
fn nothing_is_renamed_that_is_not_held_here() {
    let action = action(&["tank/vm-100-disk-0"]);
    let volumes = ["tank/vm-100-disk-0"];
    let said = |seen: &Observation| {
        let against = against(&action, seen);
        assert!(
            against.iter().all(|(code, _)| *code == Code::PlanChanged),
            "{against:?}"
        );
        against
            .into_iter()
            .map(|(_, message)| message)
            .collect::<Vec<_>>()
            .join("; ")
    };
    let own = seen("prox1", held(), &volumes);
    assert_eq!(said(&own), "guest 100 is on prox1: its volumes there are its own");
    let on = ReplicationJob {
        disabled: false,
        ..held()
    };
    let decided = seen("prox2", on, &volumes);
    assert!(
        said(&decided).starts_with("no job of guest 100 says"),
        "{}",
        said(&decided)
    );
    let gone = seen("prox2", held(), &[]);
    assert_eq!(said(&gone), "prox1 has no tank/vm-100-disk-0 any more");
    let both = seen("prox2", held(), &["tank/vm-100-disk-0", KEPT]);
    assert_eq!(
        said(&both),
        format!("prox1 has {KEPT} already, beside tank/vm-100-disk-0")
    );
    let mut runs = seen("prox2", held(), &volumes);
    runs.running = known(vec![GuestStatus {
        vmid: 100,
        kind: GuestKind::Vm,
        run: GuestRun::Running,
        uptime_seconds: None,
        memory_used: None,
        memory: ByteSize(1),
        lock: None,
    }]);
    assert_eq!(said(&runs), "guest 100 runs on prox1");
    let backup = self::action(&["tank/backup/vm-100-disk-0"]);
    let found = against(&backup, &seen("prox2", held(), &["tank/backup/vm-100-disk-0"]));
    assert!(
        found.len() == 1 && found[0].1.contains("lies on no storage of prox1"),
        "{found:?}"
    );
    let other = self::action(&["tank/vm-101-disk-0"]);
    assert_eq!(
        against(&other, &seen("prox2", held(), &["tank/vm-101-disk-0"])).len(),
        1
    );
}

#[test]
fn what_can_not_be_seen_stands_against_it() {
    let action = action(&["tank/vm-100-disk-0"]);
    let whole = || seen("prox2", held(), &["tank/vm-100-disk-0"]);
    let codes = |seen: &Observation| {
        against(&action, seen)
            .into_iter()
            .map(|(code, _)| code)
            .collect::<Vec<_>>()
    };
    let unknown = || quorate_model::Unknown::new(UnknownKind::TimedOut, "it hangs");
    let mut seen = whole();
    seen.running = Facet::Unknown(unknown());
    assert_eq!(codes(&seen), [Code::FacetUnknown]);
    let mut seen = whole();
    seen.pools = Facet::Unknown(unknown());
    assert_eq!(codes(&seen), [Code::FacetUnknown]);
    let mut seen = whole();
    seen.storages = Facet::Unknown(unknown());
    assert_eq!(codes(&seen), [Code::FacetUnknown]);
    let mut seen = whole();
    seen.pools = known(vec![Pool {
        volumes: Facet::Unknown(unknown()),
        ..pool("tank")
    }]);
    assert_eq!(codes(&seen), [Code::FacetUnknown]);
    let mut seen = whole();
    let mut config = config();
    config.guests = Facet::Unknown(unknown());
    seen.config = known(config);
    assert_eq!(codes(&seen), [Code::FacetUnknown]);
}
