//! Hands a secret from the agent to the supervisor of a tool, through a FIFO: it passes through the kernel's memory and
//! rests nowhere.
//!
//! It is one line. Whole lines of this size go into a pipe at once or not at all, and without its line feed it does not
//! count; so half of it is never taken for it.

use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use quorate_exec::SecretBytes;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use zeroize::Zeroizing;

/// What the kernel writes into a pipe at once or not at all (PIPE_BUF).
const LONGEST: usize = 4096;

/// How often it is tried whether the other side has come.
const RETRY: Duration = Duration::from_millis(10);

/// Hands the secret over as soon as somebody reads; `false`: nobody did within the time.
pub(super) async fn deliver(fifo: &Path, secret: &SecretBytes, within: Duration) -> io::Result<bool> {
    let whole =
        |bytes: &[u8]| bytes.len() <= LONGEST && bytes.iter().position(|b| *b == b'\n') == Some(bytes.len() - 1);
    if secret.expose().is_empty() || !whole(secret.expose()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a secret must be one line of at most 4096 bytes",
        ));
    }
    let attempt = async {
        let sender = loop {
            match pipe::OpenOptions::new().open_sender(fifo) {
                Ok(sender) => break sender,
                // Nobody reads yet.
                Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(error),
            }
        };
        loop {
            sender.writable().await?;
            match sender.try_write(secret.expose()) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    tokio::time::timeout(within, attempt).await.unwrap_or(Ok(false))
}

/// Takes the secret; `None`: nobody has handed it over within the time.
pub(super) async fn receive(fifo: &Path, within: Duration) -> io::Result<Option<SecretBytes>> {
    // Open for writing too: so the opening does not wait, and there is no end of file between two writers.
    let mut receiver = pipe::OpenOptions::new().read_write(true).open_receiver(fifo)?;
    let attempt = async {
        let mut bytes = Zeroizing::new(vec![0; LONGEST]);
        let mut length = 0;
        while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
            length += receiver.read(room).await?;
            let taken = bytes.get(..length).unwrap_or_default();
            if taken.last() == Some(&b'\n') {
                return Ok(Some(SecretBytes::new(taken)));
            }
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "what was handed over is no line",
        ))
    };
    tokio::time::timeout(within, attempt).await.unwrap_or(Ok(None))
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;

    use super::*;

    const AMPLE: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(50);

    fn fifo() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        (dir, path)
    }

    #[tokio::test]
    async fn passes_whoever_comes_first() {
        let (_dir, path) = fifo();
        let secret = SecretBytes::new("ticket\n");
        let (sent, received) = tokio::join!(deliver(&path, &secret, AMPLE), receive(&path, AMPLE));
        assert!(sent.unwrap());
        assert_eq!(received.unwrap(), Some(secret.clone()));
        let (received, sent) = tokio::join!(receive(&path, AMPLE), deliver(&path, &secret, AMPLE));
        assert!(sent.unwrap() && received.unwrap() == Some(secret));
    }

    #[tokio::test]
    async fn neither_side_waits_for_ever() {
        let (_dir, path) = fifo();
        assert!(!deliver(&path, &SecretBytes::new("ticket\n"), SHORT).await.unwrap());
        assert_eq!(receive(&path, SHORT).await.unwrap(), None);
    }

    #[tokio::test]
    async fn only_one_line_is_a_secret() {
        let (_dir, path) = fifo();
        for text in ["", "no end", "two\nlines\n", &format!("{}\n", "x".repeat(LONGEST))] {
            assert!(deliver(&path, &SecretBytes::new(text), SHORT).await.is_err(), "{text}");
        }
    }
}
