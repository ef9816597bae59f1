//! The lab touches nothing outside its folder, as root neither.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{LONG, Place};

/// Watched as a whole: nothing else changes here while tests run.
const WHOLE: [&str; 3] = ["/etc", "/opt", "/srv"];

/// On a running system these change all the time, by others' hands. Only what could be ours is watched: paths that name
/// the product, or what the host tools and the cluster stack write.
const BY_NAME: [&str; 4] = ["/run", "/var/lib", "/var/log", "/root"];
const NAMES: [&str; 9] = [
    "quorate", "qrt", "pve", "pmxcfs", "corosync", "qemu", "lxc", "vzdump", ".ssh",
];
/// The build's own, also in a clone below the folder of root, who builds: they hold the product's name, too.
const BUILD: [&str; 4] = [".cargo", ".rustup", ".cache", "target"];

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    size: u64,
    modified: (i64, i64),
    mode: u32,
}

type Snapshot = BTreeMap<PathBuf, Seen>;

fn look(dir: &Path, by_name: bool, seen: &mut Snapshot) {
    // What may not be read can't be watched; as root, that is nothing.
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(data) = fs::symlink_metadata(&path) else {
            continue;
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        if BUILD.contains(&name.as_str()) {
            continue;
        }
        let ours = !by_name || NAMES.iter().any(|part| name.contains(part));
        if ours {
            let modified = (data.mtime(), data.mtime_nsec());
            let (size, mode) = (data.size(), data.mode());
            seen.insert(path.clone(), Seen { size, modified, mode });
        }
        if data.is_dir() {
            look(&path, !ours, seen);
        }
    }
}

fn snapshot() -> Snapshot {
    let mut seen = Snapshot::new();
    for dir in WHOLE {
        look(Path::new(dir), false, &mut seen);
    }
    for dir in BY_NAME {
        look(Path::new(dir), true, &mut seen);
    }
    seen
}

fn changes(before: &Snapshot, after: &Snapshot) -> Vec<PathBuf> {
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    changed.cloned().collect()
}

#[tokio::test]
async fn servers_agents_and_coordinator_stay_inside_the_folder() {
    let place = Place::new();
    let before = snapshot();
    assert!(
        before.contains_key(Path::new("/etc/passwd")),
        "the comparison sees something"
    );
    // Real agents and a real coordinator, enrolment, all tools, a cluster made and joined, and the end of it all; the drill comes last.
    let demo = place.run_within(&["demo"], LONG).await;
    assert!(demo.success(), "{}\n{}", demo.stdout, demo.stderr);
    assert!(demo.stdout.contains("── Act drill: "), "{}", demo.stdout);
    assert!(demo.stdout.ends_with("\n4 acts passed, 0 failed\n"), "{}", demo.stdout);
    assert_eq!(changes(&before, &snapshot()), Vec::<PathBuf>::new());
    place.assert_empty();
}

#[test]
fn the_comparison_sees_what_is_touched() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["quorate", "other"] {
        fs::create_dir(dir.path().join(name)).expect("made");
        fs::write(dir.path().join(name).join("file"), "old").expect("written");
    }
    let seen = |by_name| {
        let mut seen = Snapshot::new();
        look(dir.path(), by_name, &mut seen);
        seen
    };
    let (whole, named) = (seen(false), seen(true));
    assert_eq!((whole.len(), named.len()), (4, 2));
    fs::write(dir.path().join("quorate/file"), "newer").expect("written");
    fs::write(dir.path().join("other/file"), "newer").expect("written");
    let ours = dir.path().join("quorate/file");
    assert_eq!(
        changes(&whole, &seen(false)),
        [dir.path().join("other/file"), ours.clone()]
    );
    assert_eq!(changes(&named, &seen(true)), [ours]);
}
