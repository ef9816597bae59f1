//! How figures are shown.

use std::fmt;

/// One measured figure beside what is promised.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) measured: f64,
    /// At most this; `None`: it is only to be known.
    pub(crate) promised: Option<f64>,
    pub(crate) unit: &'static str,
}

impl Figure {
    /// A figure with a promise.
    pub(crate) fn promised(name: impl Into<String>, measured: f64, promised: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            measured,
            promised: Some(promised),
            unit,
        }
    }

    /// A figure that is only to be known.
    pub(crate) fn shown(name: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            measured,
            promised: None,
            unit,
        }
    }

    /// Nothing more was promised. What could not be measured, and is no number, keeps no promise.
    pub(crate) fn is_kept(&self) -> bool {
        self.promised.is_none_or(|most| self.measured <= most)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, measured, unit, ..
        } = self;
        write!(f, "{name:<62} {measured:>9.2} {unit:<8} ")?;
        match self.promised {
            Some(most) if self.is_kept() => write!(f, "promised ≤ {most} {unit}: kept"),
            Some(most) => write!(f, "promised ≤ {most} {unit}: MISSED"),
            None => f.write_str("no promise"),
        }
    }
}

/// The value below which this share (in percent) of them lies: the nearest of those that were measured. Of none, 0.
pub(crate) fn percentile(sorted: &[f64], share: usize) -> f64 {
    let rank = (sorted.len() * share).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
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
    format!(
        "{} threads of {model}, {gib} GiB, {profile}{}",
        system.cpus().len(),
        load()
    )
}

/// What else the machine does: figures from a busy one are worse than those of the same machine at rest.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_once(' ')
        .map_or_else(String::new, |(of_a_minute, _)| format!(", load before {of_a_minute}"))
}
