//! `/proc` of a server: an eight-core machine with 64 GiB, nearly idle.

use std::fmt::Write as _;
use std::io;

use super::put;
use crate::world::server::Server;

pub(crate) const CORES: u32 = 8;
/// In bytes, as `MemTotal` has it.
pub(crate) const MEMORY: u64 = 65_769_388 * 1024;

pub(crate) fn write(server: &Server) -> io::Result<()> {
    let proc = server.root.join("proc");
    let uptime = server.now().as_second() - server.booted.as_second();
    let kernel = kernel(server);
    put(
        &proc.join("loadavg"),
        &format!("0.{:02} 0.09 0.05 1/412 {}\n", 8 + server.index, server.next_pid),
    )?;
    put(
        &proc.join("uptime"),
        &format!("{uptime}.17 {}.42\n", uptime * i64::from(CORES) - 300),
    )?;
    put(&proc.join("meminfo"), MEMINFO)?;
    put(&proc.join("cpuinfo"), &cpuinfo())?;
    put(&proc.join("net/route"), ROUTES)?;
    put(&proc.join("stat"), &stat(server))?;
    put(&proc.join("mounts"), &mounts(server.spec.is_pve()))?;
    put(
        &proc.join("version"),
        &format!("Linux version {kernel} (build@proxmox) #1 SMP PREEMPT_DYNAMIC\n"),
    )?;
    put(&proc.join("sysrq-trigger"), "")?;
    put(&proc.join("sys/kernel/hostname"), &format!("{}\n", server.name()))?;
    put(&proc.join("sys/kernel/osrelease"), &format!("{kernel}\n"))?;
    put(
        &proc.join("sys/kernel/random/boot_id"),
        &format!("{}\n", boot_id(server.index, server.power.boots)),
    )
}

/// What the kernel of a server calls itself after so many boots.
pub(crate) fn boot_id(server: usize, boots: u32) -> String {
    format!(
        "6f1d2c3b-4a59-4e68-{:04x}-{:012x}",
        0x8b70 + (boots & 0xfff),
        0x00a1_b2c3_d400_u64 + u64::try_from(server).unwrap_or(0)
    )
}

/// The kernel that this PVE version ships.
pub(crate) fn kernel(server: &Server) -> &'static str {
    if !server.spec.is_pve() {
        "6.1.0-28-amd64"
    } else if server.spec.major() >= 9 {
        "6.14.8-2-pve"
    } else {
        "6.8.12-11-pve"
    }
}

/// The gateway is 192.168.1.1. Source: Linux net/ipv4/fib_trie.c (`fib_route_seq_show`).
const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                      vmbr0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      vmbr0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                      eno2\t000A0A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

const MEMINFO: &str = "MemTotal:       65769388 kB\nMemFree:        60213144 kB\nMemAvailable:   61822020 kB\n\
                       Buffers:           88312 kB\nCached:          1934528 kB\nSwapCached:            0 kB\n\
                       SwapTotal:       8388604 kB\nSwapFree:        8388604 kB\n";

fn cpuinfo() -> String {
    let mut text = String::new();
    for core in 0..CORES {
        write!(
            text,
            "processor\t: {core}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
             model name\t: Intel(R) Xeon(R) Silver 4208 CPU @ 2.10GHz\nstepping\t: 7\ncpu MHz\t\t: 2100.000\n\
             cache size\t: 11264 KB\nphysical id\t: 0\nsiblings\t: {CORES}\ncore id\t\t: {core}\ncpu cores\t: {CORES}\n\
             flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr vmx ssse3 sse4_1 sse4_2 aes avx2\n\n"
        )
        .ok();
    }
    text
}

fn stat(server: &Server) -> String {
    let mut text = String::from("cpu  81234 120 40123 8712345 1200 0 3120 0 0 0\n");
    for core in 0..CORES {
        writeln!(text, "cpu{core} 10154 15 5015 1089043 150 0 390 0 0 0").ok();
    }
    write!(
        text,
        "intr 0\nctxt 12345678\nbtime {}\nprocesses 45120\nprocs_running 1\nprocs_blocked 0\n",
        server.booted.as_second()
    )
    .ok();
    text
}

fn mounts(pve: bool) -> String {
    let text = "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\nproc /proc proc rw,relatime 0 0\n\
     udev /dev devtmpfs rw,nosuid,relatime,size=32840000k,nr_inodes=8210000,mode=755,inode64 0 0\n\
     tmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime,size=6576940k,mode=755,inode64 0 0\n\
     /dev/mapper/pve-root / ext4 rw,relatime,errors=remount-ro 0 0\n\
     /dev/nvme0n1p2 /boot/efi vfat rw,relatime,fmask=0022,dmask=0022,codepage=437 0 0\n\
     /dev/fuse /etc/pve fuse rw,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions,allow_other 0 0\n";
    text.split_inclusive('\n')
        .filter(|line| pve || !line.starts_with("/dev/fuse"))
        .collect()
}
