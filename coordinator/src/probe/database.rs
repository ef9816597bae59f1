//! Numbered rows in PostgreSQL: each an `INSERT` that commits by itself, over one connection for all calls. A connection over which a call got no
//! answer in time is given up, and calls make new ones until one of them holds: so the first row after an outage is as early as any other call.
//!
//! A row's number belongs to the run of a prober. What was acknowledged and is not found afterwards was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_probe::{Miss, Patience, Unable};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{Client, Config, Error, Statement};
use tokio_stream::StreamExt as _;
use zeroize::Zeroizing;

use super::call::{Outcome, Row};
use super::encryption::{Encryption, Tls};

/// How long all of a call has: the connection, if there is none, and the row.
const ALL_WITHIN: Duration = Duration::from_secs(1);
/// The first one, which may make the table.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// For counting: the connection, and all numbers of a drill, some hundred thousand.
const COUNT_WITHIN: Duration = Duration::from_secs(60);

/// The table is looked for first: who may not make tables may not say so either where it is there.
const LOOK: &str = "SELECT to_regclass('quorate_probe') IS NOT NULL";
const MAKE: &str = "CREATE TABLE IF NOT EXISTS quorate_probe (run bigint NOT NULL, number bigint NOT NULL, \
                    written timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (run, number))";
const INSERT: &str = "INSERT INTO quorate_probe (run, number) VALUES ($1, $2)";
const FIND: &str = "SELECT number FROM quorate_probe WHERE run = $1";
const WORTH: &str = "SELECT current_setting('synchronous_commit'), current_setting('fsync')";

/// A password, which is shown by no means.
#[derive(Clone)]
pub(crate) struct Password(Zeroizing<String>);

impl Password {
    pub(crate) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// `postgres://USER@HOST[:PORT]/DATABASE[?sslmode=MODE[&sslrootcert=/FILE]]`. A socket's folder stands for the host as `%2Frun%2Fpostgresql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    text: String,
    config: Config,
    encryption: Encryption,
}

impl Address {
    /// The file by which the server's certificate is proved, if it is.
    pub(crate) fn certificates(&self) -> Option<&Path> {
        self.encryption.file()
    }

    /// Can the server's certificate be proved as it is asked for?
    ///
    /// # Errors
    /// In words: why not.
    pub(crate) fn provable(&self) -> Result<(), String> {
        self.encryption.tls().map(drop)
    }
}

impl FromStr for Address {
    type Err = String;

    /// What is wrong is said without what was written: a password may stand in it.
    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str =
            "a database is written postgres://USER@HOST[:PORT]/DATABASE, and behind it ?sslmode=MODE if need be";
        let form = || FORM.to_owned();
        let (place, options) = text.split_once('?').unzip();
        let place = place.unwrap_or(text);
        if !text.starts_with("postgres://") || text.contains('#') {
            return Err(form());
        }
        let mut config: Config = place.parse().map_err(|_: Error| form())?;
        if config.get_password().is_some() {
            return Err(
                "a password is read from a file: leave it out, and name the file by --password-file or `password_file`"
                    .to_owned(),
            );
        }
        let named = |name: Option<&str>| name.is_some_and(|name| !name.is_empty());
        if config.get_hosts().len() != 1 || !named(config.get_user()) || !named(config.get_dbname()) {
            return Err(form());
        }
        let mut encryption = options.map_or(Ok(Encryption::Prefer), str::parse)?;
        if matches!(config.get_hosts(), [Host::Unix(_)]) {
            if !matches!(encryption, Encryption::Prefer | Encryption::Disable) {
                return Err("a socket is not encrypted: leave sslmode out".to_owned());
            }
            encryption = Encryption::Disable;
        }
        config.application_name("quorate-probe").ssl_mode(encryption.mode());
        Ok(Self {
            text: text.to_owned(),
            config,
            encryption,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A database that rows are written into.
#[derive(Debug)]
pub(crate) struct Database {
    address: Address,
    password: Option<Password>,
    tls: Tls,
    /// Of this prober; it fits into a `bigint`.
    run: u64,
    next: AtomicU64,
    session: Mutex<Option<Arc<Session>>>,
}

impl Database {
    /// What proves the server's certificate is read now, and serves for all of its connections.
    ///
    /// # Errors
    /// It can't be used.
    pub(crate) fn new(address: Address, password: Option<Password>) -> Result<Self, Unable> {
        Ok(Self {
            tls: address.encryption.tls().map_err(Unable::Certificates)?,
            address,
            password,
            run: rand::random::<u64>() >> 1,
            next: AtomicU64::new(0),
            session: Mutex::default(),
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// Would it let us write? One that does not answer may do so later, and is none that says no.
    ///
    /// # Errors
    /// It says no.
    pub(crate) async fn lets_in(&self) -> Result<(), Unable> {
        let Ok(Err(error)) = timeout(FIRST_WITHIN, self.session()).await else {
            return Ok(());
        };
        match error.as_db_error() {
            Some(no) if is_no(no) => Err(Unable::Denied(said(no))),
            Some(_) => Ok(()),
            None if is_of_tls(&error) => Err(Unable::NotEncrypted(in_words(&error))),
            // Neither the network nor the server: what we have does not fit, such as no password where one is asked for.
            None if broke(&error).is_none() && !error.is_closed() => Err(Unable::Denied(in_words(&error))),
            None => Ok(()),
        }
    }

    /// Writes one row.
    pub(crate) async fn write(&self, patience: Patience) -> Outcome {
        let within = match patience {
            Patience::Usual => ALL_WITHIN,
            Patience::First => FIRST_WITHIN,
        };
        let end = Instant::now() + within;
        let session = match timeout_at(end, self.session()).await {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return Outcome::missed(miss(&error)),
            Err(_) => return Outcome::missed(Miss::Silent),
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let sent = |sure| {
            let run = self.run;
            Some(Row { run, number, sure })
        };
        match timeout_at(end, session.insert(self.run, number)).await {
            Ok(Ok(())) => Outcome {
                answer: Ok(None),
                row: sent(true),
            },
            Ok(Err(error)) if error.as_db_error().is_some_and(was_not_done) => Outcome::missed(Miss::Denied),
            // Between the commit and its acknowledgement anything may have broken.
            Ok(Err(_)) | Err(_) => {
                self.give_up(&session);
                Outcome {
                    answer: Err(Miss::Unsure),
                    row: sent(false),
                }
            }
        }
    }

    /// The connection that is there, or a new one. Calls do not wait for one another's: each makes its own, and the first that holds is kept.
    async fn session(&self) -> Result<Arc<Session>, Error> {
        if let Some(session) = self.kept().clone().filter(|session| !session.client.is_closed()) {
            return Ok(session);
        }
        let opened = Arc::new(Session::open(&self.address, self.password.as_ref(), &self.tls).await?);
        let mut kept = self.kept();
        match &*kept {
            Some(other) if !other.client.is_closed() => Ok(Arc::clone(other)),
            _ => {
                *kept = Some(Arc::clone(&opened));
                Ok(opened)
            }
        }
    }

    /// What was sent over it and is under way still is given up, too.
    fn give_up(&self, session: &Arc<Session>) {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, session)) {
            *kept = None;
        }
        session.connection.0.abort();
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection over which rows go.
struct Session {
    client: Client,
    insert: Statement,
    connection: Reading,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(..)")
    }
}

impl Session {
    async fn open(address: &Address, password: Option<&Password>, tls: &Tls) -> Result<Self, Error> {
        let Connected { client, connection } = connect(address, password, tls).await?;
        let is_there: bool = client.query_one(LOOK, &[]).await?.try_get(0)?;
        if !is_there && let Err(error) = client.batch_execute(MAKE).await {
            // Another call made it in the same moment: PostgreSQL then says that its name, or its type's, is taken.
            let taken = [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE];
            if !error.code().is_some_and(|code| taken.contains(code)) {
                return Err(error);
            }
        }
        let insert = client.prepare(INSERT).await?;
        Ok(Self {
            client,
            insert,
            connection,
        })
    }

    async fn insert(&self, run: u64, number: u64) -> Result<(), Error> {
        let (run, number) = (run.cast_signed(), number.cast_signed());
        self.client.execute(&self.insert, &[&run, &number]).await.map(drop)
    }
}

/// The task that reads and writes; it ends with whoever holds it.
struct Reading(AbortHandle);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Connected {
    client: Client,
    connection: Reading,
}

async fn connect(address: &Address, password: Option<&Password>, tls: &Tls) -> Result<Connected, Error> {
    let mut config = address.config.clone();
    if let Some(password) = password {
        config.password(password.0.as_bytes());
    }
    match connect_so(&config, tls).await {
        // What is only preferred is done without where it does not come about, as by PostgreSQL's own programs.
        Err(error) if config.get_ssl_mode() == SslMode::Prefer && (is_of_tls(&error) || lets_nobody_in(&error)) => {
            connect_so(config.ssl_mode(SslMode::Disable), tls).await
        }
        other => other,
    }
}

async fn connect_so(config: &Config, tls: &Tls) -> Result<Connected, Error> {
    let (client, connection) = config.connect(tls.clone()).await?;
    let task = tokio::spawn(async move {
        // How it ended is told by whoever asks over it.
        drop(connection.await);
    });
    Ok(Connected {
        client,
        connection: Reading(task.abort_handle()),
    })
}

/// What a table has, and what an acknowledgement is worth there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rows: BTreeMap<u64, BTreeSet<u64>>,
    pub(crate) durability: String,
}

/// Looks for the rows of these runs, over a connection of its own.
///
/// # Errors
/// In words: why they could not be counted.
pub(crate) async fn found(
    address: &Address,
    password: Option<&Password>,
    runs: impl IntoIterator<Item = u64>,
) -> Result<Found, String> {
    let tls = address.encryption.tls()?;
    let counting = async {
        let Connected {
            client,
            connection: _held,
        } = connect(address, password, &tls).await?;
        let worth = client.query_one(WORTH, &[]).await?;
        let (commit, fsync): (String, String) = (worth.try_get(0)?, worth.try_get(1)?);
        let durability = format!("synchronous_commit {commit}, fsync {fsync}");
        let mut rows = BTreeMap::new();
        for run in runs {
            rows.insert(run, numbers(&client, run).await?);
        }
        Ok(Found { rows, durability })
    };
    match timeout(COUNT_WITHIN, counting).await {
        Ok(counted) => counted.map_err(|error: Error| match error.as_db_error() {
            Some(error) => format!("the database says: {}", said(error)),
            None => format!("the database can't be asked: {}", in_words(&error)),
        }),
        Err(_) => Err("the database did not answer in time".to_owned()),
    }
}

/// Where the whole table is gone, all of its rows are.
async fn numbers(client: &Client, run: u64) -> Result<BTreeSet<u64>, Error> {
    let rows = match client.query_raw(FIND, [run.cast_signed()]).await {
        Ok(rows) => rows,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    tokio::pin!(rows);
    let mut numbers = BTreeSet::new();
    while let Some(row) = rows.next().await {
        let number: i64 = row?.try_get(0)?;
        numbers.insert(number.cast_unsigned());
    }
    Ok(numbers)
}

/// The statement, and with it its transaction, was certainly undone: the server says so of itself and goes on. One that is being shut down may
/// have committed before, and only not have said so.
fn was_not_done(error: &DbError) -> bool {
    let code = error.code().code();
    let open =
        code.starts_with("08") || code.starts_with("57P") || code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN.code();
    error.parsed_severity() == Some(Severity::Error) && !open
}

/// It will say the same again: role, password, database or right.
fn is_no(error: &DbError) -> bool {
    let code = error.code().code();
    code.starts_with("28") || code.starts_with("3D") || code == SqlState::INSUFFICIENT_PRIVILEGE.code()
}

/// No line of `pg_hba.conf` fits such a connection.
fn lets_nobody_in(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// There is a connection, and no TLS over it. The client tells such errors apart by their words alone.
fn is_of_tls(error: &Error) -> bool {
    error.to_string() == "error performing TLS handshake" && broke(error).is_none()
}

fn said(error: &DbError) -> String {
    format!("{} ({})", error.message(), error.code().code())
}

fn in_words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// What broke below the protocol.
fn broke(error: &Error) -> Option<&std::io::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            return Some(error);
        }
        source = cause.source();
    }
    None
}

/// Why nothing could be sent.
fn miss(error: &Error) -> Miss {
    if error.as_db_error().is_some() {
        return Miss::Denied;
    }
    if let Some(error) = broke(error) {
        return Miss::of(error);
    }
    if is_of_tls(error) {
        return Miss::NoTls;
    }
    if error.is_closed() { Miss::Cut } else { Miss::Stranger }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn with(at: std::net::SocketAddr, options: &str) -> Database {
        let address = format!("postgres://drill@{at}/drill{options}").parse().unwrap();
        Database::new(address, None).unwrap()
    }

    fn database(at: std::net::SocketAddr) -> Database {
        with(at, "")
    }

    #[tokio::test]
    async fn nobody_there_is_a_miss_and_leaves_no_row() {
        let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let database = database(at);
        assert!(database.lets_in().await.is_ok(), "it may come");
        assert_eq!(database.write(Patience::Usual).await, Outcome::missed(Miss::Refused));
        let counted = found(database.address(), None, [7]).await.unwrap_err();
        assert!(counted.contains("can't be asked"), "{counted}");
    }

    #[tokio::test]
    async fn one_that_hangs_before_a_row_is_sent_leaves_none_either() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outcome = database(listener.local_addr().unwrap()).write(Patience::Usual).await;
        assert_eq!(outcome, Outcome::missed(Miss::Silent));
    }

    /// A server that is asked for TLS and says no; gives what it is told then, as far as one message goes.
    async fn says_no(listener: TcpListener) -> Vec<u8> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(asked, [0, 0, 0, 8, 4, 210, 22, 47], "SSLRequest");
        stream.write_all(b"N").await.unwrap();
        let mut told = vec![0; 512];
        let length = stream.read(&mut told).await.unwrap();
        told.truncate(length);
        told
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told_nothing_where_tls_is_asked_for() {
        for (options, spoken) in [("", true), ("?sslmode=prefer", true), ("?sslmode=require", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let database = with(listener.local_addr().unwrap(), options);
            let (outcome, told) = tokio::join!(database.write(Patience::Usual), says_no(listener));
            assert_eq!(
                !told.is_empty(),
                spoken,
                "{options}: {}",
                String::from_utf8_lossy(&told)
            );
            let miss = if spoken { Miss::Cut } else { Miss::NoTls };
            assert_eq!(outcome, Outcome::missed(miss), "{options}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let database = with(listener.local_addr().unwrap(), "?sslmode=require");
        let (refused, _) = tokio::join!(database.lets_in(), says_no(listener));
        assert!(
            matches!(&refused, Err(Unable::NotEncrypted(said)) if said.contains("does not support TLS")),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn no_word_of_tls_is_said_where_it_is_not_wanted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let database = with(listener.local_addr().unwrap(), "?sslmode=disable");
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut told = [0; 8];
            stream.read_exact(&mut told).await.unwrap();
            assert_eq!(told[4..], [0, 3, 0, 0], "the version of the protocol");
        };
        let (outcome, ()) = tokio::join!(database.write(Patience::Usual), server);
        assert_eq!(outcome, Outcome::missed(Miss::Cut));
    }

    #[test]
    fn a_socket_is_never_encrypted() {
        let read = |options: &str| format!("postgres://drill@%2Frun%2Fpostgresql/drill{options}").parse::<Address>();
        for options in ["", "?sslmode=prefer", "?sslmode=disable"] {
            assert_eq!(read(options).unwrap().encryption, Encryption::Disable);
        }
        assert!(
            read("?sslmode=require")
                .unwrap_err()
                .contains("a socket is not encrypted")
        );
    }

    #[test]
    fn a_password_is_shown_by_no_means() {
        let password = Password::new(Zeroizing::new("hush".to_owned()));
        let address: Address = "postgres://drill@192.0.2.7/drill".parse().unwrap();
        let database = Database::new(address, Some(password)).unwrap();
        assert!(!format!("{database:?}").contains("hush"));
    }
}
