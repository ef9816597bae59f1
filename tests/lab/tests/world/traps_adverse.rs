//! Joins of two links and under adverse circumstances: B and D of the README.

use std::fs;

use quorate_lab::description::OwnName;
use quorate_lab::{Lab, Script, What};

use crate::pve::{CONF, quorate, read, rooted, run};
use crate::traps_joins::is_recorded;
use crate::{add, created, happened, lab, until};

async fn two_links(lab: &Lab) {
    let line = "pvecm create lab1 --link0 10.10.10.1 --link1 192.168.1.11";
    assert!(run(lab, "prox1", line).await.success());
    quorate(lab, "prox1", true).await;
}

#[tokio::test]
async fn joining_two_links_needs_both() {
    let lab = lab(|builder| builder.nodes(5)).await;
    two_links(&lab).await;
    let (zero, one) = (["--link0", "10.10.10.5"], ["--link1", "192.168.1.15"]);
    is_recorded(&add(&lab, "prox5", "labpass", &zero).await, "add-missing-link1");
    is_recorded(&add(&lab, "prox5", "labpass", &one).await, "add-missing-link0");
    is_recorded(&add(&lab, "prox5", "labpass", &[]).await, "add-no-links");
    let extra = [zero, one, ["--link2", "10.10.10.5"]].concat();
    is_recorded(&add(&lab, "prox5", "labpass", &extra).await, "add-extra-link2");
    let both = [zero, one].concat();
    is_recorded(&add(&lab, "prox5", "labpass", &both).await, "add-success-two-links");
    let ms = |what: What| happened(&lab, what).pop().expect("it happened").ms;
    let took = ms(What::JoinCompleted) - ms(What::TaskStarted);
    assert!(took >= 13_600, "{took} ms, 13.6 to 14.3 s were seen");
    until(&lab, "both links", async || {
        let links = run(&lab, "prox1", "corosync-cfgtool -n").await.stdout;
        links.matches(" enabled connected").count() == 2
    })
    .await;
}

#[tokio::test]
async fn one_address_for_both_links_is_accepted_and_looks_like_two() {
    let lab = lab(|builder| builder.nodes(2)).await;
    let line = "pvecm create lab1 --link0 192.168.1.11 --link1 192.168.1.11";
    assert!(run(&lab, "prox1", line).await.success());
    quorate(&lab, "prox1", true).await;
    let output = add(
        &lab,
        "prox2",
        "labpass",
        &["--link0", "192.168.1.12", "--link1", "192.168.1.12"],
    )
    .await;
    assert!(output.stdout.contains("successfully added"), "{output:?}");
    until(&lab, "both links", async || {
        let links = run(&lab, "prox1", "corosync-cfgtool -n").await.stdout;
        links.matches(" enabled connected").count() == 2
    })
    .await;
    lab.cut_link("prox2", 1).await.expect("cut");
    until(&lab, "both to be gone at once", async || {
        !run(&lab, "prox1", "corosync-cfgtool -n")
            .await
            .stdout
            .contains("reachable")
    })
    .await;
}

#[tokio::test]
async fn adverse_the_member_s_daemons_are_down() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    let untouched = read(&lab, "prox1", CONF);
    for (unit, text) in [
        (
            "pveproxy",
            "500 Can't connect to 192.168.1.11:8006 (Connection refused)\n",
        ),
        ("pvedaemon", "595 Connection refused\n"),
    ] {
        run(&lab, "prox1", &format!("systemctl stop {unit}")).await;
        let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
        assert_eq!(
            output.stdout, "Establishing API connection with host '192.168.1.11'\n",
            "{unit}"
        );
        assert_eq!((output.stderr.as_str(), output.code()), (text, Some(0)), "{unit}");
        run(&lab, "prox1", &format!("systemctl start {unit}")).await;
    }
    assert_eq!(read(&lab, "prox1", CONF), untouched);
    assert!(
        !run(&lab, "prox2", "pvecm status").await.success(),
        "the joiner is untouched"
    );
}

#[tokio::test]
async fn adverse_the_own_name_leads_to_the_loopback_or_nowhere() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    lab.script("prox2", Script::OwnName(OwnName::Loopback))
        .await
        .expect("changed");
    // pmxcfs runs on with what it found when it started.
    for more in [&[][..], &["--link0", "10.10.10.2"]] {
        let output = add(&lab, "prox2", "labpass", more).await;
        let recorded = crate::captured::read("pvecm/pve-8.4/add-name-unresolved");
        let text = recorded.stderr.replace("prox9", "prox2");
        assert_eq!((&output.stderr, output.code()), (&text, Some(recorded.code)));
    }
    for how in [OwnName::Loopback, OwnName::Missing] {
        lab.script("prox2", Script::OwnName(how)).await.expect("changed");
        let output = run(&lab, "prox2", "systemctl restart pve-cluster").await;
        assert_eq!(output.code(), Some(1), "{how:?}");
        let log = crate::pve::journal(&lab, "prox2").await;
        let text = "[main] crit: Unable to resolve node name 'prox2' to a non-loopback IP address - missing entry in \
                    '/etc/hosts' or DNS?\n";
        assert!(log.ends_with(text), "{log}");
        let output = run(&lab, "prox2", "pvecm status").await;
        assert!(
            output
                .stderr
                .starts_with("ipcc_send_rec[1] failed: Connection refused\n"),
            "{output:?}"
        );
        assert_eq!(output.code(), Some(111));
    }
    let hosts = "127.0.0.1 localhost\n127.0.1.1 prox2\n192.168.1.12 prox2\n";
    fs::write(rooted(&lab, "prox2", "etc/hosts"), hosts).expect("both lines");
    assert!(run(&lab, "prox2", "systemctl restart pve-cluster").await.success());
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(output.stdout.contains("successfully added"), "{output:?}");
    assert!(read(&lab, "prox1", ".members").contains("\"ip\": \"192.168.1.12\""));
}
