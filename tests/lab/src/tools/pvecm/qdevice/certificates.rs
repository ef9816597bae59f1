//! The certificates' way: from the daemon's host to one node, and from there to all.

use super::super::locks;
use super::setup::Setup;
use super::{DAEMON, Failure, died};
use crate::roots;
use crate::world::corosync::conf::Conf;
use crate::world::state::qdevice::STORE;

const QNETD_STORE: &str = "etc/corosync/qnetd/nssdb";
const P12: &str = "qdevice-net-node.p12";

impl Setup<'_> {
    /// Makes the daemon's own CA on its host; that it can't is not noticed here.
    pub(super) async fn make_authority(&self) -> Result<(), Failure> {
        let host = self.remote("corosync-qnetd-certutil -i")?;
        self.pause(700).await?;
        if !self.has(host, "corosync-qnetd") {
            return self
                .chat("bash: line 1: corosync-qnetd-certutil: command not found\n")
                .await;
        }
        let store = self.root_of(host).join(QNETD_STORE);
        if store.is_dir() {
            let text =
                format!("Certificate database (/{QNETD_STORE}) already exists. Delete it to initialize new db\n");
            return self.chat(&text).await;
        }
        for file in [
            "cert9.db",
            "key4.db",
            "noise.txt",
            "pkcs11.txt",
            "pwdfile.txt",
            "qnetd-cacert.crt",
            "serial.txt",
        ] {
            roots::put(&store.join(file), "").ok();
        }
        self.say(&format!(
            "Creating /{QNETD_STORE}\nCreating new key and cert db\nCreating new noise file /{QNETD_STORE}/noise.txt\n\
             Creating new CA\nIs this a CA certificate [y/N]?\nEnter the path length constraint, enter to skip [<0 for \
             unlimited path]: > Is this a critical extension [y/N]?\nQNetd CA certificate is exported as \
             /{QNETD_STORE}/qnetd-cacert.crt\n"
        ))
        .await?;
        self.chat("password file contains no data\n\n\nGenerating key.  This may take a few moments...\n\n")
            .await
    }

    pub(super) async fn fetch_authority(&self) -> Result<(), Failure> {
        let host = self.remote("scp")?;
        self.pause(300).await?;
        if self.root_of(host).join(QNETD_STORE).join("qnetd-cacert.crt").exists() {
            return Ok(());
        }
        // Where the package never was there is nothing to fetch. Not recorded: inferred from the sequence.
        let address = self.host;
        died(
            1,
            format!(
                "scp: /{QNETD_STORE}/qnetd-cacert.crt: No such file or directory\n\
                 command 'scp -o 'BatchMode=yes' 'root@[{address}]:/{QNETD_STORE}/qnetd-cacert.crt' \
                 /etc/pve/qnetd-cacert.crt' failed: exit code 1\n"
            ),
        )
    }

    pub(super) async fn initialise(&self, index: usize) -> Result<(), Failure> {
        self.pause(350).await?;
        if !self.has(index, DAEMON) {
            return self
                .chat("bash: line 1: corosync-qdevice-net-certutil: command not found\n")
                .await;
        }
        let store = self.root_of(index).join(STORE);
        if store.is_dir() {
            return self
                .chat("Certificate database already exists. Delete it to continue\n")
                .await;
        }
        for file in ["cert9.db", "key4.db", "noise.txt", "pkcs11.txt", "pwdfile.txt"] {
            roots::put(&store.join(file), "").ok();
        }
        let name = self.name_of(index);
        let line = |text: &str| format!("node '{name}': {text}\n");
        self.say(
            &(line(&format!("Creating /{STORE}"))
                + &line("Creating new key and cert db")
                + &line(&format!("Creating new noise file /{STORE}/noise.txt"))
                + &line("Importing CA")),
        )
        .await?;
        self.chat("password file contains no data\n").await
    }

    pub(super) async fn request_certificate(&self, conf: &Conf) -> Result<(), Failure> {
        self.say("INFO: generating cert request\n").await?;
        self.pause(500).await?;
        let cluster = &conf.cluster_name;
        if !self.has(self.call.node, DAEMON) {
            let command = format!("corosync-qdevice-net-certutil -r -n {cluster}");
            // As PVE's way of running commands says it; not recorded for this one.
            return died(2, format!("command '{command}' failed: failed to execute\n"));
        }
        let store = self.root_of(self.call.node).join(STORE);
        roots::put(&store.join("qdevice-net-node.crq"), "").ok();
        self.say(&format!(
            "Creating new certificate request\nCertificate request stored in /{STORE}/qdevice-net-node.crq\n\n\
             INFO: copying exported cert request to qnetd server\n"
        ))
        .await?;
        self.chat("\n\nGenerating key.  This may take a few moments...\n\n")
            .await?;
        self.remote("scp")?;
        self.pause(300).await?;
        self.say("\nINFO: sign and export cluster cert\n").await?;
        let sign = format!("corosync-qnetd-certutil -s -c /tmp/qdevice-net-node.crq -n {cluster}");
        let host = self.remote(&sign)?;
        self.pause(500).await?;
        if !self.has(host, "corosync-qnetd") {
            let address = self.host;
            return died(
                127,
                format!(
                    "bash: line 1: corosync-qnetd-certutil: command not found\n\
                     command 'ssh -o 'BatchMode=yes' -lroot {address} {sign}' failed: exit code 127\n"
                ),
            );
        }
        let signed = format!("cluster-{cluster}.crt");
        roots::put(&self.root_of(host).join(QNETD_STORE).join(&signed), "").ok();
        self.say(&format!(
            "Signing cluster certificate\nCertificate stored in /{QNETD_STORE}/{signed}\n\nINFO: copy exported CRT\n"
        ))
        .await?;
        self.remote("scp")?;
        roots::put(&store.join(&signed), "").ok();
        Ok(())
    }

    pub(super) async fn import_certificate(&self, conf: &Conf, members: &[usize]) -> Result<(), Failure> {
        self.pause(300).await?;
        let store = self.root_of(self.call.node).join(STORE);
        roots::put(&store.join(P12), "").ok();
        self.say(&format!(
            "\nINFO: import certificate\nImporting signed cluster certificate\npk12util: PKCS12 EXPORT SUCCESSFUL\n\
             Certificate stored in /{STORE}/{P12}\n\nINFO: copy and import pk12 cert to all nodes\n\n"
        ))
        .await?;
        self.chat("Notice: Trust flag u is set automatically if the private key is present.\n")
            .await?;
        // The private key of all lies in everybody's /etc/pve while it is handed out, and stays there after a failure.
        self.write_key(true).await?;
        for index in members {
            self.pause(250).await?;
            let (name, own) = (self.name_of(*index), *index == self.call.node);
            if self.has(*index, DAEMON) {
                self.say(&format!(
                    "node '{name}': Importing cluster certificate and key\nnode '{name}': pk12util: PKCS12 IMPORT SUCCESSFUL\n"
                ))
                .await?;
                continue;
            }
            let address = self.address_of(conf, &name);
            let command = format!("corosync-qdevice-net-certutil -m -c /etc/pve/{P12}");
            let text = if own {
                format!("command '{command}' failed: failed to execute\n")
            } else {
                format!(
                    "bash: line 1: corosync-qdevice-net-certutil: command not found\ncommand '/usr/bin/ssh -e none -o \
                     'BatchMode=yes' -o 'HostKeyAlias={name}' -o 'UserKnownHostsFile=/etc/pve/nodes/{name}/ssh_known_hosts' \
                     -o 'GlobalKnownHostsFile=none' root@{address} -- {command}' failed: exit code 127\n"
                )
            };
            return died(127, text);
        }
        self.write_key(false).await
    }

    pub(super) fn address_of(&self, conf: &Conf, name: &str) -> String {
        let published = self
            .call
            .server(|server, _| server.pmxcfs.replica.ips.get(name).map(ToString::to_string))
            .flatten();
        published
            .or_else(|| conf.named(name).and_then(|node| node.rings.values().next().cloned()))
            .unwrap_or_default()
    }

    pub(super) async fn write_key(&self, there: bool) -> Result<(), Failure> {
        locks::decided(&self.call.world, self.call.node).await;
        let written = self.call.world.with(|state| {
            state.write(self.call.node, |replica| {
                if there {
                    replica.files.insert(P12.to_owned(), "(a private key)\n".to_owned());
                } else {
                    replica.files.remove(P12);
                }
            })
        });
        match written {
            Ok(_) => Ok(()),
            Err(_) => died(
                1,
                format!("cp: cannot create regular file '/etc/pve/{P12}': Permission denied\n"),
            ),
        }
    }
}
