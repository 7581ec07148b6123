# shellcheck shell=bash
# The cluster's certificates and kubeconfigs. To be sourced after lib.sh.
# Two authorities: the cluster's own, and Keycloak's, so that a client which trusts one does not trust the other.

readonly PKI=$STATE/pki

# _openssl_req ARGUMENTS...: a new P-256 key and certificate without the distribution's defaults,
# which would make every certificate an authority.
_openssl_req() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 \
    -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') "$@" 2>/dev/null
}

# authority NAME COMMON-NAME
authority() {
  _openssl_req -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -subj "/CN=$2" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# leaf AUTHORITY NAME SUBJECT USAGE [ALTERNATIVE-NAMES]: USAGE is clientAuth or serverAuth.
leaf() {
  local names=()
  [[ -z ${5:-} ]] || names=(-addext "subjectAltName=$5")
  _openssl_req -CA "$PKI/$1.crt" -CAkey "$PKI/$1.key" -keyout "$PKI/$2.key" -out "$PKI/$2.crt" -subj "$3" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
    -addext "extendedKeyUsage=$4" "${names[@]}"
}

# kubeconfig NAME SUBJECT: a client certificate and the kubeconfig that carries it.
kubeconfig() {
  local file=$STATE/kubeconfig/$1
  leaf cluster "$1" "$2" clientAuth
  jq -n --arg server "$API_SERVER" --arg user "$1" --rawfile ca "$PKI/cluster.crt" \
    --rawfile crt "$PKI/$1.crt" --rawfile key "$PKI/$1.key" '{
      apiVersion: "v1", kind: "Config", "current-context": "sallyport",
      clusters: [{name: "sallyport", cluster: {server: $server, "certificate-authority-data": ($ca | @base64)}}],
      users: [{name: $user, user: {"client-certificate-data": ($crt | @base64), "client-key-data": ($key | @base64)}}],
      contexts: [{name: "sallyport", context: {cluster: "sallyport", user: $user}}]}' >"$file"
}

# make_pki: all of it, once in the life of a state directory.
make_pki() {
  local api_names
  [[ ! -f $PKI/.done ]] || return 0
  say "making certificates"
  mkdir -p "$PKI" "$STATE/kubeconfig"
  chmod 700 "$PKI" "$STATE/kubeconfig"
  authority cluster "Sallyport local cluster"
  authority identity "Sallyport local identity provider"
  api_names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  leaf cluster apiserver /CN=kube-apiserver serverAuth "$api_names,IP:$API_SERVICE_IP,IP:$NODE_IP,IP:127.0.0.1"
  leaf cluster kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" serverAuth "DNS:$NODE_NAME,IP:$NODE_IP"
  leaf cluster apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
  leaf identity keycloak /CN=keycloak serverAuth "DNS:keycloak,IP:$NODE_IP"
  openssl genrsa -out "$PKI/serviceaccounts.key" 2048 2>/dev/null
  openssl rsa -in "$PKI/serviceaccounts.key" -pubout -out "$PKI/serviceaccounts.pub" 2>/dev/null
  kubeconfig admin /O=system:masters/CN=sallyport-admin
  kubeconfig node "/O=system:nodes/CN=system:node:$NODE_NAME"
  kubeconfig controller-manager /CN=system:kube-controller-manager
  kubeconfig scheduler /CN=system:kube-scheduler
  kubeconfig proxy /CN=system:kube-proxy
  kubeconfig dns /CN=system:coredns
  touch "$PKI/.done"
}
