//! How a connection to a database is encrypted: `sslmode` and `sslrootcert` in its address, as PostgreSQL's own programs take them, and TLS for
//! the client that writes rows.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

use quorate_clock::Clock;
use quorate_identity::{Certificate, ClientStream, Proof, ServiceTls, ServiceTlsError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use crate::trust::{sentence, time_source};

/// `sslmode`, with the file that `sslrootcert` names where a certificate is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Encryption {
    /// `disable`: never.
    Disable,
    /// `prefer`: where the server does it, with whatever certificate. So it is where nothing is written.
    Prefer,
    /// `require`: or there is no connection; whatever the certificate.
    Require,
    /// `verify-ca`: the certificate comes from a CA in this file. `require` with a file means the same.
    VerifyCa(PathBuf),
    /// `verify-full`: and is for the name or address that stands in the target.
    VerifyFull(PathBuf),
}

impl FromStr for Encryption {
    type Err = String;

    /// Reads what follows the `?`.
    fn from_str(options: &str) -> Result<Self, String> {
        let (mut mode, mut file) = (None, None);
        for option in options.split('&') {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let place = match name {
                "sslmode" => &mut mode,
                "sslrootcert" => &mut file,
                _ => return Err("of a database's options only sslmode and sslrootcert are known here".to_owned()),
            };
            if place.replace(value).is_some() {
                return Err(format!("{name} stands there twice"));
            }
        }
        let file = file.map(rootcert).transpose()?;
        let without = |mode: Self| match &file {
            None => Ok(mode),
            Some(_) => Err("sslrootcert goes with sslmode=verify-ca or verify-full".to_owned()),
        };
        let with = |mode: fn(PathBuf) -> Self| {
            match &file {
            Some(file) => Ok(mode(file.clone())),
            None => Err(
                "sslmode=verify-ca and verify-full need &sslrootcert=/FILE, with the certificate of the CA that issued the server's"
                    .to_owned(),
            ),
        }
        };
        match mode.unwrap_or("prefer") {
            "disable" => without(Self::Disable),
            "prefer" => without(Self::Prefer),
            "require" if file.is_none() => Ok(Self::Require),
            // As libpq has it.
            "require" | "verify-ca" => with(Self::VerifyCa),
            "verify-full" => with(Self::VerifyFull),
            _ => Err("sslmode is disable, prefer, require, verify-ca or verify-full".to_owned()),
        }
    }
}

/// No process's folder decides which file it is, and nothing is decoded in it.
fn rootcert(value: &str) -> Result<PathBuf, String> {
    if value.starts_with('/') && !value.contains('%') {
        return Ok(PathBuf::from(value));
    }
    Err("sslrootcert is a path from the root, without %".to_owned())
}

impl Encryption {
    /// The file that is looked into for CAs.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::VerifyCa(file) | Self::VerifyFull(file) => Some(file),
            Self::Disable | Self::Prefer | Self::Require => None,
        }
    }

    /// What the client is told.
    pub(super) fn mode(&self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa(_) | Self::VerifyFull(_) => SslMode::Require,
        }
    }

    /// What makes such connections. The file is read now.
    ///
    /// # Errors
    /// In words: it can't be used.
    pub(super) fn tls(&self) -> Result<Tls, String> {
        let proof = match self {
            Self::Disable | Self::Prefer | Self::Require => Proof::Nothing,
            Self::VerifyCa(file) => Proof::Authority(certificates(file)?),
            Self::VerifyFull(file) => Proof::AuthorityAndName(certificates(file)?),
        };
        let tls = ServiceTls::new(proof, time_source(&Clock::system()));
        tls.map(Tls).map_err(|error| match self.file() {
            Some(file) => format!("{}: {}", file.display(), sentence(&error)),
            None => sentence(&error),
        })
    }
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, String> {
    let text = quorate_identity::read_file(file).map_err(|error| sentence(&error))?;
    Certificate::all_from_pem(&text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Makes TLS connections to a database.
#[derive(Debug, Clone)]
pub(super) struct Tls(ServiceTls);

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = Handshake;
    type Error = ServiceTlsError;

    /// The name is looked at when there is a handshake: a socket has none, and needs none.
    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, ServiceTlsError> {
        Ok(Handshake {
            tls: self.0.clone(),
            host: host.to_owned(),
        })
    }
}

/// One handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    tls: ServiceTls,
    host: String,
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = ServiceTlsError;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted<S>, ServiceTlsError>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.tls.connect(stream, &self.host).await.map(Encrypted) })
    }
}

/// A connection under TLS.
#[derive(Debug)]
pub(super) struct Encrypted<S>(ClientStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    /// SCRAM is spoken without: that the password is bound to this connection, too, is asked for by no server unless its clients ask.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_is_read_and_asks_for_its_file() {
        let read = |text: &str| text.parse::<Encryption>();
        let file = || PathBuf::from("/etc/ssl/db.pem");
        for (text, meant) in [
            ("sslmode=disable", Encryption::Disable),
            ("sslmode=prefer", Encryption::Prefer),
            ("sslmode=require", Encryption::Require),
            (
                "sslmode=require&sslrootcert=/etc/ssl/db.pem",
                Encryption::VerifyCa(file()),
            ),
            (
                "sslmode=verify-ca&sslrootcert=/etc/ssl/db.pem",
                Encryption::VerifyCa(file()),
            ),
            (
                "sslrootcert=/etc/ssl/db.pem&sslmode=verify-full",
                Encryption::VerifyFull(file()),
            ),
        ] {
            assert_eq!(read(text), Ok(meant), "{text}");
        }
        for (text, why) in [
            ("", "only sslmode and sslrootcert"),
            ("sslmode=allow", "sslmode is disable"),
            ("sslmode=Require", "sslmode is disable"),
            ("sslmode", "sslmode is disable"),
            ("sslmode=require&sslmode=disable", "sslmode stands there twice"),
            ("sslmode=verify-full", "&sslrootcert=/FILE"),
            ("sslmode=verify-ca", "&sslrootcert=/FILE"),
            ("sslmode=prefer&sslrootcert=/a", "goes with sslmode=verify-ca"),
            ("sslmode=disable&sslrootcert=/a", "goes with sslmode=verify-ca"),
            ("sslrootcert=/a", "goes with sslmode=verify-ca"),
            ("sslmode=verify-ca&sslrootcert=system", "a path from the root"),
            ("sslmode=verify-ca&sslrootcert=/a%2Fb", "without %"),
            ("sslmode=require&password=hush", "only sslmode and sslrootcert"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why) && !said.contains("hush"), "{text}: {said}");
        }
    }

    #[test]
    fn a_file_that_proves_nothing_is_told_before_anybody_is_called() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("db.pem");
        let asks = || Encryption::VerifyFull(file.clone()).tls().map(drop).unwrap_err();
        assert!(asks().contains("db.pem does not exist"), "{}", asks());
        std::fs::write(&file, "no certificate\n").unwrap();
        assert!(asks().contains("db.pem: no PEM section"), "{}", asks());
        assert!(Encryption::Require.tls().is_ok());
    }
}
