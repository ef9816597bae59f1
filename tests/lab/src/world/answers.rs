//! Guests answer: one that runs, and whose server is on the network, accepts connections at its address. On port 7460 it tells the number of
//! its last write, on port 22 it greets as an SSH server does.
//!
//! The server itself reaches its guests over its own bridge, also when nothing passes its ports (seen with rules of nft's family netdev: facts
//! of live-pve-2, 7). What stands for them there is in its agent's configuration, beside the links' addresses.
//!
//! Who calls from outside goes by real time, whatever the lab's pace. So the pause of a live migration lasts as long in real time as its log
//! says, and what the network needs to learn the new place: a measurement sees what it would see in life.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::oplog::What;
use super::server::Network;
use super::state::State;
use super::{World, complain, guest_times, proxy};

/// Where the numbers are told.
const NUMBERS: u16 = 7460;
const SSH: u16 = 22;
/// When an address that is still taken is tried again, in real time.
const SOON: Duration = Duration::from_millis(20);
const GREETING: &str = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n";

/// Who answers at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Voice {
    vmid: u32,
    server: usize,
    run: u64,
    /// Something inside tells the numbers.
    numbers: bool,
}

/// Who answers where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answers(BTreeMap<Ipv4Addr, Voice>);

impl Answers {
    /// Guests that run and have an address of this lab: at that if their server is on the network, and on their server's own bridge.
    pub(crate) fn of(state: &State, network: Ipv4Addr) -> Self {
        let mut found = BTreeMap::new();
        for server in state.servers.iter().filter(|server| !server.power.off) {
            for (vmid, process) in &server.running {
                let guest = server.pmxcfs.replica.guests.get(vmid);
                let address = guest.and_then(super::guests::Guest::address);
                if let Some(address) = address.filter(|address| proxy::is_guest(network, *address)) {
                    let voice = Voice {
                        vmid: *vmid,
                        server: server.index,
                        run: process.writer.run,
                        numbers: !state.bare.contains(vmid),
                    };
                    let own = proxy::bridged(network, server.index, state.servers.len(), address);
                    found.extend(own.map(|own| (own, voice)));
                    if server.carries(Network::Public) {
                        found.insert(address, voice);
                    }
                }
            }
        }
        Self(found)
    }
}

/// What is told at port 7460, if the guest still runs there.
fn line(state: &State, voice: Voice) -> Option<String> {
    let server = state.get(voice.server)?;
    let process = server.running.get(&voice.vmid)?;
    let guest = server.pmxcfs.replica.guests.get(&voice.vmid)?;
    let age = i64::try_from(process.age(state.now).as_millis()).unwrap_or(0);
    let writer = process.writer;
    let boot = writer.run.rotate_left(32);
    Some(format!(
        "quorate-tally 1 number={} time_ms={} resumed={} run={:016x} host={} boot={:08x}-0000-4000-8000-{:012x}\n",
        process.number(state.now),
        server.now().as_millisecond() - age,
        writer.resumed,
        writer.run,
        guest.name(voice.vmid).replace(' ', "-"),
        boot >> 32,
        boot & 0xffff_ffff,
    ))
}

/// Begins to answer, as long as the world lives.
pub(crate) fn open(world: &Arc<World>) {
    tokio::spawn(follow(Arc::clone(world)));
}

/// Listeners at one address.
#[derive(Debug)]
struct Doors {
    voice: Voice,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn follow(world: Arc<World>) {
    let mut answers = world.answers.subscribe();
    let mut doors: BTreeMap<Ipv4Addr, Doors> = BTreeMap::new();
    // Guests that are on their way, and from when on they are heard again.
    let mut silent: BTreeMap<Ipv4Addr, Instant> = BTreeMap::new();
    let pause = Duration::from_millis(guest_times::DOWNTIME_MS) + guest_times::LEARNS;
    let mut complained = BTreeSet::new();
    loop {
        let now = answers.borrow_and_update().clone();
        let mut closed = Vec::new();
        doors.retain(|address, open| {
            let voice = now.0.get(address);
            let went = voice.is_some_and(|voice| voice.run == open.voice.run && voice.server != open.voice.server);
            if went {
                silent.insert(*address, Instant::now() + pause);
            }
            let stays = voice == Some(&open.voice);
            if !stays {
                closed.push((*address, open.voice));
            }
            stays
        });
        for (address, voice) in closed {
            note(&world, address, voice, What::GuestSilent);
        }
        silent.retain(|_, until| *until > Instant::now());
        for (address, voice) in &now.0 {
            if !doors.contains_key(address) && !silent.contains_key(address) {
                let opened = listen(&world, *address, *voice, &mut complained).await;
                match opened {
                    Some(tasks) => {
                        doors.insert(*address, Doors { voice: *voice, tasks });
                        note(&world, *address, *voice, What::GuestAnswers);
                    }
                    None => drop(silent.insert(*address, Instant::now() + SOON)),
                }
            }
        }
        let next = silent
            .values()
            .min()
            .map(|until| until.saturating_duration_since(Instant::now()));
        let changed = tokio::time::timeout(next.unwrap_or(Duration::MAX), answers.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
    }
}

/// What is told on a bridge is nobody's answer from outside.
fn note(world: &World, address: Ipv4Addr, voice: Voice, what: What) {
    if proxy::is_guest(world.network, address) {
        world.with(|state| state.note(Some(voice.server), what, voice.vmid.to_string()));
    }
}

async fn listen(
    world: &Arc<World>,
    address: Ipv4Addr,
    voice: Voice,
    complained: &mut BTreeSet<u16>,
) -> Option<Vec<JoinHandle<()>>> {
    let mut tasks = Vec::new();
    let ports = [(NUMBERS, voice.numbers), (SSH, true)];
    for (port, _) in ports.into_iter().filter(|(_, open)| *open) {
        match TcpListener::bind(SocketAddrV4::new(address, port)).await {
            Ok(listener) => tasks.push(tokio::spawn(accept(Arc::clone(world), listener, voice, port))),
            // Whoever answered here before is still on the way out.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tasks.iter().for_each(JoinHandle::abort);
                return None;
            }
            // Port 22 is root's, in most places.
            Err(error) if complained.insert(port) => {
                complain(&format!(
                    "guest {} can't answer at {address}:{port}: {error}",
                    voice.vmid
                ));
            }
            Err(_) => {}
        }
    }
    Some(tasks)
}

/// The same for somebody outside, to whom the number is a promise from then on.
fn promised(state: &mut State, voice: Voice) -> Option<String> {
    let told = line(state, voice)?;
    let now = state.now;
    let number = state.get(voice.server)?.running.get(&voice.vmid)?.number(now);
    let last = state.numbers_told.entry(voice.vmid).or_insert(number);
    *last = number.max(*last);
    Some(told)
}

async fn accept(world: Arc<World>, listener: TcpListener, voice: Voice, port: u16) {
    let outside = listener.local_addr().is_ok_and(|at| match at.ip() {
        IpAddr::V4(address) => proxy::is_guest(world.network, address),
        IpAddr::V6(_) => false,
    });
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let text = match port {
            NUMBERS if outside => world.with(|state| promised(state, voice)),
            NUMBERS => world.with(|state| line(state, voice)),
            _ => Some(GREETING.to_owned()),
        };
        tokio::spawn(tell(stream, text.unwrap_or_default()));
    }
}

/// Whoever does not listen is not waited for.
async fn tell(mut stream: TcpStream, text: String) {
    let told = async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    };
    tokio::time::timeout(Duration::from_secs(2), told).await.ok();
}
