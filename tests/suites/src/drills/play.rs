//! One drill: begun as an operator would, disturbed as its seed says, and looked at afterwards.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use quorate_lab::What;
use serde_json::Value;

use super::judge::{Case, Judgement, judge};
use super::noise::{Meter, Noise};
use super::record::Record;
use super::scenario::{Kill, Scenario, Whom};
use super::stage::Stage;
use super::truth::{About, Truth, truth};

/// From one look to the next.
const LOOKS: Duration = Duration::from_millis(10);

/// A drill that takes longer, in simulated time, has gone astray: with all that it waits for at the most, it is over by then.
const LONGEST: Duration = Duration::from_secs(4500);

/// What stood in the way before may take so long to pass, and so long all may take to be as before, in simulated time.
const SETTLES: Duration = Duration::from_secs(1500);

/// A fault that is there so many seconds after its time is one that did not end: the judge gives it five.
const FAULT_ENDS: u64 = 10;

/// A drill that is over.
#[derive(Debug)]
pub struct Played {
    /// What was to happen.
    pub scenario: Scenario,
    /// To whom it was done.
    pub victim: String,
    /// What happened.
    pub truth: Truth,
    /// What the record says, or why there is none.
    pub record: Result<Record, String>,
    /// How late this machine was.
    pub noise: Noise,
    /// Who was killed, and when that was, in words.
    pub killed: Vec<String>,
    /// How it is judged.
    pub judgement: Judgement,
    /// What the command printed.
    pub output: String,
}

impl Played {
    /// Is it right?
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.judgement.is_right(&self.scenario)
    }
}

fn real(stage: &Stage, simulated: Duration) -> Duration {
    simulated.div_f64(stage.fleet.lab.speed())
}

/// Plays a scenario.
///
/// # Panics
/// When the lab does not do what is asked of it.
pub async fn play(stage: &mut Stage, scenario: &Scenario) -> Played {
    let meter = Meter::start();
    let victim = stage.victim(scenario).await;
    let options = stage.options(scenario, &victim).await;
    let refused = settled(stage, &options).await;
    let began = stage.log.length();
    let (output, killed) = match refused {
        None => {
            stage.slow_down(scenario, &victim).await;
            let mut course = Course::new(scenario, &victim);
            let output = course.run(stage, &options).await;
            stage.let_all_go().await;
            course.revive(stage).await;
            (output, course.killed)
        }
        Some(why) => (why, Vec::new()),
    };
    let left = returned(stage).await;
    let record = record(stage, &output).await;
    let about = About {
        victim: victim.clone(),
        breaks: scenario.breaks,
    };
    let truth = over(stage, scenario, began, &about).await;
    let noise = meter.found();
    let judgement = judge(&Case {
        scenario,
        record: record.as_ref().map_err(String::as_str),
        truth: &truth,
        noise: &noise,
        left: &left,
        speed: stage.fleet.lab.speed(),
    });
    Played {
        scenario: scenario.clone(),
        victim,
        truth,
        record,
        noise,
        killed,
        judgement,
        output,
    }
}

/// Waits until nothing speaks against it any more; what does still, after all that time.
async fn settled(stage: &Stage, options: &[String]) -> Option<String> {
    let line: Vec<&str> = ["drill", "preview"]
        .into_iter()
        .chain(options.iter().map(String::as_str))
        .collect();
    let begun = Instant::now();
    loop {
        let preview = stage.fleet.run(&line).await;
        if preview.success() {
            return None;
        }
        if begun.elapsed() > real(stage, SETTLES) {
            return Some(crate::told(&preview));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until all is as before; what is not, after all that time.
async fn returned(stage: &Stage) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let amiss = stage.amiss().await;
        if amiss.is_empty() || begun.elapsed() > real(stage, SETTLES) {
            return amiss;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The truth, when the fault has had the time that it may have. A drill that ends early ends before its fault, which goes on by itself: only of one
/// that is still there later can it be said that it was never gone.
async fn over(stage: &mut Stage, scenario: &Scenario, began: usize, about: &About) -> Truth {
    let lasts = scenario.lasts.unwrap_or(0).saturating_add(FAULT_ENDS);
    let begun = Instant::now();
    loop {
        let log = stage.log.all();
        let now = log.last().map_or(0, |entry| entry.ms);
        let truth = truth(log, began, about);
        let due = |made: u64| now >= made.saturating_add(lasts.saturating_mul(1000));
        let is_over = truth.gone.is_some() || truth.fault_ms.is_none_or(due);
        if is_over || begun.elapsed() > real(stage, SETTLES) {
            return truth;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn record(stage: &Stage, output: &str) -> Result<Record, String> {
    let rest = output.split_once("\nDrill ").map(|(_, rest)| rest);
    let number = rest.and_then(|rest| rest.split_once('.')).map(|(number, _)| number);
    let Some(number) = number else {
        return Err(format!("no drill was begun: {output}"));
    };
    let shown = stage.fleet.run(&["drill", "show", number, "-o", "json"]).await;
    let value: Value =
        serde_json::from_str(&shown.stdout).map_err(|error| format!("{error}: {}", crate::told(&shown)))?;
    Record::read(&value)
}

/// A kill that is still to come, or whose victim is away.
#[derive(Debug)]
struct Planned {
    kill: Kill,
    /// When its stage was first told of.
    stage_at: Option<Instant>,
    /// When it was done.
    done_at: Option<Instant>,
    revived: bool,
}

struct Course {
    victim: String,
    planned: Vec<Planned>,
    killed: Vec<String>,
    needs_a_person: Option<Duration>,
    switched: bool,
}

impl Course {
    fn new(scenario: &Scenario, victim: &str) -> Self {
        let planned = scenario.kills.iter().map(|kill| Planned {
            kill: *kill,
            stage_at: None,
            done_at: None,
            revived: false,
        });
        Self {
            victim: victim.to_owned(),
            planned: planned.collect(),
            killed: Vec::new(),
            needs_a_person: scenario
                .breaks
                .needs_a_person()
                .then(|| Duration::from_secs(scenario.switched_on)),
            switched: false,
        }
    }

    /// Runs the drill to its end; returns what it printed.
    async fn run(&mut self, stage: &mut Stage, options: &[String]) -> String {
        let confirm = format!("{}/{}", stage.fleet.cluster, self.victim);
        let line: Vec<&str> = ["drill", "run", "--confirm", &confirm]
            .into_iter()
            .chain(options.iter().map(String::as_str))
            .collect();
        let path: PathBuf = stage.fleet.lab.layout().coordinator().join("drill.out");
        std::fs::remove_file(&path).ok();
        let mut drill = stage
            .fleet
            .lab
            .quorate_in_background(&line, &path)
            .expect("quorate starts");
        let (begun, from) = (Instant::now(), stage.log.length());
        loop {
            let output = std::fs::read_to_string(&path).unwrap_or_default();
            if drill.ended().is_some() {
                return output;
            }
            assert!(
                begun.elapsed() < real(stage, LONGEST),
                "the drill does not end\n{output}"
            );
            self.disturb(stage, &output).await;
            self.switch_on(stage, from).await;
            tokio::time::sleep(LOOKS).await;
        }
    }

    /// Kills and revives whoever is due.
    async fn disturb(&mut self, stage: &Stage, output: &str) {
        let speed = stage.fleet.lab.speed();
        for place in 0..self.planned.len() {
            let planned = &mut self.planned[place];
            let told = format!("  {}: ", planned.kill.stage);
            if planned.stage_at.is_none() && output.contains(&told) {
                planned.stage_at = Some(Instant::now());
            }
            let due = |since: Option<Instant>, ms: u64| {
                since.is_some_and(|since| since.elapsed() >= Duration::from_millis(ms).div_f64(speed))
            };
            if planned.done_at.is_none() && due(planned.stage_at, planned.kill.after_ms) {
                planned.done_at = Some(Instant::now());
                let kill = planned.kill;
                kills(stage, kill.whom, &self.victim);
                self.killed.push(format!("{} in `{}`", kill.whom, kill.stage));
            }
            let planned = &self.planned[place];
            if !planned.revived && due(planned.done_at, planned.kill.away_ms) {
                let whom = planned.kill.whom;
                let done = revives(stage, whom, &self.victim).await;
                self.planned[place].revived = done;
            }
        }
    }

    /// The person that the fault needs.
    async fn switch_on(&mut self, stage: &mut Stage, from: usize) {
        let Some(after) = self.needs_a_person.filter(|_| !self.switched) else {
            return;
        };
        let victim = self.victim.clone();
        let log = stage.log.all().get(from..).unwrap_or_default();
        let off = log
            .iter()
            .find(|entry| entry.what == What::PoweredOff && entry.node.as_deref() == Some(victim.as_str()))
            .map(|entry| entry.ms);
        let now = log.last().map_or(0, |entry| entry.ms);
        let due = off.is_some_and(|off| u128::from(now.saturating_sub(off)) >= after.as_millis());
        if due {
            let pressed = stage.fleet.lab.power(&victim, quorate_lab::control::Press::On).await;
            pressed.expect("the button can be pressed");
            self.switched = true;
        }
    }

    /// Whoever is still away comes back.
    async fn revive(&mut self, stage: &mut Stage) {
        if self.needs_a_person.is_some() && !self.switched {
            stage
                .fleet
                .lab
                .power(&self.victim, quorate_lab::control::Press::On)
                .await
                .ok();
        }
        let begun = Instant::now();
        for planned in self.planned.iter().filter(|planned| planned.done_at.is_some()) {
            while !revives(stage, planned.kill.whom, &self.victim).await {
                assert!(
                    begun.elapsed() < real(stage, SETTLES),
                    "{} is off for ever",
                    planned.kill.whom
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The server whose agent it is.
fn server(stage: &Stage, whom: Whom, victim: &str) -> Option<String> {
    match whom {
        Whom::Coordinator => None,
        Whom::Victim => Some(victim.to_owned()),
        Whom::Another(number) => {
            let mut others = stage.shape.names();
            others.retain(|name| name != victim);
            Some(others[number % others.len()].clone())
        }
    }
}

fn kills(stage: &Stage, whom: Whom, victim: &str) {
    match server(stage, whom, victim) {
        None => stage.fleet.lab.kill_coordinator(),
        Some(node) => stage.fleet.lab.kill_agent(&node),
    }
}

/// Starts it again, unless its server is off: then it is not yet done.
async fn revives(stage: &Stage, whom: Whom, victim: &str) -> bool {
    let lab = &stage.fleet.lab;
    let Some(node) = server(stage, whom, victim) else {
        if lab.coordinator_pid().is_none() {
            stage.fleet.start_coordinator(&[]).await;
        }
        return true;
    };
    let servers = lab.status().await.expect("the world answers");
    if servers.iter().any(|server| server.name == node && server.off) {
        return false;
    }
    if lab.agent_pid(&node).is_none() {
        lab.start_agent(&node).expect("the agent starts");
    }
    true
}
