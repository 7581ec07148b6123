# shellcheck shell=bash
# What a stopped or killed node leaves behind, and how it goes. To be sourced after lib.sh and network.sh.

# stop_supervisor: ends the one process, and with it every program, container and mount of the node.
stop_supervisor() {
  local outer inner
  outer=$(supervisor_pid) || return 0
  inner=$(pgrep -P "$outer") || inner=$outer
  say "stopping the cluster"
  kill -KILL "$inner" "$outer" 2>/dev/null || true
  wait_for 120 "the cluster's processes end" processes_gone "$inner" "$outer"
}

# processes_gone PID...
processes_gone() {
  local pid
  for pid in "$@"; do
    [[ ! -e /proc/$pid ]] || return 1
  done
}

# cgroup_directories: prints the containers' cgroups in every hierarchy, deepest first.
cgroup_directories() { find /sys/fs/cgroup -depth -type d -path '*/k8s.io*' 2>/dev/null; }

# remove_cgroups: the kernel frees a group a moment after its last process. One that stays busy
# is of another container runtime's, which is none of our business.
remove_cgroups() {
  local directory deadline=$((SECONDS + 5))
  while [[ -n $(cgroup_directories) ]] && ((SECONDS < deadline)); do
    while read -r directory; do
      rmdir "$directory" 2>/dev/null || true
    done < <(cgroup_directories)
    [[ -z $(cgroup_directories) ]] || sleep 0.1
  done
}

# remove_mounts: none should be left, since they live in the node's own mount namespace.
remove_mounts() {
  local target
  while read -r target; do
    umount --lazy "$target"
  done < <(awk -v state="$STATE/" 'index($2, state) == 1 {print $2}' /proc/mounts | sort -r)
}

# other_node_runs: whether a cluster of another number is up, while this one is not.
other_node_runs() { pgrep -f '^bash /[^ ]*/scripts/supervisor$' >/dev/null; }

# remove_remains: everything of a node that is not running, except the state directory.
remove_remains() {
  ! supervisor_pid >/dev/null || die "the cluster is running"
  remove_mounts
  remove_network
  rm -f "$STATE/supervisor.pid"
  # Shared by all nodes of the machine. To remove a directory unmounts what another node has mounted over it.
  if other_node_runs; then return 0; fi
  remove_cgroups
  rmdir "${MOUNT_POINTS[@]}" 2>/dev/null || true
}
