//! QEMU's way of talking, and its guest agent's: one JSON document a line over a socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

#[derive(Debug)]
pub(crate) struct Wire {
    stream: BufReader<UnixStream>,
}

impl Wire {
    pub(crate) async fn open(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket).await?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks, and returns the answer; what comes in between are events, which nobody waits for.
    ///
    /// # Errors
    /// There is none in time, or it is a refusal.
    pub(crate) async fn ask(&mut self, command: &str, arguments: Value, patience: Duration) -> io::Result<Value> {
        let mut line = serde_json::to_vec(&json!({ "execute": command, "arguments": arguments }))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).await?;
        let answer = timeout(patience, self.answer()).await;
        answer.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer to {command}")))?
    }

    async fn answer(&mut self) -> io::Result<Value> {
        loop {
            let mut line = Vec::new();
            if self.stream.read_until(b'\n', &mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Ok(mut document) = serde_json::from_slice::<Value>(&line) else {
                continue;
            };
            if let Some(answer) = document.get_mut("return") {
                return Ok(answer.take());
            }
            if let Some(error) = document.get("error") {
                return Err(io::Error::other(error.to_string()));
            }
        }
    }
}
