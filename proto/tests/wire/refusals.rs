//! What a peer may not say, and by which name it is told so.

use std::collections::BTreeMap;

use quorate_model::ids::{ClusterName, Driver, InstanceId, NodeName, NodeRef};
use quorate_model::observation::FacetName;
use quorate_model::operation::{Action, Operation, OperationEvent, Outcome};
use quorate_model::plan::Condition;
use quorate_model::rollout::{Entry, Summary};
use quorate_model::{Generation, Observation, Timestamp};
use quorate_proto::{ConvertError, Sighting, Wire, field, v1};

fn said<T>(result: Result<T, ConvertError>) -> String {
    match result {
        Ok(_) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn observation() -> v1::Observation {
    Observation::empty("prox1", Timestamp(1)).into()
}

fn with_disk(change: impl FnOnce(&mut v1::Disk)) -> v1::Observation {
    let mut disk = v1::Disk::default();
    change(&mut disk);
    let disks = v1::Disks {
        disks: vec![v1::Disk::default(), v1::Disk::default(), disk],
    };
    v1::Observation {
        disks: Some(v1::DisksFacet {
            state: Some(v1::disks_facet::State::Known(disks)),
            collected_at: Some(v1::Time { unix_micros: 1 }),
        }),
        ..observation()
    }
}

fn create(cluster: &str, links: &[(u32, &str)]) -> v1::Action {
    let links = links
        .iter()
        .map(|(number, address)| (*number, (*address).to_owned()))
        .collect();
    let create = v1::CreateCluster {
        cluster: cluster.to_owned(),
        links,
        ..Default::default()
    };
    v1::Action {
        action: Some(v1::action::Action::CreateCluster(create)),
    }
}

#[test]
fn the_path_leads_to_the_field() {
    let broken = with_disk(|disk| {
        disk.holders = vec![v1::Holder {
            kind: 99,
            ..Default::default()
        }]
    });
    assert_eq!(
        said(Observation::try_from(broken.clone())),
        "disks.disks[2].holders[0].kind has the value 99, which is not known here"
    );
    let reply = v1::ObserveReply {
        observation: Some(broken),
        ..Default::default()
    };
    let error = field::<Observation, _>("observation", reply.observation).unwrap_err();
    assert_eq!(error.path, "observation.disks.disks[2].holders[0].kind");
}

#[test]
fn what_must_be_there() {
    let reply = v1::ObserveReply::default();
    assert_eq!(
        said(field::<Observation, _>("observation", reply.observation)),
        "observation is missing"
    );
    assert_eq!(
        said(Observation::try_from(v1::Observation::default())),
        "observed_at is missing"
    );
    assert_eq!(
        said(Operation::try_from(v1::Operation {
            id: "a".to_owned(),
            action: None
        })),
        "action is missing"
    );
    let nothing = said(Operation::try_from(v1::Operation {
        id: "a".to_owned(),
        action: Some(v1::Action { action: None }),
    }));
    assert!(
        nothing.starts_with("action is none of those known here: create_cluster, join_cluster, "),
        "{nothing}"
    );
    assert_eq!(
        said(OperationEvent::try_from(v1::OperationEvent {
            at: Some(v1::Time::default()),
            kind: Some(v1::OperationEventKind {
                kind: Some(v1::operation_event_kind::Kind::Ended(v1::Outcome::default()))
            }),
            ..Default::default()
        })),
        "kind.ended is none of those known here: done, failed, unknown"
    );
}

#[test]
fn a_facet_is_known_or_unknown_and_known_since_some_time() {
    let facet = |state, collected_at| v1::Observation {
        guests: Some(v1::GuestsFacet { state, collected_at }),
        ..observation()
    };
    assert_eq!(
        said(Observation::try_from(facet(None, None))),
        "guests is neither known nor unknown"
    );
    let known = Some(v1::guests_facet::State::Known(v1::Guests::default()));
    assert_eq!(
        said(Observation::try_from(facet(known, None))),
        "guests.collected_at is missing"
    );
    let unknown = Some(v1::guests_facet::State::Unknown(v1::Unknown::default()));
    assert_eq!(
        said(Observation::try_from(facet(unknown, None))),
        "guests.unknown.kind is not set"
    );
}

#[test]
fn an_empty_message_is_not_a_standalone_node() {
    let cluster = v1::Cluster {
        pmxcfs: v1::cluster::Pmxcfs::Writable.into(),
        ..Default::default()
    };
    let wire = v1::Observation {
        cluster: Some(v1::ClusterFacet {
            state: Some(v1::cluster_facet::State::Known(cluster)),
            collected_at: Some(v1::Time::default()),
        }),
        ..observation()
    };
    assert_eq!(said(Observation::try_from(wire)), "cluster.membership is missing");
}

#[test]
fn enums_are_set_and_known() {
    let facets = |value| {
        said(field::<Vec<FacetName>, _>(
            "facets",
            vec![v1::FacetName::Disks.into(), value],
        ))
    };
    assert_eq!(facets(0), "facets[1] is not set");
    assert_eq!(facets(77), "facets[1] has the value 77, which is not known here");
    let finished = |result| v1::JournalEntry {
        at: Some(v1::Time::default()),
        record: Some(v1::Record {
            record: Some(v1::record::Record::Finished(v1::Finished { result })),
        }),
        ..Default::default()
    };
    assert_eq!(said(Entry::try_from(finished(0))), "record.finished.result is not set");
    let summary = v1::RolloutSummary {
        id: "r1".to_owned(),
        cluster: "hk1".to_owned(),
        created_at: Some(v1::Time::default()),
        steps: vec![v1::StepSummary {
            id: "s".to_owned(),
            state: 0,
        }],
        ..Default::default()
    };
    assert_eq!(said(Summary::try_from(summary)), "steps[0].state is not set");
}

#[test]
fn names_obey_their_rules() {
    assert_eq!(
        said(Action::try_from(create("Not a name", &[]))),
        "create_cluster.cluster is an invalid cluster name `Not a name`: it has upper-case letters; use lower case"
    );
    let driver = v1::Driver {
        generation: 1,
        instance: String::new(),
    };
    assert_eq!(
        said(Driver::try_from(driver)),
        "instance is an invalid instance id ``: it is empty"
    );
    let finding = v1::Finding {
        code: "QRT-WHAT".to_owned(),
        severity: 1,
        ..Default::default()
    };
    let failed = v1::Failed {
        findings: vec![finding],
        unchanged: false,
    };
    let outcome = v1::Outcome {
        outcome: Some(v1::outcome::Outcome::Failed(failed)),
    };
    assert!(
        said(Outcome::try_from(outcome)).starts_with("failed.findings[0].code is an invalid finding code `QRT-WHAT`")
    );
}

#[test]
fn numbers_and_addresses_are_in_range() {
    assert_eq!(
        said(Action::try_from(create("hk1", &[(0, "10.0.0.1"), (256, "10.0.0.2")]))),
        "create_cluster.links[256] is 256, more than 255"
    );
    assert_eq!(
        said(Action::try_from(create("hk1", &[(1, "prox1.example")]))),
        "create_cluster.links[1] is no IP address: `prox1.example`"
    );
    let cpu = |load| {
        said(field::<quorate_model::observation::system::Cpu, _>(
            "cpu",
            v1::Cpu {
                load,
                ..Default::default()
            },
        ))
    };
    assert_eq!(cpu(vec![0.5, 1.0]), "cpu.load has 2 values, not 3");
    assert_eq!(cpu(vec![0.5, f64::NAN, 1.0]), "cpu.load[1] is NaN, not a number");
}

#[test]
fn nobody_is_a_member_twice() {
    let nodes = ["prox1", "prox2", "prox1"].map(str::to_owned).to_vec();
    let members = v1::condition::Members {
        cluster: "hk1".to_owned(),
        nodes,
        offline: vec![],
    };
    let wire = v1::Condition {
        condition: Some(v1::condition::Condition::Members(members)),
    };
    assert_eq!(said(Condition::try_from(wire)), "members.nodes[2] stands there twice");
}

#[test]
fn a_node_of_which_nothing_is_said_is_an_error_and_not_unknown() {
    let wire = v1::NodeView {
        cluster: "hk1".to_owned(),
        node: "prox1".to_owned(),
        ..Default::default()
    };
    assert_eq!(said(Sighting::try_from(wire)), "seen is missing");
}

#[test]
fn request_fields_convert_one_by_one() {
    let request = v1::ExecuteRequest {
        driver: Some(v1::Driver {
            generation: 7,
            instance: "i-1".to_owned(),
        }),
        operation: Some(v1::Operation {
            id: "op-1".to_owned(),
            action: Some(create("hk1", &[(0, "10.0.0.1")])),
        }),
        secret: None,
        restores: false,
        anchor: None,
    };
    let driver: Driver = field("driver", request.driver).unwrap();
    let operation: Operation = field("operation", request.operation).unwrap();
    assert_eq!(
        driver,
        Driver {
            generation: Generation(7),
            instance: InstanceId::new("i-1").unwrap()
        }
    );
    assert_eq!(
        operation.action,
        Action::CreateCluster {
            cluster: ClusterName::new("hk1").unwrap(),
            links: BTreeMap::from([(0, "10.0.0.1".parse().unwrap())]),
            priorities: BTreeMap::new(),
        }
    );
    let request = v1::RemoveNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox1".to_owned(),
        even_if_member: false,
    };
    let node = NodeRef::new(
        field("cluster", request.cluster).unwrap(),
        field("node", request.node).unwrap(),
    );
    assert_eq!(node.to_string(), "hk1/prox1");
    let optional: Option<Driver> = field("driver", v1::LedgerReply::default().driver).unwrap();
    assert_eq!(optional, None);
    let wire: String = NodeName::new("prox1").unwrap().into_wire();
    assert_eq!(wire, "prox1");
}
