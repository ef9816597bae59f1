//! A target whose address is known, and a call to it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quorate_identity::UnverifiedTls;
use quorate_tally::{Answer, LONGEST};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::icmp;
use crate::miss::Miss;
use crate::target::{Page, Target};
use crate::web;

/// How long a connection or a ping has. Less than a second, after which the kernel would send it once more by itself: an answer to that says
/// nothing of when the guest was back.
const WITHIN: Duration = Duration::from_millis(250);
/// How long all of it has, where something more is asked than a connection: a service that works may be slow.
const ALL_WITHIN: Duration = Duration::from_secs(1);
/// The first call may take longer: the neighbour has to be found.
const FIRST_WITHIN: Duration = Duration::from_secs(3);
/// How long a name may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Why nobody can be called there at all.
#[derive(Debug, thiserror::Error)]
pub enum Unable {
    /// The name has no address.
    #[error("the address of {0} can't be looked up")]
    Name(String, #[source] io::Error),
    /// The kernel lets this user send no pings.
    #[error("the kernel lets nobody of this user's groups ping: net.ipv4.ping_group_range is \"{0}\"")]
    Ping(String),
    /// No TLS.
    #[error("no TLS connection can be made from here")]
    Tls(#[source] io::Error),
    /// This host has no thread left, or the like.
    #[error("this host can't begin to call")]
    Here(#[source] io::Error),
    /// A database answers, and lets nobody write there by this name.
    #[error("the database answers, and says no: {0}")]
    Denied(String),
    /// It does not answer now.
    #[error("{0}")]
    NoAnswer(Miss),
    /// What the certificate of a database is to be proved by.
    #[error("the database's certificate can't be looked at: {0}")]
    Certificates(String),
    /// A database answers, and not under TLS as it is asked for.
    #[error("the database answers, and there is no connection as `sslmode` asks for: {0}")]
    NotEncrypted(String),
}

impl Unable {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Name(..) => "write the address instead of the name",
            Self::Ping(_) => {
                "as root: sysctl -w net.ipv4.ping_group_range=\"0 2147483647\" (it counts for IPv6, too), or call a port: tcp:ADDRESS:PORT"
            }
            Self::Tls(_) | Self::Here(_) => "see what this host is short of",
            Self::Denied(_) => {
                "docs/probe-database.md says which role and table it takes, and where the password is looked for"
            }
            Self::Certificates(_) => {
                "name a file, in PEM, with the certificate of the CA that issued the database's: &sslrootcert=/FILE"
            }
            Self::NotEncrypted(_) => {
                "docs/probe-database.md says what each `sslmode` asks of the server; verify-full asks for the very name that stands in the target"
            }
            Self::NoAnswer(_) => {
                "name what answers from this host now, such as a port of the guest on which a service listens"
            }
        }
    }
}

/// How patient a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As all are.
    Usual,
    /// The very first one.
    First,
}

/// Where to call.
#[derive(Debug, Clone)]
pub enum Place {
    /// Takes a connection.
    Tcp(SocketAddr),
    /// And says something unasked.
    Banner(SocketAddr),
    /// And is a numbered writer.
    Tally(SocketAddr),
    /// Answers a ping.
    Icmp(IpAddr),
    /// And answers like a web server.
    Http(SocketAddr, Page, Option<UnverifiedTls>),
}

impl Place {
    /// Looks a name up, once, and sees whether this host can call at all.
    ///
    /// # Errors
    /// It can't.
    pub async fn find(target: &Target) -> Result<Self, Unable> {
        match target {
            Target::Tcp(address) => Ok(Self::Tcp(*address)),
            Target::Banner(address) => Ok(Self::Banner(*address)),
            Target::Tally(address) => Ok(Self::Tally(*address)),
            Target::Icmp(address) => match icmp::refused(*address) {
                Some(range) => Err(Unable::Ping(range)),
                None => Ok(Self::Icmp(*address)),
            },
            Target::Http(page) => {
                let tls = if page.tls {
                    Some(UnverifiedTls::new().map_err(Unable::Tls)?)
                } else {
                    None
                };
                Ok(Self::Http(look_up(page).await?, page.clone(), tls))
            }
        }
    }

    /// The address that is called.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Tcp(address) | Self::Banner(address) | Self::Tally(address) | Self::Http(address, ..) => address.ip(),
            Self::Icmp(address) => *address,
        }
    }

    /// One call, with a deadline of its own. `question` is of no other call.
    ///
    /// # Errors
    /// Why it was not answered.
    pub async fn call(self, question: u64, patience: Patience) -> Result<Option<Answer>, Miss> {
        let began = Instant::now();
        let (within, all_within) = match patience {
            Patience::Usual => (WITHIN, ALL_WITHIN),
            Patience::First => (FIRST_WITHIN, FIRST_WITHIN),
        };
        let connect = async |address: SocketAddr| match timeout_at(began + within, TcpStream::connect(address)).await {
            Ok(connected) => connected.map_err(|error| Miss::of(&error)),
            Err(_) => Err(Miss::Silent),
        };
        let end = began + all_within;
        match self {
            Self::Tcp(address) => connect(address).await.map(|_| None),
            Self::Banner(address) => {
                let mut stream = connect(address).await?;
                in_time(end, banner(&mut stream)).await.map(|()| None)
            }
            Self::Tally(address) => {
                let stream = connect(address).await?;
                in_time(end, tally(stream)).await.map(Some)
            }
            Self::Icmp(address) => in_time(began + within, icmp::ask(address, question))
                .await
                .map(|()| None),
            Self::Http(address, page, tls) => {
                let stream = connect(address).await?;
                let asked = async {
                    match tls {
                        None => web::ask(stream, &page).await,
                        Some(tls) => {
                            let stream = tls.connect(stream, &page.host).await.map_err(|_| Miss::NoTls)?;
                            web::ask(stream, &page).await
                        }
                    }
                };
                in_time(end, asked).await.map(|()| None)
            }
        }
    }
}

async fn in_time<T>(end: Instant, asked: impl Future<Output = Result<T, Miss>>) -> Result<T, Miss> {
    timeout_at(end, asked).await.unwrap_or(Err(Miss::Silent))
}

async fn banner(stream: &mut TcpStream) -> Result<(), Miss> {
    match stream.read(&mut [0; 1]).await {
        Ok(0) => Err(Miss::Cut),
        Ok(_) => Ok(()),
        Err(error) => Err(Miss::of(&error)),
    }
}

async fn tally(stream: TcpStream) -> Result<Answer, Miss> {
    let mut bytes = Vec::new();
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX).saturating_add(1);
    let read = stream.take(most).read_to_end(&mut bytes).await;
    read.map_err(|error| Miss::of(&error))?;
    if bytes.is_empty() {
        return Err(Miss::Cut);
    }
    String::from_utf8_lossy(&bytes).parse().map_err(|_| Miss::Stranger)
}

async fn look_up(page: &Page) -> Result<SocketAddr, Unable> {
    if let Ok(address) = page.host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, page.port));
    }
    let failed = |error| Unable::Name(page.host.clone(), error);
    let found = timeout_at(
        Instant::now() + LOOK_UP,
        tokio::net::lookup_host((page.host.as_str(), page.port)),
    );
    let mut found = found
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    found.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}
