//! Which glibc a program wants: a symbol that is newer than the oldest host's glibc would keep it from starting there.

use std::path::Path;

use super::tool::Tool;
use crate::report::Stop;

/// Debian 12's glibc, below Proxmox VE 8.
pub(crate) const OLDEST_GLIBC: (u32, u32) = (2, 36);

/// The newest version of glibc's symbols that a program needs.
pub(crate) fn glibc_of(program: &Path) -> Result<(u32, u32), Stop> {
    let text = Tool::new("readelf")
        .args(["--version-info", "--wide"])
        .args([program])
        .env("LC_ALL", "C.UTF-8")
        .output()?;
    newest(&text).ok_or_else(|| Stop::Failed(format!("{} names no version of glibc's symbols", program.display())))
}

/// What a program wants that is not inside: whatever loads it, and libraries.
pub(crate) fn wants(program: &Path) -> Result<Vec<String>, Stop> {
    let text = Tool::new("readelf")
        .args(["--program-headers", "--dynamic", "--wide"])
        .args([program])
        .env("LC_ALL", "C.UTF-8")
        .output()?;
    Ok(wanted(&text))
}

fn wanted(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let wanted = lines.filter(|line| line.starts_with("INTERP") || line.contains("(NEEDED)"));
    wanted
        .map(|line| match line.split_once('[') {
            Some((_, name)) => name.trim_end_matches(']').to_owned(),
            None => "a program that loads it".to_owned(),
        })
        .collect()
}

fn newest(text: &str) -> Option<(u32, u32)> {
    let words = text.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    let versions = words.filter_map(|version| {
        let (major, minor) = version.split_once('.')?;
        // Some have a third number: 2.2.5.
        let minor = minor.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found_by_number() {
        let text = "  0x0010:   Name: GLIBC_2.9  Flags: none  Version: 12\n  0x0020:   Name: GLIBC_2.34  Flags: none\n  Name: GLIBC_2.2.5\n";
        assert_eq!(newest(text), Some((2, 34)));
        assert_eq!(newest("Name: GCC_3.0"), None);
    }

    #[test]
    fn what_is_not_inside_is_named() {
        let text = "Program Headers:\n  INTERP         0x000318 0x0000000000000318 0x0000000000000318 0x00001c 0x00001c R   0x1\n      \
                    [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]\n\nDynamic section at offset 0x2e00 contains 26 entries:\n  \
                    0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n 0x000000000000000c (INIT)               0x1000\n";
        assert_eq!(wanted(text), ["a program that loads it", "libc.so.6"]);
        let inside = "Program Headers:\n  LOAD           0x000000 0x0000000000000000\n  DYNAMIC        0x09dc98\n 0x000000000000000c (INIT)  0x9000\n";
        assert_eq!(wanted(inside), Vec::<String>::new());
    }
}
