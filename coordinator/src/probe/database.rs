//! Numbered rows in PostgreSQL: each an `INSERT` that commits by itself, over one connection for all calls. A connection over which a call got no
//! answer in time is given up, and calls make new ones until one of them holds: so the first row after an outage is as early as any other call.
//!
//! A row's number belongs to the run of a prober. What was acknowledged and is not found afterwards was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_probe::{Miss, Patience, Unable};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{Client, Config, Error, NoTls, Statement};
use tokio_stream::StreamExt as _;
use zeroize::Zeroizing;

use super::call::{Outcome, Row};

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

/// `postgres://USER@HOST[:PORT]/DATABASE`. A socket's folder stands for the host as `%2Frun%2Fpostgresql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    text: String,
    config: Config,
}

impl FromStr for Address {
    type Err = String;

    /// What is wrong is said without what was written: a password may stand in it.
    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "a database is written postgres://USER@HOST[:PORT]/DATABASE, without options";
        let form = || FORM.to_owned();
        if !text.starts_with("postgres://") || text.contains(['?', '#']) {
            return Err(form());
        }
        let mut config: Config = text.parse().map_err(|_: Error| form())?;
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
        config.application_name("quorate-probe");
        Ok(Self {
            text: text.to_owned(),
            config,
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
    /// Of this prober; it fits into a `bigint`.
    run: u64,
    next: AtomicU64,
    session: Mutex<Option<Arc<Session>>>,
}

impl Database {
    pub(crate) fn new(address: Address, password: Option<Password>) -> Self {
        Self {
            address,
            password,
            run: rand::random::<u64>() >> 1,
            next: AtomicU64::new(0),
            session: Mutex::default(),
        }
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
        let opened = Arc::new(Session::open(&self.address, self.password.as_ref()).await?);
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
    async fn open(address: &Address, password: Option<&Password>) -> Result<Self, Error> {
        let Connected { client, connection } = connect(address, password).await?;
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

async fn connect(address: &Address, password: Option<&Password>) -> Result<Connected, Error> {
    let mut config = address.config.clone();
    if let Some(password) = password {
        config.password(password.0.as_bytes());
    }
    let (client, connection) = config.connect(NoTls).await?;
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
    let counting = async {
        let Connected {
            client,
            connection: _held,
        } = connect(address, password).await?;
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
    if error.is_closed() { Miss::Cut } else { Miss::Stranger }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn database(at: std::net::SocketAddr) -> Database {
        Database::new(format!("postgres://drill@{at}/drill").parse().unwrap(), None)
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

    #[test]
    fn a_password_is_shown_by_no_means() {
        let password = Password::new(Zeroizing::new("hush".to_owned()));
        let address: Address = "postgres://drill@192.0.2.7/drill".parse().unwrap();
        let database = Database::new(address, Some(password));
        assert!(!format!("{database:?}").contains("hush"));
    }
}
