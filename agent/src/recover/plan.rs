//! The checklist, in words: what was looked at, what would be done, and whether each step can be taken back.

use std::fmt::Write as _;

use quorate_model::Timestamp;
use quorate_model::observation::GuestKind;
use quorate_model::time::spoken;

use super::evidence::{Sign, Trace, Verdict, Way, Witness};
use super::fates::{Copy, Fate, Guest};
use super::scene::Scene;
use super::votes::Quorum;

/// The whole checklist. `applying`: it is carried out next.
pub(crate) fn text(scene: &Scene, applying: bool) -> String {
    let mode = if applying {
        ""
    } else {
        ": nothing is changed, this only says what would be done"
    };
    let mut text = format!(
        "Recovery of the guests of {} on {} (cluster {}){mode}\n",
        scene.lost, scene.own, scene.cluster
    );
    evidence(&mut text, scene);
    quorum(&mut text, scene);
    let mut number = 3;
    for (vmid, kind) in &scene.unfinished {
        let tool = quorate_tools::guest::name(*kind);
        writeln!(
            text,
            "\n{number}. Guest {vmid}, which was taken over before and does not run\n   {tool} start {vmid}"
        )
        .ok();
        number += 1;
    }
    for (guest, copy, jobs, starts) in scene.recoverable() {
        taken(&mut text, scene, number, guest, copy, jobs, starts);
        number += 1;
    }
    left_alone(&mut text, scene);
    writeln!(
        text,
        "\n{number}. Afterwards\n   What was done is kept in the agent's state on {}, and the agent watches for the return of {}: it tells \
         of it, and of guests\n   that run twice, and ends nothing by itself. When all is decided: quorate-agent recover --lost {} --close",
        scene.own, scene.lost, scene.lost
    )
    .ok();
    text
}

fn evidence(text: &mut String, scene: &Scene) {
    let lost = &scene.lost;
    writeln!(text, "\n1. Is {lost} really down?").ok();
    for trace in &scene.evidence.cluster {
        writeln!(text, "   {} {}: {}", mark(trace.sign), trace.about, trace.said).ok();
    }
    for way in &scene.evidence.ways {
        on(text, way);
    }
    if scene.bmc.is_none() {
        text.push_str("   ? its BMC: not asked; --bmc ADDRESS pings it\n");
    }
    match scene.evidence.verdict() {
        Verdict::Alive(_) => writeln!(text, "   It LIVES: nothing is done, whatever is said."),
        Verdict::Down(count) => writeln!(
            text,
            "   Nothing is heard of it, on {} where others are heard. The last word is yours: --apply wants you to type {}/{lost}",
            if count == 1 { "one network".to_owned() } else { format!("{count} networks") },
            scene.cluster
        ),
        Verdict::Unproven(_) => writeln!(
            text,
            "   Nothing is heard of it, and nothing proves that it is off: it takes somebody who has seen it (--seen-off)."
        ),
    }
    .ok();
}

fn on(text: &mut String, way: &Way) {
    writeln!(text, "   On {} ({}):", way.name, way.address).ok();
    for Trace { about, sign, said } in &way.traces {
        writeln!(text, "     {} {about}: {said}", mark(*sign)).ok();
    }
    let witness = match &way.witness {
        Witness::Heard(who) => format!("{who} answers: this server is on that network"),
        Witness::Silent(who) => format!(
            "{} do not answer: it may be this server that is cut off, so this proves nothing",
            who.join(", ")
        ),
        Witness::Nobody => "nobody else is there to be asked, so this proves nothing".to_owned(),
    };
    writeln!(text, "     {witness}").ok();
}

fn mark(sign: Sign) -> &'static str {
    match sign {
        Sign::Alive => "!",
        Sign::Silent => "-",
        Sign::Unproven => "?",
    }
}

fn quorum(text: &mut String, scene: &Scene) {
    writeln!(text, "\n2. Quorum\n   {}", scene.votes).ok();
    match &scene.quorum {
        Quorum::There => text.push_str("   Nothing is to be done.\n"),
        Quorum::ByFiat(votes) => {
            writeln!(
                text,
                "   pvecm expected {votes}\n   What is left decides alone from then on. DANGER: if {lost} runs on without us, there are two clusters of one name, which both \
                 write.\n   Reversible: it holds until corosync starts anew or corosync.conf changes, and with {lost} back both votes count again.",
                lost = scene.lost
            )
            .ok();
            if scene.ha_in_use {
                text.push_str(
                    "   Guests are under HA: with quorum HA takes those of the lost server over by itself, after about two minutes, and arms \
                     the watchdog here. If quorum is lost again then, this server resets itself.\n",
                );
            }
        }
        Quorum::Refused(finding) => {
            writeln!(text, "   {}\n   -> {}", finding.message, finding.next).ok();
        }
    }
}

fn taken(
    text: &mut String,
    scene: &Scene,
    number: usize,
    guest: &Guest,
    copy: Copy,
    jobs: &[quorate_model::guest_ids::JobId],
    starts: bool,
) {
    let (vmid, lost, own) = (guest.vmid, &scene.lost, &scene.own);
    writeln!(text, "\n{number}. {}\n   {}", named(guest), held(copy, scene.now, lost)).ok();
    if !guest.elsewhere.is_empty() {
        let others = guest.elsewhere.join(", ");
        writeln!(
            text,
            "   It is also copied to {others}: ask there as well, and take it over where its copy is newest"
        )
        .ok();
    }
    for job in jobs {
        writeln!(
            text,
            "   pvesr disable {job}\n     so that the return of {lost} does not overwrite what it wrote last. Reversible: pvesr enable {job}"
        )
        .ok();
    }
    let folder = folder(guest.kind);
    writeln!(
        text,
        "   mv /etc/pve/nodes/{lost}/{folder}/{vmid}.conf /etc/pve/nodes/{own}/{folder}/{vmid}.conf\n     Reversible as long as it has not \
         been started: the other way round"
    )
    .ok();
    let tool = quorate_tools::guest::name(guest.kind);
    if starts {
        writeln!(
            text,
            "   {tool} start {vmid}\n     NOT reversible: what it writes from now on is here, and what {lost} wrote last is there"
        )
        .ok();
    } else {
        writeln!(
            text,
            "   It is not started, for it does not start at boot (onboot): name it by --guest {vmid}, or type {tool} start {vmid} afterwards"
        )
        .ok();
    }
}

/// Where PVE keeps the configurations of guests of this kind.
pub(crate) fn folder(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Vm => "qemu-server",
        GuestKind::Container => "lxc",
    }
}

fn named(guest: &Guest) -> String {
    let kind = match guest.kind {
        GuestKind::Vm => "VM",
        GuestKind::Container => "container",
    };
    let name = guest.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("Guest {} ({kind}{name})", guest.vmid)
}

fn held(copy: Copy, now: Timestamp, lost: &str) -> String {
    match copy {
        Copy::Whole => "Its disks are those that it had: nothing of it is lost".to_owned(),
        Copy::Of(at) => format!(
            "Its copy here is {} old ({at} by the clock of {lost}): what it wrote since is on {lost} alone",
            spoken(at.age(now))
        ),
        Copy::Uneven(at) => format!(
            "Its copy here is {} old ({at} by the clock of {lost}), and its disks are NOT of one moment: what it wrote since is on {lost} alone",
            spoken(at.age(now))
        ),
    }
}

fn left_alone(text: &mut String, scene: &Scene) {
    let told: Vec<String> = scene
        .guests
        .iter()
        .filter_map(|guest| {
            let why = match &guest.fate {
                Fate::Recoverable { .. } => return None,
                Fate::Template => "a template: nothing of it runs".to_owned(),
                Fate::Ha(why) | Fate::Not(why) => why.clone(),
            };
            Some(format!("   {}: {why}\n", named(guest)))
        })
        .collect();
    if !told.is_empty() {
        text.push_str("\nLeft alone\n");
        text.push_str(&told.concat());
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(super) mod tests;
