//! Scripted misbehaviour.

use std::os::unix::process::ExitStatusExt;

use quorate_lab::control::{Misbehaviour, ToolScript};
use quorate_lab::{Script, What};

use crate::{happened, lab, nothing_unknown};

#[tokio::test]
async fn a_tool_prints_garbage_fails_or_dies_as_told() {
    let lab = lab(|builder| builder.nodes(2)).await;
    let argv = ["lsblk", "--json", "--bytes", "--output", "NAME,SIZE"];
    let usual = lab.tool("prox1", &argv, None).await.expect("lsblk runs");
    assert!(usual.success());

    lab.script_tool(
        "prox1",
        "lsblk",
        ToolScript::Garbage {
            text: "what?\n".to_owned(),
        },
    )
    .await
    .expect("scripted");
    let output = lab.tool("prox1", &argv, None).await.expect("lsblk runs");
    assert_eq!((output.stdout.as_str(), output.code()), ("what?\n", Some(0)));
    let other = lab.tool("prox2", &argv, None).await.expect("lsblk runs");
    assert!(other.success() && other.stdout.contains("sda"), "only prox1 misbehaves");
    lab.script("prox1", Script::ClearTools).await.expect("cleared");

    let stderr = "lsblk: no\n".to_owned();
    lab.script_tool("prox1", "lsblk", ToolScript::Fail { code: 7, stderr })
        .await
        .expect("scripted");
    let output = lab.tool("prox1", &argv, None).await.expect("lsblk runs");
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code()),
        ("", "lsblk: no\n", Some(7))
    );
    lab.script("prox1", Script::ClearTools).await.expect("cleared");

    let die = ToolScript::Die {
        after_lines: 3,
        signal: 9,
    };
    lab.script_tool("prox1", "lsblk", die).await.expect("scripted");
    let output = lab.tool("prox1", &argv, None).await.expect("lsblk runs");
    assert_eq!(output.status.signal(), Some(9));
    let three: String = usual.stdout.split_inclusive('\n').take(3).collect();
    assert_eq!(output.stdout, three);
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_script_can_be_for_one_call_only() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let script = ToolScript::Fail {
        code: 3,
        stderr: String::new(),
    };
    let once = Misbehaviour {
        tool: "pvecm".to_owned(),
        matching: Some("apiver".to_owned()),
        times: Some(1),
        script,
    };
    lab.script("prox1", Script::Tool(once)).await.expect("scripted");
    let codes = [["pvecm", "status"], ["pvecm", "apiver"], ["pvecm", "apiver"]];
    let mut seen = Vec::new();
    for argv in codes {
        seen.push(lab.tool("prox1", &argv, None).await.expect("pvecm runs").code());
    }
    assert_eq!(seen, [Some(2), Some(3), Some(0)]);
}

#[tokio::test]
async fn what_the_world_does_not_know_fails_loudly() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let output = lab
        .tool("prox1", &["zpool", "upgrade", "tank"], None)
        .await
        .expect("zpool runs");
    assert_eq!(output.code(), Some(90));
    let unknown = happened(&lab, What::UnknownInvocation);
    assert_eq!(unknown.len(), 1);
    assert_eq!(unknown[0].argv, ["zpool", "upgrade", "tank"]);
    let text = std::fs::read_to_string(lab.layout().operations()).expect("the log");
    assert!(text.contains("UNKNOWN INVOCATION"));
}

#[tokio::test]
async fn a_missing_tool_is_not_there() {
    let lab = lab(|builder| {
        builder
            .nodes(1)
            .server("prox1", |s| s.missing_tools.push("smartctl".to_owned()))
    })
    .await;
    let bin = lab.node("prox1").expect("prox1").bin;
    assert!(!bin.join("smartctl").exists());
    assert!(bin.join("lsblk").exists());
}

#[tokio::test]
async fn a_lab_leaves_nothing_behind() {
    let lab = lab(|builder| builder.nodes(2)).await;
    crate::created(&lab, "lab1").await;
    lab.script_tool("prox1", "ip", ToolScript::Hang { ms: None })
        .await
        .expect("scripted");
    let dir = lab.layout().dir().to_owned();
    let mut left = lab
        .tool_in_background("prox1", &["ip", "-j", "addr"], None, &dir.join("ip.out"))
        .expect("ip starts");
    lab.script("prox1", Script::StopCorosync)
        .await
        .expect("read-only folders too");
    drop(lab);
    assert!(!dir.exists());
    assert!(left.stop(crate::PATIENCE).await.is_ok());
}
