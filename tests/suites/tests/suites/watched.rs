//! What the agents tell of a failure, each by its own clock, against what really happened: the world's own log.

use std::time::Duration;

use quorate_lab::truth::{Moment, Truth};
use quorate_lab::{Lab, What as Happened};
use quorate_model::drill::{Event, What};
use quorate_proto::{Wire, v1};
use quorate_suites::Fleet;
use quorate_suites::hand::ONE_LINK;

use super::twice::Driving;

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];
const WATCH: &str = "drill-1";

/// Of each server's clock, in milliseconds.
const OFF: [i64; 3] = [0, 240_000, -240_000];

/// Between what the world does and what it writes down, on a busy machine.
const BESIDE: Duration = Duration::from_millis(300);

fn request(driving: &Driving, seconds: u32) -> v1::WatchEventsRequest {
    v1::WatchEventsRequest {
        tally: None,
        driver: Some(driving.driver.clone().into_wire()),
        watch: WATCH.to_owned(),
        guests: vec![100],
        seconds,
        from: 0,
    }
}

/// All that a server's agent has told so far, with its clock's error taken out; nothing while it can't be asked.
async fn told(driving: &Driving, node: usize) -> Vec<Event> {
    let Ok(reply) = driving.client(ALL[node]).watch_events(request(driving, 0)).await else {
        return Vec::new();
    };
    let mut stream = reply.into_inner();
    let mut events = Vec::new();
    while let Ok(Some(message)) = stream.message().await {
        events.extend(message.events.into_iter().map(|event| Event::try_from(event).unwrap()));
    }
    for event in &mut events {
        event.at.0 -= OFF[node] * 1000;
    }
    events
}

/// One of them is about this moment: it was then, or at most so long before as it says itself.
fn is_told(events: &[Event], moment: Option<Moment>, is: impl Fn(&What) -> bool) {
    let really = moment.expect("it happened").at.as_microsecond();
    let beside = i64::try_from(BESIDE.as_micros()).unwrap();
    let fits = |event: &&Event| {
        let within = i64::try_from(event.within_micros).unwrap_or(i64::MAX);
        (event.at.0.saturating_sub(within).saturating_sub(beside)..=event.at.0 + beside).contains(&really)
    };
    let about: Vec<&Event> = events.iter().filter(|event| is(&event.what)).collect();
    assert!(about.iter().any(fits), "{really}: {about:#?} of {events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watched_a_failover_is_told_as_it_was() {
    let lab = ALL
        .iter()
        .zip(OFF)
        .fold(Lab::builder().nodes(3).speed(20.0), |lab, (node, off)| {
            lab.clock_offset(node, off)
        });
    let fleet = Fleet::enrolled(lab).await;
    fleet.made_by_hand(&ALL, ONE_LINK).await;
    fleet.protected("prox3", 100).await;
    let driving = Driving::of(fleet).await;
    let fleet = &driving.fleet;
    let from = fleet.world().last().unwrap().ms;
    for node in ALL {
        // Whoever listens may go: it is watched all the same.
        drop(driving.client(node).watch_events(request(&driving, 600)).await.unwrap());
    }
    fleet
        .until("each has looked, and noted that it lives", async || {
            let alive = format!("/var/lib/quorate-agent/events/{WATCH}/alive");
            ALL.iter().all(|node| fleet.rooted(node, &alive).exists())
        })
        .await;
    fleet.lab.cut("prox3").await.unwrap();
    let truth = || Truth::of(&fleet.world(), from, "prox3", 100);
    fleet.until("it is reset", async || truth().reset.is_some()).await;
    fleet.lab.heal("prox3").await.unwrap();
    fleet
        .until("the guest runs elsewhere, and prox3 is back", async || {
            let truth = truth();
            truth.guest_started.is_some() && truth.node_back.is_some()
        })
        .await;
    let truth = truth();
    let (started, owner) = truth.guest_started.clone().unwrap();
    let owner = ALL.iter().position(|node| *node == owner).unwrap();
    let taken = fleet.all(Happened::LockTaken);
    let master = taken[0].node.clone().unwrap();
    let master = ALL.iter().position(|node| *node == master).unwrap();
    let is_prox3 = |node: &quorate_model::NodeName| node.as_str() == "prox3";

    fleet
        .until("prox3 tells of its reset, and the new owner of the guest", async || {
            let reset = told(&driving, 2).await;
            let new = told(&driving, owner).await;
            let is_started = |event: &Event| matches!(event.what, What::GuestStarted { guest: 100, .. });
            reset.iter().any(|event| matches!(event.what, What::Reset { .. })) && new.iter().any(is_started)
        })
        .await;
    let (victim, others, new) = (
        told(&driving, 2).await,
        told(&driving, master).await,
        told(&driving, owner).await,
    );

    is_told(
        &others,
        truth.membership_lost,
        |what| matches!(what, What::MemberLost { node } if is_prox3(node)),
    );
    is_told(
        &others,
        truth.fence_decided,
        |what| matches!(what, What::HaNode { node, state } if is_prox3(node) && state == "fence"),
    );
    is_told(
        &others,
        truth.lock_taken,
        |what| matches!(what, What::LockTaken { node } if is_prox3(node)),
    );
    is_told(
        &others,
        truth.node_back,
        |what| matches!(what, What::MemberBack { node } if is_prox3(node)),
    );
    is_told(&new, Some(started), |what| {
        matches!(what, What::GuestStarted { guest: 100, .. })
    });
    is_told(&victim, truth.quorum_lost, |what| *what == What::QuorumLost);
    is_told(
        &victim,
        truth.reset,
        |what| matches!(what, What::Reset { node } if is_prox3(node)),
    );
    // Whichever end called it down first.
    let mut links = Vec::new();
    for node in 0..ALL.len() {
        links.extend(told(&driving, node).await);
    }
    is_told(&links, truth.link_lost, |what| {
        matches!(what, What::LinkDown { link: 0, .. })
    });
    fleet.nothing_unknown();
}
