//! Deleting folders of our own, and never through a mount: a bare Debian that was being made has had this machine's /proc, /sys and
//! devices mounted in it, and whoever is killed in between leaves them there.

use std::fs;
use std::io;
use std::path::Path;

use crate::report::Stop;

/// Makes sure that a folder is there and has nothing in it.
pub(crate) fn empty(folder: &Path) -> Result<(), Stop> {
    remove(folder)?;
    fs::create_dir_all(folder).map_err(Stop::file(folder))
}

/// Deletes a folder with all that is in it, if nothing is mounted there.
pub(crate) fn remove(folder: &Path) -> Result<(), Stop> {
    let real = match folder.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        real => real.map_err(Stop::file(folder))?,
    };
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).map_err(Stop::file(table))?;
    let mounted = mounted_below(&text, &real);
    if mounted.is_empty() {
        return fs::remove_dir_all(&real).map_err(Stop::file(folder));
    }
    Err(Stop::Failed(format!(
        "{} is not deleted, since something is mounted in it\nnext: umount {}",
        folder.display(),
        mounted.join(" ")
    )))
}

/// The places in a folder, and the folder itself, at which something is mounted; what was mounted last comes first.
fn mounted_below(mountinfo: &str, folder: &Path) -> Vec<String> {
    let places = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescaped);
    let mut below: Vec<String> = places.filter(|place| Path::new(place).starts_with(folder)).collect();
    below.reverse();
    below
}

/// The kernel writes blanks and backslashes in octal.
fn unescaped(place: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(place.to_owned(), |text, (octal, sign)| text.replace(octal, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                         30 20 0:5 / /srv/install/bookworm/proc ro - proc proc rw\n\
                         31 20 0:6 / /srv/install/bookworm/dev/shm rw - tmpfs tmpfs rw\n\
                         32 20 0:7 / /srv/a\\040b/sys ro - sysfs sys rw\n";

    #[test]
    fn what_is_mounted_in_a_folder_is_found_and_what_lies_beside_it_is_not() {
        let below = |folder: &str| mounted_below(TABLE, Path::new(folder));
        let both = ["/srv/install/bookworm/dev/shm", "/srv/install/bookworm/proc"];
        assert_eq!(below("/srv/install"), both);
        assert_eq!(below("/srv/a b"), ["/srv/a b/sys"]);
        assert_eq!(below("/srv/install/bookworm/proc"), ["/srv/install/bookworm/proc"]);
        assert_eq!(below("/srv/inst"), Vec::<String>::new());
    }

    #[test]
    fn a_folder_is_emptied_and_one_that_is_not_there_is_made() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/b");
        empty(&folder).unwrap();
        fs::write(folder.join("c"), "").unwrap();
        empty(&folder).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        remove(&folder).unwrap();
        remove(&folder).unwrap();
        assert!(!folder.exists());
    }
}
