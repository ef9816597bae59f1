//! The machine's disks, as QEMU shows them.

use std::path::Path;

use serde_json::{Value, json};

/// A disk of the machine.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Its name here, and that of its file.
    pub id: String,
    /// In MiB. Its file takes only what is written.
    pub mib: u64,
    bus: Bus,
    read_only: bool,
}

#[derive(Debug, Clone)]
enum Bus {
    Scsi {
        vendor: &'static str,
        product: &'static str,
        serial: String,
        wwn: u64,
        /// 1: no disk that turns.
        rpm: u16,
    },
    Nvme {
        serial: String,
    },
    Virtio,
}

impl Disk {
    /// A SCSI disk of a usual make, that turns.
    #[must_use]
    pub fn hdd(id: &str, mib: u64, serial: &str, wwn: u64) -> Self {
        Self::scsi(id, mib, ("SEAGATE", "ST4000NM0023"), serial, wwn, 7200)
    }

    /// A SCSI disk of a usual make, that does not turn.
    #[must_use]
    pub fn ssd(id: &str, mib: u64, serial: &str, wwn: u64) -> Self {
        Self::scsi(id, mib, ("SAMSUNG", "MZILT960HBHQ"), serial, wwn, 1)
    }

    /// A SCSI disk of this vendor and product.
    #[must_use]
    pub fn scsi(
        id: &str,
        mib: u64,
        (vendor, product): (&'static str, &'static str),
        serial: &str,
        wwn: u64,
        rpm: u16,
    ) -> Self {
        let bus = Bus::Scsi {
            vendor,
            product,
            serial: serial.to_owned(),
            wwn,
            rpm,
        };
        Self {
            id: id.to_owned(),
            mib,
            bus,
            read_only: false,
        }
    }

    /// An NVMe disk.
    #[must_use]
    pub fn nvme(id: &str, mib: u64, serial: &str) -> Self {
        let bus = Bus::Nvme {
            serial: serial.to_owned(),
        };
        Self {
            id: id.to_owned(),
            mib,
            bus,
            read_only: false,
        }
    }

    /// A virtio disk: it has neither serial number nor WWN.
    #[must_use]
    pub fn virtio(id: &str, mib: u64) -> Self {
        Self {
            id: id.to_owned(),
            mib,
            bus: Bus::Virtio,
            read_only: false,
        }
    }

    /// The same, and it can't be written to.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Its serial number, where it has one.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        match &self.bus {
            Bus::Scsi { serial, .. } | Bus::Nvme { serial } => Some(serial),
            Bus::Virtio => None,
        }
    }

    /// What is behind it, as `-blockdev` and `blockdev-add` take it.
    pub(crate) fn storage(&self, file: &Path) -> Value {
        json!({
            "driver": "raw",
            "node-name": self.node(),
            "read-only": self.read_only,
            "discard": "unmap",
            // What is written need not outlive this machine's power.
            "cache": { "direct": false, "no-flush": true },
            "file": { "driver": "file", "filename": file },
        })
    }

    fn node(&self) -> String {
        format!("storage-{}", self.id)
    }

    /// The disk, as `-device` and `device_add` take it.
    pub(crate) fn device(&self) -> Value {
        let (id, drive) = (&self.id, self.node());
        match &self.bus {
            Bus::Scsi {
                vendor,
                product,
                serial,
                wwn,
                rpm,
            } => json!({
                "driver": "scsi-hd", "id": id, "drive": drive, "bus": "scsi.0", "vendor": vendor, "product": product,
                "serial": serial, "wwn": wwn, "rotation_rate": rpm,
            }),
            Bus::Nvme { serial } => json!({ "driver": "nvme", "id": id, "drive": drive, "serial": serial }),
            Bus::Virtio => json!({ "driver": "virtio-blk-pci", "id": id, "drive": drive }),
        }
    }
}
