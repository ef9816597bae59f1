//! Steers a lab's world and looks at what happened in it.

use std::time::Duration;

use super::error::io_error;
use super::{Lab, LabError};
use crate::control::{self, Answer, GuestStatus, Misbehaviour, Press, Request, Script, ServerStatus, ToolScript};
use crate::world::oplog::{self, Entry};

impl Lab {
    /// Asks the world.
    ///
    /// # Errors
    /// When it refuses or is not there.
    pub async fn ask(&self, request: Request) -> Result<Answer, LabError> {
        match control::ask(&self.layout.socket(), request)
            .await
            .map_err(io_error("asking the world"))?
        {
            Answer::Refused(reason) => Err(LabError::Refused(reason)),
            answer => Ok(answer),
        }
    }

    /// A guest as it really is on a server, if anything of it is there: its configuration, its process, or its disks.
    ///
    /// # Errors
    /// When the world is not there.
    pub async fn guest(&self, node: &str, vmid: u32) -> Result<Option<GuestStatus>, LabError> {
        let servers = self.status().await?;
        let server = servers.into_iter().find(|server| server.name == node);
        let mut guests = server.map(|server| server.guests).unwrap_or_default().into_iter();
        Ok(guests.find(|guest| guest.vmid == vmid))
    }

    /// Cuts a server off from all networks: packets vanish, ports stay up.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn cut(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Cut {
            node: node.to_owned(),
            link: None,
            unplug: false,
        })
        .await
        .map(|_| ())
    }

    /// Cuts a server off from one network (0: cluster network, 1: public network).
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn cut_link(&self, node: &str, link: u8) -> Result<(), LabError> {
        self.ask(Request::Cut {
            node: node.to_owned(),
            link: Some(link),
            unplug: false,
        })
        .await
        .map(|_| ())
    }

    /// Pulls the cable of one network out of a server: its port loses the carrier.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn unplug(&self, node: &str, link: u8) -> Result<(), LabError> {
        self.ask(Request::Cut {
            node: node.to_owned(),
            link: Some(link),
            unplug: true,
        })
        .await
        .map(|_| ())
    }

    /// Undoes all cuts of a server.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn heal(&self, node: &str) -> Result<(), LabError> {
        self.ask(Request::Heal {
            node: node.to_owned(),
            link: None,
        })
        .await
        .map(|_| ())
    }

    /// Presses a server's power button, or pulls its plug.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn power(&self, node: &str, press: Press) -> Result<(), LabError> {
        let node = node.to_owned();
        self.ask(Request::Power { node, press }).await.map(|_| ())
    }

    /// Changes how packets between servers fare.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn way(&self, way: crate::ways::Way) -> Result<(), LabError> {
        self.ask(Request::Way(way)).await.map(|_| ())
    }

    /// Makes a server misbehave.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn script(&self, node: &str, script: Script) -> Result<(), LabError> {
        self.ask(Request::Script {
            node: node.to_owned(),
            script,
        })
        .await
        .map(|_| ())
    }

    /// Makes every call of a tool misbehave on a server.
    ///
    /// # Errors
    /// When the world refuses.
    pub async fn script_tool(&self, node: &str, tool: &str, script: ToolScript) -> Result<(), LabError> {
        let misbehaviour = Misbehaviour {
            tool: tool.to_owned(),
            matching: None,
            times: None,
            script,
        };
        self.script(node, Script::Tool(misbehaviour)).await
    }

    /// Every server as it really is.
    ///
    /// # Errors
    /// When the world is not there.
    pub async fn status(&self) -> Result<Vec<ServerStatus>, LabError> {
        match self.ask(Request::Status).await? {
            Answer::Status(list) => Ok(list),
            other => Err(LabError::Refused(format!("{other:?}"))),
        }
    }

    /// What really happened so far.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn operations(&self) -> Result<Vec<Entry>, LabError> {
        oplog::read(&self.layout.operations()).map_err(io_error("reading the operation log"))
    }

    /// Waits until something is true, looking often.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn wait_for(
        &self,
        what: &str,
        deadline: Duration,
        mut check: impl AsyncFnMut() -> bool,
    ) -> Result<(), LabError> {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            if check().await {
                return Ok(());
            }
            if tokio::time::Instant::now() >= end {
                return Err(LabError::TimedOut {
                    what: what.to_owned(),
                    deadline,
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
