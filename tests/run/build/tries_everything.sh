# A step that tries to change whatever it sees, and says "COULD" of what it can do. It opens files
# for writing and writes nothing, so that it does no harm where it is not confined.
set +e
could() { echo "COULD $*"; }
is_own() {
  case $1 in
    / | /home/build | /var/cache/melange | /dev | /dev/*) return 0 ;;
    *) return 1 ;;
  esac
}
mounts=$(cut -d ' ' -f 5 /proc/self/mountinfo)
for mounted in $mounts; do
  is_own "$mounted" && continue
  find "$mounted" -xdev -path '/proc/[0-9]*' -prune -o -print 2>/dev/null | while IFS= read -r path; do
    [ ! -L "$path" ] || continue
    if [ -d "$path" ]; then
      case $path in /proc/self | /proc/thread-self) continue ;; esac
      { : >"$path/planted-by-a-step"; } 2>/dev/null && could make a file in "$path"
    elif [ -f "$path" ]; then
      { : >>"$path"; } 2>/dev/null && could write to "$path"
    fi
    case $path in /proc/* | /sys/*) continue ;; esac # these are many, and one try is enough
    if [ -d "$path" ]; then
      mkdir "$path/planted-directory" 2>/dev/null && could make a directory in "$path"
      ln -s /etc "$path/planted-link" 2>/dev/null && could make a link in "$path"
    fi
    ln "$path" /home/build/hard-link 2>/dev/null && could link to "$path"
    chmod 666 "$path" 2>/dev/null && could change the mode of "$path"
    touch -d @1 "$path" 2>/dev/null && could change the time of "$path"
    mv "$path" "$path-moved" 2>/dev/null && could rename "$path"
  done
done
mkdir -p /opt/m
for kind in devtmpfs tmpfs proc sysfs cgroup2 overlay ext4; do
  busybox mount -t $kind none /opt/m 2>/dev/null && could mount $kind
done
busybox mount -o bind / /opt/m 2>/dev/null && could bind
for mounted in $mounts; do
  busybox mount -o remount,rw "$mounted" 2>/dev/null && could mount "$mounted" anew
  is_own "$mounted" || ! busybox umount -l "$mounted" 2>/dev/null || could unmount "$mounted"
done
for devices in /sys/block/*/dev; do
  [ -e "$devices" ] || continue
  IFS=: read -r major minor <"$devices"
  busybox mknod /home/build/disk b "$major" "$minor" 2>/dev/null &&
    busybox head -c 1 /home/build/disk >/dev/null 2>&1 && could read the disk of "$devices"
  rm -f /home/build/disk
done
busybox unshare -Urm busybox mount -t tmpfs none /opt/m 2>/dev/null && could mount in a namespace of its own
busybox unshare -U true 2>/dev/null && could make a user namespace
for name in /proc/[0-9]*/root; do
  [ -e "$name/$OUTSIDE" ] && could see "$OUTSIDE" through "$name"
done
for process in /proc/[0-9]*; do
  case $(readlink "$process/exe") in
    *python* | *melange | *make) could see the process "$process" ;;
  esac
done
[ ! -e "$OUTSIDE" ] || could see "$OUTSIDE"
grep -F "@$SOCKET" /proc/net/unix && could see a socket of the machine
for limit in CapEff CapPrm; do
  mask=$(sed -n "s/^$limit:[[:space:]]*//p" /proc/self/status)
  [ $((0x$mask >> 21 & 1)) = 0 ] || could do what CAP_SYS_ADMIN may
done
# What the next step's sandbox is set up through.
mv /etc /etc-before 2>/dev/null && mkdir /etc && ln -s "/oldroot$OUTSIDE/made-through-a-link" /etc/resolv.conf
mv /var /var-before 2>/dev/null && ln -s "/oldroot$OUTSIDE" /var
cp -p /bin/busybox /home/build/becomes-root && chmod 6755 /home/build/becomes-root
(setsid busybox sleep 300 >/dev/null 2>&1 &)
echo "tried everything"
