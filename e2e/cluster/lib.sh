# shellcheck shell=bash
# What every script of the cluster shares: where things are, how they speak, how they wait.
# To be sourced; the sourcing script has set -euo pipefail.

# The cluster's number: 0 is the one that people use; others, 1 to 9, stand beside it.
CLUSTER_NUMBER=${SALLYPORT_CLUSTER_NUMBER:-0}
if [[ $CLUSTER_NUMBER != [0-9] ]]; then
  echo "SALLYPORT_CLUSTER_NUMBER is '$CLUSTER_NUMBER': it is one digit" >&2
  exit 1
fi
CLUSTER_NAME=sallyport${CLUSTER_NUMBER#0}
readonly CLUSTER_NUMBER CLUSTER_NAME

# shellcheck disable=SC2034  # used by the scripts that source this
# Addresses. The node lives in a network namespace of its own behind a veth pair.
readonly NETNS=$CLUSTER_NAME
readonly HOST_IP=10.200.$CLUSTER_NUMBER.1 NODE_IP=10.200.$CLUSTER_NUMBER.2 LINK_PREFIX=24
readonly SERVICES=10.$((96 + CLUSTER_NUMBER)).0
readonly SERVICE_CIDR=$SERVICES.0/16 API_SERVICE_IP=$SERVICES.1 DNS_SERVICE_IP=$SERVICES.10
readonly POD_CIDR=10.$((244 + CLUSTER_NUMBER)).0.0/16
readonly VETH_HOST=$CLUSTER_NAME-host VETH_NODE=$CLUSTER_NAME-node
readonly NODE_NAME=$CLUSTER_NAME

readonly API_SERVER="https://$NODE_IP:6443"
# One issuer URL for people, Pods and the API server alike.
readonly KEYCLOAK_URL="https://$NODE_IP:8443"
readonly ISSUER="$KEYCLOAK_URL/realms/sallyport"

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(cd "$CLUSTER_DIR/../.." && pwd)
CACHE=${SALLYPORT_CACHE:-$HOME/.cache/sallyport}
STATE=${SALLYPORT_STATE:-/var/lib/sallyport-cluster${CLUSTER_NUMBER#0}}
BIN=$CACHE/bin
LOGS=$STATE/logs
ADMIN_KUBECONFIG=$STATE/kubeconfig/admin
export CLUSTER_DIR REPOSITORY CACHE STATE BIN LOGS ADMIN_KUBECONFIG
readonly CLUSTER_DIR REPOSITORY CACHE STATE BIN LOGS ADMIN_KUBECONFIG

# Directories of the host over which the node mounts its own; they go again when nobody else uses them.
readonly MOUNT_POINTS=(/var/lib/cni /var/lib/kubelet)

# say WORDS: one line of progress, on standard error so that output stays usable in pipes.
say() { printf '\033[36m»\033[0m %s\n' "$*" >&2; }

# die WORDS: the end, with what to do about it.
die() {
  printf '\033[31m✗\033[0m %s\n' "$*" >&2
  exit 1
}

# wait_for SECONDS WHAT COMMAND...: polls until the command succeeds; says WHAT when it never did.
wait_for() {
  local limit=$1 what=$2 deadline
  shift 2
  deadline=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      die "$what: not within $limit s. Look into $LOGS"
    fi
    sleep 0.2
  done
}

# digest FILE...: one short hash over names and contents; directories are walked.
digest() {
  local path
  for path in "$@"; do
    find "$path" -type f -print0
  done | sort -z | xargs -0 sha256sum | sed "s#$REPOSITORY/##" | sha256sum | cut -c1-16
}

# up_to_date STAMP HASH: true when STAMP already holds HASH.
up_to_date() { [[ -f $1 && $(<"$1") == "$2" ]]; }

# kubectl as the cluster's administrator, whatever KUBECONFIG says.
kubectl_admin() { "$BIN/kubectl" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

# in_node COMMAND...: runs in the node's network namespace alone. Not `ip netns exec`, which
# remounts /sys, after which the kubelet finds no cgroups.
in_node() { nsenter --net="/run/netns/$NETNS" "$@"; }

# supervisor_pid: prints the pid of the one process to kill, and fails when it is not running.
# The command line is compared, since after a reboot the number may belong to somebody else. It names the state
# directory and no checkout: whichever clone started the cluster, all of them find it.
supervisor_pid() {
  local pid
  [[ -f $STATE/supervisor.pid ]] || return 1
  pid=$(<"$STATE/supervisor.pid")
  grep -qsF "$STATE/scripts/supervisor" "/proc/$pid/cmdline" || return 1
  echo "$pid"
}

# node_init_pid: prints the pid (as seen from the host) of process 1 inside the node.
node_init_pid() {
  local pid
  pid=$(supervisor_pid) || return 1
  pgrep -P "$pid"
}

# in_node_fully COMMAND...: runs with the mounts, processes and network of the node.
in_node_fully() {
  local pid
  pid=$(node_init_pid) || die "the cluster is not running: make cluster"
  nsenter --target "$pid" --mount --pid --net "$@"
}

# ctr_node ARGUMENTS: containerd's client, in the namespace where the kubelet's images are.
ctr_node() {
  # Every call would warn of old cgroups otherwise.
  in_node_fully "$BIN/ctr" --address /run/containerd/containerd.sock --namespace k8s.io "$@" \
    2> >(grep -v DEPRECATION >&2)
}

# has_identity: whether the cluster runs an identity provider that its API server knows. A plain one does not, and is to the demo
# what somebody else's is.
has_identity() { [[ -z ${SALLYPORT_CLUSTER_PLAIN:-} ]]; }

# need_root: namespaces, mounts and routes cannot be had otherwise.
need_root() { [[ $EUID -eq 0 ]] || die "the local cluster needs root; or let KUBECONFIG name a cluster of yours"; }
