//! The machine while it runs. What it wrote stays when it is switched off, until the value is dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_lab::process::{Daemon, Program};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::disk::Disk;
use crate::guest::Guest;
use crate::image::Image;
use crate::wire::Wire;
use crate::{note, until};

const QEMU: &str = "/usr/bin/qemu-system-x86_64";
/// Where the machine finds this one.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Of the programs' disk, by which it is mounted. Source: `machine/files/etc/fstab`.
const PROGRAMS: &str = "quorate";
/// Nobody waits for it when all goes well.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// A machine, running or switched off.
#[derive(Debug)]
pub struct Machine {
    dir: TempDir,
    image: Image,
    disks: Vec<Disk>,
    agent: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    qemu: Daemon,
    monitor: Mutex<Wire>,
    guest: Guest,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.qemu.kill();
    }
}

impl Machine {
    /// A machine that is switched off, with these disks, blank, beside its own, and with these programs in /opt/quorate.
    ///
    /// # Panics
    /// Its files can't be made.
    pub async fn with(disks: Vec<Disk>, programs: &[&Path]) -> Self {
        note("the image is looked for, or made: that takes some minutes");
        let image = Image::prepared().await;
        // Sockets' paths must be short.
        let dir = tempfile::Builder::new()
            .prefix("quorate-vm-")
            .tempdir()
            .expect("a folder");
        let agent = free_port();
        let machine = Self {
            dir,
            image,
            disks,
            agent,
            running: None,
        };
        let root = [machine.image.root(), machine.path("root.img")].map(|path| path.to_string_lossy().into_owned());
        host("/usr/bin/cp", &["--sparse=always", "--", &root[0], &root[1]]).await;
        for disk in &machine.disks {
            machine.make(disk);
        }
        machine.bring(programs).await;
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, disk: &Disk) -> PathBuf {
        self.path(&format!("{}.disk", disk.id))
    }

    fn make(&self, disk: &Disk) {
        let file = File::create_new(self.file(disk)).expect("a new disk");
        file.set_len(disk.mib << 20).expect("a disk of this size");
    }

    /// The disk with the programs.
    async fn bring(&self, programs: &[&Path]) {
        let folder = self.path("programs");
        fs::create_dir(&folder).expect("a folder");
        for program in programs {
            let name = program.file_name().expect("a program");
            fs::copy(program, folder.join(name)).expect("the program can be copied");
        }
        let size: u64 = programs
            .iter()
            .map(|p| fs::metadata(p).expect("it is there").len())
            .sum();
        let (folder, image) = (folder.to_string_lossy(), self.path("programs.img"));
        let mib = format!("{}M", (size >> 20) * 11 / 10 + 16);
        let image = image.to_string_lossy();
        let args = [
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-L",
            PROGRAMS,
            "-d",
            &folder,
            &image,
            &mib,
        ];
        host("/sbin/mke2fs", &args).await;
    }

    /// Switches it on and waits until it is up.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let [monitor, guest] = ["monitor", "guest"].map(|name| self.path(name));
        for socket in [&monitor, &guest] {
            fs::remove_file(socket).ok();
        }
        let program = Program::new(QEMU).args(self.options(&monitor, &guest));
        let mut qemu = program
            .spawn(&self.path("qemu.log"), false)
            .expect("QEMU can be started");
        let log = self.path("qemu.log");
        until("QEMU listens", async || {
            let told = || fs::read_to_string(&log).unwrap_or_default();
            assert!(qemu.ended().is_none(), "QEMU ended: {}", told());
            monitor.exists() && guest.exists()
        })
        .await;
        let mut wire = Wire::open(&monitor).await.expect("QEMU listens");
        let ready = wire.ask("qmp_capabilities", json!({}), ANSWERS_WITHIN).await;
        ready.expect("QEMU answers");
        let guest = Guest::up(&guest).await;
        self.running = Some(Running {
            qemu,
            monitor: Mutex::new(wire),
            guest,
        });
        let settled = "udevadm settle --timeout=60";
        self.guest().does(settled).await;
        until("the machine has a way to this one", async || {
            let way = self.guest().run(&["ip", "route", "get", &HOST.to_string()]).await;
            way.code == Some(0) && way.stdout.contains(" src ")
        })
        .await;
        note("the machine is up");
    }

    fn options(&self, monitor: &Path, guest: &Path) -> Vec<String> {
        let partuuid = self.image.partuuid();
        let kernel = format!("root=PARTUUID={partuuid} rw rootwait console=ttyS0 quiet mitigations=off net.ifnames=0");
        let socket = |id: &str, path: &Path| format!("socket,id={id},server=on,wait=off,path={}", path.display());
        let own = |name: &str, read_only: bool| {
            json!({
                "driver": "raw", "node-name": name, "read-only": read_only, "cache": { "direct": false, "no-flush": true },
                "file": { "driver": "file", "filename": self.path(&format!("{name}.img")) },
            })
            .to_string()
        };
        let mut options: Vec<String> = Vec::new();
        let mut set = |name: &str, value: &str| options.extend([format!("-{name}"), value.to_owned()]);
        set("name", "quorate-reality");
        set("machine", "q35");
        // By emulation everywhere: there are machines that offer KVM and on which the guest then hangs.
        set("accel", "tcg");
        set("cpu", "max");
        set("smp", "2");
        set("m", "1280");
        set("display", "none");
        set("vga", "none");
        set("rtc", "base=utc");
        set("serial", &format!("file:{}", self.path("console.log").display()));
        set("kernel", &self.image.kernel().to_string_lossy());
        set("append", &kernel);
        set("chardev", &socket("monitor", monitor));
        set("mon", "chardev=monitor,mode=control");
        set("chardev", &socket("guest", guest));
        set("device", "virtio-serial-pci");
        set("device", "virtserialport,chardev=guest,name=org.qemu.guest_agent.0");
        set("netdev", &format!("user,id=net,hostfwd=tcp:{}-:7443", self.agent));
        set("device", "virtio-net-pci,netdev=net,romfile=");
        set("blockdev", &own("root", false));
        set("device", "nvme,serial=SYSTEM,drive=root");
        set("blockdev", &own("programs", true));
        set("device", "virtio-scsi-pci,id=scsi");
        set(
            "device",
            "scsi-hd,bus=scsi.0,drive=programs,vendor=QEMU,product=PROGRAMS,serial=PROGRAMS,wwn=0x5000c500000000ff",
        );
        for disk in &self.disks {
            set("blockdev", &disk.storage(&self.file(disk)).to_string());
            set("device", &disk.device().to_string());
        }
        options.extend([
            "-nodefaults".to_owned(),
            "-no-user-config".to_owned(),
            "-no-reboot".to_owned(),
        ]);
        options
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the machine runs")
    }

    /// Somebody at its console.
    #[must_use]
    pub fn guest(&self) -> &Guest {
        &self.running().guest
    }

    /// Where this machine reaches the agent in that one.
    #[must_use]
    pub fn agent(&self) -> SocketAddr {
        self.agent
    }

    /// Its disks, in the order in which they are plugged in at the next start.
    #[must_use]
    pub fn disks(&mut self) -> &mut Vec<Disk> {
        &mut self.disks
    }

    async fn monitor(&self, command: &str, arguments: Value) -> Value {
        let answer = self
            .running()
            .monitor
            .lock()
            .await
            .ask(command, arguments, ANSWERS_WITHIN)
            .await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// A way for clients on this machine to a UDP port at an address of the network that the machine's port leads to, until it is switched off.
    ///
    /// # Panics
    /// QEMU refuses.
    pub async fn way_to(&self, address: &str) -> SocketAddr {
        let here = free_port();
        let line = format!("hostfwd_add net udp:{here}-{address}");
        let told = self
            .monitor("human-monitor-command", json!({ "command-line": line }))
            .await;
        assert_eq!(told.as_str().map(str::trim), Some(""), "{line}");
        here
    }

    /// Pulls a disk out.
    ///
    /// # Panics
    /// The kernel does not notice.
    pub async fn pull(&mut self, id: &str) {
        let serial = self
            .disks
            .iter()
            .find(|disk| disk.id == id)
            .and_then(Disk::serial)
            .map(str::to_owned);
        let serial = serial.expect("a disk with a serial number");
        self.monitor("device_del", json!({ "id": id })).await;
        until("the disk is gone", async || {
            let found = self.guest().does("lsblk --nodeps --noheadings --output SERIAL").await;
            !found.lines().any(|line| line.trim() == serial)
        })
        .await;
        self.disks.retain(|disk| disk.id != id);
        note(&format!("{id} is pulled"));
    }

    /// Puts a new disk in, blank.
    ///
    /// # Panics
    /// The kernel does not notice.
    pub async fn plug(&mut self, disk: Disk) {
        self.make(&disk);
        self.monitor("blockdev-add", disk.storage(&self.file(&disk))).await;
        self.monitor("device_add", disk.device()).await;
        let serial = disk.serial().expect("a disk with a serial number").to_owned();
        until("the disk is seen", async || {
            let found = self.guest().does("lsblk --nodeps --noheadings --output SERIAL").await;
            found.lines().any(|line| line.trim() == serial)
        })
        .await;
        self.guest().does("udevadm settle --timeout=60").await;
        note(&format!("{} is put in", disk.id));
        self.disks.push(disk);
    }

    /// Shuts it down in an orderly way, and waits until it is off.
    ///
    /// # Panics
    /// It does not end.
    pub async fn shut_down(&mut self) {
        let mut running = self.running.take().expect("the machine runs");
        running.guest.shut_down().await;
        until("the machine is off", async || running.qemu.ended().is_some()).await;
        note("the machine is off");
    }

    /// Takes its power away.
    pub fn cut(&mut self) {
        self.running = None;
    }

    /// What the kernel and systemd printed.
    #[must_use]
    pub fn console(&self) -> String {
        fs::read_to_string(self.path("console.log")).unwrap_or_default()
    }
}

async fn host(program: &str, args: &[&str]) {
    let output = Program::new(program).args(args).run().await.expect("it can be run");
    assert!(output.success(), "{program} {args:?}: {}", output.stderr);
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it has an address")
}
