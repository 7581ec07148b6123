# shellcheck shell=bash
# The directory that people and tests work from: kubeconfigs, tokens, programs. To be sourced after lib.sh.

readonly DEMO_USERS=(alice bob carol mallory)

# install_script FROM TO DEMO-DIR [ISSUER]: fills in the paths and makes it executable; whoever is using the old one goes on.
install_script() {
  sed -e "s#@DEMO@#$3#g" -e "s#@ISSUER@#${4:-$ISSUER}#g" "$1" >"$2.new"
  chmod +x "$2.new"
  mv "$2.new" "$2"
}

# user_kubeconfig USER DEMO-DIR: that person's own kubeconfig, authenticated by the identity provider.
user_kubeconfig() {
  jq -n --arg user "$1" --arg server "$API_SERVER" --rawfile ca "$STATE/pki/cluster.crt" --arg plugin "$2/bin/exec-credential" '{
    apiVersion: "v1", kind: "Config", "current-context": "sallyport",
    clusters: [{name: "sallyport", cluster: {server: $server, "certificate-authority-data": ($ca | @base64)}}],
    users: [{name: $user, user: {exec: {
      apiVersion: "client.authentication.k8s.io/v1", interactiveMode: "Never", command: $plugin, args: [$user]}}}],
    contexts: [{name: "sallyport", context: {cluster: "sallyport", user: $user, namespace: "doors"}}]}' >"$2/kubeconfig-$1"
}

# admin_kubeconfig DEMO-DIR: the administrator's kubeconfig, from standard input, with the namespace that people's kubeconfigs have.
# Written beside, since it may be made from the old one.
admin_kubeconfig() {
  (umask 077 && jq '.contexts[].context.namespace = "doors"' >"$1/kubeconfig-admin.new")
  mv "$1/kubeconfig-admin.new" "$1/kubeconfig-admin"
}

# end_forward DEMO-DIR: the local cluster is reached directly; what led to another is not needed any more.
end_forward() {
  [[ -x $1/bin/forward ]] || return 0
  "$1/bin/forward" stop
  rm -f "$1/bin/forward" "$1/ports"
}

# environment DEMO-DIR: what a shell needs to reach the cluster; to be sourced.
environment() {
  cat >"$1/env.cluster" <<END
export KUBECONFIG='$1/kubeconfig-admin'
export SALLYPORT_ISSUER='$ISSUER'
export SALLYPORT_ISSUER_CA='$1/ca/keycloak.pem'
unset SALLYPORT_FOREIGN PGHOSTADDR
case ":\$PATH:" in *:'$1/bin':*) ;; *) export PATH='$1/bin':"\$PATH" ;; esac
END
}

# write_demo_dir DIR: for the local cluster; the same content each time.
write_demo_dir() {
  local dir=$1 user
  mkdir -p "$dir/bin" "$dir/ca"
  chmod 700 "$dir"
  end_forward "$dir"
  ln -sfn "$BIN/kubectl" "$dir/bin/kubectl"
  install_script "$CLUSTER_DIR/demo/token" "$dir/token" "$dir"
  install_script "$CLUSTER_DIR/demo/exec-credential" "$dir/bin/exec-credential" "$dir"
  printf '#!/usr/bin/env bash\nSALLYPORT_CLUSTER_NUMBER=%s exec "%s/ctr" "$@"\n' "$CLUSTER_NUMBER" "$CLUSTER_DIR" >"$dir/bin/ctr"
  chmod +x "$dir/bin/ctr"
  admin_kubeconfig "$dir" <"$ADMIN_KUBECONFIG"
  install -m 644 "$STATE/pki/identity.crt" "$dir/ca/keycloak.pem"
  for user in "${DEMO_USERS[@]}"; do user_kubeconfig "$user" "$dir"; done
  environment "$dir"
}
