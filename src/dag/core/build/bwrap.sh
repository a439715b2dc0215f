#!/bin/sh
# Stand before the real bwrap, and run each step of melange so that it changes its own package only.
# The build script puts this file first in PATH, and as `melange`, too, which make is to call: then what
# a Makefile does to PATH does not matter, and another runner is refused. The directory above it has:
#   bwrap, melange  links to the real ones
#   trusted         if it is there, steps are not confined, and only get the proxies
#   unprivileged    if it is there, the caller is root and may mount nothing but in a user namespace
#   root, hermetic  if they are there, the caller is root, and steps have no network
#   deep            if it is there, bwrap knows --disable-userns
#   proc            what is to be read-only in /proc for root, a path a line
#   caches/         a private cache directory for each run of melange
# This one makes the file `called` there.
#
# The sandbox that melange asks for is set up inside of an outer one, which has the machine's programs,
# read-only, and the directories that melange binds. Links that a step has left where the next
# sandbox is set up lead nowhere else. For root the outer one is also a user namespace in which the
# ids 0 to 65535 are themselves: steps may give files to other owners, and not mount a disk.
if [ "${0##*/}" = melange ]; then
  here=${0%/*} runner='' before=''
  for word; do
    [ "$before" != --runner ] || runner=$word
    case $word in --runner=*) runner=${word#*=} ;; esac
    before=$word
  done
  case $runner in
    '' | bubblewrap) ;;
    *)
      echo "dag: melange is to run steps with $runner, and only bubblewrap confines them: take that out of the Makefile, or trust all steps with --trust-steps" >&2
      exit 1
      ;;
  esac
  PATH=$here:$PATH
  export PATH
  exec "$(readlink "$here/../melange")" "$@"
fi
exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
here=${0%/*}/..
inside=/var/cache/melange
say() { echo "dag: $*" >&2; }
give_up() { say "$*"; exit 1; }

# ---- beside the step ----------------------------------------------------------------------------

# bwrap takes the place of this process, so that melange is its parent, and it ends with melange.
# Another process is told what becomes of it, maps the ids, and says what a failed step lacked.
become_bwrap() {
  pipes=$here/pipes.$$ child=''
  { mkdir "$pipes" && mkfifo "$pipes/said" "$pipes/go"; } || give_up "$here cannot be written"
  attend </dev/null &
  set -- --json-status-fd 9 "$@"
  exec 9>"$pipes/said"
  [ -e "$here/root" ] || exec env -i PATH="$PATH" "$here/bwrap" "$@"
  exec env -i PATH="$PATH" "$here/bwrap" --info-fd 8 --userns-block-fd 7 "$@" 7<>"$pipes/go" 8>&9
}
attend() {
  while read -r line; do
    case $line in
      *'"child-pid": '*) # it is told twice
        [ ! -e "$here/root" ] || [ -n "$child" ] || map_ids "$line"
        ;;
      *'"exit-code": '*) [ ! -e "$here/hermetic" ] || explain "$line" ;;
    esac
  done <"$pipes/said"
  rm -rf "$pipes"
}
read_number() { number=${1#*\": } number=${number%%[!0-9]*}; }
map_ids() {
  read_number "$1"
  child=$number
  if { echo '0 0 65536' >"/proc/$child/uid_map" && echo '0 0 65536' >"/proc/$child/gid_map"; } 2>/dev/null
  then echo go 1<>"$pipes/go"
  else
    say 'the ids 0 to 65535 cannot be mapped into a user namespace here'
    kill -KILL "$child" $$
  fi
}
explain() {
  read_number "$1"
  code=$number
  # What is no step is a look of melange's own, and may well fail.
  case $code:$step in 0:* | *:true | *:/etc/os-release) return 0 ;; esac
  say "--hermetic: a step failed that had no network (exit code $code)"
  name=$(found 's|^[[:space:]]*fn="/var/cache/melange/\(sha[0-9]*:[0-9a-f]\{64,\}\)"$|\1|p')
  uri=$(found "s|^[[:space:]]*wget .* '\([^']*\)'\$|\1|p")
  if [ -n "$name" ] && [ -n "$uri" ] && [ ! -f "$cache/$name" ]; then
    lacks fetch "$uri ($name)"
  fi
  uri=$(found '/^main \\$/{n;s|^[[:space:]]*"\([^"]*\)".*|\1|p;}')
  [ -z "$uri" ] || grep -qsF "remote.*.url:$uri\"]" "$cache/gitconfig" || lacks git-checkout "$uri"
}
found() { printf '%s\n' "$step" | sed -n "$1"; }
lacks() { say "--hermetic: $1 wants $2, which is not in the cache: run dag cache; a pod gets it by --cache-bundle"; }

# ---- what is called ------------------------------------------------------------------------------

[ $# -gt 0 ] || give_up 'this bwrap was given no command'
# melange gives steps nothing of its environment, and what it is given itself for them it writes into
# packages. So the proxies are added here; one with a login is no step's business. A step can read the
# environment of bwrap, too, which is its process 1: that has the PATH, and no login.
added='' value=''
for word; do
  shift
  set -- "$@" "$word"
  [ "$word$added" = --clearenv ] || continue
  added=yes
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    eval "value=\${$name-}"
    case $value in '' | *@*) continue ;; esac
    [ -e "$here/hermetic" ] || set -- "$@" --setenv "$name" "$value"
  done
done
if [ -e "$here/trusted" ]; then
  [ ! -e "$here/unprivileged" ] || become_bwrap --unshare-user "$@"
  exec env -i PATH="$PATH" "$here/bwrap" "$@"
fi
for step; do :; done
: >"$here/called" || give_up "$here cannot be written"

# ---- the cache ----------------------------------------------------------------------------------

# When a process began: its id alone may have become another's.
beginning() {
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
  # shellcheck disable=SC2086  # these are numbers
  set -- ${line##*) }
  echo "${20}"
}
# The cache directory of this run of melange, which is the parent. Those of runs that ended go.
prepare_private() {
  private=$here/caches/$PPID.$(beginning "$PPID")
  [ ! -d "$private/melange" ] || return 0
  for other in "$here"/caches/*; do
    run=${other##*/}
    if [ -d "$other" ] && [ "$(beginning "${run%.*}")" != "${run#*.}" ]; then
      chmod -R u+rwX "$other" 2>/dev/null
      rm -rf "$other"
    fi
  done
  mkdir -p "$private/melange" && : >"$private/sources"
}
# Of the shared cache a step sees, read-only, what its own script and earlier ones of the same run
# name. These are paths in it.
find_sources() {
  cat "$private/sources"
  [ ! -f "$cache/gitconfig" ] || echo gitconfig
  case $step in
    *sha256:* | *sha512:*)
      printf '%s\n' "$step" | grep -oE 'sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}'
      ;;
  esac
  [ ! -f "$cache/gitconfig" ] || find_repositories <"$cache/gitconfig"
}
find_repositories() {
  while IFS= read -r line; do
    case $line in '[includeIf "hasconfig:remote.*.url:'*'"]') ;; *) continue ;; esac
    uri=${line#*url:}
    uri=${uri%'"]'}
    IFS= read -r line
    case "$step " in
      *"$uri"[!A-Za-z0-9._/~-]*)
        line=${line#*path = }
        add_repository "${line%/gitconfig}" ' '
        ;;
    esac
  done
}
# A repository comes with its submodules, which dag.json lists.
add_repository() {
  case $2 in *" $1 "*) return 0 ;; esac
  echo "$1"
  sed -n 's|^ *"path": "\([^"]*\)",\{0,1\}$|\1|p' "$cache/$1/dag.json" 2>/dev/null |
    while IFS= read -r path; do add_repository "git/$path.git" "$2$1 "; done
}

# ---- the two calls of bwrap ---------------------------------------------------------------------

# The words of the call become those of the inner sandbox, after the --, which the directories that
# the outer one binds come before.
# A step makes no further user namespaces: in those it could mount. It leaves no pipe in the package:
# melange opens programs, libraries and files for pkg-config, and would wait for who writes into it.
# shellcheck disable=SC2016  # the inner shell looks at the variables
limit='[ -z "$dag_namespaces" ] ||
  { echo "$dag_namespaces" >/proc/sys/user/max_user_namespaces; } 2>/dev/null
out=$dag_out
unset dag_namespaces dag_out
[ -n "$out" ] || exec "$0" "$@" 7<&-
"$0" "$@" 7<&-
code=$?
pipe=$(find "$out" -type p 2>/dev/null | head -n 1)
[ -n "$pipe" ] || exit $code
echo "dag: the step has left a pipe in the package, ${pipe#"$out/"}, which melange would read for ever" >&2
exit 1'
out='' started='' option='' values=0 source='' command='' cache='' git='' namespaces=0
for word; do
  if [ -z "$started" ]; then
    started=yes
    # melange adds the capabilities that steps have.
    set -- --dev-bind /proc /proc --remount-ro / -- /bin/sh -c "$limit" "$here/bwrap" --cap-drop ALL
  fi
  if [ -n "$command" ]; then
    set -- "$@" "$word"
    continue
  fi
  if [ $values = 2 ]; then
    source=$word values=1
    continue
  fi
  if [ $values = 1 ]; then
    values=0
    case $option:$word in
      --bind:"$inside")
        cache=$source
        prepare_private || give_up "$here/caches cannot be written"
        set -- --bind "$private/melange" "$private/melange" "$@" --bind "$private/melange" "$inside"
        names=$(find_sources | sort -u)
        echo "$names" >"$private/sources"
        while IFS= read -r name; do
          # In earlier versions steps could make links there. melange gives the path without any.
          [ -n "$name" ] && [ -e "$cache/$name" ] &&
            [ "$(readlink -f "$cache/$name")" = "$cache/$name" ] || continue
          set -- --ro-bind "$cache/$name" "$cache/$name" "$@" --ro-bind "$cache/$name" "$inside/$name"
          [ "$name" != gitconfig ] || git=$inside/$name
        done <<NAMES
$names
NAMES
        ;;
      --bind:/etc/resolv.conf)
        file=$(readlink -f "$source")
        set -- --ro-bind "$file" "$file" "$@" --ro-bind "$source" "$word"
        ;;
      --bind:* | --bind-try:* | --dev-bind:* | --dev-bind-try:*)
        [ "$option:$word" != --bind:/home/build ] || out=$source/melange-out
        set -- "$option" "$source" "$source" "$@" "$option" "$source" "$word"
        ;;
      --ro-bind:* | --ro-bind-try:*)
        set -- "$option" "$source" "$source" "$@" "$option" "$source" "$word"
        ;;
      --setenv:* | --symlink:* | --chmod:*) set -- "$@" "$option" "$source" "$word" ;;
      --cap-add:CAP_SYS_ADMIN | --cap-add:ALL)
        # Who may mount can uncover what is mounted over.
        say "steps do not get the capability $word"
        ;;
      --proc:*)
        set -- "$@" "$option" "$word"
        while IFS= read -r entry; do
          set -- "$@" --ro-bind-try "$entry" "$word${entry#/proc}"
        done <"$here/proc"
        ;;
      *) set -- "$@" "$option" "$word" ;;
    esac
    continue
  fi
  option=$word
  case $word in
    --setenv | --symlink | --chmod) values=2 ;;
    --bind | --bind-try | --dev-bind | --dev-bind-try | --ro-bind | --ro-bind-try) values=2 ;;
    --cap-add | --cap-drop | --uid | --gid | --hostname | --chdir | --unsetenv) values=1 ;;
    --proc | --dev | --tmpfs | --mqueue | --dir | --remount-ro | --perms | --size | --argv0) values=1 ;;
    --unshare-user | --unshare-user-try | --unshare-all)
      namespaces=1
      set -- "$@" "$word"
      [ ! -e "$here/deep" ] || [ -e "$here/root" ] || set -- "$@" --disable-userns
      ;;
    --clearenv)
      # This comes after what is bound. Like the proxies, it is no part of what melange writes into
      # the package, and the definition's own variables come later and win.
      set -- "$@" "$word"
      [ -z "$git" ] || set -- "$@" --setenv GIT_CONFIG_SYSTEM "$git"
      ;;
    --unshare-* | --die-with-parent | --new-session | --as-pid-1) set -- "$@" "$word" ;;
    --) command=yes ;;
    -*) give_up "steps cannot be confined: this version of dag knows no option $word of bwrap" ;;
    *) command=yes; set -- "$@" "$word" ;;
  esac
done
# The inner bwrap mounts something on /tmp for itself.
set -- --dev /dev --dir /tmp --ro-bind "$here" "$here" "$@"
# Where containers and users mount, mounts go at any moment, and bwrap gives up if it was to bind one.
# Programs may be there, too, as they are in /run on NixOS.
IFS=:
for entry in /* $PATH; do
  case $entry in
    /proc | /dev | /sys | /run | /var | /tmp | /mnt | /media) ;;
    /run/* | /var/* | /tmp/* | /mnt/* | /media/*) set -- --ro-bind-try "$entry" "$entry" "$@" ;;
    /*/*) ;;
    /*) [ ! -d "$entry" ] || set -- --ro-bind "$entry" "$entry" "$@" ;;
  esac
done
unset IFS
set -- --unshare-user --unshare-ipc --unshare-uts --die-with-parent "$@"
set -- --setenv dag_out "$out" "$@"
[ ! -e "$here/hermetic" ] || set -- --unshare-net "$@"
# In a pod, root has few capabilities, and bwrap would pass on no others. These count in the namespace alone.
[ ! -e "$here/root" ] || set -- --cap-add ALL --setenv dag_namespaces "$namespaces" "$@"
[ -e "$here/root" ] || [ -e "$here/hermetic" ] || exec env -i PATH="$PATH" "$here/bwrap" "$@"
become_bwrap "$@"

