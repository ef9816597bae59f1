//! The pairwise measurement: what is described to the lab is what `quorate network` says.

use quorate_lab::{Lab, Way};
use quorate_suites::hand::findings;
use quorate_suites::{Fleet, codes, told};
use serde_json::Value;

/// The cluster file of these nodes, with both networks as links.
fn file(fleet: &Fleet) -> String {
    let mut text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\", \"192.168.1.0/24\"]\n".to_owned();
    for node in fleet.lab.names() {
        let address = fleet.lab.node(&node).unwrap().public_address;
        text.push_str(&format!("[nodes.{node}]\naddress = \"{address}\"\n"));
    }
    fleet.write_file("links.toml", &text)
}

fn pair<'a>(shown: &'a Value, link: u8, from: &str, to: &str) -> &'a Value {
    let pairs = shown["baseline"]["pairs"]
        .as_array()
        .unwrap_or_else(|| panic!("{shown:#}"));
    let found = pairs
        .iter()
        .find(|p| p["link"] == link && p["from"] == from && p["to"] == to);
    &found.unwrap_or_else(|| panic!("no pair {from} {to} on link {link}: {shown:#}"))["measured"]
}

fn number(of: &Value, name: &str) -> u64 {
    of["value"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: {of:#}"))
}

fn finding<'a>(shown: &'a Value, code: &str) -> &'a Value {
    let findings = shown["findings"].as_array().unwrap();
    findings
        .iter()
        .find(|f| f["code"] == code)
        .unwrap_or_else(|| panic!("no {code}: {shown:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_found_as_it_is() {
    let lab = Lab::builder()
        .nodes(4)
        .way(Way::between(&["prox1", "prox2"]).on(0).rtt_ms(6.0))
        .way(Way::between(&["prox1", "prox3"]).on(0).rtt_ms(12.0))
        .way(Way::between(&["prox2", "prox3"]).on(0).loss(3.0))
        .way(Way::between(&["prox1", "prox4"]).on(1).mtu(1400));
    let fleet = Fleet::measured(lab).await;
    fleet.lab.cut_link("prox4", 0).await.unwrap();
    let file = file(&fleet);
    let never = fleet.ends(&["network", "hk1"], 7).await;
    assert!(never.stderr.contains("--measure --from FILE"), "{}", told(&never));

    let shown = fleet.json(&["network", "hk1", "--measure", "--from", &file]).await;
    let six = pair(&shown, 0, "prox1", "prox2");
    // Never less than it is; how much more, a busy machine decides.
    assert!(number(six, "rtt_p50") >= 6_000, "{six:#}");
    let twelve = pair(&shown, 0, "prox1", "prox3");
    assert!(number(twelve, "rtt_p50") >= 12_000, "{twelve:#}");
    assert!(
        number(pair(&shown, 1, "prox1", "prox2"), "rtt_p50") < 5_000,
        "{shown:#}"
    );
    let lossy = pair(&shown, 0, "prox2", "prox3");
    assert!(number(lossy, "sent") - number(lossy, "received") >= 3, "{lossy:#}");
    let narrow = pair(&shown, 1, "prox1", "prox4");
    assert_eq!(narrow["value"]["path_mtu"]["value"], 1400, "{narrow:#}");
    assert_eq!(pair(&shown, 1, "prox1", "prox2")["value"]["path_mtu"]["value"], 1500);
    for other in ["prox1", "prox2", "prox3"] {
        let cut = pair(&shown, 0, other, "prox4");
        assert!(
            cut["reason"].as_str().is_some_and(|r| r.contains("no answer")),
            "{cut:#}"
        );
    }

    let high = finding(&shown, "QRT-LINK-LATENCY-HIGH");
    assert!(
        high["severity"] == "warning" && high["message"].to_string().contains("prox1 and prox2 "),
        "{high:#}"
    );
    let too_high = finding(&shown, "QRT-LINK-LATENCY-TOO-HIGH");
    assert!(
        too_high["severity"] == "refusal" && too_high["next"].to_string().contains("two clusters"),
        "{too_high:#}"
    );
    assert!(
        finding(&shown, "QRT-LINK-LOSSY")["message"]
            .to_string()
            .contains(" of 100")
    );
    assert!(
        finding(&shown, "QRT-MTU-MISMATCH")["message"]
            .to_string()
            .contains("1400 instead of 1500")
    );
    let silent = finding(&shown, "QRT-LINK-NO-ANSWER");
    assert!(
        silent["severity"] == "refusal"
            && silent["message"].to_string().contains("prox1 and prox4 (no answer")
            && silent["next"].to_string().contains("--measure --from "),
        "{silent:#}"
    );

    // It is kept, also when the coordinator starts anew, and shown without asking anybody.
    fleet.lab.stop_coordinator().await.unwrap();
    fleet.start_coordinator(&[]).await;
    let kept = fleet.ends(&["network"], 9).await;
    assert!(
        kept.stdout.contains("ago\n") && kept.stdout.contains("too far for corosync"),
        "{}",
        told(&kept)
    );
    let again = fleet.json(&["network"]).await;
    assert_eq!(pair(&again, 0, "prox1", "prox2"), six, "nothing was measured again");

    // A plan goes by it, unless somebody takes it upon himself.
    let plan = fleet.json(&["plan", &file]).await;
    assert!(
        codes(&plan["findings"]).contains(&"QRT-LINK-LATENCY-TOO-HIGH".to_owned()),
        "{plan:#}"
    );
    fleet.ends(&["plan", &file], 3).await;
    let accept = ["plan", &file, "--accept", "QRT-LINK-LATENCY-TOO-HIGH"];
    fleet.ends(&accept, 3).await;
    let accepted = fleet
        .run(&[accept.as_slice(), &["--accept", "QRT-LINK-NO-ANSWER"]].concat())
        .await;
    assert_eq!(accepted.code(), Some(0), "{}", told(&accepted));

    // Mended, planning again is enough: what refused it is measured anew.
    fleet.lab.heal("prox4").await.unwrap();
    fleet
        .lab
        .way(Way::between(&["prox1", "prox3"]).on(0).rtt_ms(1.0))
        .await
        .unwrap();
    let mended = fleet.json(&["plan", &file]).await;
    let told = codes(&mended["findings"]);
    for gone in ["QRT-LINK-LATENCY-TOO-HIGH", "QRT-LINK-NO-ANSWER"] {
        assert!(!told.iter().any(|code| code == gone), "{mended:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_measures_first_and_who_does_not_answer_is_not_known() {
    let fleet = Fleet::measured(Lab::builder().nodes(3)).await;
    let file = file(&fleet);
    fleet.ok(&["apply", &file, "--yes"]).await;
    // The ends are those of corosync.conf now; no file is needed.
    let kept = fleet.json(&["network"]).await;
    for (one, other) in [("prox1", "prox2"), ("prox1", "prox3"), ("prox2", "prox3")] {
        for link in [0, 1] {
            assert_eq!(
                number(pair(&kept, link, one, other), "received"),
                100,
                "measured before the plan"
            );
        }
    }
    assert_eq!(
        codes(&kept["findings"])
            .iter()
            .filter(|c| *c == "QRT-LINK-NOT-MEASURED")
            .count(),
        0
    );

    fleet.lab.kill_agent("prox3");
    let shown = fleet.json(&["network", "--measure"]).await;
    assert_eq!(
        number(pair(&shown, 0, "prox1", "prox2"), "received"),
        100,
        "the rest is measured"
    );
    let dead = pair(&shown, 0, "prox1", "prox3");
    assert!(
        dead["reason"].as_str().is_some_and(|r| r.starts_with("prox3: ")),
        "{dead:#}"
    );

    // The ways change, and with them what is measured.
    fleet.lab.start_agent("prox3").unwrap();
    fleet.connected(&fleet.lab.names()).await;
    fleet
        .lab
        .way(Way::between(&["prox3"]).on(1).rtt_ms(20.0))
        .await
        .unwrap();
    let shown = fleet.json(&["network", "hk1", "--measure"]).await;
    // One finding a link. What a busy machine does to the other one is not asked here.
    let worse = findings(&shown, "QRT-LINK-WORSE");
    let said = |f: &&Value| f["message"].as_str().is_some_and(|m| m.contains("link 1 is worse"));
    let worse = worse.into_iter().find(said).expect("it is held against what it was");
    assert!(
        worse["severity"] == "warning" && worse["message"].to_string().contains("prox2 and prox3: 2"),
        "{worse:#}"
    );
    assert!(
        number(pair(&shown, 1, "prox2", "prox3"), "rtt_p50") >= 20_000,
        "{shown:#}"
    );
    assert!(
        number(pair(&shown, 0, "prox2", "prox3"), "rtt_p50") < 20_000,
        "{shown:#}"
    );
}
