//! `quorate probe postgres://…` beside a real PostgreSQL that is killed, and one that comes back with less than it had acknowledged.
//!
//! `.ci/reality` runs this; see README.md beside it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; a panic is the report"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use quorate_lab::binaries;
use quorate_lab::process::{Daemon, Output, Program};
use quorate_reality_postgres::{PASSWORD, PATIENCE, Server, until};
use serde_json::Value;

/// A probe that goes on until it is told to end.
struct Probe {
    daemon: Daemon,
    log: PathBuf,
}

impl Probe {
    fn begin(server: &Server, host: &str) -> Self {
        let secret = server.path("drill.password");
        std::fs::write(&secret, format!("{PASSWORD}\n")).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let log = server.path("probe.json");
        // What a program says is put after what the one before it said.
        drop(std::fs::remove_file(&log));
        let quorate = binaries::ensure_built().unwrap().quorate;
        let (target, secret) = (server.target(host), secret.to_string_lossy().into_owned());
        let args = [
            "probe",
            &target,
            "--for",
            "1h",
            "--password-file",
            &secret,
            "-o",
            "json",
        ];
        let daemon = Program::new(quorate).args(args).spawn(&log, false).unwrap();
        Self { daemon, log }
    }

    /// Ends it as Ctrl-C does, and gives what it told, with its exit code.
    async fn end(mut self) -> (Value, i32) {
        let pid = self.daemon.pid().to_string();
        let told = Program::new("/bin/kill").args(["-INT", &pid]).run().await.unwrap();
        assert!(told.success(), "{told:#?}");
        let mut code = None;
        until("the probe to end", async || {
            code = self.daemon.ended().map(|status| status.code());
            code.is_some()
        })
        .await;
        let text = std::fs::read_to_string(&self.log).unwrap();
        assert!(!text.contains(PASSWORD), "it tells the password: {text}");
        let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (value, code.flatten().unwrap())
    }
}

/// What a probe of a second comes to, with these options of the database.
async fn for_a_second(server: &Server, host: &str, options: &str) -> Output {
    let secret = server.path("drill.password");
    std::fs::write(&secret, format!("{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let quorate = binaries::ensure_built().unwrap().quorate;
    let (target, secret) = (
        format!("{}{options}", server.target(host)),
        secret.to_string_lossy().into_owned(),
    );
    let args = ["probe", &target, "--for", "1s", "--password-file", &secret];
    let program = Program::new(quorate).args(args).deadline(PATIENCE);
    program.run().await.unwrap()
}

/// Waits until so many more rows are there than are now.
async fn more(server: &Server, rows: usize) {
    let before = server.numbers().await.len();
    until("rows to be written", async || {
        server.numbers().await.len() >= before + rows
    })
    .await;
}

struct Counted {
    acknowledged: u64,
    missing: u64,
    not_known: u64,
}

fn counted(told: &Value) -> Counted {
    let rows = told.pointer("/measured/rows").unwrap();
    assert_eq!(rows["rows"], "counted", "{told:#}");
    assert_eq!(rows["durability"], "synchronous_commit on, fsync on", "{told:#}");
    let number = |name: &str| rows[name].as_u64().unwrap();
    Counted {
        acknowledged: number("acknowledged"),
        missing: number("missing"),
        not_known: number("not_known"),
    }
}

fn len(numbers: &std::collections::BTreeSet<u64>) -> u64 {
    u64::try_from(numbers.len()).unwrap()
}

#[tokio::test]
#[ignore = "needs Debian's postgresql: .ci/reality runs it"]
async fn a_postmaster_that_is_killed_loses_nothing_that_it_acknowledged() {
    let server = Server::started().await;
    let probe = Probe::begin(&server, "127.0.0.1");
    more(&server, 20).await;
    server.kill().await;
    server.start().await;
    more(&server, 20).await;
    let (told, code) = probe.end().await;
    let seen = counted(&told);
    assert_eq!(seen.missing, 0, "{told:#}");
    assert!(!told["measured"]["gaps"].as_array().unwrap().is_empty(), "{told:#}");
    assert_eq!(code, 9, "there was a gap");
    // All that is there was acknowledged, or sent without an answer.
    let there = len(&server.numbers().await);
    assert!(
        (seen.acknowledged..=seen.acknowledged + seen.not_known).contains(&there),
        "{there} rows: {told:#}"
    );
}

#[tokio::test]
#[ignore = "needs Debian's postgresql: .ci/reality runs it"]
async fn rows_that_an_older_copy_does_not_have_are_counted_one_by_one() {
    let server = Server::started().await;
    let probe = Probe::begin(&server, &server.socket());
    more(&server, 20).await;
    server.stop().await;
    server.copy().await;
    server.start().await;
    more(&server, 30).await;
    server.kill().await;
    let newer = server.numbers_apart().await;
    server.put_back().await;
    server.start().await;
    more(&server, 20).await;
    let (told, code) = probe.end().await;
    let seen = counted(&told);
    assert_eq!(code, 9);
    let last = server.numbers().await;
    let lost = len(&newer.difference(&last).copied().collect());
    let all = len(&newer.union(&last).copied().collect());
    // Of the rows that were anywhere, so many were never acknowledged: they are no loss, wherever they are. Mostly there is none.
    let unsure = all - seen.acknowledged;
    assert!(unsure <= seen.not_known, "{all} rows were there: {told:#}");
    assert!(lost >= 30, "{lost} of {all}");
    assert!(
        (lost - unsure..=lost).contains(&seen.missing),
        "{lost} are lost, of which at most {unsure} were not acknowledged: {told:#}"
    );
}

#[tokio::test]
#[ignore = "needs Debian's postgresql: .ci/reality runs it"]
async fn a_role_that_may_only_insert_and_read_is_enough_and_one_that_may_not_is_told() {
    let server = Server::started().await;
    for host in ["127.0.0.1".to_owned(), "[::1]".to_owned(), server.socket()] {
        let probe = Probe::begin(&server, &host);
        more(&server, 5).await;
        let (told, code) = probe.end().await;
        let seen = counted(&told);
        assert_eq!((code, seen.missing), (0, 0), "{host}: {told:#}");
        server.sql("drill", "DELETE FROM quorate_probe").await;
    }
    let quorate = binaries::ensure_built().unwrap().quorate;
    let target = server.target("127.0.0.1");
    let without = Program::new(&quorate)
        .args(["probe", &target, "--for", "1s"])
        .deadline(PATIENCE);
    let without = without.run().await.unwrap();
    assert!(
        !without.success() && without.stderr.contains("password missing"),
        "{without:#?}"
    );
    server.sql("drill", "REVOKE INSERT ON quorate_probe FROM drill").await;
    let denied = Program::new(&quorate)
        .args(["probe", &server.target(&server.socket()), "--for", "1s"])
        .run()
        .await
        .unwrap();
    let said = format!("{}{}", denied.stdout, denied.stderr);
    assert!(
        !denied.success() && said.contains("the database refuses"),
        "{denied:#?}"
    );
}

/// A certificate that issued itself for these names, with its key, in PEM.
fn made(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[tokio::test]
#[ignore = "needs Debian's postgresql: .ci/reality runs it"]
async fn a_server_that_lets_nobody_in_without_tls_is_written_to_as_sslmode_says() {
    let server = Server::started().await;
    let (certificate, key) = made(&["127.0.0.1", "::1"]);
    server.stop().await;
    server.encrypts(&certificate, &key).await;
    server.start().await;
    let (own, strange) = (server.path("own.pem"), server.path("strange.pem"));
    std::fs::write(&own, &certificate).unwrap();
    std::fs::write(&strange, made(&["127.0.0.1"]).0).unwrap();
    let (own, strange) = (own.display(), strange.display());
    let full = format!("?sslmode=verify-full&sslrootcert={own}");
    for (host, options) in [
        ("127.0.0.1", String::new()),
        ("127.0.0.1", "?sslmode=require".to_owned()),
        ("127.0.0.1", format!("?sslmode=verify-ca&sslrootcert={own}")),
        ("127.0.0.1", full.clone()),
        ("[::1]", full.clone()),
    ] {
        let before = server.numbers().await.len();
        let written = for_a_second(&server, host, &options).await;
        let said = format!("{}{}", written.stdout, written.stderr);
        // On a busy machine one of the calls may take too long: then it ends with 9.
        assert!(matches!(written.code(), Some(0 | 9)), "{host} {options}: {said}");
        assert!(server.numbers().await.len() > before, "{host} {options}: {said}");
    }
    let before = server.numbers().await.len();
    for (host, options, why) in [
        ("127.0.0.1", "?sslmode=disable".to_owned(), "no encryption"),
        (
            "127.0.0.1",
            format!("?sslmode=verify-ca&sslrootcert={strange}"),
            "invalid peer certificate",
        ),
        ("localhost", full, "not valid for name"),
    ] {
        let refused = for_a_second(&server, host, &options).await;
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(!refused.success() && said.contains(why), "{host} {options}: {said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
    assert_eq!(
        server.numbers().await.len(),
        before,
        "who is not who it should be gets no row"
    );
}
