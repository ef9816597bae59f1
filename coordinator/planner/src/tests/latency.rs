//! What was measured, in plans.

use quorate_model::measurement::{Baseline, Ends, Pair, PairMeasurement};
use quorate_model::{Code, Facet, Severity, UnknownKind};

use super::{findings, sound};
use crate::link_ends;
use crate::testkit::{NOW, Servers, file, known, name};

const FAST: &[&str] = &["10.10.10.0/24"];

fn measured(p50: u64, change: impl FnOnce(&mut PairMeasurement)) -> Facet<PairMeasurement> {
    let mut measured = PairMeasurement {
        local: "10.10.10.11".parse().unwrap(),
        remote: "10.10.10.12".parse().unwrap(),
        sent: 100,
        received: 100,
        late: 0,
        rtt_p50: p50,
        rtt_p99: p50 + 100,
        rtt_max: p50 + 500,
        jitter: 20,
        path_mtu: Facet::known(1500, NOW),
        local_mtu: Some(1500),
        remote_mtu: Some(1500),
    };
    change(&mut measured);
    Facet::known(measured, NOW)
}

/// Between prox1 and prox2, prox1 and prox3, prox2 and prox3.
fn with(mut servers: Servers, pairs: [Facet<PairMeasurement>; 3]) -> Servers {
    let ends = [("prox1", "prox2"), ("prox1", "prox3"), ("prox2", "prox3")];
    let pair = |((one, other), measured)| Pair {
        ends: Ends::of(0, name(one), name(other)),
        measured,
    };
    servers.view.measurements = Some(Baseline::of(ends.into_iter().zip(pairs).map(pair)));
    servers
}

fn bad() -> [Facet<PairMeasurement>; 3] {
    [
        measured(12_000, |m| m.received = 97),
        measured(7_000, |m| m.path_mtu = Facet::known(1400, NOW)),
        Facet::unknown(UnknownKind::Unreachable, "prox3: no answer within 5 s"),
    ]
}

#[test]
fn a_network_that_corosync_does_not_bear_holds_up_a_cluster() {
    let plan = sound(&file(3, FAST), &with(Servers::bare(3), bad()));
    assert!(plan.refused());
    insta::assert_snapshot!(findings(&plan));
}

#[test]
fn a_cluster_that_runs_is_warned_of_it_and_not_of_what_nobody_measured() {
    let servers = Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], FAST);
    let plan = sound(&file(3, FAST), &with(servers, bad()));
    assert!(!plan.refused() && plan.is_empty());
    let worst = plan
        .findings
        .iter()
        .find(|f| f.code == Code::LinkLatencyTooHigh)
        .unwrap();
    assert_eq!(worst.severity, Severity::Warning);
    assert!(plan.findings.iter().all(|f| f.code != Code::LinkNotMeasured));
}

#[test]
fn heavy_loss_refuses_a_join() {
    let servers = Servers::bare(3).members("hk1", &["prox1", "prox2"], FAST);
    let fine = || measured(200, |_| ());
    let plan = sound(
        &file(3, FAST),
        &with(servers, [fine(), measured(200, |m| m.received = 80), fine()]),
    );
    assert!(plan.refused() && plan.findings.iter().any(|f| f.code == Code::LinkLossy && f.refuses()));
}

#[test]
fn different_mtus_of_the_interfaces_are_told_once() {
    let differ = measured(200, |m| m.remote_mtu = Some(9000));
    let plan = sound(
        &file(3, FAST),
        &with(Servers::bare(3), [differ.clone(), differ.clone(), differ]),
    );
    assert!(
        plan.findings.iter().all(|f| f.code != Code::MtuMismatch),
        "{}",
        findings(&plan)
    );
}

#[test]
fn without_measurements_nothing_is_said() {
    let plan = sound(&file(3, FAST), &Servers::bare(3));
    assert!(plan.findings.iter().all(|f| f.code != Code::LinkNotMeasured));
}

#[test]
fn ends_are_corosyncs_own_and_the_files_where_there_is_none_yet() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .with_network("prox3", |n| {
            n.interfaces.retain(|i| i.name != "ens1");
        });
    let wanted = file(3, &["10.10.10.0/24", "192.168.1.0/24"]);
    let ends = link_ends(Some(&wanted), &servers.view);
    let end = |node: &str, link: u8| ends[&name(node)][&link].as_ref().map(ToString::to_string);
    assert_eq!(end("prox1", 0).unwrap(), "10.10.10.11", "as corosync.conf has it");
    assert_eq!(end("prox2", 1).unwrap(), "192.168.1.12", "a link to be");
    assert_eq!(end("prox3", 1).unwrap(), "192.168.1.13", "a member to be");
    assert!(
        end("prox3", 0)
            .unwrap_err()
            .reason
            .contains("no address that works on link 0")
    );

    let formed = link_ends(None, &servers.view);
    assert_eq!(formed.len(), 2);
    assert!(link_ends(None, &Servers::bare(2).view).is_empty());

    let named = servers.with_member("prox1", |m| {
        m.configured[0].addresses.insert(0, "prox1-ring".to_owned());
    });
    let named = named.with_member("prox2", |m| {
        m.configured[0].addresses.insert(0, "prox1-ring".to_owned());
    });
    let ends = link_ends(None, &named.view);
    assert!(
        ends[&name("prox1")][&0]
            .as_ref()
            .unwrap_err()
            .reason
            .contains("the name `prox1-ring`")
    );
}

/// prox3 is to join, and nothing passes between prox2 and prox3.
fn silent() -> Servers {
    let servers = Servers::bare(3).members("hk1", &["prox1", "prox2"], FAST);
    let fine = || measured(200, |_| ());
    let nothing = Facet::unknown(UnknownKind::NoAnswer, "no answer from 10.10.10.13 to 100 packets");
    with(servers, [fine(), fine(), nothing])
}

#[test]
fn a_link_over_which_nothing_passes_holds_up_a_join() {
    let plan = sound(&file(3, FAST), &silent());
    let told = plan.findings.iter().find(|f| f.code == Code::LinkNoAnswer);
    let told = told.unwrap_or_else(|| panic!("{}", findings(&plan)));
    assert!(told.refuses() && told.code.entry().overridable, "{told}");
    assert!(
        told.message
            .contains("prox2 and prox3 (no answer from 10.10.10.13 to 100 packets)"),
        "{told}"
    );
    assert!(told.next.contains("--measure --from "), "{told}");
    assert!(plan.findings.iter().all(|f| f.code != Code::LinkNotMeasured));

    let mut settled = Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], FAST);
    settled.view.measurements = silent().view.measurements;
    let plan = sound(&file(3, FAST), &settled);
    let told = plan.findings.iter().find(|f| f.code == Code::LinkNoAnswer).unwrap();
    assert!(!plan.refused() && told.severity == Severity::Warning, "{told}");
}

#[test]
fn a_firewall_that_shuts_out_the_measuring_alone_is_no_dead_link() {
    let shut = |servers: Servers, node: &str| servers.with_config(node, |c| known(&mut c.firewall).enabled = true);
    // prox3 is bare, and its own firewall is on: it drops what prox2 sends.
    let plan = sound(&file(3, FAST), &shut(silent(), "prox3"));
    assert!(
        plan.findings.iter().all(|f| f.code != Code::LinkNoAnswer),
        "{}",
        findings(&plan)
    );
    let told = plan.findings.iter().find(|f| f.code == Code::LinkNotMeasured).unwrap();
    assert!(
        told.message.contains("prox3's firewall may keep out 7450-7459/udp") && !told.refuses(),
        "{told}"
    );
    // prox2 sends, and what comes back to it belongs to that.
    let plan = sound(&file(3, FAST), &shut(silent(), "prox2"));
    assert!(
        plan.findings.iter().any(|f| f.code == Code::LinkNoAnswer),
        "{}",
        findings(&plan)
    );
}

#[test]
fn the_network_matters_also_where_no_step_can_be_told() {
    let leans =
        |servers: &Servers| crate::leans_on_the_network(&file(3, FAST), &quorate_model::Wish::default(), &servers.view);
    let two_with_guests = Servers::bare(3).guests("prox1", &[100]).guests("prox2", &[101]);
    let plan = sound(&file(3, FAST), &two_with_guests);
    assert!(plan.steps.is_empty() && leans(&two_with_guests));
    assert!(leans(&Servers::bare(3).unreachable("prox2")));
    assert!(!leans(&Servers::bare(3).members(
        "hk1",
        &["prox1", "prox2", "prox3"],
        FAST
    )));
}

#[test]
fn who_founds_the_cluster_need_not_be_known_for_the_rest_to_be_told() {
    let servers = Servers::bare(3)
        .guests("prox1", &[100])
        .guests("prox2", &[101])
        .with_config("prox1", |c| {
            known(&mut c.firewall).enabled = true;
            c.root_tfa = Facet::known(true, NOW);
        });
    let plan = sound(&file(3, FAST), &servers);
    let told = |code: Code| plan.findings.iter().any(|f| f.code == code);
    assert!(
        told(Code::NodeHasGuests) && told(Code::FirewallKeepsOut) && told(Code::RootTfa),
        "{}",
        findings(&plan)
    );
}
