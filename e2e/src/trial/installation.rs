//! A version as an admin installs it: its `config/default` with one image in it. In which order what runs is replaced, the operator
//! says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::demo::{CONNECTION, DOORS, Demo, EVIDENCE, SYSTEM};
use crate::run::wait_until;

use super::{SETTLE, becomes};

/// Who applied it at first.
pub(super) const MANAGER: &str = "--field-manager=demo";
/// The image as config/default names it.
const SHIPPED: &str = "localhost/sallyport:dev";
/// The image that a workload is to run.
const IMAGE: &str = "jsonpath={.spec.template.spec.containers[0].image}";

/// What runs from the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workload {
    namespace: &'static str,
    name: &'static str,
    /// Label of its Pods.
    label: &'static str,
}

pub(super) const OPERATOR: Workload = Workload {
    namespace: SYSTEM,
    name: "deployment/sallyport-operator",
    label: "app.kubernetes.io/component=operator",
};
pub(super) const RECORDER: Workload = Workload {
    namespace: EVIDENCE,
    name: "statefulset/recorder-evidence",
    label: "sallyport.dev/sink=evidence",
};
pub(super) const DOOR: Workload = Workload {
    namespace: DOORS,
    name: "deployment/door-bank",
    label: "sallyport.dev/connection=bank",
};
/// The operator first, which rolls the others.
const ALL: [Workload; 3] = [OPERATOR, RECORDER, DOOR];

/// `config/default` with one image in it, as a file.
pub(super) struct Installation<'a> {
    demo: &'a Demo,
    pub(super) image: String,
    file: PathBuf,
}

// === impl Workload ===

impl Workload {
    /// The image that it is to run.
    pub(super) fn image(self, demo: &Demo) -> Result<String> {
        Ok(demo
            .admin(&["-n", self.namespace, "get", self.name, "-o", IMAGE])?
            .stdout)
    }

    /// One field of each of its Pods, where they have it; of those that run alone, if so wanted.
    pub(super) fn pods(self, demo: &Demo, field: &str, running: bool) -> Result<Vec<String>> {
        let path = format!("jsonpath={{range .items[*]}}{{{field}}}{{\"\\n\"}}{{end}}");
        let mut get = vec![
            "-n",
            self.namespace,
            "get",
            "pods",
            "-l",
            self.label,
            "-o",
            path.as_str(),
        ];
        if running {
            get.extend(["--field-selector", "status.phase=Running"]);
        }
        let shown = demo.admin(&get)?;
        let lines = shown.stdout.lines().filter(|line| !line.is_empty());
        Ok(lines.map(str::to_owned).collect())
    }

    /// From which images its Pods run; those that wait for a node left out.
    pub(super) fn serving(self, demo: &Demo) -> Result<BTreeSet<String>> {
        let images = self.pods(demo, ".spec.containers[0].image", true)?;
        Ok(images.into_iter().collect())
    }
}

// === impl Installation ===

impl<'a> Installation<'a> {
    /// `config`: the directory `config` of that version. `name`: by which it is told from another one.
    pub(super) fn of(demo: &'a Demo, name: &str, config: &Path, image: String) -> Result<Self> {
        let manifests = demo
            .admin(&["kustomize", &config.join("default").to_string_lossy()])?
            .stdout;
        ensure!(
            manifests.matches(SHIPPED).count() >= 3,
            "{SHIPPED} is said of the operator, of what it runs, and of what admission lets it run"
        );
        let file = demo.path(&format!("trial-upgrade-{name}.yaml"));
        std::fs::write(&file, manifests.replace(SHIPPED, &image))?;
        Ok(Self { demo, image, file })
    }

    /// The one command that makes it so.
    pub(super) fn applying(&self) -> [&str; 6] {
        let file = self.file.to_str().unwrap_or_default();
        ["apply", "--server-side", "--force-conflicts", MANAGER, "-f", file]
    }

    /// Applies it.
    pub(super) fn applied(&self) -> Result<()> {
        self.demo.admin(&self.applying())?;
        Ok(())
    }

    /// Waits until these run from its image and are whole.
    pub(super) fn runs(&self, workloads: &[Workload]) -> Result<()> {
        for workload in workloads {
            let (namespace, name) = (workload.namespace, workload.name);
            wait_until(SETTLE, &format!("{name} is to run {}", self.image), || {
                Ok((workload.image(self.demo)? == self.image).then_some(()))
            })?;
            self.demo
                .admin(&["-n", namespace, "rollout", "status", name, "--timeout=150s"])?;
        }
        Ok(())
    }

    /// Waits until the last Pod of theirs that is of another image is gone: doors let their sessions end.
    pub(super) fn nothing_else_runs(&self, workloads: &[Workload]) -> Result<()> {
        for workload in workloads {
            let what = format!("Pods of {} run {}", workload.name, self.image);
            wait_until(SETTLE, &what, || {
                let images = workload.pods(self.demo, ".spec.containers[0].image", false)?;
                let all = images.iter().all(|image| *image == self.image);
                Ok((all && !images.is_empty()).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Waits until everything runs from its image and is whole.
    pub(super) fn whole(&self) -> Result<()> {
        self.runs(&ALL)?;
        let connection = format!("connection/{CONNECTION}");
        becomes(self.demo, &connection, "Enforced", "True")?;
        becomes(self.demo, &connection, "Ready", "True")?;
        self.nothing_else_runs(&ALL)
    }

    /// Applies it, and waits until everything runs from its image and is whole.
    pub(super) fn rolled_out(&self) -> Result<()> {
        self.applied()?;
        self.whole()
    }

    /// What runs, as the nodes know it by its content.
    pub(super) fn ids(&self) -> Result<BTreeSet<String>> {
        let mut ids = BTreeSet::new();
        for workload in ALL {
            ids.extend(workload.pods(self.demo, ".status.containerStatuses[0].imageID", false)?);
        }
        ensure!(!ids.is_empty(), "nothing runs");
        Ok(ids)
    }

    /// Removes its file, once nothing has to be put back.
    pub(super) fn remove(self) -> Result<()> {
        Ok(std::fs::remove_file(&self.file)?)
    }
}
