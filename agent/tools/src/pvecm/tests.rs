use super::*;

fn links(addresses: &[(u8, &str)]) -> BTreeMap<u8, IpAddr> {
    addresses
        .iter()
        .map(|(number, address)| (*number, address.parse().unwrap()))
        .collect()
}

#[test]
fn a_cluster_is_made_with_its_links_in_order() {
    let cluster = ClusterName::new("hk1").unwrap();
    let two = links(&[(1, "fd00::1"), (0, "10.0.0.1")]);
    let call = create(&Tools::imagined(), &cluster, &two, &BTreeMap::new()).unwrap();
    assert_eq!(
        call.to_string(),
        "/usr/bin/pvecm create hk1 --link0 10.0.0.1 --link1 fd00::1"
    );
    assert_eq!(call.stdin(), &Stdin::Null);
    let preferred = create(&Tools::imagined(), &cluster, &two, &BTreeMap::from([(1, 20)])).unwrap();
    assert_eq!(
        preferred.to_string(),
        "/usr/bin/pvecm create hk1 --link0 10.0.0.1 --link1 fd00::1,priority=20"
    );
}

#[test]
fn what_else_pvecm_is_asked_to_do() {
    let tools = Tools::imagined();
    let host = "10.77.0.100".parse().unwrap();
    let shown = |call: Result<Invocation, CallError>| call.unwrap().to_string();
    assert_eq!(shown(expected(&tools, 1)), "/usr/bin/pvecm expected 1");
    assert_eq!(
        shown(delnode(&tools, &"prox4".parse().unwrap())),
        "/usr/bin/pvecm delnode prox4"
    );
    assert_eq!(
        shown(qdevice_setup(&tools, host, false)),
        "/usr/bin/pvecm qdevice setup 10.77.0.100"
    );
    assert_eq!(
        shown(qdevice_setup(&tools, host, true)),
        "/usr/bin/pvecm qdevice setup 10.77.0.100 --force 1"
    );
    assert_eq!(shown(qdevice_remove(&tools)), "/usr/bin/pvecm qdevice remove");
    assert_eq!(shown(updatecerts(&tools)), "/usr/bin/pvecm updatecerts");
    let home = qdevice_setup(&tools, host, false).unwrap();
    assert_eq!(home.command().env().get("HOME").map(String::as_str), Some("/root"));
}

#[test]
fn a_node_that_is_off_already_is_no_trouble_for_delnode() {
    let said = read_delnode("Killing node 5\n", "Could not kill node (error = CS_ERR_NOT_EXIST)\n");
    assert!(said.killed && said.troubles.is_empty(), "{said:?}");
    let locked = read_delnode("", "cfs-lock 'file-corosync_conf' error: got lock request timeout\n");
    assert!(!locked.killed);
    assert_eq!(locked.troubles[0].kind, TroubleKind::Locked);
    // The trap: a doubled id, and the write that fails because the kill took the quorum.
    let killed = read_delnode(
        "Killing node 2\n",
        "unable to open file '/etc/pve/corosync.conf.new.tmp.1234' - Permission denied\n",
    );
    assert!(killed.killed && killed.troubles.len() == 1, "{killed:?}");
}

#[test]
fn the_ticket_goes_by_stdin_and_is_shown_nowhere() {
    let ticket = SecretBytes::new(*b"PVE:root@pam:secret");
    let member = "10.0.0.1".parse().unwrap();
    let call = add(&Tools::imagined(), member, "AB:CD", &links(&[(0, "10.0.0.2")]), &ticket).unwrap();
    assert_eq!(
        call.to_string(),
        "/usr/bin/pvecm add 10.0.0.1 --fingerprint AB:CD --link0 10.0.0.2"
    );
    assert_eq!(call.stdin(), &Stdin::bytes(*b"PVE:root@pam:secret\n"));
    assert!(!format!("{call:?}").contains("secret"));
}

/// Stage, kinds of trouble, and whether the cluster was changed, of a run of `pvecm add`.
macro_rules! join {
    ($name:literal) => {
        join!(@ fixture!(concat!("pvecm/pve-8.4/", $name, ".out")), fixture!(concat!("pvecm/pve-8.4/", $name, ".err")))
    };
    (out $name:literal) => {
        join!(@ fixture!(concat!("pvecm/pve-8.4/", $name, ".out")), "")
    };
    (err $name:literal) => {
        join!(@ "", fixture!(concat!("pvecm/pve-8.4/", $name, ".err")))
    };
    (@ $stdout:expr, $stderr:expr) => {{
        let report = read_join($stdout, $stderr);
        let kinds: Vec<_> = report.troubles.iter().map(|trouble| trouble.kind).collect();
        (report.stage, kinds, report.peer_change())
    }};
}

macro_rules! fixture {
    (concat!($($part:literal),*)) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/", $($part),*))
    };
}

use JoinStage::{Accepted, Begun, Connecting, OldConfigSaved, Requested, Succeeded, WaitingForQuorum};
use TroubleKind as Kind;

#[test]
fn a_join_that_succeeds() {
    for (stage, kinds, change) in [join!(out "add-success"), join!(out "add-success-two-links")] {
        assert_eq!((stage, kinds, change), (Succeeded, vec![], PeerChange::Yes));
    }
    let report = read_join(fixture!(concat!("pvecm/pve-8.4/add-success.out")), "");
    assert_eq!(report.added.as_deref(), Some("prox2"));
}

#[test]
fn refused_on_this_node_nothing_is_changed() {
    let no = PeerChange::No;
    assert_eq!(join!("add-address-not-here"), (Begun, vec![Kind::AddressNotHere], no));
    assert_eq!(join!("add-has-guests"), (Begun, vec![Kind::HasGuests], no));
    let already = vec![Kind::AuthkeyExists, Kind::ConfigExists, Kind::CorosyncRuns];
    assert_eq!(join!("add-already-member"), (Begun, already, no));
    assert_eq!(join!(err "add-no-password"), (Begun, vec![Kind::NoPassword], no));
    assert_eq!(join!(err "add-in-etc-pve"), (Begun, vec![Kind::BadArguments], no));
    assert_eq!(
        join!(err "add-name-unresolved"),
        (Begun, vec![Kind::OwnNameUnresolved], no)
    );
    assert_eq!(join!(err "pmxcfs-down"), (Begun, vec![Kind::PmxcfsDown], no));
}

#[test]
fn the_member_cannot_be_reached_or_trusted() {
    let no = PeerChange::No;
    assert_eq!(join!("add-wrong-password"), (Connecting, vec![Kind::LoginRefused], no));
    assert_eq!(join!("add-stale-ticket"), (Connecting, vec![Kind::LoginRefused], no));
    assert_eq!(
        join!("add-wrong-fingerprint"),
        (Connecting, vec![Kind::OtherFingerprint], no)
    );
    assert_eq!(join!("add-no-route"), (Connecting, vec![Kind::PeerUnreachable], no));
    assert_eq!(
        join!("add-unresolvable-member"),
        (Connecting, vec![Kind::PeerUnreachable], no)
    );
}

#[test]
fn a_member_without_its_daemon_is_a_member_that_does_not_answer() {
    // Seen live: pveproxy is there, and finds no pvedaemon behind it.
    let (stage, kinds, change) =
        join!(@ "Establishing API connection with host '10.77.0.1'\n", "595 Connection refused\n");
    assert_eq!(
        (stage, kinds, change),
        (Connecting, vec![Kind::PeerUnreachable], PeerChange::No)
    );
}

/// Seen live, where LANG names a locale that is not installed.
const NO_LOCALE: &str = "perl: warning: Setting locale failed.\nperl: warning: Please check that your locale settings:\n\
    \tLANGUAGE = (unset),\n\tLC_ALL = (unset),\n\tLANG = \"de_DE.UTF-8\"\n    are supported and installed on your system.\n\
    perl: warning: Falling back to the standard locale (\"C\").\n";

#[test]
fn a_missing_locale_is_no_trouble() {
    let (stage, kinds, _) = join!(@ fixture!(concat!("pvecm/pve-8.4/add-success.out")), NO_LOCALE);
    assert_eq!((stage, kinds), (Succeeded, vec![]));
    let refused = format!("{NO_LOCALE}401 authentication failure\n");
    let (_, kinds, _) = join!(@ "Establishing API connection with host 'x'\n", &refused);
    assert_eq!(kinds, [Kind::LoginRefused]);
    assert_eq!(read_create("", NO_LOCALE).troubles, []);
    assert_eq!(read_delnode("Killing node 5\n", NO_LOCALE).troubles, []);
}

#[test]
fn refused_by_the_member_nothing_is_changed() {
    let no = PeerChange::No;
    for (stage, kinds, change) in [
        join!("add-extra-link"),
        join!("add-extra-link2"),
        join!("add-missing-link0"),
        join!("add-missing-link1"),
        join!("add-no-links"),
    ] {
        assert_eq!((stage, kinds, change), (Requested, vec![Kind::OtherLinks], no));
    }
    assert_eq!(join!("add-name-taken"), (Requested, vec![Kind::NameTaken], no));
    assert_eq!(join!("add-stale-lock"), (Requested, vec![Kind::Locked], no));
    assert_eq!(
        join!("add-peer-not-quorate"),
        (Requested, vec![Kind::PeerNotQuorate], no)
    );
    let (stage, kinds, change) = join!("add-peer-list");
    assert_eq!((stage, kinds[0], change), (Requested, Kind::InvalidConfig, no));
}

#[test]
fn without_an_answer_it_is_not_known_whether_the_cluster_was_changed() {
    let (stage, kinds, change) = join!("add-no-answer");
    assert_eq!(
        (stage, kinds, change),
        (Requested, vec![Kind::PeerUnreachable], PeerChange::Unknown)
    );
}

#[test]
fn words_that_nobody_knows_prove_nothing() {
    let said = |stdout: &str, stderr: &str| read_join(stdout, stderr).peer_change();
    let asked = "Establishing API connection with host '10.77.0.1'\nLogin succeeded.\nRequest addition of this node\n";
    // The member broke off after a minute, which may have been after it wrote.
    let broken_off =
        "An error occurred on the cluster node: 'file-corosync_conf'-locked command timed out - aborting\n";
    assert_eq!(
        said(&format!("{asked}{broken_off}"), "Cluster join aborted!\n"),
        PeerChange::Unknown
    );
    let half_written = "An error occurred on the cluster node: unable to open file '/etc/pve/corosync.conf.new.tmp.1' - Input/output error\n";
    assert_eq!(said(&format!("{asked}{half_written}"), ""), PeerChange::Unknown);
    let held = "An error occurred on the cluster node: cfs-lock 'file-corosync_conf' error: Input/output error\n";
    assert_eq!(said(&format!("{asked}{held}"), ""), PeerChange::Unknown);
    // What it printed may not have found room on the disk, or be in words of another version.
    assert_eq!(said("", ""), PeerChange::Unknown);
    assert_eq!(
        said("Calling the member\nAsking to be taken in\n", ""),
        PeerChange::Unknown
    );
    assert_eq!(
        said(
            "Establishing API connection with host 'x'\n",
            "starting pve-cluster failed: 1\n"
        ),
        PeerChange::Unknown
    );
    assert_eq!(
        said("", "something new at /usr/share/perl5/PVE/X.pm line 1.\n"),
        PeerChange::Unknown
    );
}

#[test]
fn past_the_point_of_no_return_the_cluster_is_changed() {
    let yes = PeerChange::Yes;
    assert_eq!(
        join!("add-duplicate-nodeid"),
        (OldConfigSaved, vec![Kind::ServiceFailed], yes)
    );
    assert_eq!(
        join!("add-start-failed"),
        (OldConfigSaved, vec![Kind::ServiceFailed], yes)
    );
    assert_eq!(join!(out "add-waiting"), (WaitingForQuorum, vec![], yes));
    assert_eq!(join!(out "add-peer-warning"), (Accepted, vec![], yes));
    let report = read_join(fixture!(concat!("pvecm/pve-8.4/add-peer-warning.out")), "");
    assert_eq!(report.warnings, ["warning: unable to resolve 'x'"]);
}

#[test]
fn what_create_says() {
    let done = read_create(fixture!(concat!("pvecm/pve-8.4/create-success.out")), "");
    assert_eq!((done.stage, done.troubles.len()), (CreateStage::Restarting, 0));
    let kinds = |stderr| {
        read_create("", stderr)
            .troubles
            .iter()
            .map(|trouble| trouble.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(fixture!(concat!("pvecm/pve-8.4/create-exists.err"))),
        [Kind::ConfigExists]
    );
    for refused in [
        fixture!(concat!("pvecm/pve-8.4/create-bad-name.err")),
        fixture!(concat!("pvecm/pve-8.4/create-long-name.err")),
    ] {
        assert_eq!(kinds(refused), [Kind::BadArguments]);
    }
    assert!(kinds(fixture!(concat!("pvecm/pve-8.4/create-unknown-option.err"))).contains(&Kind::BadArguments));
    assert!(kinds(fixture!(concat!("pvecm/pve-8.4/unknown-command.err"))).contains(&Kind::BadArguments));
}

#[test]
fn findings_name_the_node_and_who_refused() {
    let report = read_join(
        fixture!(concat!("pvecm/pve-8.4/add-name-taken.out")),
        fixture!(concat!("pvecm/pve-8.4/add-name-taken.err")),
    );
    let finding = report.troubles[0].finding("prox5");
    assert_eq!(
        finding.to_string(),
        "[QRT-NODE-HAS-LEFTOVERS] prox5: the member refused: can't add existing node 'prox2'"
    );
    assert!(!finding.next.is_empty());
}

#[test]
fn what_nobody_has_seen_before_is_kept_word_by_word() {
    let report = read_join("", "the moon is too bright\n");
    assert_eq!(
        (report.troubles[0].kind, report.troubles[0].text.as_str()),
        (Kind::Other, "the moon is too bright")
    );
}
