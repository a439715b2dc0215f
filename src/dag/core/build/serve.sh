#!/bin/sh
# Keep the workspace after the build until the client of `--out` has copied what it wants.
# The arguments are the workspace, the directory in which the build script keeps its files, the id
# of the run, the name of the public key, the port, and the seconds to wait for a client.
set -eu
workspace=$1 state=$2 run=$3 key=$4 port=$5 hold=$6

# The first process of a container has to want a signal to get it.
trap 'exit 143' TERM
mkdir -p "$state" /tmp/dag/cgi-bin "/tmp/dag/$run"
cd /tmp/dag
ln -sfn "$workspace/packages" "$run/packages"
ln -sfn "$state/log" "$run/log"
ln -sfn "$workspace/$key" "$run/$key"
touch alive
cgi() {
  printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\n%s\n' "$2" >"cgi-bin/$1-$run"
  chmod 755 "cgi-bin/$1-$run"
}
# Programs that httpd runs have its environment.
export workspace key
# shellcheck disable=SC2016  # they look at the variables themselves
cgi list 'cd "$workspace" && find -L packages "$key" -type f -exec sha256sum {} + 2>/dev/null'
cgi alive 'touch /tmp/dag/alive'
cgi end 'touch /tmp/dag/end'
httpd -p "$port" -h /tmp/dag

# The build holds the other end open for as long as its container lives, however that ends.
mkfifo -m 666 "$state/ended" 2>/dev/null || true
exec 8<>"$state/ended"
until [ -e "$state/started" ]; do sleep 1; done
exec 7<"$state/ended" 8>&-
cat <&7 >/dev/null
touch alive

# The client says when it has everything, and now and then that it is still there. Should it never
# come, the pod must not stay for ever.
while [ ! -e end ]; do
  [ $(($(date +%s) - $(stat -c %Y alive))) -lt "$hold" ] || {
    echo "dag: nobody came for the packages within $hold seconds" >&2
    exit 1
  }
  sleep 1
done
