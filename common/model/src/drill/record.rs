//! The record of a drill: one JSON document, chained to the one before it by digest, and signed by the coordinator.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::answers::Answers;
use super::compare::Compared;
use super::figures::{CopyUsed, Figures};
use super::lasting::{DrillKind, Lasting};
use super::predict::{Circumstances, Prediction};
use super::tally::Tally;
use super::timeline::{Subject, Timeline};
use super::verdict::{Expectation, Verdict};
use crate::fault::Fault;
use crate::finding::{Code, Finding};
use crate::ids::{ClusterName, DrillName, NodeName};
use crate::time::Timestamp;

/// The version of the format that this code writes. A later one may add fields; a change of meaning gets the next number.
pub const FORMAT: u32 = 1;

/// Of the first record: there is none before it.
pub const NONE_BEFORE: &str = "";

/// All that is kept of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u32,
    /// Its number in the cluster, from 1.
    pub number: u64,
    /// The cluster.
    pub cluster: ClusterName,
    /// The drill of the cluster file; `None`: it was put together on the command line.
    pub drill: Option<DrillName>,
    /// Who ran it.
    pub operator: String,
    /// When it began, by the coordinator's clock.
    pub began: Timestamp,
    /// When it was over.
    pub ended: Timestamp,
    /// How it ended before its end, in words; `None`: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<String>,
    /// What was broken.
    #[serde(with = "crate::fault::text")]
    pub fault: Fault,
    /// What was to be shown.
    pub kind: DrillKind,
    /// How long the fault was to last.
    pub lasts: Lasting,
    /// The server that it was done to.
    pub victim: NodeName,
    /// The guest that was watched.
    pub guest: u32,
    /// Guests of customers that were put at risk by name, each after a sync.
    #[serde(default)]
    pub risked: BTreeSet<u32>,
    /// What spoke against it, and was accepted by name.
    #[serde(default)]
    pub accepted: Vec<Code>,
    /// SHA-256 of the cluster file's text, in hex.
    pub spec_digest: String,
    /// SHA-256 of the plan's JSON (the moves before and after), in hex; empty: nothing was to be moved.
    pub plan_digest: String,
    /// What the forecast went by.
    pub circumstances: Circumstances,
    /// The forecast.
    pub predicted: Prediction,
    /// What was expected.
    pub expected: Expectation,
    /// What the line is about.
    pub subject: Subject,
    /// The line.
    pub line: Timeline,
    /// What the probes saw.
    pub probes: Vec<Answers>,
    /// What the numbered writer came to.
    pub tally: Option<Tally>,
    /// What the guest was recovered from.
    pub copy: CopyUsed,
    /// The figures.
    pub figures: Figures,
    /// Predicted beside measured.
    pub compared: Vec<Compared>,
    /// What there was to say before, meanwhile and afterwards: also what did not return to normal.
    pub findings: Vec<Finding>,
    /// The verdict.
    pub verdict: Verdict,
    /// The digest of the record before this one; empty: this is the first.
    pub previous: String,
    /// The certificates by which the signature is checked, as PEM, the coordinator's of that time first; empty: it is not signed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signer: String,
    /// SHA-256 of this record without this field and the signature, in hex.
    #[serde(default)]
    pub digest: String,
    /// The coordinator's signature of the digest, in base64 (ECDSA P-256, SHA-256); empty: none was made.
    #[serde(default)]
    pub signature: String,
}

/// What a signature of a record is one of, so that none of another document is taken for it. What is signed is the digest.
pub const SIGNED_AS: &str = "quorate drill record";

/// Why a record is not taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No JSON, or not of this form.
    #[error("it is no record of a drill: {0}")]
    Unreadable(String),
    /// Written by a later version.
    #[error("it is of format {0}, and this version reads up to {FORMAT}")]
    Later(u64),
    /// Its content is not what its digest says.
    #[error("record {0} is not as it was written: its digest is another one")]
    Altered(u64),
    /// Its predecessor is not the one that it names.
    #[error(
        "record {number} follows another record than the one before it here: one was taken out, put in or written anew"
    )]
    Broken {
        /// Its number.
        number: u64,
    },
}

impl Record {
    /// The same with its digest, which is of all that it says but of the signature.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub fn sealed(mut self) -> Result<Self, RecordError> {
        self.signature = String::new();
        let value = serde_json::to_value(&self).map_err(|error| RecordError::Unreadable(error.to_string()))?;
        self.digest = digest_of(&value);
        Ok(self)
    }

    /// Does it bear a signature? Whether that counts is another question.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        !self.signature.is_empty()
    }

    /// As it is kept.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub fn to_json(&self) -> Result<String, RecordError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| RecordError::Unreadable(error.to_string()))?;
        Ok(text + "\n")
    }

    /// Reads one, and checks that it is as it was written, also where a later version has put more into it.
    ///
    /// # Errors
    /// It is none, is of a format of another meaning, or was altered.
    pub fn read(text: &str) -> Result<Self, RecordError> {
        let unreadable = |error: serde_json::Error| RecordError::Unreadable(error.to_string());
        let value: Value = serde_json::from_str(text).map_err(unreadable)?;
        let format = value.get("format").and_then(Value::as_u64);
        match format {
            Some(format) if format > u64::from(FORMAT) => return Err(RecordError::Later(format)),
            Some(_) => {}
            None => return Err(RecordError::Unreadable("it has no `format`".to_owned())),
        }
        let digest = digest_of(&value);
        let record: Self = serde_json::from_value(value).map_err(unreadable)?;
        if record.digest != digest {
            return Err(RecordError::Altered(record.number));
        }
        Ok(record)
    }
}

/// Does each record follow the one before it? From the oldest to the newest.
///
/// # Errors
/// Which one does not.
pub fn check_chain<'r>(records: impl IntoIterator<Item = &'r Record>) -> Result<(), RecordError> {
    let mut before: Option<&Record> = None;
    for record in records {
        let follows = match before {
            None => record.number > 1 || record.previous == NONE_BEFORE,
            Some(before) => record.previous == before.digest && record.number == before.number.saturating_add(1),
        };
        if !follows {
            return Err(RecordError::Broken { number: record.number });
        }
        before = Some(record);
    }
    Ok(())
}

/// SHA-256 of a document without `digest` and `signature`, with its keys in order: however it was laid out.
fn digest_of(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) => {
            let rest = fields
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "digest" | "signature"));
            object(rest.collect(), &mut text);
        }
        other => canonical(other, &mut text),
    }
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn object(mut fields: Vec<(&String, &Value)>, text: &mut String) {
    fields.sort_by_key(|(key, _)| *key);
    text.push('{');
    for (number, (key, value)) in fields.into_iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&Value::String(key.clone()).to_string());
        text.push(':');
        canonical(value, text);
    }
    text.push('}');
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => object(fields.iter().collect(), text),
        Value::Array(items) => {
            text.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    text.push(',');
                }
                canonical(item, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}
