//! The command line: what it prints and how it ends.

use quorate_lab::Lab;
use quorate_suites::{Fleet, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_cluster_file_is_shown_where_it_is_wrong() {
    let fleet = Fleet::bare(Lab::builder().nodes(1)).await;
    let file = fleet.write_file(
        "bad.toml",
        "[cluster]\nname = \"a name with blanks\"\nlinkz = [\"10.10.10.0/24\"]\n\n[nodes.prox1]\naddress = \"192.168.1.11\"\n\
         [nodes.prox2]\naddress = \"192.168.1.11\"\n",
    );
    let refused = fleet.ends(&["plan", &file], 3).await;
    for said in [
        "3 problems",
        "QRT-SPEC-BAD-NAME",
        "did you mean `links`?",
        "QRT-SPEC-DUPLICATE-ADDRESS",
        ":3:1",
        "nothing was changed",
    ] {
        assert!(refused.stderr.contains(said), "{said}\n{}", told(&refused));
    }
    let json = fleet.json(&["plan", &file]).await;
    assert_eq!(json["error"]["findings"].as_array().map(Vec::len), Some(3), "{json:#}");
    assert_eq!(json["error"]["findings"][1]["place"]["line"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_an_address_in_a_links_network_is_told_with_the_links_place() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let file = fleet.write_file(
        "far.toml",
        "[cluster]\nname = \"hk1\"\nlinks = [\"172.16.0.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n",
    );
    let plan = fleet.json(&["plan", &file]).await;
    let finding = plan["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|f| f["code"] == "QRT-NO-ADDRESS-IN-NETWORK")
        .unwrap_or_else(|| panic!("{plan:#}"));
    assert_eq!(
        (&finding["place"]["line"], &finding["place"]["column"]),
        (&3.into(), &10.into()),
        "{finding:#}"
    );
    fleet.ends(&["plan", &file], 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_it_says_how_to_start_one() {
    let lab = Lab::builder().nodes(1).start().await.unwrap();
    let output = lab.quorate(&["status"]).await.unwrap();
    assert_eq!(output.code(), Some(5), "{}", told(&output));
    assert!(output.stderr.contains("quorate serve"), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_unknown_things_and_explanations() {
    let fleet = Fleet::bare(Lab::builder().nodes(1)).await;
    fleet.ends(&["plann"], 2).await;
    fleet.ends(&["plan"], 2).await;
    fleet.ends(&["plan", "/no/such/file.toml"], 2).await;
    fleet.ends(&["rollout", "show", "nothing"], 7).await;
    fleet.ends(&["node", "show", "hk1/prox9"], 7).await;
    fleet
        .ends(&["node", "invite", "prox1", "--address", "127.0.0.1"], 2)
        .await;
    fleet.ends(&["--version"], 0).await;
    let explained = fleet.ok(&["explain", "QRT-NODE-HAS-GUESTS"]).await;
    assert!(
        explained.stdout.contains("guest ids could clash"),
        "{}",
        told(&explained)
    );
    fleet.ends(&["explain", "QRT-NO-SUCH"], 7).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    let asked = fleet.run(&["apply", &file]).await;
    assert_ne!(asked.code(), Some(0), "nobody is there to say yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_never_overwritten() {
    let fleet = Fleet::bare(Lab::builder().nodes(1)).await;
    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    fleet
        .ends(
            &[
                "init",
                "--fleet",
                "other",
                "--advertise",
                "127.0.0.1",
                "--passphrase-file",
                &passphrase,
            ],
            3,
        )
        .await;
}
