# shellcheck shell=bash
# Images without a registry and without a daemon: an OCI image layout is a few JSON files beside a tar file.
# To be sourced; the sourcing script has set -euo pipefail.

IMAGES_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=e2e/cluster/lib.sh
source "$IMAGES_DIR/../cluster/lib.sh"
# shellcheck source=e2e/images/deliver.sh
source "$IMAGES_DIR/deliver.sh"
ARCHIVES=$CACHE/images
readonly IMAGES_DIR ARCHIVES

# layer DIRECTORY FILE [TAR-OPTIONS...]: the directory as a layer, the same bytes for the same content.
layer() {
  tar --create --file "$2" --directory "$1" --sort=name --mtime=@0 --numeric-owner --format=pax \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime "${@:3}" .
}

# _blob LAYOUT FILE: moves FILE among the layout's blobs; prints its descriptor's digest and size.
_blob() {
  local sum size
  sum=$(sha256sum "$2" | cut -d' ' -f1)
  size=$(stat -c %s "$2")
  mv "$2" "$1/blobs/sha256/$sum"
  jq -nc --arg digest "sha256:$sum" --argjson size "$size" '{digest: $digest, size: $size}'
}

# archive OUT CONFIG LAYER REFERENCE...: writes an OCI archive of one layer (which it consumes).
# CONFIG is the runtime part of an image configuration as JSON: User, Entrypoint, Env and so on.
archive() {
  local out=$1 config=$2 layer=$3 layout diff_id descriptor manifest
  shift 3
  layout=$(mktemp -d "$ARCHIVES/layout.XXXXXX")
  mkdir -p "$layout/blobs/sha256"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  descriptor=$(_blob "$layout" "$layer")
  diff_id=$(jq -r .digest <<<"$descriptor")
  jq -nc --argjson config "$config" --arg diff "$diff_id" \
    '{architecture: "amd64", os: "linux", config: $config, rootfs: {type: "layers", diff_ids: [$diff]}}' >"$layout/config"
  jq -nc --argjson layer "$descriptor" --argjson config "$(_blob "$layout" "$layout/config")" '{schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: ({mediaType: "application/vnd.oci.image.config.v1+json"} + $config),
    layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar"} + $layer]}' >"$layout/manifest"
  manifest=$(_blob "$layout" "$layout/manifest")
  jq -nc --argjson manifest "$manifest" '{schemaVersion: 2, manifests: [$ARGS.positional[] | {
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    annotations: {"io.containerd.image.name": ., "org.opencontainers.image.ref.name": .}} + $manifest]}' \
    --args "$@" >"$layout/index.json"
  tar --create --file "$out.new" --directory "$layout" oci-layout index.json blobs
  mv "$out.new" "$out"
  jq -r .digest <<<"$manifest" >"$out.digest"
  rm -rf "$layout"
}

# load ARCHIVE REFERENCE...: into the local cluster, unless it is there already; to somebody else's by deliver.sh.
load() {
  local archive=$1 reference known
  if [[ ${SALLYPORT_FOREIGN:-} ]]; then
    deliver "$@"
    return
  fi
  shift
  if ! supervisor_pid >/dev/null; then
    say "no local cluster runs; the image is in $archive"
    return 0
  fi
  known=$(ctr_node images ls | awk '{print $1, $3}')
  for reference in "$@"; do
    if ! grep -qxF "$reference $(<"$archive.digest")" <<<"$known"; then
      say "importing $*"
      ctr_node images import --local - <"$archive" >/dev/null
      return 0
    fi
  done
}

mkdir -p "$ARCHIVES"
