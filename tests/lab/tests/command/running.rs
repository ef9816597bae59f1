//! A lab that stays up: `up`, `demo --keep`, and what is done to it.

use crate::Place;

#[tokio::test]
async fn a_lab_is_started_steered_and_ended() {
    let place = Place::new();
    let up = place.run(&["up", "--nodes", "2"]).await;
    assert!(up.success(), "{up:?}");
    assert!(up.stdout.starts_with("2 servers are up in "), "{up:?}");
    let again = place.run(&["up"]).await;
    assert_eq!(again.code(), Some(1));
    assert!(
        again.stderr.contains("a lab is up in ") && again.stderr.contains("cargo lab down"),
        "{again:?}"
    );

    let typed = "pvecm create lab1 --link0 10.10.10.1 >/dev/null && cat var/log/pve/tasks/index\nexit 7\n";
    let shell = place.run_fed(&["shell", "prox1"], typed).await;
    assert_eq!(shell.code(), Some(7), "the shell's own exit code: {shell:?}");
    assert!(shell.stdout.contains(":clustercreate:lab1:root@pam:"), "{shell:?}");
    assert!(!shell.stdout.contains("leave with exit"), "only for people: {shell:?}");

    assert!(place.run(&["cut", "prox2", "--link", "0"]).await.success());
    let status = place.run(&["status"]).await.stdout;
    let line = |node: &str| {
        status
            .lines()
            .find(|line| line.trim_start().starts_with(node))
            .unwrap_or("")
            .to_owned()
    };
    assert!(
        line("prox1").contains("lab1") && line("prox1").contains("quorate with prox1"),
        "{status}"
    );
    assert!(
        line("prox2").contains("standalone") && line("prox2").contains(", cut: "),
        "{status}"
    );
    assert!(place.run(&["heal", "prox2"]).await.success());
    assert!(!place.run(&["status"]).await.stdout.contains("cut: "));

    assert!(place.run(&["script", "prox2", "fail", "lsblk", "7"]).await.success());
    assert!(place.run(&["status"]).await.stdout.contains("  lsblk fails with 7\n"));
    let shell = place.run_fed(&["shell", "prox2"], "lsblk").await;
    assert_eq!(shell.code(), Some(7), "{shell:?}");

    let slow = ["way", "prox1", "prox2", "--rtt", "7", "--loss", "3", "--mtu", "1400"];
    let way = place.run(&slow).await;
    assert!(way.success(), "{way:?}");
    let pulled = place.run(&["power", "prox2", "pull"]).await;
    assert!(pulled.success(), "{pulled:?}");
    let status = place.run(&["status"]).await.stdout;
    let prox2 = status.lines().find(|line| line.trim_start().starts_with("prox2"));
    assert!(prox2.is_some_and(|line| line.contains("off")), "{status}");

    let down = place.run(&["down"]).await;
    assert!(down.success(), "{down:?}");
    place.assert_empty();
}

#[tokio::test]
async fn without_a_lab_or_with_a_wrong_name_it_says_so() {
    let place = Place::new();
    for args in [
        &["status"][..],
        &["down"],
        &["shell", "prox1"],
        &["cut", "prox1"],
        &["heal", "prox1"],
    ] {
        let output = place.run(args).await;
        assert_eq!(output.code(), Some(1), "{args:?}");
        assert_eq!(
            output.stderr, "error: no lab is up; start one with: cargo lab up\n",
            "{args:?}"
        );
    }
    assert!(place.run(&["up", "--nodes", "1"]).await.success());
    for args in [
        &["shell", "prox9"][..],
        &["cut", "prox9"],
        &["heal", "prox9"],
        &["script", "prox9", "clear"],
    ] {
        let output = place.run(args).await;
        assert_eq!(output.code(), Some(1), "{args:?}");
        assert_eq!(output.stderr, "error: the lab has no server called prox9\n", "{args:?}");
    }
    assert!(place.run(&["down"]).await.success());
    place.assert_empty();
}

#[tokio::test]
async fn a_kept_demo_can_be_used_and_ended() {
    let place = Place::new();
    let demo = place.run(&["demo", "cluster", "--keep"]).await;
    assert!(demo.success(), "{}\n{}", demo.stdout, demo.stderr);
    assert!(demo.stdout.ends_with("\n1 act passed, 0 failed\n"), "{}", demo.stdout);
    let config = demo
        .stdout
        .lines()
        .find_map(|line| line.trim().strip_prefix("export QUORATE_CONFIG="));
    assert!(std::path::Path::new(config.expect("how to reach the coordinator")).is_file());
    let status = place.run(&["status"]).await;
    assert_eq!(
        status.stdout.matches("quorate with prox1, prox2, prox3").count(),
        3,
        "{status:?}"
    );
    let shell = place.run_fed(&["shell", "prox2"], "pvecm status").await;
    assert!(
        shell.success() && shell.stdout.contains("Quorate:          Yes"),
        "{shell:?}"
    );
    assert!(place.run(&["down"]).await.success());
    place.assert_empty();
}

#[tokio::test]
async fn a_lab_comes_up_with_a_fleet_if_wanted() {
    let place = Place::new();
    let up = place.run(&["up", "--nodes", "1", "--vote", "--enrolled"]).await;
    assert!(up.success(), "{up:?}");
    let after = |what: &str| up.stdout.lines().find_map(|line| line.trim().strip_prefix(what));
    let config = after("export QUORATE_CONFIG=").expect("how to reach the coordinator");
    let quorate = up
        .stdout
        .lines()
        .last()
        .and_then(|line| line.trim().strip_suffix(" status"));
    let list = quorate_lab::process::Program::new(quorate.expect("its command line"))
        .args(["node", "list"])
        .env("QUORATE_CONFIG", config)
        .run()
        .await
        .expect("quorate runs");
    for name in ["hk1/prox1 ", "hk1/vote "] {
        let row = list.stdout.lines().find(|line| line.starts_with(name));
        assert!(row.is_some_and(|row| row.contains(" connected ")), "{list:?}");
    }
    assert!(place.run(&["down"]).await.success());
    place.assert_empty();
}
