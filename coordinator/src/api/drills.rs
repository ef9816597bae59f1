//! Drills: looked at, begun, watched, ended, listed, read.

use quorate_model::ClusterName;
use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::{Wire, v1};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Api, Lines};
use crate::drill::{Said, Watching};
use crate::incoming::Who;

/// Bytes of a record in one message.
const AT_ONCE: usize = 1 << 20;

/// Messages that are ready and not taken yet.
const AHEAD: usize = 64;

impl Api {
    pub(super) async fn preview_drill(
        &self,
        request: v1::PreviewDrillRequest,
        by: &Who,
    ) -> Result<v1::PreviewDrillReply, Failure> {
        let (cluster, order) = self.ordered(request.order, by)?;
        let document = self.drills.preview(&cluster, order).await?;
        Ok(v1::PreviewDrillReply {
            preview: serde_json::to_string(&document).map_err(|error| unwritten(&error))?,
        })
    }

    pub(super) async fn start_drill(
        &self,
        request: v1::StartDrillRequest,
        by: &Who,
    ) -> Result<v1::StartDrillReply, Failure> {
        let (cluster, order) = self.ordered(request.order, by)?;
        self.may_change()?;
        let number = self.drills.start(&cluster, order, &request.shown, by).await?;
        Ok(v1::StartDrillReply { number })
    }

    pub(super) fn watch_drill(
        &self,
        request: v1::WatchDrillRequest,
        by: &Who,
    ) -> Result<Lines<v1::DrillProgress>, Failure> {
        let cluster = self.cluster_of(request.cluster, by)?;
        let Watching { number, said, live } = self.drills.watch(&cluster, request.number)?;
        let (tell, told) = mpsc::channel::<Result<v1::DrillProgress, Status>>(AHEAD);
        tokio::spawn(async move {
            for one in said {
                if tell.send(Ok(progress(number, one))).await.is_err() {
                    return;
                }
            }
            let mut live = live;
            while let Some(more) = &mut live {
                let next = tokio::select! {
                    next = more.recv() => next,
                    () = tell.closed() => return,
                };
                match next {
                    Ok(one) => {
                        if tell.send(Ok(progress(number, one))).await.is_err() {
                            return;
                        }
                    }
                    // All of it is kept.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => live = None,
                }
            }
            let over = v1::DrillProgress {
                number,
                over: true,
                ..Default::default()
            };
            drop(tell.send(Ok(over)).await);
        });
        Ok(Box::pin(ReceiverStream::new(told)))
    }

    /// Also where nothing else may be changed from here: what is broken must be able to end.
    pub(super) async fn abort_drill(
        &self,
        request: v1::AbortDrillRequest,
        by: &Who,
    ) -> Result<v1::AbortDrillReply, Failure> {
        let cluster = self.cluster_of(request.cluster, by)?;
        self.drills.abort(&cluster, by).await
    }

    pub(super) fn list_drills(&self, request: v1::ListDrillsRequest, by: &Who) -> Result<v1::ListDrillsReply, Failure> {
        let cluster = self.cluster_of(request.cluster, by)?;
        let listed = self.drills.listed(&cluster);
        let due = self.drills.due(&cluster);
        let mut findings = listed.findings;
        findings.extend(self.drills.overdue(&cluster));
        findings.extend(self.drills.left(&cluster));
        let rows = listed
            .rows
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<Vec<_>, _>>();
        let due = due.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
        Ok(v1::ListDrillsReply {
            rows: rows.map_err(|error| unwritten(&error))?,
            running: listed.running.unwrap_or_default(),
            findings: findings.into_wire(),
            unsigned: listed.unsigned,
            due: due.map_err(|error| unwritten(&error))?,
        })
    }

    pub(super) fn get_drill(
        &self,
        request: v1::GetDrillRequest,
        by: &Who,
    ) -> Result<Lines<v1::GetDrillReply>, Failure> {
        let cluster = self.cluster_of(request.cluster, by)?;
        let (_, text) = self.drills.text(&cluster, request.number)?;
        let parts = parts(&text)
            .into_iter()
            .map(|text| Ok::<_, Status>(v1::GetDrillReply { text }));
        Ok(Box::pin(tokio_stream::iter(parts.collect::<Vec<_>>())))
    }

    fn ordered(&self, order: Option<v1::DrillOrder>, by: &Who) -> Result<(ClusterName, v1::DrillOrder), Failure> {
        let order = order.ok_or_else(|| Failure::new(ExitCode::Usage, "which drill?"))?;
        Ok((self.cluster_of(order.cluster.clone(), by)?, order))
    }

    fn cluster_of(&self, name: String, by: &Who) -> Result<ClusterName, Failure> {
        by.within(&name)?;
        self.known_cluster(name)
    }
}

fn progress(number: u64, said: Said) -> v1::DrillProgress {
    v1::DrillProgress {
        number,
        at: Some(said.at.into_wire()),
        stage: said.stage.as_str().to_owned(),
        text: said.text,
        over: false,
    }
}

/// A text in parts that fit into messages; no letter is cut.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.split_inclusive('\n') {
        match parts.last_mut() {
            Some(part) if part.len().saturating_add(line.len()) <= AT_ONCE => part.push_str(line),
            _ => parts.push(line.to_owned()),
        }
    }
    parts
}

fn unwritten(error: &serde_json::Error) -> Failure {
    Failure::new(ExitCode::Internal, "it can't be written as JSON").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_travels_in_parts_and_is_whole_afterwards() {
        let text = "a line of some length that is not short\n".repeat(60_000);
        let parts = parts(&text);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= AT_ONCE));
        assert_eq!(parts.concat(), text);
        assert_eq!(super::parts("").concat(), "");
    }
}
