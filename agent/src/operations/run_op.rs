//! `quorate-agent run-op ID`: starts one tool, writes down how it ends, and does nothing else. It outlives the agent.

use std::io;
use std::path::Path;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_exec::{ExecError, InvalidCommand, Sink, Stdin, Supervised, supervise};
use quorate_model::ids::OperationId;
use tokio::signal::unix::{SignalKind, signal};

use super::folder::{Claim, Folder, FolderError, Process, Request, Status};
use super::secret;
use crate::errors::chain;

/// The pause after which the tool's end is tried to be written down again, if the disk was full.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why a supervisor did nothing, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunOpError {
    /// A file of the operation can't be used.
    #[error("the operation's folder can't be used")]
    Folder(#[from] FolderError),
    /// The agent has not said what to run.
    #[error("operation {0} is not waiting for a supervisor")]
    NothingToRun(OperationId),
    /// Another supervisor, or the agent, was faster.
    #[error("whether the tool of operation {0} runs was decided before")]
    Decided(OperationId),
    /// The system refuses.
    #[error("{what} failed")]
    System {
        /// What.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> RunOpError {
    move |source| RunOpError::System { what, source }
}

/// Runs the tool of an operation to its end.
///
/// # Errors
/// Why it was not run by us, or why its end could not be written down. That it failed is no error here.
pub async fn run_op(state_dir: &Path, id: &OperationId) -> Result<(), RunOpError> {
    let folder = Folder::of(state_dir, id);
    let request = folder.request()?.ok_or_else(|| RunOpError::NothingToRun(id.clone()))?;
    // Whoever stops us does not stop the tool, and its end must not go unseen.
    let ignored = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let _deaf: Vec<_> = ignored
        .into_iter()
        .map(signal)
        .collect::<Result<_, _>>()
        .map_err(system("ignoring signals"))?;

    let process = Process::this().map_err(system("reading /proc"))?;
    if !folder.claim(&Claim::Supervisor { process })? {
        return Err(RunOpError::Decided(id.clone()));
    }
    let clock = Clock::system();
    let start = clock.monotonic();
    let mut tool = match start_tool(&folder, &request).await {
        Ok(tool) => tool,
        Err(reason) => return Ok(folder.write_status(&Status::NotStarted { reason })?),
    };
    let process = Process::now(tool.identity()).map_err(system("reading /proc"))?;
    // From here on only we can see the tool's end: a full disk must not make us leave it alone.
    let running = Status::Running {
        process: process.clone(),
    };
    if let Err(error) = folder.write_status(&running) {
        tracing::warn!(operation = %id, error = chain(&error), "that the tool runs could not be written down");
    }
    let exit = tool.wait().await.map_err(system("waiting for the tool"))?;
    let milliseconds = u64::try_from(clock.since(start).as_millis()).unwrap_or(u64::MAX);
    let ended = Status::Ended {
        process,
        exit,
        milliseconds,
    };
    loop {
        match folder.write_status(&ended) {
            Err(error) if folder.is_there() => {
                tracing::error!(operation = %id, error = chain(&error), "the tool's end can't be written down yet");
                tokio::time::sleep(WRITE_AGAIN_AFTER).await;
            }
            written => return Ok(written?),
        }
    }
}

/// Everything that can go wrong here leaves the tool not started.
async fn start_tool(folder: &Folder, request: &Request) -> Result<Supervised, String> {
    let stdin = match request.secret_within_ms {
        None => Stdin::Null,
        Some(within) => {
            let fifo = folder.path("secret");
            let received = secret::receive(&fifo, Duration::from_millis(within)).await;
            if let Err(error) = std::fs::remove_file(&fifo) {
                tracing::warn!(%error, "the FIFO of an operation stays behind");
            }
            match received {
                Ok(Some(bytes)) => Stdin::Bytes(bytes),
                Ok(None) => return Err("the secret that it needs was not delivered".into()),
                Err(error) => return Err(format!("the secret that it needs could not be taken over: {error}")),
            }
        }
    };
    let command = request.command().map_err(|error: InvalidCommand| error.to_string())?;
    let file = |name| folder.append(name).map(Sink::File).map_err(|error| error.to_string());
    supervise(&command, stdin, file("stdout")?, file("stderr")?).map_err(|error: ExecError| error.to_string())
}

#[cfg(test)]
mod tests {
    use quorate_exec::Exit;

    use super::*;

    fn prepared(dir: &Path, program: &str, args: &[&str], secret_within_ms: Option<u64>) -> (Folder, OperationId) {
        let id: OperationId = "op-1".parse().unwrap();
        let folder = Folder::of(dir, &id);
        folder.create().unwrap();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        folder
            .write_request(&Request {
                program: program.into(),
                args,
                env: Default::default(),
                secret_within_ms,
            })
            .unwrap();
        (folder, id)
    }

    #[tokio::test]
    async fn output_and_end_are_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, id) = prepared(dir.path(), "/bin/sh", &["-c", "echo out; echo err >&2; exit 3"], None);
        run_op(dir.path(), &id).await.unwrap();
        assert!(matches!(
            folder.status().unwrap(),
            Some(Status::Ended {
                exit: Exit::Code(3),
                ..
            })
        ));
        assert_eq!(std::fs::read_to_string(folder.path("stdout")).unwrap(), "out\n");
        assert_eq!(std::fs::read_to_string(folder.path("stderr")).unwrap(), "err\n");
        assert!(
            matches!(run_op(dir.path(), &id).await, Err(RunOpError::Decided(_))),
            "it never runs twice"
        );
    }

    #[tokio::test]
    async fn a_secret_reaches_the_tool_and_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, id) = prepared(dir.path(), "/usr/bin/wc", &["-c"], Some(30_000));
        folder.make_fifo().unwrap();
        let secret = quorate_exec::SecretBytes::new("0123456789\n");
        let fifo = folder.path("secret");
        let (sent, ran) = tokio::join!(
            secret::deliver(&fifo, &secret, Duration::from_secs(30)),
            run_op(dir.path(), &id)
        );
        assert!(sent.unwrap());
        ran.unwrap();
        assert_eq!(std::fs::read_to_string(folder.path("stdout")).unwrap().trim(), "11");
        assert!(!fifo.exists());
    }

    #[tokio::test]
    async fn without_its_secret_the_tool_is_not_started() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, id) = prepared(dir.path(), "/bin/true", &[], Some(20));
        folder.make_fifo().unwrap();
        run_op(dir.path(), &id).await.unwrap();
        let Some(Status::NotStarted { reason }) = folder.status().unwrap() else {
            panic!("it was started")
        };
        assert_eq!(reason, "the secret that it needs was not delivered");
        assert!(!folder.path("stdout").exists());
    }

    #[tokio::test]
    async fn the_end_is_written_down_also_when_there_was_no_room_at_first() {
        let dir = tempfile::tempdir().unwrap();
        let script = "until [ -e \"$0\" ]; do sleep 0.02; done; exit 4";
        let go = dir.path().join("go");
        let (folder, id) = prepared(dir.path(), "/bin/sh", &["-c", script, go.to_str().unwrap()], None);
        // Nothing can be written in the place of a folder, as on a disk without room.
        let status = folder.path("status.json");
        std::fs::create_dir(&status).unwrap();
        let running = run_op(dir.path(), &id);
        let meanwhile = async {
            while !folder.path("stdout").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            std::fs::write(&go, "").unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            std::fs::remove_dir(&status).unwrap();
        };
        let (ran, ()) = tokio::join!(running, meanwhile);
        ran.unwrap();
        let status = folder.status().unwrap();
        assert!(
            matches!(
                status,
                Some(Status::Ended {
                    exit: Exit::Code(4),
                    ..
                })
            ),
            "{status:?}"
        );
    }

    #[tokio::test]
    async fn an_abandoned_operation_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, id) = prepared(dir.path(), "/bin/true", &[], None);
        folder.claim(&Claim::Abandoned { reason: "late".into() }).unwrap();
        assert!(matches!(run_op(dir.path(), &id).await, Err(RunOpError::Decided(_))));
        assert_eq!(folder.status().unwrap(), None);
    }
}
