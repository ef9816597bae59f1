//! How figures are shown.

use std::fmt;

/// One measured figure beside what is promised.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) measured: f64,
    pub(crate) promised: f64,
    pub(crate) unit: &'static str,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.measured <= self.promised {
            "kept"
        } else {
            "MISSED"
        };
        write!(
            f,
            "{:<62} {:>9.2} {:<8} promised ≤ {} {}: {verdict}",
            self.name, self.measured, self.unit, self.promised, self.unit
        )
    }
}

/// The machine that the figures are from.
pub(crate) fn machine() -> String {
    let profile = if cfg!(debug_assertions) {
        "DEBUG BUILD: figures mean nothing"
    } else {
        "release build"
    };
    let Ok(mut system) = sysinfo::System::new() else {
        return format!("unknown machine, {profile}");
    };
    system.refresh_cpu_all();
    system.refresh_memory();
    let model = system.cpus().first().map_or("unknown CPU", |c| c.brand());
    let gib = system.total_memory() >> 30;
    format!("{} threads of {model}, {gib} GiB, {profile}", system.cpus().len())
}
