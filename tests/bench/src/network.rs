//! How long measuring a whole cluster's network takes, and how true it is.

use std::time::Instant;

use quorate_lab::{Lab, Way};
use quorate_suites::Fleet;

use crate::figures::Figure;

const NODES: usize = 16;

/// The lab's ways, there and back.
const RTT_MS: f64 = 1.0;

pub(crate) async fn measure() -> Vec<Figure> {
    let fleet = Fleet::enrolled(Lab::builder().nodes(NODES).way(Way::default().rtt_ms(RTT_MS))).await;
    let mut text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\", \"192.168.1.0/24\"]\n".to_owned();
    for node in fleet.lab.names() {
        let Ok(of_lab) = fleet.lab.node(&node) else { continue };
        text.push_str(&format!("[nodes.{node}]\naddress = \"{}\"\n", of_lab.public_address));
    }
    let file = fleet.write_file("links.toml", &text);
    let begun = Instant::now();
    let shown = fleet.json(&["network", "hk1", "--measure", "--from", &file]).await;
    let taken = begun.elapsed().as_secs_f64();
    let pairs = shown["baseline"]["pairs"].as_array().cloned().unwrap_or_default();
    let known: Vec<f64> = pairs
        .iter()
        .filter_map(|pair| pair["measured"]["value"]["rtt_p50"].as_f64())
        .map(|micros| micros / 1000.0)
        .collect();
    let missing = NODES * (NODES - 1) - known.len();
    let mut wrong: Vec<f64> = known.iter().map(|ms| (ms - RTT_MS).abs()).collect();
    wrong.sort_by(f64::total_cmp);
    vec![
        Figure::promised("pairwise measurement of 16 nodes x 2 links", taken, 15.0, "s"),
        Figure::promised(
            "  of its 240 pairs, those that were not measured",
            u32::try_from(missing).map_or(f64::INFINITY, f64::from),
            0.0,
            "pairs",
        ),
        Figure::promised(
            "  typical round trip beside the lab's, median of the errors",
            wrong.get(wrong.len() / 2).copied().unwrap_or(f64::INFINITY),
            0.5,
            "ms",
        ),
    ]
}
