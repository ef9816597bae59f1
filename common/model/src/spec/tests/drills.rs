//! `[drills.NAME]`: what is read, and what is said of what can't be.

use super::problems;
use crate::drill::DrillKind;
use crate::fault::Fault;
use crate::spec::ClusterFile;

const NODES: &str = "[cluster]\nname = \"hk1\"\nlinks = [\"192.168.1.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n\
    [nodes.prox2]\naddress = \"192.168.1.12\"\n[nodes.prox3]\naddress = \"192.168.1.13\"\nrole = \"witness\"\n";

const CUT: &str = "fault = \"network\"\nnode = \"prox1\"\nguest = 100\n";

/// What is said of a drill with these keys more.
fn said(more: &str) -> Vec<String> {
    problems(&format!("{NODES}[drills.cut]\n{CUT}{more}\n"))
}

fn one(more: &str) -> String {
    let said = said(more);
    assert_eq!(said.len(), 1, "{more}: {said:?}");
    said.into_iter().next().unwrap_or_default()
}

#[test]
fn what_is_written_is_read() {
    let text = format!(
        "{NODES}[drills.cut-prox1]\n{CUT}probe = [\"tcp:192.168.1.100:22\", \"tally:192.168.1.100\"]\nexpect = {{ rto = \"4m\", rpo = \"6m\" }}\n\
         every = \"90d\"\nwindows = [\"sat 22:00-sun 04:00\"]\n\
         [drills.blip]\nfault = \"link:1\"\nnode = \"prox2\"\nguest = 101\nfor = \"15s\"\n"
    );
    let file = ClusterFile::parse("hk1.toml", &text).unwrap();
    let cut = file.drills.values().find(|drill| drill.guest.value == 100).unwrap();
    assert_eq!((&cut.fault.value, cut.kind), (&Fault::Network, DrillKind::Failover));
    assert_eq!((cut.lasts.to_string().as_str(), cut.probes.len()), ("5m", 2));
    assert_eq!(cut.expect.rto.as_ref().unwrap().value.as_secs(), 240);
    assert_eq!(cut.every.as_ref().unwrap().value.to_string(), "90d");
    assert_eq!(cut.windows.len(), 1);
    let blip = file.drills.values().find(|drill| drill.guest.value == 101).unwrap();
    assert_eq!(
        (blip.kind, blip.lasts.as_secs()),
        (DrillKind::Blip, 15),
        "told by how long it lasts"
    );
}

#[test]
fn the_guest_that_fails_is_the_drills_own() {
    let with = |fault: &str| {
        let text = format!("{NODES}[drills.kill]\nfault = \"{fault}\"\nnode = \"prox1\"\nguest = 100\n");
        ClusterFile::parse("hk1.toml", &text)
    };
    for fault in ["guest", "guest:100"] {
        let file = with(fault).unwrap();
        let drill = file.drills.values().next().unwrap();
        assert_eq!(drill.fault.value, Fault::Guest { guest: 100 });
    }
    let other = problems(&format!(
        "{NODES}[drills.kill]\nfault = \"guest:101\"\nnode = \"prox1\"\nguest = 100\n"
    ));
    assert!(other[0].contains("not the drill's `guest`"), "{other:?}");
}

#[test]
fn a_password_lies_in_a_file_and_only_a_database_asks_for_it() {
    let rows = "probe = \"postgres://drill@192.168.1.100/drill\"\n";
    let text = format!("{NODES}[drills.cut]\n{CUT}{rows}password_file = \"/etc/quorate/secrets/drill.password\"\n");
    let file = ClusterFile::parse("hk1.toml", &text).unwrap();
    let drill = file.drills.values().next().unwrap();
    let path = drill.password_file.as_ref().unwrap();
    assert_eq!(path.value, "/etc/quorate/secrets/drill.password");
    assert!(one(&format!("{rows}password_file = \"drill.password\"")).contains("no path from the root"));
    let other = one("probe = \"tcp:192.168.1.100:22\"\npassword_file = \"/etc/quorate/secrets/drill.password\"");
    assert!(other.contains("no probe of the drill takes a password"), "{other}");
    assert!(one(&format!("{rows}password = \"hush\"")).contains("is a secret"));
}

#[test]
fn each_problem_has_its_line() {
    insta::assert_snapshot!(
        problems(&format!(
            "{NODES}[drills.Cut]\n{CUT}\n[drills.a]\nfault = \"netwerk\"\nnode = \"prox9\"\nguest = 99\n[drills.b]\n{CUT}rto = \"4m\"\n[drills.c]\n\
             fault = \"corosync\"\nnode = \"prox3\"\nguest = 100\n[drills.d]\nnode = \"prox1\"\n"
        ))
        .join("\n")
    );
}

#[test]
fn spans_that_are_the_worst_of_both_are_refused() {
    assert!(one("for = \"60s\"").contains("a watchdog that can't be called back"));
    assert!(one("kind = \"blip\"\nfor = \"21s\"").contains("a blip lasts from 1s to 20s"));
    assert!(one("kind = \"failover\"\nfor = \"20s\"").contains("a failover lasts from 3m to 30m"));
    assert!(one("for = \"2h\"").contains("`for` is 2h"));
    assert!(one("for = \"soon\"").contains("no span of time"));
    let power = problems(&format!(
        "{NODES}[drills.p]\nfault = \"power:off\"\nnode = \"prox1\"\nguest = 100\nkind = \"blip\"\n"
    ));
    assert!(power[0].contains("does not end by itself"), "{power:?}");
    let of = |fault: &str, time: &str| {
        problems(&format!(
            "{NODES}[drills.p]\nfault = \"{fault}\"\nnode = \"prox1\"\nguest = 100\nfor = \"{time}\"\n"
        ))
    };
    assert!(of("power:reset", "5m")[0].contains("power:reset is done in an instant"));
    assert!(of("guest", "11m")[0].contains("a failover by guest:100 lasts from 3m to 10m"));
    assert!(of("lrm", "9s")[0].contains("a blip by lrm lasts from 10s to 20s"));
}

#[test]
fn what_is_expected_must_be_measured_and_what_is_scheduled_be_rare() {
    assert!(one("expect = { rto = \"4m\" }").contains("no `probe` says"));
    assert!(one("for = \"10s\"\nexpect = { rpo = \"4m\" }").contains("by which nothing is recovered"));
    assert!(one("every = \"1h\"").contains("more often than once a day"));
    assert!(one("windows = []").contains("`windows` is empty"));
    assert!(one("probe = \"tcp:mail.example:22\"").contains("names are not looked up"));
    assert!(one("probe = [\"icmp:192.0.2.1\", \"icmp:192.0.2.1\"]").contains("names icmp:192.0.2.1 twice"));
    assert!(one("expect = { rtp = \"4m\" }").contains("did you mean `rto`?"));
    assert!(one("expect = \"4m\"").contains("must be a table"));
}
