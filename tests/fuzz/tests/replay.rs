//! Every target reads everything that is kept for it, and beginnings and damaged copies of it, without a panic.

use std::collections::BTreeSet;
use std::path::Path;

use quorate_fuzz::{fixtures, seeds, target, targets};

#[test]
fn seeds_are_read_by_their_targets() {
    let mut count = 0;
    for target in targets() {
        for seed in seeds::of(target).unwrap() {
            (target.read)(&seed.bytes);
            count += 1;
        }
    }
    assert!(count > 400, "only {count} seeds");
}

/// What a tool had printed when it was killed, and what a disk or a wire made of it.
#[test]
fn beginnings_and_flipped_bits_are_read() {
    for target in targets() {
        for seed in seeds::of(target).unwrap() {
            let length = seed.bytes.len();
            for part in 1..=16 {
                (target.read)(&seed.bytes[..length * part / 17]);
                let mut damaged = seed.bytes.clone();
                if let Some(byte) = damaged.get_mut(length * part / 17) {
                    *byte ^= 1 << (part % 8);
                    (target.read)(&damaged);
                }
            }
        }
    }
}

/// Of each fixture, what it is not: nothing is read by a target that it is not for, but a mistake may put it there.
#[test]
fn every_target_bears_what_is_for_others() {
    let list = fixtures::list().unwrap();
    for tool in &list.tool {
        for case in &tool.cases {
            for target in targets() {
                (target.read)(&tool.bytes(case, target).unwrap());
            }
        }
    }
}

#[test]
fn targets_have_seeds_and_the_list_names_only_targets() {
    let names: Vec<&str> = targets().map(|target| target.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name twice");
    for target in targets() {
        assert!(
            !seeds::of(target).unwrap().is_empty(),
            "{} has nothing to begin with",
            target.name
        );
    }
    for tool in fixtures::list().unwrap().tool {
        for name in &tool.reads {
            assert!(target(name).is_some(), "{}: there is no target {name}", tool.name);
        }
    }
    for kept in ["corpus", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kept);
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(target(&name).is_some(), "{kept}/{name}: there is no such target");
        }
    }
}
