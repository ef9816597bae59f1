//! Edits of `/etc/pve/corosync.conf` by hand: B of the README, row by row.

use std::fs;

use quorate_lab::What;

use crate::pve::{
    CONF, as_program, edit, everywhere, journal, place, quorate, raised, read, replace, rooted, run, running,
    runs_with, version, with_link1,
};
use crate::{PATIENCE, happened, lab, nothing_unknown, three, until};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];
const FAILED: &str = "[dcdb] crit: corosync-cfgtool -R failed with exit code 7#010";

#[tokio::test]
async fn a_link_is_added_and_removed_live() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let before = read(&lab, "prox1", CONF);
    edit(&lab, "prox1", |text| with_link1(&text));
    let after = read(&lab, "prox1", CONF);
    everywhere(&lab, &ALL, CONF, &after).await;
    for node in ALL {
        runs_with(&lab, node, version(&after)).await;
        let copy = fs::read_to_string(rooted(&lab, node, "etc/corosync/corosync.conf")).expect("the copy");
        assert_eq!(copy, after, "{node}: also the order and every comment");
    }
    until(&lab, "link 1 from all sides", async || {
        let mut connected = 0;
        for node in ALL {
            let links = run(&lab, node, "corosync-cfgtool -n").await.stdout;
            connected += links.matches(") enabled connected mtu: 1397\n").count();
        }
        connected == 12
    })
    .await;
    let links = run(&lab, "prox1", "corosync-cfgtool -s").await.stdout;
    assert!(links.contains("LINK ID 1 udp\n\taddr\t= 192.168.1.11\n"), "{links}");
    let log = journal(&lab, "prox2").await;
    let wrote = format!(
        "[dcdb] notice: wrote new corosync config '/etc/corosync/corosync.conf' (version = {})",
        version(&after)
    );
    for text in [
        wrote.as_str(),
        "  [CFG   ] Config reload requested by node 1",
        "  [TOTEM ] Configured link number 1: local addr: 192.168.1.12, port=5406",
        "  [KNET  ] rx: host: 3 link: 1 is up",
    ] {
        assert!(log.contains(text), "{text} in\n{log}");
    }
    // What a member's address was when it joined stays, whatever is added: no proof of a link.
    let members = run(&lab, "prox1", "corosync-cmapctl runtime.members").await.stdout;
    assert!(
        members.contains("runtime.members.2.ip (str) = r(0) ip(10.10.10.2) \n"),
        "{members}"
    );

    replace(&lab, "prox2", CONF, &raised(&before, 2));
    for node in ALL {
        runs_with(&lab, node, version(&before) + 2).await;
        assert!(!run(&lab, node, "corosync-cfgtool -n").await.stdout.contains("LINK: 1"));
    }
    // The first node was without quorum while the second joined, and nobody since.
    assert_eq!(happened(&lab, What::QuorumLost).len(), 1);
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_new_link_is_up_about_three_seconds_after_the_edit() {
    let lab = lab(|builder| builder.nodes(3).speed(10.0)).await;
    three(&lab).await;
    edit(&lab, "prox1", |text| with_link1(&text));
    until(&lab, "the reload", async || {
        !happened(&lab, What::ConfigReloaded).is_empty()
    })
    .await;
    until(&lab, "link 1", async || {
        let links = run(&lab, "prox1", "corosync-cfgtool -n").await.stdout;
        links.matches("LINK: 1").count() == 2 && links.matches(" connected").count() == 4
    })
    .await;
    let written = happened(&lab, What::PveWritten)
        .into_iter()
        .rfind(|entry| entry.detail.contains(CONF))
        .expect("written");
    let reloaded = happened(&lab, What::ConfigReloaded).pop().expect("reloaded");
    let took = reloaded.ms - written.ms;
    assert!(took >= 1000, "{took} ms");
    let shown = happened(&lab, What::ToolEnded).pop().expect("shown");
    assert!(shown.ms - written.ms >= 3000, "{} ms", shown.ms - written.ms);
}

/// Makes an edit that nobody takes over, and returns the journal's new lines on the editing node and on another.
async fn refused(change: impl FnOnce(String) -> String) -> (quorate_lab::Lab, String, String) {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let before = version(&read(&lab, "prox1", CONF));
    edit(&lab, "prox1", change);
    let text = read(&lab, "prox1", CONF);
    everywhere(&lab, &ALL, CONF, &text).await;
    until(&lab, "the failed reload", async || {
        happened(&lab, What::ReloadFailed).len() == 1
    })
    .await;
    for node in ALL {
        assert_eq!(
            running(&lab, node).await,
            [before; 3],
            "{node} runs on with the old one"
        );
        let copy = fs::read_to_string(rooted(&lab, node, "etc/corosync/corosync.conf")).expect("the copy");
        assert_eq!(copy, text, "{node}: but its copy is the new one");
        let members = read(&lab, node, ".members");
        assert!(
            members.contains(&format!("\"version\": {before}, \"nodes\": 3, \"quorate\": 1")),
            "{members}"
        );
    }
    let (own, other) = (journal(&lab, "prox1").await, journal(&lab, "prox2").await);
    assert!(own.contains(FAILED), "{own}");
    assert!(!other.contains(FAILED), "only the editing node tells: {other}");
    (lab, own, other)
}

#[tokio::test]
async fn bad_edit_one_node_lacks_an_address() {
    let (lab, own, other) = refused(|text| with_link1(&text).replace("    ring1_addr: 192.168.1.13\n", "")).await;
    let text = "Configuration is not valid: parse error in config: Not all nodes have the same number of links";
    assert!(own.contains(text) && other.contains(text), "{own}");
    let status = run(&lab, "prox1", "pvecm status").await;
    assert!(status.success(), "nothing is to be seen of it: {status:?}");
}

#[tokio::test]
async fn bad_edit_a_link_s_address_is_changed() {
    let (lab, own, other) = refused(|text| text.replace("10.10.10.3", "192.168.1.13")).await;
    for log in [own, other] {
        assert!(
            log.contains(
                "[TOTEM ] new config has different address for link 0 (addr changed from 10.10.10.3 to 192.168.1.13). \
                 Internal value was NOT changed."
            ),
            "{log}"
        );
        assert!(log.contains("To reconfigure an interface it must be deleted and recreated"));
    }
    let status = run(&lab, "prox1", "pvecm status").await;
    let file = version(&read(&lab, "prox1", CONF));
    assert!(
        status.stdout.contains(&format!("Config Version:   {file}\n")),
        "always the file's: {status:?}"
    );
    // A restart takes it over. Who meets others that run with an older one ends them.
    for node in ALL {
        run(&lab, node, "systemctl restart corosync").await;
    }
    for node in ALL {
        quorate(&lab, node, true).await;
        runs_with(&lab, node, file).await;
    }
}

#[tokio::test]
async fn bad_edit_a_brace_too_many() {
    let (lab, own, _) = refused(|text| format!("{text}}}\n")).await;
    let line = read(&lab, "prox1", CONF).lines().count();
    let text = format!(
        "Unable to reload config file: parser error: /etc/corosync/corosync.conf:{line}: Unexpected closing brace"
    );
    assert!(own.contains(&text), "{own}");
    for command in ["pvecm status", "pvecm nodes", "pvecm expected 3"] {
        let output = run(&lab, "prox2", command).await;
        assert_eq!(output.stderr, "parse error - uncexpected '}'\n", "{command}");
        assert_eq!(output.code(), Some(1), "{command}");
    }
    // Whoever restarts now is out.
    let output = run(&lab, "prox2", "systemctl restart corosync").await;
    assert_eq!(output.code(), Some(1));
    assert!(
        output
            .stderr
            .starts_with("Job for corosync.service failed because the control process exited with error code.\n"),
        "{output:?}"
    );
    let state = run(&lab, "prox2", "systemctl is-active corosync").await;
    assert_eq!(state.stdout, "failed\n");
    // The way back: a good one with a higher version.
    edit(&lab, "prox1", |text| {
        text.strip_suffix("}\n").expect("the brace").to_owned()
    });
    let good = version(&read(&lab, "prox1", CONF));
    until(&lab, "the others to run with it", async || {
        running(&lab, "prox1").await.contains(&good)
    })
    .await;
}

#[tokio::test]
async fn bad_edit_a_lower_version() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let good = read(&lab, "prox1", CONF);
    let before = version(&good);
    let lower = raised(&good, -2);
    replace(&lab, "prox1", CONF, &lower);
    everywhere(&lab, &ALL, CONF, &lower).await;
    for node in ALL {
        let log = journal(&lab, node).await;
        assert_eq!(
            log.matches("[dcdb] crit: local corosync.conf is newer\n").count(),
            1,
            "{log}"
        );
        let copy = fs::read_to_string(rooted(&lab, node, "etc/corosync/corosync.conf")).expect("the copy");
        assert_eq!(version(&copy), before);
        assert_eq!(running(&lab, node).await, [before; 3]);
    }
    let status = run(&lab, "prox1", "pvecm status").await.stdout;
    assert!(
        status.contains(&format!("Config Version:   {}\n", before - 2)),
        "{status}"
    );
}

#[tokio::test]
async fn bad_edit_the_same_version() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let before = version(&read(&lab, "prox1", CONF));
    let text = with_link1(&read(&lab, "prox1", CONF));
    replace(&lab, "prox1", CONF, &text);
    until(&lab, "link 1 everywhere", async || {
        run(&lab, "prox3", "corosync-cfgtool -n")
            .await
            .stdout
            .matches("LINK: 1")
            .count()
            == 2
    })
    .await;
    assert_eq!(
        running(&lab, "prox3").await,
        [before; 3],
        "it is taken over like any other"
    );
    let wrote = format!("wrote new corosync config '/etc/corosync/corosync.conf' (version = {before})");
    assert_eq!(journal(&lab, "prox1").await.matches(&wrote).count(), 2);
}

#[tokio::test]
async fn a_token_of_one_s_own_is_the_base_of_the_running_one() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    edit(&lab, "prox1", |text| {
        text.replace("  version: 2\n", "  token: 5000\n  version: 2\n")
    });
    runs_with(&lab, "prox1", version(&read(&lab, "prox1", CONF))).await;
    let output = run(&lab, "prox1", "corosync-cmapctl -g runtime.config.totem.token").await;
    assert_eq!(output.stdout, "runtime.config.totem.token (u32) = 5650\n");
}

#[tokio::test]
async fn without_quorum_an_edit_is_refused() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    lab.cut("prox3").await.expect("cut");
    quorate(&lab, "prox3", false).await;
    let conf = place(&lab, "prox3", CONF);
    let before = read(&lab, "prox3", CONF);
    let (from, to) = (conf.to_string_lossy(), format!("{}.new", conf.display()));
    for argv in [
        vec!["/bin/cp", &from, &to],
        vec!["/bin/mv", &from, &to],
        vec!["/bin/rm", "-f", &from],
        vec!["/usr/bin/tee", &from],
    ] {
        let output = as_program(&argv).await;
        assert!(
            output.code() == Some(1) && output.stderr.contains("Permission denied"),
            "{argv:?}: {output:?}"
        );
    }
    assert_eq!(read(&lab, "prox3", CONF), before);
}

#[tokio::test]
async fn what_is_written_without_quorum_in_spite_of_the_modes_does_not_stay() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    lab.cut("prox3").await.expect("cut");
    quorate(&lab, "prox3", false).await;
    let before = read(&lab, "prox3", CONF);
    // As root, or as a program that had the file open before.
    let conf = place(&lab, "prox3", CONF);
    let mut modes = fs::metadata(&conf).expect("there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut modes, 0o640);
    fs::set_permissions(&conf, modes).expect("as its owner");
    fs::write(&conf, "nonsense").expect("written");
    until(&lab, "it to be undone", async || {
        !happened(&lab, What::PveWriteUndone).is_empty() && read(&lab, "prox3", CONF) == before
    })
    .await;
    assert_eq!(read(&lab, "prox1", CONF), before);
}

#[tokio::test]
async fn what_is_written_while_a_membership_is_undecided_counts_when_it_is_decided() {
    let lab = lab(|builder| builder.nodes(3).speed(20.0)).await;
    three(&lab).await;
    lab.cut("prox3").await.expect("cut");
    fs::write(place(&lab, "prox1", "by-the-majority"), "1").expect("written");
    fs::write(place(&lab, "prox3", "by-the-minority"), "3").expect("written");
    let decided = || {
        happened(&lab, What::MembershipChanged)
            .iter()
            .any(|entry| entry.detail == "1 2")
    };
    until(&lab, "the majority's file", async || {
        let there = read(&lab, "prox2", "by-the-majority") == "1";
        assert!(!there || decided(), "a write blocks until then");
        there
    })
    .await;
    until(&lab, "the minority's file to go", async || {
        !place(&lab, "prox3", "by-the-minority").exists()
    })
    .await;
    lab.heal("prox3").await.expect("healed");
    lab.wait_for("prox3 to catch up", PATIENCE, async || {
        read(&lab, "prox3", "by-the-majority") == "1"
    })
    .await
    .expect("it does");
    assert!(!place(&lab, "prox1", "by-the-minority").exists());
}
