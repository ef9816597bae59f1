//! Files in `/etc/pve` that programs write themselves, and what happens where it is not mounted: C of the README, and A 7.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use quorate_lab::{GuestSpec, Script, What};

use crate::pve::{as_program, everywhere, journal, place, quorate, read, replace, rooted, run, status};
use crate::{created, happened, lab, three, until, writable};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];

#[tokio::test]
async fn a_file_is_seen_by_every_member_whole_and_with_pmxcfs_modes() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let folder = place(&lab, "prox2", "quorate");
    fs::create_dir(&folder).expect("made");
    let text = "x".repeat(30_000);
    replace(&lab, "prox2", "quorate/state.json", &text);
    everywhere(&lab, &ALL, "quorate/state.json", &text).await;
    for node in ALL {
        let mode = |path| {
            let data = fs::metadata(place(&lab, node, path)).expect("there");
            data.permissions().mode() & 0o777
        };
        assert_eq!((mode("quorate"), mode("quorate/state.json")), (0o755, 0o640), "{node}");
        assert!(
            !place(&lab, node, "quorate/state.new").exists(),
            "the temporary name is gone"
        );
    }
    fs::remove_file(place(&lab, "prox3", "quorate/state.json")).expect("removed");
    until(&lab, "it to be gone", async || {
        ALL.iter().all(|node| !place(&lab, node, "quorate/state.json").exists())
    })
    .await;
    fs::remove_dir(place(&lab, "prox1", "quorate")).expect("removed");
    until(&lab, "the folder to be gone", async || {
        ALL.iter().all(|node| !place(&lab, node, "quorate").exists())
    })
    .await;
}

#[tokio::test]
async fn private_files_are_for_root_only() {
    let lab = lab(|builder| builder.nodes(1)).await;
    created(&lab, "lab1").await;
    let folder = place(&lab, "prox1", "priv/quorate");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("s"), "secret").expect("written");
    until(&lab, "the modes", async || {
        let mode = |path: &std::path::Path| fs::metadata(path).map(|data| data.permissions().mode() & 0o777).ok();
        mode(&folder) == Some(0o700) && mode(&folder.join("s")) == Some(0o600)
    })
    .await;
}

#[tokio::test]
async fn pve_s_own_files_can_be_written_too() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let texts = [
        ("storage.cfg", "dir: local\n\tpath /var/lib/vz\n\tcontent iso\n"),
        ("firewall/cluster.fw", "[OPTIONS]\nenable: 1\n"),
        ("replication.cfg", "local: 100-0\n\ttarget prox2\n"),
        ("ha/resources.cfg", "vm: 100\n\tstate started\n"),
        ("priv/authorized_keys", "ssh-ed25519 AAAA somebody\n"),
    ];
    for (path, text) in texts {
        replace(&lab, "prox1", path, text);
        everywhere(&lab, &ALL, path, text).await;
    }
    fs::remove_file(place(&lab, "prox2", "storage.cfg")).expect("removed");
    until(&lab, "no storage.cfg", async || {
        ALL.iter().all(|node| !place(&lab, node, "storage.cfg").exists())
    })
    .await;
    // Root's keys lie there, wherever they are looked at.
    let keys = fs::read_to_string(rooted(&lab, "prox3", "root/.ssh/authorized_keys")).expect("a link");
    assert_eq!(keys, "ssh-ed25519 AAAA somebody\n");
}

#[tokio::test]
async fn a_node_that_was_away_catches_up_when_it_comes_back() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    lab.cut("prox3").await.expect("cut");
    quorate(&lab, "prox3", false).await;
    fs::create_dir(place(&lab, "prox1", "quorate")).expect("made");
    replace(&lab, "prox1", "quorate/a", "1");
    everywhere(&lab, &["prox1", "prox2"], "quorate/a", "1").await;
    assert!(!place(&lab, "prox3", "quorate").exists());
    lab.heal("prox3").await.expect("healed");
    everywhere(&lab, &ALL, "quorate/a", "1").await;
}

#[tokio::test]
async fn without_quorum_modes_tell_and_every_write_is_refused() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    fs::create_dir(place(&lab, "prox1", "quorate")).expect("made");
    fs::write(place(&lab, "prox1", "quorate/x"), "1").expect("written");
    everywhere(&lab, &ALL, "quorate/x", "1").await;
    lab.cut("prox3").await.expect("cut");
    quorate(&lab, "prox3", false).await;
    let at = |path: &str| place(&lab, "prox3", path).to_string_lossy().into_owned();
    let mode = |path| {
        fs::metadata(place(&lab, "prox3", path))
            .expect("there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode(""), mode("quorate"), mode("quorate/x")), (0o555, 0o555, 0o440));
    for argv in [
        vec!["/bin/mkdir".to_owned(), at("quorate/d")],
        vec!["/usr/bin/touch".to_owned(), at("quorate/new")],
        vec!["/bin/mv".to_owned(), at("quorate/x"), at("quorate/y")],
        vec!["/bin/rm".to_owned(), at("quorate/x")],
        vec!["/bin/mkdir".to_owned(), at("priv/lock/mine")],
    ] {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let output = as_program(&argv).await;
        assert!(
            output.code() == Some(1) && output.stderr.contains("Permission denied"),
            "{output:?}"
        );
    }
    assert_eq!(read(&lab, "prox3", "quorate/x"), "1", "reading goes on");
}

#[tokio::test]
async fn a_lock_is_a_folder_that_lives_for_two_minutes() {
    let lab = lab(|builder| builder.nodes(2).speed(200.0)).await;
    created(&lab, "lab1").await;
    let lock = place(&lab, "prox1", "priv/lock/mine");
    fs::create_dir(&lock).expect("taken");
    until(&lab, "the world to know of it", async || {
        happened(&lab, What::PveWritten)
            .iter()
            .any(|entry| entry.detail == "priv/lock/mine/")
    })
    .await;
    let taken = happened(&lab, What::PveWritten).pop().expect("taken").ms;
    until(&lab, "its end", async || !lock.exists()).await;
    run(&lab, "prox1", "pvecm apiver").await;
    let now = happened(&lab, What::ToolEnded).pop().expect("a call").ms;
    assert!(now - taken >= 120_000, "{} ms", now - taken);
    fs::create_dir(&lock).expect("taken again");
    fs::remove_dir(&lock).expect("given back");
    fs::create_dir(&lock).expect("free at once");
}

#[tokio::test]
async fn what_pmxcfs_does_not_hold_does_not_stay() {
    let lab = lab(|builder| builder.nodes(1)).await;
    created(&lab, "lab1").await;
    let link = place(&lab, "prox1", "link");
    symlink("corosync.conf", &link).expect("made");
    until(&lab, "no link", async || link.symlink_metadata().is_err()).await;
    let members = read(&lab, "prox1", ".members");
    fs::write(place(&lab, "prox1", ".members"), "mine").expect("written");
    until(&lab, "the world's own file", async || {
        read(&lab, "prox1", ".members") == members
    })
    .await;
    // One byte more than a mebibyte: the first mebibyte stays.
    let big = place(&lab, "prox1", "big");
    fs::write(&big, vec![b'x'; (1 << 20) + 1]).expect("written");
    until(&lab, "its first part", async || {
        fs::metadata(&big).is_ok_and(|data| data.len() == 1 << 20)
    })
    .await;
}

#[tokio::test]
async fn a_guest_s_file_is_the_guest() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let guest = GuestSpec {
        vmid: 100,
        name: "t100".to_owned(),
        kind: quorate_lab::description::GuestKind::Qemu,
        ..GuestSpec::default()
    };
    lab.script("prox3", Script::AddGuest(guest)).await.expect("a guest");
    let file = "qemu-server/100.conf";
    until(&lab, "its file", async || {
        place(&lab, "prox1", "nodes/prox3").join(file).exists()
    })
    .await;
    fs::rename(
        place(&lab, "prox1", "nodes/prox3").join(file),
        place(&lab, "prox1", "nodes/prox1").join(file),
    )
    .expect("moved, as HA and an administrator do it");
    until(&lab, "the list", async || {
        read(&lab, "prox2", ".vmlist").contains("\"100\": { \"node\": \"prox1\", \"type\": \"qemu\"")
    })
    .await;
    assert!(run(&lab, "prox1", "qm list").await.stdout.contains("t100"));
    fs::remove_file(place(&lab, "prox2", "nodes/prox1").join(file)).expect("removed");
    until(&lab, "it to be gone", async || {
        !read(&lab, "prox3", ".vmlist").contains("\"100\"")
    })
    .await;
}

#[tokio::test]
async fn a_file_written_while_pmxcfs_is_down_keeps_it_down() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    assert!(run(&lab, "prox1", "systemctl stop pve-cluster").await.success());
    assert!(!status(&lab, "prox1").await.mounted);
    let mon = place(&lab, "prox1", "mon-prox1");
    assert_eq!(fs::read_dir(place(&lab, "prox1", "")).expect("a folder").count(), 0);
    fs::write(&mon, "mine").expect("an ordinary folder takes it");
    let output = run(&lab, "prox1", "systemctl start pve-cluster").await;
    assert_eq!(output.code(), Some(1));
    assert!(
        output.stderr.starts_with("Job for pve-cluster.service failed"),
        "{output:?}"
    );
    assert!(
        journal(&lab, "prox1")
            .await
            .contains("[main] crit: fuse_mount error: File exists\n")
    );
    let output = run(&lab, "prox1", "pmxcfs").await;
    assert_eq!(output.code(), Some(255));
    assert!(
        output.stderr.ends_with(
            "fuse: mountpoint is not empty\nfuse: if you are sure this is safe, use the 'nonempty' mount option\n\
             [main] crit: fuse_mount error: File exists\n[main] notice: exit proxmox configuration filesystem (-1)\n"
        ),
        "{output:?}"
    );
    assert_eq!(
        run(&lab, "prox1", "systemctl is-active pve-cluster").await.stdout,
        "failed\n"
    );
    fs::remove_file(&mon).expect("removed");
    assert!(run(&lab, "prox1", "systemctl start pve-cluster").await.success());
    writable(&lab, "prox1").await;
    assert!(!read(&lab, "prox1", "corosync.conf").is_empty());
}
