//! What the cluster does with a log's volume.

use anyhow::{Result, ensure};

use crate::stage::Stage;

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
