# shellcheck shell=bash
# The node's network namespace, its link to the host and the host's routes. To be sourced after lib.sh.

# make_network: idempotent; also mends a namespace whose link a killed run left half made.
make_network() {
  ip netns list | grep -qw "$NETNS" || ip netns add "$NETNS"
  if ! ip link show "$VETH_HOST" >/dev/null 2>&1; then
    ip link add "$VETH_HOST" type veth peer name "$VETH_NODE" netns "$NETNS"
  fi
  ip address replace "$HOST_IP/$LINK_PREFIX" dev "$VETH_HOST"
  ip link set "$VETH_HOST" up
  in_node ip link set lo up
  in_node ip address replace "$NODE_IP/$LINK_PREFIX" dev "$VETH_NODE"
  in_node ip link set "$VETH_NODE" up
  in_node ip route replace default via "$HOST_IP"
  in_node sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  # A redirect uses up what the host may be told in that second, and "this Service has no endpoints" would be silence. The
  # settings of all and of the link are joined by or.
  in_node sh -c 'for link in all "$1"; do echo 0 >"/proc/sys/net/ipv4/conf/$link/send_redirects"; done' _ "$VETH_NODE"
  # From the host, Services and Pods are reached through the node.
  ip route replace "$SERVICE_CIDR" via "$NODE_IP" dev "$VETH_HOST"
  ip route replace "$POD_CIDR" via "$NODE_IP" dev "$VETH_HOST"
}

# remove_network: routes go with the link, and the link with the namespace.
remove_network() {
  ip link delete "$VETH_HOST" 2>/dev/null || true
  if ip netns list | grep -qw "$NETNS"; then ip netns delete "$NETNS"; fi
  # `ip netns add` made the directory a mount; it goes with the last namespace.
  if [[ -d /run/netns && -z $(ls -A /run/netns) ]]; then
    umount /run/netns 2>/dev/null || true
    rmdir /run/netns
  fi
}
