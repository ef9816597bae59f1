//! How long a change of membership takes, beside the lab's with the same token: what is tried in the lab must take as long as in life.

use std::time::{Duration, SystemTime};

use quorate_reality_corosync::cluster::Cluster;
use quorate_reality_corosync::model::{Model, Times};
use quorate_reality_corosync::note;

use crate::membership::THREE;

/// So often: one alone may hit knet's pings early or late, and the middle of a few still lies where chance puts it.
const TIMES: usize = 7;

/// How far the lab may be from reality, of reality.
const APART: f64 = 0.10;

#[tokio::test]
#[ignore = "needs root and Debian's corosync: .ci/corosync runs it"]
async fn the_lab_takes_as_long_as_corosync() {
    let cluster = Cluster::started(THREE).await;
    let token = cluster
        .node(1)
        .space()
        .does(&["corosync-cmapctl", "-g", "runtime.config.totem.token"])
        .await;
    assert_eq!(
        token.trim(),
        "runtime.config.totem.token (u32) = 3650",
        "what the lab has for three nodes"
    );
    let (mut left, mut back) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let cut = SystemTime::now();
        cluster.cut(3).await;
        left.push(heard(&cluster, cut, ["Members[2]: 1 2", "Members[1]: 3"]).await);
        let restored = SystemTime::now();
        cluster.restore(3).await;
        back.push(heard(&cluster, restored, ["Members[3]: 1 2 3"; 2]).await);
        cluster.complete().await;
    }

    let model = Model::built().await.unwrap();
    let (mut lab_left, mut lab_back) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        lab_left.push(model.cut().await.unwrap());
        lab_back.push(model.heal().await.unwrap());
    }

    for (what, real, lab) in [("cut off", left, lab_left), ("restored", back, lab_back)] {
        for (who, of) in [("majority", majority as fn(&Times) -> Duration), ("minority", minority)] {
            let (real, lab) = (spread(&real, of), spread(&lab, of));
            let apart = (lab.median - real.median).abs() / real.median;
            note(&format!(
                "{what}, {who}: corosync {:.2} to {:.2} s, median {:.2}; the lab {:.2} to {:.2} s, median {:.2}: {:.1} % apart",
                real.least,
                real.most,
                real.median,
                lab.least,
                lab.most,
                lab.median,
                apart * 100.0
            ));
            assert!(
                apart <= APART,
                "{what}, {who}: the lab is {:.1} % from reality",
                apart * 100.0
            );
        }
    }
}

/// When corosync said so itself, on prox1 and on prox3.
async fn heard(cluster: &Cluster, since: SystemTime, [majority, minority]: [&str; 2]) -> Times {
    Times {
        majority: cluster.node(1).log().waits_for(since, majority).await,
        minority: cluster.node(3).log().waits_for(since, minority).await,
    }
}

fn majority(times: &Times) -> Duration {
    times.majority
}

fn minority(times: &Times) -> Duration {
    times.minority
}

/// Seconds.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

fn spread(all: &[Times], of: fn(&Times) -> Duration) -> Spread {
    let mut seconds: Vec<f64> = all.iter().map(|times| of(times).as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    Spread {
        least: seconds[0],
        median: seconds[seconds.len() / 2],
        most: seconds[seconds.len() - 1],
    }
}
