//! What an idle agent costs, and how soon it is ready.

use std::time::{Duration, Instant};

use quorate_lab::Lab;
use quorate_suites::Fleet;

use crate::figures::Figure;

/// Health streams at 1 Hz for this long; long enough for the slower looks that come once a minute.
const WATCHED: Duration = Duration::from_secs(90);

pub(crate) async fn measure() -> Vec<Figure> {
    // Real time: at a lab's higher speed the agent would look more often than it does on a server.
    let fleet = Fleet::enrolled(Lab::builder().nodes(1).speed(1.0)).await;
    let node = "prox1";
    let mut ready = Vec::new();
    for _ in 0..5 {
        fleet.lab.kill_agent(node);
        let begun = Instant::now();
        if fleet.lab.start_agent(node).is_err() {
            return vec![];
        }
        ready.push(until_it_listens(&fleet, node, begun).await);
    }
    fleet.connected(&fleet.lab.names()).await;
    let Some(pid) = fleet.lab.agent_pid(node) else {
        return vec![];
    };
    // The first looks at everything are not what idling costs.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = cpu_ticks(pid);
    let begun = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let used = (cpu_ticks(pid) - before) / 100.0 / begun.elapsed().as_secs_f64() * 100.0;
    vec![
        Figure::promised(
            "agent, idle, health at 1 Hz: resident memory",
            resident_mib(pid),
            16.0,
            "MiB",
        ),
        Figure::promised(
            "agent, idle, health at 1 Hz: CPU, its tools included",
            used,
            0.3,
            "% core",
        ),
        Figure::promised("agent: ready after start, worst of 5", worst(&ready), 300.0, "ms"),
    ]
}

fn worst(all: &[f64]) -> f64 {
    all.iter().copied().fold(0.0, f64::max)
}

/// Milliseconds until the agent's own port takes a connection.
async fn until_it_listens(fleet: &Fleet, node: &str, begun: Instant) -> f64 {
    let config = std::fs::read_to_string(fleet.lab.layout().agent_config(node)).unwrap_or_default();
    let listen = config
        .lines()
        .find_map(|l| l.strip_prefix("listen = "))
        .map(|l| l.trim_matches('"').to_owned());
    while let Some(address) = &listen {
        if tokio::net::TcpStream::connect(address).await.is_ok() || begun.elapsed() > Duration::from_secs(10) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed().as_secs_f64() * 1000.0
}

/// User and system time of a process and of the children it waited for, in ticks of 10 ms.
pub(crate) fn cpu_ticks(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    (11..15).filter_map(|i| fields.get(i)?.parse::<f64>().ok()).sum()
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or(0.0) / 1024.0
}
