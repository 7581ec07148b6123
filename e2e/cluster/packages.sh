# shellcheck shell=bash
# What the cluster needs from the distribution. To be sourced after lib.sh.

# command:package
readonly NEEDED_COMMANDS=(
  ip:iproute2 nft:nftables conntrack:conntrack openssl:openssl curl:curl jq:jq gcc:gcc
  pkg-config:pkg-config mmdebstrap:mmdebstrap psql:postgresql-client pgrep:procps xz:xz-utils objdump:binutils unshare:util-linux mount:mount
)
# file:package, for what is no command
readonly NEEDED_FILES=(
  /usr/lib/cni/ptp:containernetworking-plugins
  /usr/include/seccomp.h:libseccomp-dev
)

# missing_packages: prints the packages that are not there.
missing_packages() {
  local entry
  for entry in "${NEEDED_COMMANDS[@]}"; do
    command -v "${entry%%:*}" >/dev/null || echo "${entry##*:}"
  done
  for entry in "${NEEDED_FILES[@]}"; do
    [[ -e ${entry%%:*} ]] || echo "${entry##*:}"
  done
}

# ensure_packages: installs what is missing where apt-get is at hand, else lists it.
ensure_packages() {
  local languages packages
  languages=$("$REPOSITORY/e2e/toolchains")
  [[ -z $languages ]] || die "missing; install these, and begin again:"$'\n'"$languages"
  mapfile -t packages < <(missing_packages | sort -u)
  ((${#packages[@]})) || return 0
  install_packages "${packages[@]}"
}

# install_packages PACKAGE...
install_packages() {
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    die "missing; install these packages (their Debian names): $*"
  fi
  say "installing $*"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
