#!/usr/bin/env bash
# The first process of a bare machine: machine.sh ROOT PLACE PART…, in namespaces of its own for
# mounts and processes. Each PART, a directory, is seen in PLACE, read-only. The machine is on until
# standard input ends, and that happens too when whoever started it is killed: the kernel then ends
# its processes, and its mounts were never seen outside.
set -euo pipefail
root=$1 place=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
for part; do
  target=$root$place/$(basename "$part")
  mkdir -p "$target"
  mount --bind "$part" "$target"
  mount -o remount,bind,ro "$target"
done
# A plain chroot does not do: bubblewrap wants / to be a mount point.
mkdir "$root/old"
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
echo on
# Bash waits for every process that lost its parent, as the first process of a machine has to.
read -r _ || :
