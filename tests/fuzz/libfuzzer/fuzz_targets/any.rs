//! All targets in one program, so that they are built once. `QUORATE_FUZZ_TARGET` names the one that is fuzzed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::{Target, target};

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("QUORATE_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("QUORATE_FUZZ_TARGET names no target: `{name}`"))
});

fuzz_target!(|bytes: &[u8]| drop((TARGET.read)(bytes)));
