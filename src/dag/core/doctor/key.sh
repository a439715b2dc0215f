#!/bin/sh
# Look whether the directory $1, where a driver mounts secrets, has the file $2.
[ ! -s "$1/$2" ] || exit 0
echo "no $2 among: $(ls "$1")"
exit 1
