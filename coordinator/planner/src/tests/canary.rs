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

fn clear(guest: u32) -> Wish {
    Wish {
        moves: Some(Moves::ClearCanary { guest }),
        ..Wish::default()
    }
}

const DISC: &str = "data_zfs/vm-900-cloudinit";

/// The canary 900 is on this server, and prox1, which was lost, has a disc of it.
fn left(on: &str) -> Servers {
    let disc = Facet::known(vec![DISC.to_owned(), "data_zfs/vm-900-disk-0".to_owned()], NOW);
    servers(&[canary(900, on)]).keeping("prox1", disc)
}

fn frees(plan: &Plan) -> Vec<(String, String)> {
    let freed = plan.steps.iter().filter_map(|step| match &step.action {
        Action::FreeCanaryDisc { volume, .. } => Some((step.node.to_string(), volume.to_string())),
        _ => None,
    });
    freed.collect()
}

#[test]
fn what_a_lost_server_keeps_of_its_disc_is_freed_and_then_nothing_is_left_to_do() {
    let servers = left("prox2");
    let plan = plan(&clear(900), &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    assert_eq!(frees(&plan), [("prox1".to_owned(), DISC.to_owned())]);
    assert!(plan.steps[0].destroys[0].contains(DISC), "{:?}", plan.steps[0]);
    let rest = afterwards(&testkit::file(3, LINKS), &clear(900), &servers, &plan);
    assert!(rest.is_empty() && !rest.refused(), "{}", told(&rest));
}

#[test]
fn nothing_is_freed_of_what_is_in_use_not_ours_or_not_seen() {
    let own = plan(&clear(900), &left("prox1"));
    assert!(own.is_empty() && !own.refused(), "{}", told(&own));
    let theirs = servers(&[Vm::running(900, "prox2")]).keeping("prox1", Facet::known(vec![DISC.to_owned()], NOW));
    assert_eq!(refused(&plan(&clear(900), &theirs)), [Code::CanaryNotOurs]);
    let stopped = left("prox2").stopped(900);
    assert_eq!(refused(&plan(&clear(900), &stopped)), [Code::CanaryUnfit]);
    assert_eq!(refused(&plan(&clear(901), &left("prox2"))), [Code::GuestAway]);
    let hangs = left("prox2").with("prox1", |seen| {
        seen.pools = Facet::unknown(UnknownKind::TimedOut, "it hangs");
    });
    let blind = plan(&clear(900), &hangs);
    assert!(blind.is_empty(), "{}", told(&blind));
    assert!(
        blind.findings.iter().any(|finding| finding.code == Code::FacetUnknown),
        "{}",
        told(&blind)
    );
}

#[test]
fn it_goes_before_the_canary_comes_back_and_before_it_is_removed() {
    let back = Wish {
        moves: Some(Moves::Migrate {
            guest: 900,
            target: name("prox1"),
        }),
        ..Wish::default()
    };
    let moved = plan(&back, &left("prox2"));
    assert!(!moved.refused(), "{}", told(&moved));
    assert_eq!(frees(&moved).len(), 1, "{}", told(&moved));
    let [first, second] = moved.steps.as_slice() else {
        panic!("{}", told(&moved))
    };
    assert_eq!(second.needs, std::slice::from_ref(&first.id), "the disc goes first");
    let elsewhere = Wish {
        moves: Some(Moves::Migrate {
            guest: 900,
            target: name("prox3"),
        }),
        ..Wish::default()
    };
    assert!(frees(&plan(&elsewhere, &left("prox2"))).is_empty());
    let removed = plan(&remove(900, true), &left("prox2"));
    assert!(!removed.refused(), "{}", told(&removed));
    assert_eq!(
        (frees(&removed).len(), removed.steps.len()),
        (1, 2),
        "{}",
        told(&removed)
    );
}
