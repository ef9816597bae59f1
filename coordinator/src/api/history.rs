//! What was done: the audit log as it stands in its file, and the rollouts record by record.

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::{to_status, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Api, Lines};
use crate::audit::verify;

/// Lines in one message: some hundred bytes each.
const AT_ONCE: usize = 256;

/// Messages that are ready and not taken yet.
const AHEAD: usize = 4;

impl Api {
    pub(super) async fn read_audit(&self) -> Result<Lines<v1::ReadAuditReply>, Failure> {
        // The head first: what is appended while the file is read is then no damage, and neither is it told.
        let head = self.audit.head().map_err(|error| unreadable(&error))?;
        let count = head.as_ref().map_or(0, |head| head.count);
        let head = head.map(|head| v1::AuditHead {
            count: head.count,
            last: head.last,
        });
        let audit = self.audit.clone();
        let (tell, told) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut lines = Vec::new();
            let read = verify::each(audit.path(), |number, text| {
                // A line that is not valid must be told, too; one that came after the head was read must not.
                if number < count {
                    lines.push(text.to_owned());
                }
                if lines.len() == AT_ONCE {
                    let lines = std::mem::take(&mut lines);
                    // Who went away is told nothing more.
                    drop(tell.blocking_send(Ok(v1::ReadAuditReply { lines, head: None })));
                }
            });
            drop(tell.blocking_send(match read {
                Ok(()) => Ok(v1::ReadAuditReply { lines, head }),
                Err(error) => Err(to_status(unreadable(&error))),
            }));
        });
        Ok(Box::pin(ReceiverStream::new(told)))
    }

    pub(super) async fn export_history(&self) -> Result<Lines<v1::ExportHistoryReply>, Failure> {
        let lines = self.rollouts.export().await?;
        let messages: Vec<Result<v1::ExportHistoryReply, Status>> = lines
            .chunks(AT_ONCE)
            .map(|lines| Ok(v1::ExportHistoryReply { lines: lines.to_vec() }))
            .collect();
        Ok(Box::pin(tokio_stream::iter(messages)))
    }
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(ExitCode::Failed, "the audit log can't be read").because(error)
}
