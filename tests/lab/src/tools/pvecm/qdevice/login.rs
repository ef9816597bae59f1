//! How a node's root gets into the daemon's host, or does not.

use super::setup::Setup;
use super::{Failure, died};
use crate::roots::ssh;
use crate::world::units;

/// Why nobody can log in.
enum NoLogin {
    /// Not recorded; as ssh says it.
    Away(&'static str),
    HostUnknown,
    KeyUnknown,
}

impl Setup<'_> {
    /// Which server it is, if root's key opens it now.
    fn login(&self) -> Result<usize, NoLogin> {
        self.call.world.with(|state| {
            let Some((host, network)) = state.locate(self.host) else {
                return Err(NoLogin::Away("No route to host"));
            };
            if !state.connected(self.call.node, host, network) {
                return Err(NoLogin::Away("Connection timed out"));
            }
            let (Some(client), Some(server)) = (state.get(self.call.node), state.get(host)) else {
                return Err(NoLogin::Away("No route to host"));
            };
            if server.power.off {
                return Err(NoLogin::Away("No route to host"));
            }
            if !units::runs(server, "ssh") {
                return Err(NoLogin::Away("Connection refused"));
            }
            if !ssh::knows(client, server, self.host) {
                return Err(NoLogin::HostUnknown);
            }
            if !ssh::lets_in(server, client, ssh::source(self.call.node, self.host)) {
                return Err(NoLogin::KeyUnknown);
            }
            Ok(host)
        })
    }

    /// `ssh-copy-id`, which has nobody to ask for a password.
    pub(super) async fn copy_key(&self) -> Result<(), Failure> {
        let host = self.host;
        self.chat(
            "/bin/ssh-copy-id: INFO: Source of key(s) to be installed: \"/root/.ssh/id_rsa.pub\"\n\
             /bin/ssh-copy-id: INFO: attempting to log in with the new key(s), to filter out any that are already installed\n",
        )
        .await?;
        self.pause(450).await?;
        let failed = format!("command 'ssh-copy-id -i /root/.ssh/id_rsa root@{host}' failed: exit code 1\n");
        match self.login() {
            Ok(_) => {
                self.chat(
                    "\n/bin/ssh-copy-id: WARNING: All keys were skipped because they already exist on the remote system.\n\
                     \t\t(if you think this is a mistake, you may want to use -f option)\n\n",
                )
                .await
            }
            Err(NoLogin::Away(reason)) => died(
                1,
                format!("\n/bin/ssh-copy-id: ERROR: ssh: connect to host {host} port 22: {reason}\n\n{failed}"),
            ),
            Err(NoLogin::HostUnknown) => died(
                1,
                format!("\n/bin/ssh-copy-id: ERROR: Host key verification failed.\n\n{failed}"),
            ),
            Err(NoLogin::KeyUnknown) => died(
                1,
                format!(
                    "/bin/ssh-copy-id: INFO: 1 key(s) remain to be installed -- if you are prompted now it is to install the \
                     new keys\nPermission denied, please try again.\nPermission denied, please try again.\n\
                     root@{host}: Permission denied (publickey,password).\n{failed}"
                ),
            ),
        }
    }

    /// A later command over ssh: the key may have been taken away meanwhile.
    pub(super) fn remote(&self, command: &str) -> Result<usize, Failure> {
        let host = self.host;
        let reason = match self.login() {
            Ok(index) => return Ok(index),
            Err(NoLogin::Away(reason)) => format!("ssh: connect to host {host} port 22: {reason}"),
            Err(NoLogin::HostUnknown) => "Host key verification failed.".to_owned(),
            Err(NoLogin::KeyUnknown) => format!("root@{host}: Permission denied (publickey,password)."),
        };
        died(
            255,
            format!("{reason}\ncommand 'ssh -o 'BatchMode=yes' -lroot {host} {command}' failed: exit code 255\n"),
        )
    }
}
