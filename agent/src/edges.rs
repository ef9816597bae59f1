//! `quorate-agent read-edges DEVICE SIZE [LOCK]`: whether the first and the last MiB of a disk hold anything, and whether the kernel gives the
//! disk to us alone. A process of its own, since a disk that is dying may leave its reader in a state in which nobody can end it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::libc;
use quorate_model::observation::disks::Edges;

/// How much is read at each end: labels, tables and superblocks of all that is known lie within.
const MIB: u64 = 1 << 20;

/// Direct reads begin and end on the device's blocks, in memory as on disk; none has larger ones.
const BLOCK: u64 = 4096;

/// The smallest piece that a disk writes or forgets.
const SECTOR: usize = 512;

/// Reads both ends of a device of this size, in bytes. `lock`: whoever holds it works on disks.
///
/// # Errors
/// It can't be opened or read, or ends before its size; or somebody works on disks.
pub fn read(path: &Path, size: u64, lock: Option<&Path>) -> io::Result<Edges> {
    let is_device = std::fs::metadata(path)?.file_type().is_block_device();
    // What the kernel has in memory may be what somebody has just written by another path, or was read before a disk was swapped.
    let direct = if is_device { OFlag::O_DIRECT.bits() } else { 0 };
    let device = OpenOptions::new().read(true).custom_flags(direct).open(path)?;
    let first = filled(&device, 0, MIB.min(size))?;
    let start = size.saturating_sub(MIB) / BLOCK * BLOCK;
    let last = filled(&device, start, size - start)?;
    drop(device);
    let _nobody_works_on_disks = lock.map(share).transpose()?;
    let claimed = is_device && is_claimed(path)?;
    Ok(Edges { first, last, claimed })
}

/// A lock that others may have as well, for the moment in which a disk is claimed: who makes a pool then would find it in use.
fn share(lock: &Path) -> io::Result<Option<Flock<File>>> {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(held) => Ok(Some(held)),
        Err((_, Errno::EWOULDBLOCK)) => Err(io::Error::other(
            "another command is at work on the disks of this server",
        )),
        Err((_, error)) => Err(error.into()),
    }
}

/// Whoever mounts a disk, builds something on it or adds it to a pool claims it from the kernel. Asking takes a moment and claims
/// nothing: it is given back at once.
fn is_claimed(path: &Path) -> io::Result<bool> {
    let exclusive = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_EXCL.bits())
        .open(path);
    match exclusive {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Where something is in this part of a device.
fn filled(device: &File, from: u64, length: u64) -> io::Result<Option<u64>> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let block = usize::try_from(BLOCK).map_err(io::Error::other)?;
    let mut memory = vec![0_u8; length + block];
    let aligned = memory.as_ptr().align_offset(block);
    let buffer = memory.get_mut(aligned..aligned + length).unwrap_or_default();
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = from + done as u64;
        match device.read_at(rest, at) {
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("it ends after {at} bytes"),
                ));
            }
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(first_filled(buffer).map(|offset| from + offset as u64))
}

/// Where the first byte is that somebody wrote. A sector that was never written, or was discarded, is all zeros or, with some flash,
/// all ones.
fn first_filled(bytes: &[u8]) -> Option<usize> {
    const BLANK: [[u8; SECTOR]; 2] = [[0; SECTOR], [0xff; SECTOR]];
    let mut sectors = bytes.chunks(SECTOR).enumerate();
    sectors.find_map(|(number, sector)| {
        // Whole sectors at once: there are thousands of them.
        if BLANK.iter().any(|blank| blank.starts_with(sector)) {
            return None;
        }
        let byte = sector.iter().position(|byte| *byte != 0)?;
        Some(number * SECTOR + byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 10 * MIB + 512;

    fn disk(written: &[(u64, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        for (at, bytes) in written {
            file.as_file().write_all_at(bytes, *at).unwrap();
        }
        file
    }

    fn edges(written: &[(u64, &[u8])]) -> (Option<u64>, Option<u64>) {
        let edges = read(disk(written).path(), SIZE, None).unwrap();
        assert!(!edges.claimed);
        (edges.first, edges.last)
    }

    #[test]
    fn an_empty_disk_is_empty_also_where_flash_forgot_its_content_as_ones() {
        assert_eq!(edges(&[]), (None, None));
        assert_eq!(edges(&[(0, &[0xff; 8192]), (SIZE - 512, &[0xff; 512])]), (None, None));
        assert_eq!(edges(&[(MIB, b"in the middle")]), (None, None));
    }

    #[test]
    fn a_single_byte_at_either_end_is_found() {
        assert_eq!(edges(&[(0x218, b"x")]), (Some(0x218), None));
        assert_eq!(
            edges(&[(MIB - 1, b"x"), (SIZE - 1, b"x")]),
            (Some(MIB - 1), Some(SIZE - 1))
        );
        assert_eq!(edges(&[(SIZE - MIB, b"x")]).1, Some(SIZE - MIB));
    }

    #[test]
    fn what_can_not_be_read_whole_is_not_taken_for_empty() {
        let short = disk(&[]);
        let error = read(short.path(), SIZE + MIB, None).unwrap_err();
        assert_eq!(error.to_string(), format!("it ends after {SIZE} bytes"));
        assert!(read(Path::new("/dev/no-such-disk"), SIZE, None).is_err());
    }

    #[test]
    fn whoever_works_on_disks_is_not_disturbed() {
        let disk = disk(&[]);
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("pve-diskmanage.lck");
        assert!(
            read(disk.path(), SIZE, Some(&lock)).is_ok(),
            "nobody has ever locked it"
        );
        let file = File::create(&lock).unwrap();
        let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
        let error = read(disk.path(), SIZE, Some(&lock)).unwrap_err();
        assert!(error.to_string().contains("another command is at work"), "{error}");
        assert!(read(disk.path(), SIZE, None).is_ok(), "by who holds it");
        drop(held);
        assert!(read(disk.path(), SIZE, Some(&lock)).is_ok());
    }
}
