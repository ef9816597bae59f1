//! `quorate spec`: cluster files before anything is done with them.

use quorate_lab::Lab;
use quorate_suites::{Fleet, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_checked_without_a_daemon() {
    let lab = Lab::builder().nodes(1).start().await.unwrap();
    let path = lab.layout().coordinator().join("two.toml");
    let good = include_str!("../../../../docs/examples/two-nodes-and-a-qdevice.toml");
    std::fs::create_dir_all(lab.layout().coordinator()).unwrap();
    std::fs::write(&path, good).unwrap();
    let name = path.to_string_lossy().into_owned();
    let checked = lab.quorate(&["spec", "check", &name]).await.unwrap();
    assert_eq!(checked.code(), Some(0), "{}", told(&checked));
    assert_eq!(
        checked.stdout,
        format!("{name}: ok, 3 nodes (2 members, 1 qnetd host), 2 links, third vote on box1\n")
    );

    std::fs::write(
        &path,
        good.replace("qdevice = \"box1\"", "qdevice = \"box2\"")
            .replace("priority = 20", "priority = 2000"),
    )
    .unwrap();
    let refused = lab.quorate(&["spec", "check", &name]).await.unwrap();
    assert_eq!(refused.code(), Some(3), "{}", told(&refused));
    for said in [
        "2 problems",
        "QRT-SPEC-BAD-VALUE",
        "no node of this file",
        "write a number from 0 to 255",
    ] {
        assert!(refused.stderr.contains(said), "{said}\n{}", told(&refused));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_json() {
    let lab = Lab::builder().nodes(1).start().await.unwrap();
    let printed = lab.quorate(&["spec", "schema"]).await.unwrap();
    assert_eq!(printed.code(), Some(0), "{}", told(&printed));
    let schema: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(schema["properties"]["cluster"]["required"][0], "name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_begun_from_what_the_servers_have_and_never_written_over() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let path = fleet
        .lab
        .layout()
        .coordinator()
        .join("begun.toml")
        .to_string_lossy()
        .into_owned();

    let nobody = fleet.ends(&["spec", "init", "--out", &path], 2).await;
    assert!(
        nobody.stderr.contains("--node NAME") && nobody.stderr.contains("Free disks"),
        "{}",
        told(&nobody)
    );

    fleet.ok(&["spec", "init", "--yes", "--out", &path]).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let checked = fleet.json(&["spec", "check", &path]).await;
    assert_eq!(
        checked["members"].as_array().map(Vec::len),
        Some(3),
        "{checked:#}\n{text}"
    );
    assert!(text.contains("links = [") && text.contains("free disk: "), "{text}");

    let there = fleet.ends(&["spec", "init", "--yes", "--out", &path], 3).await;
    assert!(there.stderr.contains("--force"), "{}", told(&there));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let node = fleet.lab.names().remove(0);
    fleet
        .ok(&[
            "spec",
            "init",
            "--force",
            "--out",
            &path,
            "--node",
            &node,
            "--link",
            "10.10.10.0/24,priority=7",
        ])
        .await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("priority = 7") && text.matches("[nodes.").count() == 1,
        "{text}"
    );
    fleet
        .ends(&["spec", "init", "--cluster", "elsewhere", "--yes"], 7)
        .await;
}
