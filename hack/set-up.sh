#!/bin/sh
# Makes sure that everything a script of this folder needs is there, then runs it with the pinned Node:
#   sh hack/set-up.sh demo|test|bench|image|lab|e2e|upstream [arguments]
#   sh hack/set-up.sh install                       (the first half only)
# Needs Node 20 or newer with npm. Says nothing when there is nothing to do.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
# An unprivileged user's PATH often lacks the sbin folders, where iptables lives.
PATH="$root/node_modules/.bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

say() { printf 'set-up: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# `npm ci` when the lock file is not the one that node_modules was made from.
install_node_modules() {
  command -v npm >/dev/null 2>&1 || fail 'npm is missing: install Node.js 20 or newer with npm.'
  stamp=node_modules/.made-from-lock
  wanted=$(cksum <package-lock.json)
  if [ -x node_modules/.bin/node ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
  say 'installing the npm packages of package-lock.json'
  npm ci --no-audit --no-fund --loglevel=error >&2 || fail 'npm ci failed; its message is above.'
  [ -x node_modules/.bin/node ] ||
    fail "there is no pinned Node for $(uname -s) $(uname -m): Linux on x86_64 or arm64 with glibc is needed."
  printf '%s\n' "$wanted" >"$stamp"
}

# A command, or a file with its whole path.
is_there() {
  case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# The Debian packages behind those commands that are not there.
missing_packages() {
  programs | while read -r package commands; do
    for command in $commands; do
      if ! is_there "$command"; then
        printf '%s ' "$package"
        break
      fi
    done
  done
}

# Lines of a package and its commands: what all need; what the lab needs; and on Debian what it takes to build the image,
# which only root can.
programs() {
  cat <<'LIST'
iptables iptables-save iptables-legacy-restore iptables-legacy-save iptables-nft-restore iptables-nft-save ip6tables-legacy-restore ip6tables-nft-restore
ipset ipset
nftables nft
conntrack conntrack
iproute2 ip
util-linux unshare nsenter flock setpriv
perl-base perl
LIST
  case $verb in
    # The last four are for the specs, whose containers see the programs of this machine.
    install | lab | e2e)
      printf '%s\n' 'etcd-server etcd' 'openssl openssl' 'netcat-openbsd nc' 'bind9-dnsutils dig nslookup' 'curl curl' 'wget wget'
      ;;
  esac
  case $verb in
    test | install | image)
      if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
        printf '%s\n' 'buildah buildah' 'mmdebstrap mmdebstrap' \
          'debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg'
      fi
      ;;
  esac
}

install_system_packages() {
  missing=$(missing_packages)
  missing=${missing% }
  if [ -z "$missing" ]; then return; fi
  if ! command -v apt-get >/dev/null 2>&1; then
    fail "these programs are missing; install the packages of your distribution that hold them: $missing"
  fi
  if [ "$(id -u)" -ne 0 ]; then
    fail "system packages are missing. Install them, then try again: sudo apt-get install -y $missing"
  fi
  say "installing $missing"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # a list of words on purpose
  if ! { apt-get -qq -o DPkg::Lock::Timeout=300 update &&
    apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing; } \
    >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    fail "apt-get could not install: $missing"
  fi
  rm -f "$log"
  missing=$(missing_packages)
  [ -z "$missing" ] || fail "installed, but some of their programs are still not found: $missing"
}

verb=${1:-}
case $verb in
  demo | test | bench | image | lab | e2e | upstream) shift ;;
  install) ;;
  *) fail 'usage: sh hack/set-up.sh demo|test|bench|image|lab|e2e|upstream|install [arguments]' ;;
esac
install_node_modules
install_system_packages
if [ "$verb" = install ]; then exit 0; fi
exec node_modules/.bin/node "hack/$verb.ts" "$@"
