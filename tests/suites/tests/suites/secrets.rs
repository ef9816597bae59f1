//! No secret in argv, logs, journals or ledgers.

use std::path::Path;

use quorate_lab::Lab;
use quorate_suites::Fleet;

/// All files below a folder whose bytes hold one of the words; `allowed` says which may.
pub(crate) fn files_with(dir: &Path, words: &[&str], found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            files_with(&path, words, found);
        } else if kind.is_file() && !is_disk(&entry) {
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            for word in words {
                if text.contains(word) {
                    found.push(format!("{} holds {word}", path.display()));
                }
            }
        }
    }
}

/// A simulated disk: no other file is as large, and hardly anything of it is written.
fn is_disk(entry: &std::fs::DirEntry) -> bool {
    entry.metadata().is_ok_and(|about| about.len() > 256 << 20)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_whole_life_no_file_holds_a_ticket_or_a_token() {
    let fleet = Fleet::bare(Lab::builder().nodes(2)).await;
    let mut tokens = Vec::new();
    for node in fleet.lab.names() {
        let token = fleet.invite(&node).await;
        assert!(fleet.claim(&node, &token).await.success());
        // Its middle part is the secret; the last one is the root's public digest.
        tokens.push(token.split('.').nth(1).unwrap().to_owned());
        fleet.lab.start_agent(&node).unwrap();
    }
    fleet.connected(&fleet.lab.names()).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;

    let mut words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    words.push("PVE:root@pam:");
    let mut found = Vec::new();
    files_with(fleet.lab.layout().dir(), &words, &mut found);
    assert_eq!(found, Vec::<String>::new());
}
