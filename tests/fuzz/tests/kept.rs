//! Makes the kept corpus of what no fixture shows: messages, documents, journals. By hand, when the model has changed:
//! `cargo test -p quorate-fuzz --test kept -- --ignored`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test; a panic is the report"
)]

use std::fs;
use std::path::Path;

use prost::Message;
use quorate_fuzz::target;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::{Code, Finding, Place};
use quorate_model::ids::Driver;
use quorate_model::measurement::Baseline;
use quorate_model::operation::{Action, LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome};
use quorate_model::rollout::{Entry, Progress, Record, Summary};
use quorate_model::{
    FrameDigest, Frozen, Generation, Hold, InstanceId, JournalAnchor, JournalId, RolloutId, Timestamp, Wish,
};
use quorate_planner::testkit::{Servers, file};
use quorate_proto::{Connection, ConnectionState, Sighting, Wire, v1};

const AT: Timestamp = Timestamp(1_795_345_772_000_000);

fn keep(name: &str, seed: &str, bytes: impl AsRef<[u8]>) {
    let target = target(name).unwrap_or_else(|| panic!("there is no target {name}"));
    (target.read)(bytes.as_ref());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(seed), bytes).unwrap();
}

fn wire<M, W: Message + From<M>>(name: &str, seed: &str, model: M) {
    keep(name, seed, W::from(model).encode_to_vec());
}

#[test]
#[ignore = "writes the corpus"]
fn the_kept_corpus_is_made() {
    let links: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];
    let (spec, servers) = (file(3, links), Servers::bare(3));
    let plan = quorate_planner::plan(&spec, &Wish::default(), &servers.view);
    assert!(!plan.steps.is_empty(), "{:?}", plan.findings);
    let members = Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], links);

    for (seed, view) in [("bare", &servers.view), ("members", &members.view)] {
        keep("model-view", seed, serde_json::to_vec(view).unwrap());
        let node = view.nodes.values().next().unwrap();
        let observation = node.observation.clone().unwrap();
        keep("model-observation", seed, serde_json::to_vec(&observation).unwrap());
        wire::<_, v1::Observation>("wire-observation", seed, observation);
    }
    keep("model-plan", "create", serde_json::to_vec(&plan).unwrap());
    wire::<_, v1::Plan>("wire-plan", "create", plan.clone());
    let kept = serde_json::json!({
        "quorate_plan": 1, "file_name": "hk1.toml", "text": "", "accept": [], "wish": Wish::default(), "plan": plan,
    });
    keep("kept-plan", "create", serde_json::to_vec(&kept).unwrap());
    for (number, step) in plan.steps.iter().enumerate() {
        let seed = format!("step-{number}");
        wire::<_, v1::Condition>("wire-condition", &seed, step.done_when.clone());
        wire::<_, v1::Step>("wire-step", &seed, step.clone());
    }
    let finding = Finding::new(Code::NodeHasGuests, "prox1", "prox1 has the guest 100", "back it up").at(Some(Place {
        file: "hk1.toml".to_owned(),
        line: 3,
        column: 1,
        offset: 40,
        length: 5,
    }));
    wire::<_, v1::Finding>("wire-finding", "placed", finding.clone());
    let failure = Failure::new(ExitCode::Refused, "it is not so")
        .with(vec![finding])
        .hint("look again");
    wire::<_, v1::FailureDetail>("wire-failure", "refused", failure.clone());
    keep(
        "wire-status",
        "refused",
        v1::FailureDetail::from(failure).encode_to_vec(),
    );
    wire::<_, v1::Wish>("wire-wish", "nothing", Wish::default());
    let driver = Driver {
        generation: Generation(3),
        instance: InstanceId::new("0123456789abcdef").unwrap(),
    };
    let request = v1::DriveRequest {
        driver: driver.clone().into_wire(),
        ..v1::DriveRequest::default()
    };
    keep("wire-requests", "drive", request.encode_to_vec());
    wire::<_, v1::Driver>("wire-driver", "third", driver);
    let entry = Entry {
        sequence: 0,
        at: AT,
        record: Record::Created {
            plan: Box::new(plan),
            by: "anna".to_owned(),
        },
    };
    keep("model-record", "created", serde_json::to_vec(&entry).unwrap());
    keep(
        "history",
        "created",
        format!(
            "{{\"rollout\":\"r-1\",\"entry\":{}}}\n",
            serde_json::to_string(&entry).unwrap()
        ),
    );
    let progress = (RolloutId::new("r-1").unwrap(), Progress::Entry(Box::new(entry.clone())));
    wire::<_, v1::RolloutProgress>("wire-progress", "entry", progress);
    wire::<_, v1::JournalEntry>("wire-journal-entry", "created", entry);
    operations();
    rest();
}

fn operations() {
    let operation = Operation {
        id: "one".parse().unwrap(),
        action: Action::CreateCluster {
            cluster: "hk1".parse().unwrap(),
            links: [(0, "10.10.10.1".parse().unwrap())].into(),
            priorities: [(0, 5)].into(),
        },
    };
    wire::<_, v1::Operation>("wire-operation", "create", operation.clone());
    let outcomes = [
        (
            "done",
            Outcome::Done {
                evidence: "it is quorate".to_owned(),
            },
        ),
        (
            "unknown",
            Outcome::Unknown {
                reason: "nobody saw its end".to_owned(),
                over: true,
            },
        ),
    ];
    for (seed, outcome) in outcomes {
        wire::<_, v1::Outcome>("wire-outcome", seed, outcome.clone());
        let entry = LedgerEntry {
            operation: operation.clone(),
            accepted_at: AT,
            outcome: Some(outcome.clone()),
            ended_at: Some(AT),
        };
        wire::<_, v1::LedgerEntry>("wire-ledger-entry", seed, entry);
        let event = OperationEvent {
            sequence: 7,
            at: AT,
            kind: OperationEventKind::Ended(outcome),
        };
        keep("model-event", seed, serde_json::to_vec(&event).unwrap());
        wire::<_, v1::OperationEvent>("wire-operation-event", seed, event);
    }
}

fn rest() {
    let hold = Hold {
        frozen: Some(Frozen {
            by: "anna".to_owned(),
            since: AT,
            reason: "a fair".to_owned(),
        }),
        windows: vec!["Sat 22:00-Sun 04:00".parse().unwrap()],
    };
    wire::<_, v1::Hold>("wire-hold", "frozen", hold);
    let anchor = JournalAnchor {
        journal: JournalId::new("0123456789abcdef").unwrap(),
        position: 7,
        digest: FrameDigest::new("0f".repeat(32)).unwrap(),
        rollout: RolloutId::new("r-1").unwrap(),
        sequence: 3,
    };
    wire::<_, v1::JournalAnchor>("wire-journal-anchor", "seventh", anchor);
    let summary = Summary {
        id: RolloutId::new("r-1").unwrap(),
        cluster: "hk1".parse().unwrap(),
        created_at: AT,
        by: "anna".to_owned(),
        result: None,
        finished_at: None,
        steps: vec![],
        not_restored: vec![],
    };
    wire::<_, v1::RolloutSummary>("wire-summary", "running", summary);
    wire::<_, v1::Baseline>("wire-baseline", "empty", Baseline::default());
    let sighting = Sighting {
        node: "hk1/prox1".parse().unwrap(),
        view: Servers::bare(1).view.nodes.into_values().next().unwrap(),
        received_at: Some(AT),
        connection: Some(Connection {
            state: ConnectionState::Connected,
            since: AT,
            reason: String::new(),
        }),
    };
    wire::<_, v1::NodeView>("wire-node-view", "seen", sighting);
}
