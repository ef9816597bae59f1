//! Files: what an operator writes, and what agent and coordinator keep.

use quorate_model::compression::Compression;
use quorate_model::finding::Code;
use quorate_model::ids::{DiskRef, NodeRef};
use quorate_model::operation::OperationEvent;
use quorate_model::plan::Plan;
use quorate_model::raid::Raid;
use quorate_model::rollout::Entry;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;
use quorate_model::{
    ByteSize, ClusterName, MaintenanceWindow, NodeName, Observation, OperationId, SshPublicKey, Timestamp,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Target, Told, text};

pub(crate) const TARGETS: &[Target] = &[
    Target::new("agent-config", |bytes| quorate_agent::fuzz::config(&text(bytes))),
    Target::new("agent-ledger", quorate_agent::fuzz::ledger),
    Target::new("agent-notes", quorate_agent::fuzz::notes),
    Target::new("agent-packet", quorate_agent::fuzz::packet),
    Target::new("audit-log", |bytes| quorate::fuzz::audit(&text(bytes))),
    Target::new("backup-content", quorate::fuzz::backup),
    Target::new("cluster-file", |bytes| {
        let text = text(bytes);
        let read = ClusterFile::parse("hk1.toml", &text);
        if let Err(findings) = &read {
            assert!(!findings.is_empty(), "a refusal says why");
            let placed = findings.iter().filter_map(|finding| finding.place.as_ref());
            for place in placed {
                let (from, length) = (place.offset as usize, place.length as usize);
                assert!(
                    text.get(from..from.saturating_add(length)).is_some(),
                    "{place:?} is no part of the text"
                );
            }
        }
        Box::new(read)
    }),
    Target::new("coordinator-config", |bytes| quorate::fuzz::config(&text(bytes))),
    Target::new("decided", |bytes| quorate::fuzz::decided(&text(bytes))),
    Target::new("history", |bytes| quorate::fuzz::history(&text(bytes))),
    Target::new("journal-frame", quorate::fuzz::frame),
    Target::new("kept-plan", |bytes| quorate::fuzz::proposal(&text(bytes))),
    Target::new("model-event", json_again::<OperationEvent>),
    Target::new("model-observation", json_again::<Observation>),
    Target::new("model-plan", json_again::<Plan>),
    Target::new("model-record", json_again::<Entry>),
    Target::new("model-view", json_again::<View>),
    Target::new("tally-line", |bytes| {
        let read = text(bytes).parse::<quorate_tally::Answer>();
        if let Ok(answer) = &read {
            assert_eq!(answer.to_string().parse::<quorate_tally::Answer>().as_ref(), Ok(answer));
        }
        Box::new(read)
    }),
    Target::new("tally-records", |bytes| Box::new(quorate_tally::record::read(bytes))),
    Target::new("words", words),
];

/// What is read is written again as it was.
fn json_again<T: DeserializeOwned + Serialize + std::fmt::Debug + 'static>(bytes: &[u8]) -> Told {
    let read = serde_json::from_slice::<T>(bytes);
    if let Ok(value) = &read {
        let written = serde_json::to_string(value);
        if let Ok(written) = &written {
            let again = serde_json::from_str::<T>(written).map(|again| serde_json::to_string(&again).ok());
            assert_eq!(again.ok().flatten().as_ref(), Some(written));
        }
    }
    Box::new(read.map_err(|error| error.to_string()))
}

/// Names, sizes, times: what is understood is shown as something that is understood as the same.
fn words(bytes: &[u8]) -> Told {
    let text = text(bytes);
    // Shown to people, and rounded for them.
    drop(text.parse::<ByteSize>());
    if let Ok(code) = text.parse::<Code>() {
        assert!(code.as_str().eq_ignore_ascii_case(&text), "{text:?}");
    }
    macro_rules! shown_again {
        ($($kind:ty),* $(,)?) => {
            Box::new(($({
                let read = text.parse::<$kind>().ok();
                if let Some(value) = &read {
                    assert_eq!(value.to_string().parse::<$kind>().ok().as_ref(), Some(value), "{text:?}");
                }
                read
            }),*))
        };
    }
    shown_again!(
        ClusterName,
        Compression,
        DiskRef,
        MaintenanceWindow,
        NodeName,
        NodeRef,
        OperationId,
        Raid,
        SshPublicKey,
        Timestamp,
    )
}
