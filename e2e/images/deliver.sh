# shellcheck shell=bash
# How an image gets to a cluster that was there before. To be sourced by lib.sh, in a script that sources packages.sh too.
#   SALLYPORT_LOAD_IMAGE   a command that is given the path of an OCI archive and puts the image on every node
#   SALLYPORT_REGISTRY     a registry, such as registry.example/team, that this machine pushes to and the cluster pulls from;
#                          SALLYPORT_REGISTRY_INSECURE=yes where it speaks no TLS
# Without either, kind and k3d are known by the names of their contexts.

# in_cluster REFERENCE: prints by which name the cluster knows the image localhost/NAME:TAG.
in_cluster() {
  if [[ ${SALLYPORT_FOREIGN:-} && ${SALLYPORT_REGISTRY:-} ]]; then
    echo "${SALLYPORT_REGISTRY%/}/${1#localhost/}"
  else
    echo "$1"
  fi
}

# deliver ARCHIVE REFERENCE...: unless this cluster was given the same content before; a cluster is known by its oldest namespace.
deliver() {
  local archive=$1 stamp content
  shift
  content="$(kubectl get namespace kube-system --output 'jsonpath={.metadata.uid}') $(<"$archive.digest") ${SALLYPORT_REGISTRY:-}"
  stamp=$ARCHIVES/delivered/$(tr -c '[:alnum:]\n' - <<<"$1 ${content%% *}")
  if up_to_date "$stamp" "$content"; then return 0; fi
  say "delivering $1"
  send "$archive" "$@" || die "$1 was not delivered: see above"
  mkdir -p "$ARCHIVES/delivered"
  echo "$content" >"$stamp"
}

# send ARCHIVE REFERENCE...: by the way that the environment or the context's name says.
send() {
  local archive=$1 context
  shift
  context=$(kubectl config current-context)
  if [[ ${SALLYPORT_LOAD_IMAGE:-} ]]; then
    bash -c "$SALLYPORT_LOAD_IMAGE \"\$1\"" load-image "$archive" >&2
  elif [[ ${SALLYPORT_REGISTRY:-} ]]; then
    push "$archive" "$@"
  elif [[ $context == kind-* ]]; then
    kind load image-archive "$archive" --name "${context#kind-}" >&2
  elif [[ $context == k3d-* ]]; then
    k3d image import "$archive" --cluster "${context#k3d-}" >&2
  else
    die "how do images get to the cluster of context $context? Set SALLYPORT_REGISTRY to a registry that it pulls from, or SALLYPORT_LOAD_IMAGE to a command that puts an OCI archive on its nodes"
  fi
}

# push ARCHIVE REFERENCE...: to the registry. Logged in beforehand by `skopeo login`, or by whatever wrote ~/.docker/config.json.
push() {
  local archive=$1 reference
  command -v skopeo >/dev/null || install_packages skopeo
  for reference in "${@:2}"; do
    skopeo copy --quiet ${SALLYPORT_REGISTRY_INSECURE:+--dest-tls-verify=false} \
      "oci-archive:$archive:$reference" "docker://$(in_cluster "$reference")" >&2 || return
  done
}
