#!/bin/sh
# Runs in the Dockerfile. Copies Debian packages, with all that they depend on, into the root of an image:
#   root.sh FOLDER PACKAGE...
# Of programs only those that Weir starts; no documentation but the licences. The packages' names and versions stay where
# scanners of images look for them.
set -eu

root=$1
shift
packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \
  --no-replaces --no-enhances "$@" | grep '^[a-z]' | sort -u)

mkdir -p "$root"/dev "$root"/etc "$root"/proc "$root"/run "$root"/sys "$root"/tmp "$root"/usr \
  "$root"/usr/bin "$root"/usr/lib/modules "$root"/usr/sbin \
  "$root"/var/lib/cni "$root"/var/lib/dpkg/status.d "$root"/var/lib/weir
chmod 1777 "$root"/tmp
for link in /bin /lib /lib64 /sbin; do
  if [ -L "$link" ]; then
    cp -P "$link" "$root$link"
    mkdir -p "$root/$(readlink "$link")"
  fi
done
cp -P /etc/os-release /etc/debian_version "$root"/etc/
cp /usr/lib/os-release "$root"/usr/lib/
printf 'root:x:0:0:root:/:/sbin/nologin\n' >"$root"/etc/passwd
printf 'root:x:0:\n' >"$root"/etc/group

programs='xtables-(legacy|nft)-multi|ip6?tables-(legacy|nft)(-save|-restore)?|ipset|nft|conntrack|kmod|modprobe|dash'
# shellcheck disable=SC2086 # a list of words on purpose
dpkg -L $packages | sort -u |
  grep -Ev '^/usr/share/(bash-completion|doc|gcc|gdb|initramfs-tools|lintian|locale|man)/' |
  grep -Ev '/(gconv|init\.d|initramfs-tools|ossl-modules|systemd)/' |
  while read -r path; do
    if [ -d "$path" ] && [ ! -L "$path" ]; then continue; fi
    if echo "$path" | grep -Eq '/s?bin/' && ! echo "$path" | grep -Eq "/($programs)$"; then continue; fi
    printf '%s\n' "$path"
  done >/tmp/files
tar --create --no-recursion --files-from /tmp/files | tar --extract --directory "$root"
ln -s dash "$root"/usr/bin/sh
# The first line of weir.js starts Node.js with this.
cp /usr/bin/env "$root"/usr/bin/
for package in $packages coreutils; do
  mkdir -p "$root/usr/share/doc/$package"
  cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
  dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
done
