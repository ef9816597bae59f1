//! Versions of pve-manager, as far as two of them are compared.

/// Is `version` at least `least`? Forms: `9.0.4`, `8.4-1`, `9.0.0~16`. A version of another form is not.
pub(super) fn at_least(version: &str, least: &str) -> bool {
    let (Some(version), Some(least)) = (parts(version), parts(least)) else {
        return false;
    };
    if version.0 != least.0 {
        return version.0 > least.0;
    }
    // What has no number behind the tilde is the release itself.
    version.1.is_none_or(|early| early >= least.1.unwrap_or(0))
}

fn parts(version: &str) -> Option<([u32; 3], Option<u32>)> {
    let (major, rest) = version.split_once('.')?;
    let (minor, rest) = rest.split_once(['.', '-'])?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (patch, rest) = rest.split_at(digits);
    let early = rest.strip_prefix('~').map(|early| {
        let digits = early.find(|c: char| !c.is_ascii_digit()).unwrap_or(early.len());
        early.split_at(digits).0
    });
    let numbers = [major.parse().ok()?, minor.parse().ok()?, patch.parse().ok()?];
    Some((numbers, early.and_then(|early| early.parse().ok())))
}

#[cfg(test)]
mod tests {
    use super::at_least;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, least, is) in [
            ("9.0.0", "9.0.0~16", true),
            ("9.0.0~16", "9.0.0~16", true),
            ("9.0.0~15", "9.0.0~16", false),
            ("9.0.1~2", "9.0.0~16", true),
            ("10.0.0", "9.0.0~16", true),
            ("8.4-11", "9.0.0~16", false),
            ("8.4.1", "8.4-1", true),
            ("unheard", "9.0.0", false),
        ] {
            assert_eq!(at_least(version, least), is, "{version} {least}");
        }
    }
}
