# shellcheck shell=bash
# A cluster that was there before, named by KUBECONFIG (kind, k3d, any). To be sourced after lib.sh and demo-dir.sh.

# The identity provider that the demo brings along runs in the cluster; people's names at the API server are certificates'.
readonly IDENTITY_HOST=keycloak.sallyport-demo.svc
readonly FOREIGN_ISSUER=https://$IDENTITY_HOST:8443/realms/sallyport

# kubectl_program DEMO-DIR: prints the kubectl to use: the one in PATH, else ours, which is built alone where it is not there yet.
kubectl_program() {
  local program
  if program=$(command -v kubectl); then
    # In a shell that sourced the environment it is the demo's own link, which must not come to point at itself.
    [[ $program != "$1/bin/kubectl" ]] || program=$(readlink "$program")
    echo "$program"
    return 0
  fi
  if [[ ! -x $BIN/kubectl ]]; then
    command -v go >/dev/null || die "KUBECONFIG is set, but there is no kubectl in PATH, and no Go to build one"
    say "no kubectl in PATH; building one (2 min when cold)"
    mkdir -p "$BIN"
    (cd "$CLUSTER_DIR/kubernetes" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags '-s -w' -o "$BIN/" k8s.io/kubernetes/cmd/kubectl)
  fi
  echo "$BIN/kubectl"
}

# foreign_cluster KUBECTL: prints the server when KUBECONFIG names a cluster other than the local one, and it answers.
foreign_cluster() {
  local server
  if ! server=$("$1" config view --minify --output 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null) || [[ -z $server ]]; then
    say "KUBECONFIG ($KUBECONFIG) names no cluster: it cannot be read, or has no current-context; using the local cluster"
    return 1
  fi
  [[ $server != "$API_SERVER" ]] || return 1
  if ! "$1" get --raw /readyz --request-timeout 30s >/dev/null 2>&1; then
    say "KUBECONFIG names $server, which does not answer; using the local cluster"
    return 1
  fi
  echo "$server"
}

# free_port: prints a port of the loopback on which nobody listens.
free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }

# write_foreign_demo_dir DIR KUBECTL: as write_demo_dir; the identity provider and people's kubeconfigs are the demo's business.
# The ports by which the host reaches the cluster are chosen once, so that a shell which knows them stays right.
write_foreign_demo_dir() {
  local dir=$1 before
  mkdir -p "$dir/bin" "$dir/ca"
  chmod 700 "$dir"
  rm -f "$dir/bin/ctr" "$dir/bin/exec-credential"
  ln -sfn "$2" "$dir/bin/kubectl"
  before=$(cat "$dir/kubeconfig-admin" 2>/dev/null || true)
  "$2" config view --raw --minify --flatten --output json | admin_kubeconfig "$dir"
  # What leads to another cluster goes on doing so until it is ended.
  [[ $(<"$dir/kubeconfig-admin") == "$before" ]] || end_forward "$dir"
  [[ -s $dir/ports ]] || echo "$(free_port) $(free_port)" >"$dir/ports"
  install_script "$CLUSTER_DIR/demo/token-in-cluster" "$dir/token" "$dir" "$FOREIGN_ISSUER"
  install_script "$CLUSTER_DIR/demo/forward" "$dir/bin/forward" "$dir"
  cat >"$dir/env.cluster" <<END
export KUBECONFIG='$dir/kubeconfig-admin'
export SALLYPORT_ISSUER='$FOREIGN_ISSUER'
export SALLYPORT_ISSUER_CA='$dir/ca/keycloak.pem'
# A cluster that was there before: images are delivered to it, and its Pods are reached through it.
export SALLYPORT_FOREIGN=yes
case ":\$PATH:" in *:'$dir/bin':*) ;; *) export PATH='$dir/bin':"\$PATH" ;; esac
END
}
