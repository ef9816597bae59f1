//! Canaries: made where there is room for one, under an id that is free; and only what bears our tag is destroyed, by a word for it.

use quorate_model::Code;
use quorate_model::Wish;
use quorate_model::canary::{NewCanary, TAG};
use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::moves::Moves;
use quorate_model::observation::{GuestKind, ReplicationJob};
use quorate_model::operation::Action;
use quorate_model::plan::Plan;

use super::{afterwards, told, wished};
use crate::testkit::{self, NOW, Servers, Vm, known, name};

const LINKS: &[&str] = &["10.10.10.0/24"];

fn servers(guests: &[Vm]) -> Servers {
    let all = ["prox1", "prox2", "prox3"];
    Servers::bare(3).members("hk1", &all, LINKS).housing(guests)
}

fn new() -> NewCanary {
    NewCanary {
        guest: None,
        node: name("prox1"),
        source: "image:/srv/debian.qcow2".parse().expect("valid"),
        storage: "data_zfs".parse().expect("valid"),
        bridge: "vmbr0".parse().expect("valid"),
        vlan: None,
        address: Some("192.0.2.7/24".parse().expect("valid")),
        memory: 256,
        program: Some("ab".repeat(32).parse().expect("valid")),
    }
}

fn create(new: NewCanary) -> Wish {
    Wish {
        moves: Some(Moves::CreateCanary(Box::new(new))),
        ..Wish::default()
    }
}

fn remove(guest: u32, destroy: bool) -> Wish {
    Wish {
        moves: Some(Moves::RemoveCanary { guest, destroy }),
        ..Wish::default()
    }
}

fn plan(wish: &Wish, servers: &Servers) -> Plan {
    wished(&testkit::file(3, LINKS), wish, servers)
}

fn refused(plan: &Plan) -> Vec<Code> {
    let refusing = plan.findings.iter().filter(|finding| finding.refuses());
    refusing.map(|finding| finding.code).collect()
}

fn canary(id: u32, node: &str) -> Vm {
    let mut vm = Vm::running(id, node);
    vm.config.tags = vec!["web".to_owned(), TAG.to_owned()];
    vm
}

#[test]
fn it_gets_the_lowest_id_that_is_free_and_then_nothing_is_left_to_do() {
    let servers = servers(&[Vm::running(100, "prox1"), Vm::running(102, "prox2")]);
    let wish = create(new());
    let made = plan(&wish, &servers);
    assert!(!made.refused(), "{}", told(&made));
    let [step] = made.steps.as_slice() else {
        panic!("one step: {}", told(&made));
    };
    assert!(
        matches!(&step.action, Action::CreateCanary { guest: 101, .. }),
        "{step:?}"
    );
    assert!(
        step.title.contains("quorate-canary-101") && step.why[0].contains("192.0.2.7/24"),
        "{step:?}"
    );
    // Asked again with its id, it is there.
    let again = create(NewCanary {
        guest: Some(101),
        ..new()
    });
    let rest = afterwards(&testkit::file(3, LINKS), &again, &servers, &made);
    assert!(rest.is_empty() && !rest.refused(), "{}", told(&rest));
    assert!(
        rest.findings.iter().any(|finding| finding.code == Code::PartDone),
        "{}",
        told(&rest)
    );
}

#[test]
fn what_it_needs_has_to_be_there() {
    let with = |change: &dyn Fn(&mut NewCanary)| {
        let mut asked = new();
        change(&mut asked);
        refused(&plan(&create(asked), &servers(&[])))
    };
    assert_eq!(with(&|_| {}), []);
    for unfit in [
        with(&|new| new.node = name("prox9")),
        with(&|new| new.storage = "other".parse().expect("valid")),
        with(&|new| new.bridge = "vmbr7".parse().expect("valid")),
        with(&|new| new.vlan = Some(5000)),
        with(&|new| new.memory = 8),
        with(&|new| new.program = None),
    ] {
        assert_eq!(unfit, [Code::CanaryUnfit]);
    }
    let for_nothing = servers(&[]).with("prox1", |seen| {
        let properties = [("content".to_owned(), "images".to_owned())].into();
        known(&mut seen.storages).defined[0].properties = properties;
    });
    let container = create(NewCanary {
        source: "template:local:vztmpl/d.tar.zst".parse().expect("valid"),
        ..new()
    });
    assert_eq!(refused(&plan(&container, &for_nothing)), [Code::CanaryUnfit]);
    assert_eq!(refused(&plan(&create(new()), &for_nothing)), []);
    let unseen = servers(&[]).with("prox1", |seen| {
        seen.storages = Facet::unknown(UnknownKind::TimedOut, "no answer")
    });
    assert_eq!(refused(&plan(&create(new()), &unseen)), [Code::FacetUnknown]);
}

#[test]
fn anybody_elses_guest_is_left_alone() {
    let servers = servers(&[Vm::running(100, "prox1")]);
    let taken = create(NewCanary {
        guest: Some(100),
        ..new()
    });
    let refusal = plan(&taken, &servers);
    assert_eq!(refused(&refusal), [Code::CanaryIdTaken]);
    assert!(refusal.steps.is_empty());
    let destroyed = plan(&remove(100, true), &servers);
    assert_eq!(refused(&destroyed), [Code::CanaryNotOurs]);
    assert!(destroyed.steps.is_empty());
}

#[test]
fn a_canary_goes_by_a_word_for_it_and_with_its_copies() {
    let job = ReplicationJob {
        source: Some("prox2".to_owned()),
        ..ReplicationJob::of("100-0".to_owned(), 100, "prox3")
    };
    let servers = servers(&[canary(100, "prox2")])
        .with_each(|seen| known(&mut seen.config).replication = Facet::known(vec![job.clone()], NOW));
    let silent = plan(&remove(100, false), &servers);
    assert_eq!(refused(&silent), [Code::DestroyNotConsented]);
    assert!(
        silent
            .findings
            .iter()
            .any(|finding| finding.next.contains("--destroy guest:100")),
        "{}",
        told(&silent)
    );
    let wish = remove(100, true);
    let said = plan(&wish, &servers);
    assert!(!said.refused(), "{}", told(&said));
    let [step] = said.steps.as_slice() else {
        panic!("one step: {}", told(&said));
    };
    assert_eq!(step.node, name("prox2"));
    assert!(matches!(
        step.action,
        Action::DestroyCanary {
            guest: 100,
            kind: GuestKind::Vm,
            ..
        }
    ));
    assert!(step.why.iter().any(|why| why.contains("copies on prox3")), "{step:?}");
    let rest = afterwards(&testkit::file(3, LINKS), &wish, &servers, &said);
    assert!(rest.is_empty() && !rest.refused(), "{}", told(&rest));
}
