//! The version that a program says it has.

/// The version of the crate that asks: what was given at build time in `QUORATE_VERSION`, else the workspace's.
///
/// A macro, so that another version rebuilds only the crates that show it, and not everything below them.
#[macro_export]
macro_rules! version {
    () => {
        match option_env!("QUORATE_VERSION") {
            Some(version) => version,
            None => env!("CARGO_PKG_VERSION"),
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_build_of_its_own_has_the_version_of_the_workspace() {
        let given = option_env!("QUORATE_VERSION").unwrap_or(env!("CARGO_PKG_VERSION"));
        assert_eq!(crate::version!(), given);
    }
}
