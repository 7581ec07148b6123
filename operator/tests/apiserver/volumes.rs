//! What the cluster does with a log's volume.

use anyhow::{Context, Result, ensure};

use crate::stage::Stage;

pub fn a_volume_grows_by_its_claim(stage: &Stage) -> Result<()> {
    let uid = stage.get("evidence", "auditsink/evidence")?["metadata"]["uid"]
        .as_str()
        .context("no uid")?
        .to_owned();
    let claim = format!("log-{}-recorder-evidence-0", uid.split('-').next().unwrap_or_default());
    // No controller runs here that would make the claim, and admission lets nobody else.
    let controller = "--as=system:serviceaccount:kube-system:statefulset-controller";
    let apply = [
        "apply",
        "--server-side",
        controller,
        "--as-group=system:masters",
        "-f",
        "-",
    ];
    let manifest = format!(
        r#"
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: grows}}
provisioner: example.com/grows
allowVolumeExpansion: true
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {claim}, namespace: evidence}}
spec: {{storageClassName: grows, volumeName: one, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
"#
    );
    stage.server.admin(&apply, &manifest)?;
    let size = r#"{"spec": {"storage": {"size": "3Gi"}}}"#;
    let sink = ["-n", "evidence", "patch", "auditsink", "evidence", "--type=merge", "-p"];
    stage.kubectl(&[&sink[..], &[size]].concat())?;
    // A claim that is not bound cannot grow: the condition says so, and the log goes on.
    stage.until_condition("evidence", "auditsink/evidence", "Degraded", "True", "VolumeNotGrown")?;
    stage.until_condition("evidence", "auditsink/evidence", "Accepted", "True", "Accepted")?;
    let bound = r#"{"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}"#;
    stage.kubectl(&[
        "-n",
        "evidence",
        "patch",
        "pvc",
        &claim,
        "--subresource=status",
        "--type=merge",
        "-p",
        bound,
    ])?;
    stage.kubectl(&[&sink[..], &[r#"{"spec": {"storage": {"size": "4Gi"}}}"#]].concat())?;
    stage.until("the claim asks for 4Gi", || {
        let found = stage.get("evidence", &format!("pvc/{claim}"))?;
        Ok(found["spec"]["resources"]["requests"]["storage"] == "4Gi")
    })?;
    stage.until("the recorder is there", || {
        stage.exists("evidence", "statefulset/recorder-evidence")
    })?;
    stage.until("nothing is degraded", || {
        Ok(stage.condition("evidence", "auditsink/evidence", "Degraded")?.is_none())
    })
}

/// Of the claim that grew.
pub fn a_volume_that_goes_with_its_claim_is_told(stage: &Stage) -> Result<()> {
    const SINK: &str = "auditsink/evidence";
    let volume = r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: one}
spec:
  storageClassName: grows
  capacity: {storage: 4Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Delete
  csi: {driver: grows.example.com, volumeHandle: one}
"#;
    stage.apply(volume)?;
    // Volumes are not watched: something else has to have the sink looked at.
    stage.kubectl(&["-n", "evidence", "label", SINK, "looked-at=once"])?;
    stage.until_condition("evidence", SINK, "Advisory", "True", "VolumeReclaimedByDelete")?;
    let advisory = stage.get("evidence", SINK)?["status"]["conditions"].to_string();
    ensure!(advisory.contains("kubectl patch pv one"), "{advisory}");
    let retained = r#"{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}"#;
    stage.kubectl(&["patch", "pv", "one", "-p", retained])?;
    stage.until("nothing is said of a volume that is retained", || {
        Ok(stage.condition("evidence", SINK, "Advisory")?.is_none())
    })
}
