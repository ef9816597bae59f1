//! A web server is asked for a page, and its first line is read: nothing of the page itself.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::miss::Miss;
use crate::target::Page;

/// From here on the server says that it can't answer; below, that it is there and understood: 404 is an answer.
const CANNOT: u16 = 500;

/// The longest first line that is read.
const LONGEST: usize = 1024;

/// Asks over this connection; how long, is the caller's.
pub(crate) async fn ask<S>(mut stream: S, page: &Page) -> Result<(), Miss>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Page { path, authority, .. } = page;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: quorate-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let failed = |error: std::io::Error| Miss::of(&error);
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut read = Vec::new();
    let mut buffer = [0; 256];
    loop {
        let length = stream.read(&mut buffer).await.map_err(failed)?;
        read.extend(buffer.get(..length).unwrap_or_default());
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            return judge(read.get(..end).unwrap_or_default());
        }
        if length == 0 {
            return Err(if read.is_empty() { Miss::Cut } else { Miss::Stranger });
        }
        if read.len() > LONGEST {
            return Err(Miss::Stranger);
        }
    }
}

/// `HTTP/1.1 200 OK`.
fn judge(line: &[u8]) -> Result<(), Miss> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().filter(|word| word.len() == 3);
    let status = status.and_then(|word| word.parse::<u16>().ok()).filter(|_| is_http);
    match status {
        None => Err(Miss::Stranger),
        Some(status) if status >= CANNOT => Err(Miss::Status(status)),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_whether_it_is_an_answer() {
        for (line, judged) in [
            ("HTTP/1.1 200 OK\r", Ok(())),
            ("HTTP/1.0 404 Not Found", Ok(())),
            ("HTTP/1.1 301", Ok(())),
            ("HTTP/1.1 503 Service Unavailable\r", Err(Miss::Status(503))),
            ("HTTP/2 200", Err(Miss::Stranger)),
            ("HTTP/1.1 2000", Err(Miss::Stranger)),
            ("SSH-2.0-OpenSSH_9.2p1", Err(Miss::Stranger)),
            ("", Err(Miss::Stranger)),
        ] {
            assert_eq!(judge(line.as_bytes()), judged, "{line}");
        }
    }
}
