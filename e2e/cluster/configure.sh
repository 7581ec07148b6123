# shellcheck shell=bash
# Fills the templates in config/ and manifests/ and lays out the state directory. To be sourced after lib.sh.

readonly VOLUMES=12

# render FILE: the template with addresses and paths filled in.
render() {
  sed -e "s#@STATE@#$STATE#g" -e "s#@BIN@#$BIN#g" -e "s#@NODE_IP@#$NODE_IP#g" -e "s#@NODE_NAME@#$NODE_NAME#g" \
    -e "s#@DNS_SERVICE_IP@#$DNS_SERVICE_IP#g" -e "s#@POD_CIDR@#$POD_CIDR#g" -e "s#@ISSUER@#$ISSUER#g" \
    -e "s#@SNAPSHOTTER@#$(snapshotter)#g" "$1"
}

# snapshotter: overlayfs cannot stand on overlayfs, which is what the root of a container is.
snapshotter() {
  if [[ $(stat -f -c %T "$STATE") == overlayfs ]]; then echo native; else echo overlayfs; fi
}

# make_state: directories and configuration files; called before every start.
make_state() {
  local number file
  mkdir -p "$STATE"/{conf/cni,etcd,containerd,kubelet,logs/var,logs/pods,volumes} "${MOUNT_POINTS[@]}"
  for number in $(seq -w 1 "$VOLUMES"); do mkdir -p "$STATE/volumes/local-$number"; done
  mkdir -p "$STATE"/volumes/small-{1,2}
  chmod 700 "$STATE/etcd"
  for file in containerd.toml kubelet.yaml kube-proxy.yaml Corefile audit-policy.yaml; do
    render "$CLUSTER_DIR/config/$file" >"$STATE/conf/$file"
  done
  # What runs for long runs from copies: a checkout may go or change underneath.
  mkdir -p "$STATE/scripts"
  install -m 755 "$CLUSTER_DIR"/{supervisor,volume-keeper,lib.sh} "$STATE/scripts/"
  render "$CLUSTER_DIR/config/cni.conflist" >"$STATE/conf/cni/10-sallyport.conflist"
  ! has_identity || make_identity
}

# make_identity: what the API server knows of the identity provider, and the provider's own database.
make_identity() {
  render "$CLUSTER_DIR/config/authentication.yaml" |
    sed -e '/@KEYCLOAK_CA@/{' -e 's/.*//' -e "r /dev/fd/3" -e 'd}' 3< <(sed 's/^/        /' "$STATE/pki/identity.crt") \
      >"$STATE/conf/authentication.yaml"
  fresh_realm
}

# fresh_realm: a database that was made from this realm.json, and not from an older one.
fresh_realm() {
  if up_to_date "$STATE/keycloak/.stamp" "$(<"$CACHE/keycloak-realm/.stamp")"; then return 0; fi
  rm -rf "$STATE/keycloak"
  cp -R "$CACHE/keycloak-realm" "$STATE/keycloak"
}

# volume NAME CLASS SIZE
volume() {
  render "$CLUSTER_DIR/manifests/volume.yaml" | sed -e "s#@VOLUME@#$1#g" -e "s#@CLASS@#$2#g" -e "s#@SIZE@#$3#g"
  echo ---
}

# manifests: prints what the cluster itself needs in the API.
manifests() {
  local number
  render "$CLUSTER_DIR/manifests/dns.yaml"
  echo ---
  cat "$CLUSTER_DIR/manifests/storage.yaml"
  echo ---
  for number in $(seq -w 1 "$VOLUMES"); do volume "local-$number" local 10Gi; done
  for number in 1 2; do volume "small-$number" local-small 16Mi; done
}
