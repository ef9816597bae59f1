//! What the tools print, call by call, beside what real servers printed.

use quorate_lab::description::GuestKind;
use quorate_lab::{GuestSpec, Lab, Script, What};

use crate::captured::{self, comparable};
use crate::{add, created, fingerprint, lab, nothing_unknown, three};

/// Plays a recorded file's calls on the lab and compares stdout, stderr and the exit code. Of other codes than 0, 1 and
/// 2 only that they are not 0: in Perl they are leftovers.
async fn compare(lab: &Lab, file: &str) {
    for call in captured::read(file) {
        let (stdout, stderr, code) = match call.line.strip_prefix("cat ") {
            Some(path) => {
                let root = lab.node(&call.node).expect("the node").root;
                let text = std::fs::read_to_string(root.join(path.trim_start_matches('/'))).expect("the file");
                (text, String::new(), 0)
            }
            None => {
                let argv: Vec<&str> = call.line.split(' ').collect();
                let output = lab.tool(&call.node, &argv, None).await.expect("the tool runs");
                let code = output.code().expect("an exit code");
                (output.stdout, output.stderr, code)
            }
        };
        let place = format!("{file}: [{}]# {}", call.node, call.line);
        assert_eq!(comparable(&stdout), comparable(&call.stdout), "stdout of {place}");
        assert_eq!(comparable(&stderr), comparable(&call.stderr), "stderr of {place}");
        if call.code <= 2 && call.line.contains("status") {
            assert_eq!(code, call.code, "exit code of {place}");
        }
        assert_eq!(code == 0, call.code == 0, "exit code {code} of {place}");
    }
    nothing_unknown(lab);
}

#[tokio::test]
async fn a_standalone_server() {
    let lab = lab(|builder| builder.nodes(1)).await;
    compare(&lab, "standalone.txt").await;
}

#[tokio::test]
async fn wrong_uses_of_create() {
    let lab = lab(|builder| builder.nodes(1)).await;
    compare(&lab, "create-errors.txt").await;
}

#[tokio::test]
async fn a_cluster_of_one() {
    let lab = lab(|builder| builder.nodes(1)).await;
    created(&lab, "lab1").await;
    compare(&lab, "one-node.txt").await;
}

#[tokio::test]
async fn three_quorate_nodes_and_one_isolated() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    compare(&lab, "three-nodes.txt").await;

    lab.cut("prox3").await.expect("cut");
    lab.wait_for("prox3 to be alone", crate::PATIENCE, async || {
        lab.status()
            .await
            .is_ok_and(|list| list.iter().any(|s| s.name == "prox3" && !s.quorate && !s.writable))
    })
    .await
    .expect("isolated in time");
    compare(&lab, "isolated-majority.txt").await;
    compare(&lab, "isolated-minority.txt").await;
}

#[tokio::test]
async fn a_join_prints_what_a_real_one_prints() {
    let lab = lab(|builder| builder.nodes(2)).await;
    // On the public network, so that the join may fall back to the address of its own name, as the recorded one did.
    let output = lab
        .tool("prox1", &["pvecm", "create", "lab1", "--link0", "192.168.1.11"], None)
        .await
        .expect("pvecm runs");
    assert!(output.success(), "{output:?}");
    crate::writable(&lab, "prox1").await;
    let recorded = captured::read("add.txt").remove(0);
    let output = add(&lab, "prox2", "labpass", &[]).await;
    let tidy = |text: &str| {
        let lines = text.lines().map(|line| match line.split_once("/config-") {
            Some((before, _)) => before.to_owned(),
            None => line.replace("192.168.1.1", "A.").replace("10.77.0.", "A."),
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(tidy(&output.stdout), tidy(&recorded.stdout));
    assert_eq!((output.stderr.as_str(), output.code()), ("", Some(0)));
}

#[tokio::test]
async fn refused_joins_say_what_real_ones_say() {
    let lab = lab(|builder| builder.nodes(3)).await;
    created(&lab, "lab1").await;
    let real = fingerprint(&lab, "prox1").await;
    let recorded = "5B:0F:5B:3C:B9:7F:0D:7F:D3:3E:15:2C:D0:50:88:70:3E:23:DD:4B:2A:20:9A:D4:E3:82:6C:C5:4A:C6:1E:8A";
    for call in captured::read("add-errors.txt") {
        let guest = call.line.contains("100.conf");
        if guest {
            let spec = GuestSpec {
                vmid: 100,
                name: "t100".to_owned(),
                kind: GuestKind::Qemu,
            };
            lab.script("prox3", Script::AddGuest(spec))
                .await
                .expect("a guest appears");
        }
        let password = if call.line.contains("echo wrongpw") {
            "wrongpw\n"
        } else {
            "labpass\n"
        };
        let stdin = if call.line.contains("</dev/null") { "" } else { password };
        let from = call.line.find("pvecm").expect("the command");
        let command = call.line[from..].split([';', '<']).next().expect("its end").trim();
        // The recorded hosts have one network; here the API is on the public one and corosync on the other.
        let command = command
            .replace(recorded, &real)
            .replace("add 10.77.0.", "add 192.168.1.1")
            .replace("--link0 10.77.0.", "--link0 10.10.10.")
            .replace("--link1 10.77.0.", "--link1 10.10.10.");
        let argv: Vec<&str> = command.split(' ').collect();
        let output = lab
            .tool("prox3", &argv, Some(stdin.as_bytes()))
            .await
            .expect("pvecm runs");
        let tidy = |text: &str| {
            let text = text.replace(&real, "FP").replace(recorded, "FP").replace("rc=0\n", "");
            text.replace("192.168.1.1", "A.")
                .replace("10.77.0.", "A.")
                .replace("10.10.10.", "A.")
        };
        assert_eq!(tidy(&output.stdout), tidy(&call.stdout), "stdout of {command}");
        assert_eq!(tidy(&output.stderr), tidy(&call.stderr), "stderr of {command}");
        assert_eq!(output.code(), Some(0), "a refused join ends with 0: {command}");
        if guest {
            lab.script("prox3", Script::RemoveGuest(100))
                .await
                .expect("the guest goes");
        }
    }
    assert_eq!(crate::happened(&lab, What::AddnodeCommitted), Vec::new());
    nothing_unknown(&lab);
}
