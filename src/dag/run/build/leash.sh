#!/bin/sh
# Run a command on a leash, whose other end is what holds standard input open.
# The arguments are files of control groups to enter, --, and the command.
#
# The whole process group ends when dag is gone, however it went: `read` then sees the end of the
# pipe that only dag holds open. (dash takes no `--` after a signal's name.)
exec 3<&0 </dev/null
{ read -r _ <&3; kill -KILL -$$; } >/dev/null 2>&1 &
exec 3<&-
while [ "$1" != -- ]; do
  echo $$ >"$1" || exit 3
  shift
done
shift
exec "$@"
