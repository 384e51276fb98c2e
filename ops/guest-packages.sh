#!/bin/sh
# make guest: what the machine of tests/guest is made of, from Debian's archive. Nothing but QEMU and the three programs that
# make an initramfs is installed here; the guest's kernel and tools are unpacked into a folder, which the guest lays over this
# machine's own files.
#
#   ops/guest-packages.sh FOLDER    makes FOLDER/root
set -eu

here='qemu-system-x86 busybox-static kmod cpio'
inside='udev mdadm lvm2 cryptsetup-bin multipath-tools btrfs-progs sg3-utils fdisk dmsetup'

mkdir -p "$1"
folder=$(cd "$1" && pwd)
say() { printf 'guest-packages: %s\n' "$*" >&2; }

missing=
for program in qemu-system-x86_64 busybox depmod cpio; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        say "not here:$missing. As root: apt-get install $here"
        exit 1
    fi
    apt-get -qq update
    # shellcheck disable=SC2086 # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $here >/dev/null
fi

kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
[ -n "$kernel" ] || { say 'no package index: run apt-get update'; exit 1; }
rm -rf "$folder/archives" "$folder/root.new"
mkdir -p "$folder/archives/partial"
# Only what is not installed here is had, with all that it needs in turn.
# shellcheck disable=SC2086
apt-get -qq install --download-only --yes --no-install-recommends \
    -o Dir::Cache::Archives="$folder/archives" -o Debug::NoLocking=1 $inside >/dev/null
(cd "$folder/archives" && apt-get -qq download "$kernel" >/dev/null)

# Debian's /bin, /sbin and /lib are links into /usr: a folder of that name would hide this machine's.
mkdir -p "$folder/root.new/usr/bin" "$folder/root.new/usr/sbin" "$folder/root.new/usr/lib" "$folder/root.new/usr/lib64"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$folder/root.new/$name"; done
for package in "$folder"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$folder/root.new"
done
PATH=$PATH:/usr/sbin:/sbin depmod -b "$folder/root.new" "${kernel#linux-image-}"
rm -rf "$folder/root" "$folder/archives"
mv "$folder/root.new" "$folder/root"
say "$folder/root has $kernel"
