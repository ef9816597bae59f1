//! The lab's cluster of three with the same token, and the times that it takes.

use std::time::Duration;

use quorate_lab::{Entry, Lab, LabError, What};

/// So many times faster than in life: fast enough to wait for, slow enough that the world's own steps don't show in the times.
const SPEED: f64 = 2.0;

/// Long in real time: nothing waits for it but a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three simulated servers that are one cluster, as PVE's own tools make it.
#[derive(Debug)]
pub struct Model {
    lab: Lab,
}

/// How long after a cut, or its end, the membership changed: in the majority and in the node that was cut off.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// In the majority.
    pub majority: Duration,
    /// In the node that was cut off.
    pub minority: Duration,
}

impl Model {
    /// Builds it.
    ///
    /// # Errors
    /// The lab does not do what it should.
    pub async fn built() -> Result<Self, LabError> {
        let model = Self {
            lab: Lab::builder().nodes(3).speed(SPEED).start().await?,
        };
        model
            .tool("prox1", &["pvecm", "create", "hk1", "--link0", "10.10.10.1"], "")
            .await?;
        model.writable("prox1").await?;
        for (node, address) in [("prox2", "10.10.10.2"), ("prox3", "10.10.10.3")] {
            let info = ["pvesh", "get", "/cluster/config/join", "--output-format", "json"];
            let info: serde_json::Value = serde_json::from_str(&model.tool("prox1", &info, "").await?)
                .map_err(|error| LabError::Refused(error.to_string()))?;
            // Their order changes from call to call.
            let all = info["nodelist"].as_array().into_iter().flatten();
            let member = all
                .filter(|entry| entry["name"] == "prox1")
                .find_map(|entry| entry["pve_fp"].as_str());
            let fingerprint = member.unwrap_or_default();
            let add = [
                "pvecm",
                "add",
                "192.168.1.11",
                "--fingerprint",
                fingerprint,
                "--link0",
                address,
            ];
            model.tool(node, &add, "labpass\n").await?;
            model.writable(node).await?;
        }
        Ok(model)
    }

    async fn tool(&self, node: &str, argv: &[&str], stdin: &str) -> Result<String, LabError> {
        let output = self.lab.tool(node, argv, Some(stdin.as_bytes())).await?;
        if output.success() {
            Ok(output.stdout)
        } else {
            Err(LabError::Refused(format!("{argv:?}: {output:?}")))
        }
    }

    async fn writable(&self, node: &str) -> Result<(), LabError> {
        let is = async || {
            let all = self.lab.status().await.unwrap_or_default();
            all.iter().any(|server| server.name == node && server.writable)
        };
        self.lab.wait_for("/etc/pve to be writable", PATIENCE, is).await
    }

    /// Cuts prox3 off, and waits for what comes of it.
    ///
    /// # Errors
    /// As [`Model::built`].
    pub async fn cut(&self) -> Result<Times, LabError> {
        let before = self.lab.operations()?.len();
        self.lab.cut("prox3").await?;
        self.times(before, What::Cut, ["1 2", "3"]).await
    }

    /// Ends that, and waits for what comes of it.
    ///
    /// # Errors
    /// As [`Model::built`].
    pub async fn heal(&self) -> Result<Times, LabError> {
        let before = self.lab.operations()?.len();
        self.lab.heal("prox3").await?;
        self.times(before, What::Healed, ["1 2 3", "1 2 3"]).await
    }

    async fn times(&self, before: usize, cause: What, members: [&str; 2]) -> Result<Times, LabError> {
        let entry = |what: What, node: &str, detail: &str| -> Option<Entry> {
            let mut new = self.lab.operations().unwrap_or_default().into_iter().skip(before);
            let is = |entry: &Entry| entry.what == what && entry.node.as_deref() == Some(node);
            new.find(|entry| is(entry) && (detail.is_empty() || entry.detail == detail))
        };
        let changed = |node, members| entry(What::MembershipChanged, node, members);
        let [majority, minority] = members;
        let both = async || changed("prox1", majority).is_some() && changed("prox3", minority).is_some();
        self.lab.wait_for("the membership to change", PATIENCE, both).await?;
        let at = |entry: Option<Entry>| entry.map_or(0, |entry| entry.ms);
        let begun = at(entry(cause, "prox3", ""));
        let since = |entry: Option<Entry>| Duration::from_millis(at(entry).saturating_sub(begun));
        Ok(Times {
            majority: since(changed("prox1", majority)),
            minority: since(changed("prox3", minority)),
        })
    }
}
