//! What a host tool and the world say to one another: frames of kind, length and payload.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::control::Request;

/// The longest payload that is taken.
const LIMIT: u32 = 16 << 20;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Who calls: JSON of [`Hello`].
    Hello(Vec<u8>),
    /// Bytes of the tool's standard input; none at its end.
    Stdin(Vec<u8>),
    /// The tool was told to end.
    Terminate,
    /// The tool wants its standard input.
    WantStdin,
    /// Bytes for standard output.
    Stdout(Vec<u8>),
    /// Bytes for standard error.
    Stderr(Vec<u8>),
    /// The tool ends with this code.
    Exit(i32),
    /// The tool dies of this signal.
    Signal(i32),
    /// The answer to a control request: JSON.
    Answer(Vec<u8>),
}

/// The first frame of a connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hello {
    /// A host tool was called on a server.
    Tool {
        node: String,
        tool: String,
        argv: Vec<String>,
        cwd: String,
    },
    /// Somebody steers the world.
    Control(Request),
}

impl Frame {
    fn parts(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Hello(bytes) => (b'H', bytes.clone()),
            Self::Stdin(bytes) => (b'I', bytes.clone()),
            Self::Terminate => (b'T', Vec::new()),
            Self::WantStdin => (b'W', Vec::new()),
            Self::Stdout(bytes) => (b'O', bytes.clone()),
            Self::Stderr(bytes) => (b'R', bytes.clone()),
            Self::Exit(code) => (b'X', code.to_be_bytes().to_vec()),
            Self::Signal(number) => (b'K', number.to_be_bytes().to_vec()),
            Self::Answer(bytes) => (b'A', bytes.clone()),
        }
    }

    fn from_parts(kind: u8, bytes: Vec<u8>) -> io::Result<Self> {
        let number = |bytes: &[u8]| {
            bytes
                .try_into()
                .map(i32::from_be_bytes)
                .map_err(|_| io::Error::other("a number of the wrong length"))
        };
        Ok(match kind {
            b'H' => Self::Hello(bytes),
            b'I' => Self::Stdin(bytes),
            b'T' => Self::Terminate,
            b'W' => Self::WantStdin,
            b'O' => Self::Stdout(bytes),
            b'R' => Self::Stderr(bytes),
            b'X' => Self::Exit(number(&bytes)?),
            b'K' => Self::Signal(number(&bytes)?),
            b'A' => Self::Answer(bytes),
            other => return Err(io::Error::other(format!("unknown frame kind {other}"))),
        })
    }
}

pub(crate) async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let (kind, payload) = frame.parts();
    let length = u32::try_from(payload.len()).map_err(|_| io::Error::other("frame too long"))?;
    let mut bytes = Vec::with_capacity(payload.len() + 5);
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&payload);
    to.write_all(&bytes).await
}

/// The next frame; nothing at the connection's end.
pub(crate) async fn receive(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let kind = match from.read_u8().await {
        Ok(kind) => kind,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = from.read_u32().await?;
    if length > LIMIT {
        return Err(io::Error::other(format!("frame of {length} bytes")));
    }
    let mut payload = vec![0; usize::try_from(length).unwrap_or(0)];
    from.read_exact(&mut payload).await?;
    Frame::from_parts(kind, payload).map(Some)
}
