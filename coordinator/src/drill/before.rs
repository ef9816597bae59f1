//! Before the fault: guests are moved off, copies are waited for, and all is seen once more to be as it should be.

use std::time::Duration;

use quorate_model::View;
use quorate_model::drill::Range;
use quorate_model::finding::known;
use quorate_model::rollout::RolloutResult;
use quorate_model::spec::ClusterFile;
use quorate_planner::drill::Preview;

use super::answers;
use super::copies;
use super::course::Course;
use super::distant;
use super::moves;
use super::preview::Document;
use super::stage::Ended;

/// So long all probes answer before anything is broken.
const ANSWERS: Duration = Duration::from_secs(5);
/// So long that is waited for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at copies.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// So long it is waited for what speaks against it to pass: a copy that is being made, a guest that is locked.
const SETTLES_WITHIN: Duration = Duration::from_secs(300);

impl Course {
    pub(super) async fn move_off(&mut self) -> Ended {
        if self.running.before.is_empty() {
            return Ended::Done;
        }
        let rollouts = self.looker.rollouts.clone();
        if self.running.moves.off.is_none() && self.resumed {
            match moves::begun_before(&rollouts, &self.running).await {
                Ok(found) => self.running.moves.off = found,
                Err(failure) => return self.failed(&failure),
            }
        }
        let id = match self.running.moves.off.clone() {
            Some(id) => id,
            None => {
                let steps = self.running.before.clone();
                self.say(format!(
                    "{} guests are moved off {} first",
                    steps.len(),
                    self.running.order.node
                ));
                match moves::begin(&rollouts, &self.running, (steps, vec![])).await {
                    Ok(id) => id,
                    Err(failure) => return self.failed(&failure),
                }
            }
        };
        self.running.moves.off = Some(id.clone());
        self.durable().await;
        let followed = moves::follow(&rollouts, &id, |text| self.say(text)).await;
        match followed {
            Ok(RolloutResult::Done) => Ended::Done,
            Ok(_) => self.ends_early(&format!(
                "rollout {id} did not move all of them: quorate rollout show {id}"
            )),
            Err(failure) => self.failed(&failure),
        }
    }

    /// Probes answer, clocks are compared, and nothing speaks against it any more.
    pub(super) async fn prepare(&mut self) -> Ended {
        if let Err(why) = self.answered().await {
            return self.ends_early(&why);
        }
        let spec = &self.running.spec;
        let file = match ClusterFile::parse(&spec.name, &spec.text) {
            Ok(file) => file,
            Err(findings) => return self.refused("its cluster file can't be read any more", findings),
        };
        let (view, fresh, document) = match self.looked_again(&file).await {
            Ok(seen) => seen,
            Err(ended) => return ended,
        };
        if !document.before.is_empty() {
            let steps: Vec<&str> = document.before.iter().map(|step| step.title.as_str()).collect();
            return self.ends_early(&format!("other guests run on the victim by now: {}", steps.join("; ")));
        }
        self.running.fates = document.fates;
        self.running.circumstances = document.circumstances;
        self.running.predicted = document.predicted;
        self.running.recovered = fresh.recovered;
        self.running.known = known(view.findings.get().map(Vec::as_slice).unwrap_or_default());
        let clocks = view.nodes.iter();
        self.running.clocks = clocks
            .filter_map(|(node, seen)| Some((node.clone(), seen.clock_offset?)))
            .collect();
        self.running.copies = copies::of(&view, self.running.order.guest);
        let victim = self.running.order.node.clone();
        let boot = view
            .facet(&victim, |o| &o.system)
            .map(|system| system.boot_id.trim().to_owned());
        match boot {
            Ok(boot) => self.boot = Some(boot),
            Err(unknown) => return self.ends_early(&format!("{victim} could not be seen: {}", unknown.reason)),
        }
        let span = |range: Option<Range>| range.map_or_else(|| "no time".to_owned(), Range::between);
        let expected = match &self.running.circumstances.stays {
            Some(_) => self.running.predicted.notice.clone(),
            None => format!(
                "clients are expected to be without the guest for {}",
                span(self.running.predicted.outage)
            ),
        };
        self.say(format!("all answers; {expected}"));
        Ended::Done
    }

    /// A last look. What speaks against it may pass: copies of what was moved are being made, and the like.
    async fn looked_again(&mut self, file: &ClusterFile) -> Result<(View, Preview, Document), Ended> {
        let cluster = self.running.cluster.clone();
        let mut waited = Duration::ZERO;
        loop {
            let view = self.looker.view(&cluster).await;
            let around = match self.looker.around(file, &view, self.running.order.guest, true).await {
                Ok(around) => around,
                Err(failure) => return Err(self.failed(&failure)),
            };
            let fresh = quorate_planner::drill::preview(file, &view, &self.running.order.request(), &around);
            let document = Document::of(&cluster, &self.running.order, &fresh, &self.looker.secrets);
            if !document.refused() {
                return Ok((view, fresh, document));
            }
            let mut found = document.findings;
            found.retain(quorate_model::Finding::refuses);
            if waited >= SETTLES_WITHIN {
                return Err(self.refused("something speaks against it now", found));
            }
            if waited.is_zero() {
                let said: Vec<String> = found.iter().map(ToString::to_string).collect();
                self.say(format!(
                    "waiting for what speaks against it to pass: {}",
                    said.join("; ")
                ));
            }
            self.wait(LOOK_EVERY).await;
            waited = waited.saturating_add(LOOK_EVERY);
        }
    }

    async fn answered(&self) -> Result<(), String> {
        let wanted = self.looker.fleet.pace.wait(ANSWERS);
        let mut waited = Duration::ZERO;
        loop {
            self.wait(ANSWERS).await;
            waited = waited.saturating_add(ANSWERS);
            let heard = answers::heard(&self.dir, &self.running.order.probes);
            let probes = self.running.order.probes.iter().enumerate();
            let silent: Vec<String> = probes
                .filter(|(number, probe)| {
                    let own = heard.iter().find(|(target, _)| target == *probe);
                    let steady = own.is_some_and(|(_, heard)| answers::steadily(heard, wanted));
                    // Where only nodes reach the guest, they have the word.
                    !steady && !distant::answers_steadily(&self.dir, *number, self.survivors(), wanted)
                })
                .map(|(_, probe)| probe.to_string())
                .collect();
            if silent.is_empty() {
                return Ok(());
            }
            if waited >= ANSWERS_WITHIN {
                return Err(format!(
                    "{} does not answer steadily before anything is broken",
                    silent.join(", ")
                ));
            }
        }
    }
}
