//! The kernel's own figures below /proc.

use std::net::Ipv4Addr;

use quorate_model::observation::system::Memory;
use quorate_model::size::ByteSize;

use crate::ParseError;

/// Reads /proc/loadavg: load over 1, 5 and 15 minutes.
///
/// # Errors
/// When it does not begin with three numbers.
pub fn load_averages(text: &str) -> Result<[f64; 3], ParseError> {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .take(3)
        .map_while(|word| word.parse().ok())
        .collect();
    let numbers: Result<[f64; 3], _> = numbers.try_into();
    numbers.map_err(|_| {
        ParseError::at(
            "/proc/loadavg",
            text.lines().next().unwrap_or_default(),
            "expected three numbers",
        )
    })
}

/// Reads /proc/uptime: whole seconds since boot.
///
/// # Errors
/// When it does not begin with a number.
pub fn uptime_seconds(text: &str) -> Result<u64, ParseError> {
    let whole = text
        .split(['.', ' '])
        .next()
        .and_then(|seconds| seconds.trim().parse().ok());
    whole.ok_or_else(|| {
        ParseError::at(
            "/proc/uptime",
            text.lines().next().unwrap_or_default(),
            "expected a number",
        )
    })
}

/// Reads /proc/meminfo.
///
/// # Errors
/// When one of the four figures is missing or none.
pub fn memory(text: &str) -> Result<Memory, ParseError> {
    const NAME: &str = "/proc/meminfo";
    let figure = |key: &str| {
        let found = text
            .lines()
            .find_map(|line| Some((line, line.strip_prefix(key)?.strip_prefix(':')?)));
        let Some((line, value)) = found else {
            return Err(ParseError::missing(NAME, format!("{key} is missing")));
        };
        let kilobytes = value
            .trim()
            .strip_suffix("kB")
            .and_then(|number| number.trim().parse::<u64>().ok());
        let bytes = kilobytes.and_then(|kilobytes| kilobytes.checked_mul(1024));
        bytes
            .map(ByteSize)
            .ok_or_else(|| ParseError::at(NAME, line, "expected a number of kB"))
    };
    Ok(Memory {
        total: figure("MemTotal")?,
        available: figure("MemAvailable")?,
        swap_total: figure("SwapTotal")?,
        swap_free: figure("SwapFree")?,
    })
}

/// Reads /proc/cpuinfo: model name of the first processor (empty on architectures that give none), number of threads.
///
/// # Errors
/// When it names no processor.
pub fn processors(text: &str) -> Result<(String, u32), ParseError> {
    let values = |key: &'static str| {
        text.lines().filter_map(move |line| {
            let (found, value) = line.split_once(':')?;
            (found.trim() == key).then(|| value.trim().to_owned())
        })
    };
    let threads = u32::try_from(values("processor").count()).unwrap_or(u32::MAX);
    if threads == 0 {
        return Err(ParseError::missing("/proc/cpuinfo", "names no processor"));
    }
    Ok((values("model name").next().unwrap_or_default(), threads))
}

/// When a process began, in clock ticks since boot: field 22 of `/proc/PID/stat`.
///
/// # Errors
/// When the line has no such field.
pub fn start_ticks(text: &str) -> Result<u64, ParseError> {
    // The program's name stands in brackets, and may hold brackets and blanks.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    let ticks = fields.and_then(|mut fields| fields.nth(19)?.parse().ok());
    ticks.ok_or_else(|| ParseError::at("/proc/PID/stat", text, "expected when the process began"))
}

/// Reads /proc/net/route: the gateways of the default routes, in the kernel's order. Figures are in the byte order of the machine.
///
/// # Errors
/// When a line is none of a route's.
pub fn default_gateways(text: &str) -> Result<Vec<Ipv4Addr>, ParseError> {
    const NAME: &str = "/proc/net/route";
    let mut found = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let bad = || {
            ParseError::at(
                NAME,
                line.trim_end(),
                "expected a route's destination, gateway and mask",
            )
        };
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
        let (destination, gateway, mask) = (
            number(1).ok_or_else(bad)?,
            number(2).ok_or_else(bad)?,
            number(7).ok_or_else(bad)?,
        );
        if destination == 0 && mask == 0 && gateway != 0 {
            found.push(Ipv4Addr::from(gateway.to_ne_bytes()));
        }
    }
    Ok(found)
}

/// Reads /proc/net/unix: the containers that run, by the socket on which each takes commands. Source: pve-container LXC.pm
/// (`list_active_containers`).
///
/// # Errors
/// When its head is another one.
pub fn containers(text: &str) -> Result<Vec<u32>, ParseError> {
    const NAME: &str = "/proc/net/unix";
    let head = text.lines().next().unwrap_or_default();
    if !head.starts_with("Num ") {
        return Err(ParseError::at(NAME, head, "expected `Num RefCount …`"));
    }
    let of = |line: &str| {
        let path = line.split_whitespace().nth(7)?;
        path.strip_prefix("@/var/lib/lxc/")?
            .strip_suffix("/command")?
            .parse()
            .ok()
    };
    let mut found: Vec<u32> = text.lines().skip(1).filter_map(of).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_real_kernel() {
        assert!(
            load_averages(fixture!("proc/6.18/loadavg.out"))
                .unwrap()
                .iter()
                .all(|load| *load >= 0.0)
        );
        assert!(uptime_seconds(fixture!("proc/6.18/uptime.out")).unwrap() > 0);
        let memory = memory(fixture!("proc/6.18/meminfo.out")).unwrap();
        assert!(memory.total > memory.available && memory.available > ByteSize(0));
        assert_eq!(
            processors(fixture!("proc/6.18/cpuinfo.out")).unwrap(),
            ("AMD EPYC".to_owned(), 2)
        );
    }

    #[test]
    fn missing_or_odd_figures_are_errors() {
        assert!(load_averages("0.1 0.2").is_err() && load_averages("a b c").is_err());
        assert!(uptime_seconds("").is_err() && uptime_seconds("x 1").is_err());
        let error = memory("MemTotal: 12 kB\nMemAvailable: many kB\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "/proc/meminfo: expected a number of kB: `MemAvailable: many kB`"
        );
        assert_eq!(
            memory("MemTotal: 1 kB\n").unwrap_err().to_string(),
            "/proc/meminfo: MemAvailable is missing"
        );
        assert!(processors("").is_err());
    }

    #[test]
    fn when_a_process_began() {
        let line = "48211 (pvesr) x) S 1 48211 48211 0 -1 4194560 12 0 0 0 5 1 0 0 20 0 1 0 1234567 1000 200 1844\n";
        assert_eq!(start_ticks(line).unwrap(), 1_234_567);
        assert!(start_ticks(fixture!("proc/6.18/stat.out")).unwrap() > 0);
        assert!(start_ticks(fixture!("proc/6.18/stat-cut.out")).is_err() && start_ticks("").is_err());
    }

    #[test]
    fn gateways_of_the_default_routes() {
        let read = |text| default_gateways(text).unwrap();
        assert_eq!(read(fixture!("proc/6.18/route.out")), [Ipv4Addr::new(192, 168, 1, 1)]);
        assert_eq!(read(fixture!("proc/6.18/route-one.out")), [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(read(fixture!("proc/6.18/route-none.out")), Vec::<Ipv4Addr>::new());
        assert!(default_gateways(fixture!("proc/6.18/route-cut.out")).is_err());
    }

    #[test]
    fn containers_that_run() {
        assert_eq!(containers(fixture!("proc/6.18/unix.out")), Ok(vec![101]));
        assert_eq!(containers(fixture!("proc/6.18/unix-none.out")), Ok(vec![]));
        assert!(containers("").is_err());
    }
}
