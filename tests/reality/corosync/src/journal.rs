//! A journal for a machine without systemd: what its corosync says is taken when it arrives, under the time at which it did, as journald does; and what is
//! called `journalctl` there prints it.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::cluster::Node;

/// journald is told at once; whoever reads a file has to look.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

/// It takes what a corosync says, until dropped.
#[derive(Debug)]
pub struct Journal {
    taking: JoinHandle<()>,
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

impl Journal {
    /// Of a node whose corosync is not started again meanwhile. Its files lie in `dir`.
    pub async fn of(node: &Node, dir: &Path) -> Self {
        let file = dir.join(format!("{}.journal", node.name()));
        fs::write(&file, "").expect("written");
        let tool = dir.join(format!("{}.journalctl", node.name()));
        fs::write(&tool, script(&file)).expect("written");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("a program");
        let tool = tool.to_string_lossy();
        node.space()
            .does(&["mount", "--bind", &tool, "/usr/bin/journalctl"])
            .await;
        let log = node.log().path().to_owned();
        let taking = tokio::spawn(take(log, file));
        Self { taking }
    }
}

/// One entry a line, behind its number, which is its cursor, and its time in microseconds.
fn script(file: &Path) -> String {
    format!(
        "#!/bin/sh
for word; do
    case $word in
    --since=@*) since=${{word#--since=@}} ;;
    --after-cursor=*) after=${{word#--after-cursor=}} ;;
    esac
done
exec awk -v since=\"${{since:-0}}\" -v after=\"${{after:-0}}\" \\
    '$1 + 0 > after + 0 && $2 + 0 >= since * 1000000 {{ sub(/^[0-9]+ [0-9]+ /, \"\"); print }}' '{}'
",
        file.display()
    )
}

async fn take(log: PathBuf, file: PathBuf) {
    let mut log = fs::File::open(log).expect("corosync says something");
    let mut journal = OpenOptions::new().append(true).open(file).expect("it is there");
    let (mut read, mut number) = (0_u64, 0_u64);
    loop {
        let mut text = String::new();
        log.seek(SeekFrom::Start(read)).expect("a file");
        log.read_to_string(&mut text).expect("text");
        // The last line may not be whole yet.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        read += u64::try_from(whole).expect("small");
        for message in text[..whole]
            .lines()
            .filter_map(|line| line.find('[').map(|from| &line[from..]))
        {
            number += 1;
            let (number, now) = (number.to_string(), now());
            let entry = json!({
                "__CURSOR": number, "__REALTIME_TIMESTAMP": now, "SYSLOG_IDENTIFIER": "corosync", "MESSAGE": format!("  {message}"),
            });
            // At once, so that nobody reads half of one.
            let line = format!("{number} {now} {entry}\n");
            journal.write_all(line.as_bytes()).expect("written");
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "journald has the time of its host")]
fn now() -> String {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.expect("after 1970").as_micros().to_string()
}

#[cfg(test)]
mod tests {
    use quorate_lab::process::Program;

    use super::*;

    #[tokio::test]
    async fn entries_are_printed_from_a_time_on_or_behind_a_cursor() {
        let dir = tempfile::tempdir().expect("a folder");
        let (log, file, tool) = (
            dir.path().join("log"),
            dir.path().join("journal"),
            dir.path().join("tool"),
        );
        fs::write(&log, "Nov 27 12:29:21.075 notice  [KNET  ] link: host: 2 link: 0 is down\nodd\nNov 27 12:29:22.000 notice  [QUORUM] x\nNov 27 half").expect("written");
        fs::write(&file, "").expect("written");
        fs::write(&tool, script(&file)).expect("written");
        let taking = tokio::spawn(take(log, file.clone()));
        crate::until("two entries", async || {
            fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == 2)
        })
        .await;
        taking.abort();
        let print = async |from: &str| {
            let tool = tool.to_string_lossy().into_owned();
            let program = Program::new("/bin/sh").args([&*tool, "--output=json", from, "--unit=corosync.service"]);
            program.run().await.expect("it runs").stdout
        };
        let all = print("--since=@1000000000").await;
        assert!(
            all.starts_with('{') && all.contains("\"MESSAGE\":\"  [KNET  ] link: host: 2 link: 0 is down\""),
            "{all}"
        );
        assert_eq!(all.lines().count(), 2);
        assert!(print("--after-cursor=1").await.contains("[QUORUM] x"));
        assert_eq!(print("--after-cursor=2").await, "");
        assert_eq!(print("--since=@9000000000").await, "");
    }
}
