//! What was done: the audit log as it stands in its file, and the rollouts record by record.

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::{to_status, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Api, Lines};
use crate::audit::verify;
use crate::incoming::Who;

/// Bytes of lines in one message, if there is more than one line in it: a plan of many servers has hundreds of thousands.
const AT_ONCE: usize = 1 << 20;

/// Messages that are ready and not taken yet.
const AHEAD: usize = 4;

impl Api {
    pub(super) async fn read_audit(&self, by: &Who) -> Result<Lines<v1::ReadAuditReply>, Failure> {
        by.fleet_wide("the audit log")?;
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
            let (mut lines, mut size) = (Vec::new(), 0);
            let read = verify::each(audit.path(), |number, text| {
                // A line that is not valid must be told, too; one that came after the head was read must not.
                if number >= count {
                    return;
                }
                if !lines.is_empty() && size + text.len() > AT_ONCE {
                    size = 0;
                    let lines = std::mem::take(&mut lines);
                    // Who went away is told nothing more.
                    drop(tell.blocking_send(Ok(v1::ReadAuditReply { lines, head: None })));
                }
                size += text.len();
                lines.push(text.to_owned());
            });
            drop(tell.blocking_send(match read {
                Ok(()) => Ok(v1::ReadAuditReply { lines, head }),
                Err(error) => Err(to_status(unreadable(&error))),
            }));
        });
        Ok(Box::pin(ReceiverStream::new(told)))
    }

    pub(super) async fn export_history(&self, by: &Who) -> Result<Lines<v1::ExportHistoryReply>, Failure> {
        by.fleet_wide("the history")?;
        let lines = self.rollouts.export().await?;
        let messages: Vec<Result<v1::ExportHistoryReply, Status>> = in_messages(lines)
            .into_iter()
            .map(|lines| Ok(v1::ExportHistoryReply { lines }))
            .collect();
        Ok(Box::pin(tokio_stream::iter(messages)))
    }
}

/// As many lines in a message as it may have, and at least one.
fn in_messages(lines: Vec<String>) -> Vec<Vec<String>> {
    let (mut messages, mut size) = (Vec::new(), 0);
    let mut message = Vec::new();
    for line in lines {
        if !message.is_empty() && size + line.len() > AT_ONCE {
            messages.push(std::mem::take(&mut message));
            size = 0;
        }
        size += line.len();
        message.push(line);
    }
    if !message.is_empty() {
        messages.push(message);
    }
    messages
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(ExitCode::Failed, "the audit log can't be read").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_by_their_bytes() {
        let lines: Vec<String> = (1..40).map(|number| "x".repeat(number * 40_000)).collect();
        let messages = in_messages(lines.clone());
        assert_eq!(messages.concat(), lines);
        for message in &messages {
            let size: usize = message.iter().map(String::len).sum();
            assert!(
                message.len() == 1 || size <= AT_ONCE,
                "{} lines of {size}",
                message.len()
            );
        }
        assert!(messages.iter().any(|message| message.len() > 1));
        assert!(in_messages(vec![]).is_empty());
    }
}
