//! What the machine boots: made by `machine/prepare`, once for each version of kernel, ZFS and tools.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_lab::process::Program;

/// Building ZFS takes eight minutes on two cores.
const PREPARED_WITHIN: Duration = Duration::from_secs(45 * 60);

/// Kernel and root image; nobody writes to them.
#[derive(Debug, Clone)]
pub struct Image {
    folder: PathBuf,
}

impl Image {
    /// Finds the image, or makes it.
    ///
    /// # Panics
    /// It can't be made; the script has said why.
    pub async fn prepared() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("machine/prepare");
        let mut program = Program::new(script).deadline(PREPARED_WITHIN);
        for name in ["HOME", "QUORATE_CACHE"] {
            if let Some(value) = std::env::var_os(name) {
                program = program.env(name, value);
            }
        }
        let output = program.run().await.expect("machine/prepare can be run");
        assert!(output.success(), "machine/prepare failed:\n{}", output.stderr);
        Self {
            folder: output.stdout.trim().into(),
        }
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The disk with the root file system.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.img")
    }

    /// Where the root file system is on it.
    ///
    /// # Panics
    /// The image is not whole.
    #[must_use]
    pub fn partuuid(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("root.partuuid")).expect("the image is whole");
        text.trim().to_owned()
    }
}
