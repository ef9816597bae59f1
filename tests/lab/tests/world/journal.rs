//! The journal as JSON, as whoever follows a server through a failure asks for it.

use std::time::Duration;

use quorate_lab::control::Press;
use quorate_lab::{Lab, Output, Script, What};
use serde_json::{Map, Value};

use crate::pve::{quorate, run, status};
use crate::{happened, lab, nothing_unknown, three, until};

/// Asks from a place on.
async fn ask(lab: &Lab, node: &str, from: &str) -> Output {
    let line = format!(
        "journalctl --output=json --output-fields=MESSAGE,SYSLOG_IDENTIFIER --no-pager --quiet {from} --unit=corosync.service \
         --unit=pve-ha-crm.service --unit=watchdog-mux.service"
    );
    run(lab, node, &line).await
}

/// The entries from a place on.
async fn entries(lab: &Lab, node: &str, from: &str) -> Vec<Map<String, Value>> {
    let output = ask(lab, node, from).await;
    assert_eq!((output.stderr.as_str(), output.code()), ("", Some(0)));
    let entry = |line: &str| serde_json::from_str(line).expect("JSON");
    output.stdout.lines().map(entry).collect()
}

fn text<'a>(entry: &'a Map<String, Value>, field: &str) -> &'a str {
    entry[field].as_str().expect("a text")
}

fn micros(entry: &Map<String, Value>) -> i128 {
    text(entry, "__REALTIME_TIMESTAMP").parse().expect("a number")
}

fn behind(entry: &Map<String, Value>) -> String {
    format!("--after-cursor={}", text(entry, "__CURSOR"))
}

fn now() -> Duration {
    Duration::try_from(jiff::Timestamp::now().as_duration()).expect("after 1970")
}

fn as_micros(time: Duration) -> i128 {
    i128::try_from(time.as_micros()).expect("small")
}

#[tokio::test]
async fn what_corosync_said_of_a_cut_stands_there_with_its_time() {
    let lab = lab(|builder| builder.nodes(3).speed(20.0)).await;
    three(&lab).await;
    let before = now();
    lab.cut("prox3").await.expect("cut");
    quorate(&lab, "prox3", false).await;
    let found = entries(&lab, "prox3", &format!("--since=@{}", before.as_secs())).await;
    let after = now();
    let mut rest = found.iter();
    for message in [
        "  [KNET  ] link: host: 1 link: 0 is down",
        "  [TOTEM ] A processor failed, forming new configuration: token timed out (3650ms), waiting 4380ms for consensus.",
        "  [QUORUM] Sync left[2]: 1 2",
        "  [QUORUM] This node is within the non-primary component and will NOT provide any services.",
        "  [QUORUM] Members[1]: 3",
    ] {
        let entry = rest
            .find(|entry| entry["MESSAGE"] == message)
            .unwrap_or_else(|| panic!("{message} in its place: {found:#?}"));
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "corosync");
        assert!(
            (as_micros(before)..=as_micros(after)).contains(&micros(entry)),
            "{entry:?}"
        );
        let mut fields: Vec<&str> = entry.keys().map(String::as_str).collect();
        fields.sort_unstable();
        let mut wanted = [
            "MESSAGE",
            "SYSLOG_IDENTIFIER",
            "_BOOT_ID",
            "__CURSOR",
            "__MONOTONIC_TIMESTAMP",
            "__REALTIME_TIMESTAMP",
        ];
        wanted.sort_unstable();
        assert_eq!(fields, wanted);
    }
    assert!(found.is_sorted_by_key(micros));

    let behind_first = entries(&lab, "prox3", &behind(&found[0])).await;
    assert!(behind_first.starts_with(&found[1..]), "{behind_first:#?}");
    let last = behind_first.last().expect("some");
    let since = entries(&lab, "prox3", &behind(last)).await;
    assert!(since.iter().all(|entry| micros(entry) >= micros(last)));

    let whole = run(&lab, "prox3", "journalctl -o json -u pve-cluster -n 1")
        .await
        .stdout;
    let entry: Map<String, Value> = serde_json::from_str(&whole).expect("one entry");
    assert_eq!(text(&entry, "_SYSTEMD_UNIT"), "pve-cluster.service");
    assert_eq!(text(&entry, "MESSAGE"), "[status] notice: node lost quorum");
    assert_eq!((text(&entry, "PRIORITY"), text(&entry, "_HOSTNAME")), ("5", "prox3"));
    nothing_unknown(&lab);
}

#[tokio::test]
async fn what_is_no_place_in_the_journal_is_refused() {
    let lab = lab(|builder| builder.nodes(1)).await;
    for (from, said) in [
        (
            "--after-cursor=nonsense",
            "Failed to seek to cursor: Invalid argument\n",
        ),
        ("--since=@soon", "Failed to parse timestamp: @soon\n"),
        (
            "--since=@1 --after-cursor=s=1;i=2",
            "Please specify only one of --since=, --cursor=, and --after-cursor=.\n",
        ),
    ] {
        let output = ask(&lab, "prox1", from).await;
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str(), output.code()),
            ("", said, Some(1)),
            "{from}"
        );
    }
    // Nothing was logged: as JSON nothing is said of that.
    let none = run(&lab, "prox1", "journalctl -o json -u watchdog-mux").await;
    assert_eq!((none.stdout.as_str(), none.code()), ("", Some(0)));
    let none = run(&lab, "prox1", "journalctl -u watchdog-mux").await;
    assert_eq!(none.stdout, "-- No entries --\n");
    nothing_unknown(&lab);
}

#[tokio::test]
async fn it_bears_the_time_of_its_own_server() {
    let lab = lab(|builder| builder.nodes(1)).await;
    crate::created(&lab, "lab1").await;
    for ms in [300_000, -300_000] {
        lab.script("prox1", Script::ClockOffset(ms)).await.expect("set");
        let before = as_micros(now()) + i128::from(ms) * 1000;
        lab.script("prox1", Script::RestartCluster).await.expect("restarted");
        let all = entries(&lab, "prox1", "--since=@1").await;
        let after = as_micros(now()) + i128::from(ms) * 1000;
        let last = all.last().expect("some");
        assert!((before..=after).contains(&micros(last)), "{ms}: {last:?}");
        // How long it has been up does not depend on what time it takes it for.
        let uptime: i128 = text(last, "__MONOTONIC_TIMESTAMP").parse().expect("a number");
        assert!((10_800_000_000..11_400_000_000).contains(&uptime), "{ms}: {last:?}");
    }
}

#[tokio::test]
async fn it_goes_on_behind_a_boot() {
    let lab = lab(|builder| builder.nodes(1).speed(20.0)).await;
    crate::created(&lab, "lab1").await;
    let before = entries(&lab, "prox1", "--since=@1").await;
    let last = before.last().expect("some");
    lab.power("prox1", Press::Reboot).await.expect("it reboots");
    until(&lab, "it to be up again", async || {
        happened(&lab, What::PoweredOn).len() == 1 && status(&lab, "prox1").await.quorate
    })
    .await;
    let after = entries(&lab, "prox1", &behind(last)).await;
    let boots: Vec<&str> = after.iter().map(|entry| text(entry, "_BOOT_ID")).collect();
    let farewell = after
        .iter()
        .find(|entry| entry["MESSAGE"] == "  [MAIN  ] Corosync Cluster Engine exiting normally");
    assert_eq!(text(farewell.expect("a farewell"), "_BOOT_ID"), text(last, "_BOOT_ID"));
    assert_eq!(boots[0], text(last, "_BOOT_ID"));
    assert_ne!(boots.last(), boots.first());
    let all = entries(&lab, "prox1", "--since=@1").await;
    assert!(all.starts_with(&before), "kept: {all:#?}");
    assert!(all[before.len()..].starts_with(&after), "{all:#?}");
}
