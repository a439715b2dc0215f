#!/bin/sh
# Build in a workspace, which is the working directory: options, --, and then make's targets.
# It runs in the container of a pod or on this machine, under dash and busybox alike. No variable
# is exported, so that make has the environment that the image or the caller gave.
umask 022
state='' arch='' melange='' signing_key='' variables='' git_env='' env_option=''
makefile='' make_key='' generate_key='' key='' mounted_key='' keep_going=''
confined='' bwrap='' trusted='' hermetic='' check='' check_only='' check_path='' cache='' first_pipe='' second_pipe=''
# Kubernetes shows what is written there as the reason of the container's end.
refuse() {
  echo "dag: $1" >&2
  [ ! -w /dev/termination-log ] || echo "$1" >/dev/termination-log
  exit 3
}
newline='
'
while [ $# -gt 0 ]; do
  value=${1#*=}
  case $1 in
    # Where the log, the pipes and other files of this script are. That is not in the workspace: if
    # the Makefile names no --source-dir, melange copies that, and would read from pipes for ever.
    --state=*) state=$value ;;
    --arch=*) arch=$value ;;
    --melange=*) melange=$value ;;
    # What the index of packages that are there already is signed with.
    --signing-key=*) signing_key=$value ;;
    # An assignment for make's command line; the last one is MELANGE_EXTRA_OPTS.
    --make=*) variables=$variables${variables:+$newline}$value ;;
    # The text of the Makefile, if it is not in the workspace.
    --makefile=*) makefile=$value ;;
    # Where steps are trusted: if the cache leads git to repositories, this is written into melange.env
    # of the state, and make's last assignment gets the option that names that file.
    --git-env=*) git_env=$value ;;
    --env-option=*) env_option=$value ;;
    # The key: the Makefile has a rule for it, or melange makes it unless it is there, or it is copied
    # from where it is mounted.
    --key=*) key=$value ;;
    --make-key) make_key=yes ;;
    --generate-key) generate_key=yes ;;
    --mounted-key=*) mounted_key=$value ;;
    --keep-going) keep_going=yes ;;
    # Build nothing outside of a user namespace.
    --confined) confined=yes ;;
    # The text of the bwrap that stands before the real one, and whether steps have all rights of this
    # script, or no network.
    --bwrap=*) bwrap=$value ;;
    --trusted) trusted=yes ;;
    --hermetic) hermetic=yes ;;
    # Try first whether steps can be run; or do nothing else.
    --check-steps) check=yes ;;
    --check-only) check=yes check_only=yes ;;
    # Build nothing if the Makefile has its recipes find another bwrap in PATH.
    --check-path) check_path=yes ;;
    --cache=*) cache=$value ;;
    # Hold this pipe open, so that another container sees when this one has ended; there may be two.
    --pipe=*) second_pipe=$first_pipe first_pipe=$value ;;
    # Look for programs in this directory first.
    --path=*) PATH=$value:$PATH ;;
    --) shift; break ;;
    *) refuse "the build script knows no option $1" ;;
  esac
  shift
done

# To open a pipe is to wait until the other container has it open, too: neither can miss the other.
# With "command" a signal meanwhile is no error of the shell, which would end with its own words.
trap 'exit 143' TERM INT
hold() { [ -p "$1" ] && { command eval "exec $2>\"\$1\""; } 2>/dev/null && echo started >&"$2"; }
[ -z "$first_pipe" ] || hold "$first_pipe" 9 || refuse "no pipe at $first_pipe"
[ -z "$second_pipe" ] || hold "$second_pipe" 8 || refuse "no pipe at $second_pipe"

{ mkdir -p "$state" && rm -f "$state/pipe" && mkfifo "$state/pipe" && : >"$state/begun"; } ||
  refuse "no file can be made in $state"
[ -z "$makefile" ] || printf '%s\n' "$makefile" >"$state/Makefile" ||
  refuse "no file can be made in $state"
command -v make >/dev/null || refuse 'this image has no make: see --sdk-image'
child='' dog=''

if [ -n "$confined" ]; then
  # Outside of any namespace, 0 is 0: https://man7.org/linux/man-pages/man7/user_namespaces.7.html
  read -r _ outside _ </proc/self/uid_map
  [ "$outside" != 0 ] ||
    refuse 'this node gave the pod no user namespace, so the build would have more rights than --isolation userns allows'
fi

# The files beside the bwrap of ours are explained there.
place_bwrap() {
  rm -rf "${state:?}/bin" "$state/root" "$state/trusted" "$state/hermetic" "$state/deep" "$state/called" \
    "$state/melange" "$state/unprivileged"
  mkdir -p "$state/bin" "$state/caches" && printf '%s\n' "$bwrap" >"$state/bin/bwrap" &&
    chmod 755 "$state/bin/bwrap" && ln -sfn "$real" "$state/bwrap" && : >"$state/proc" || return
  [ -z "$trusted" ] || : >"$state/trusted"
  [ -z "$hermetic" ] || : >"$state/hermetic"
  case $("$real" --help 2>&1) in *--disable-userns*) : >"$state/deep" ;; esac
  [ "$(id -u)" = 0 ] || return 0
  : >"$state/root"
  [ -z "$trusted" ] || "$real" --ro-bind / / true 2>/dev/null || : >"$state/unprivileged"
  find /proc/[!0-9]* -maxdepth 0 '(' -type d -o -type f -perm -200 ')' >"$state/proc"
}
# Make gets the melange that is placed beside our bwrap; a recipe's shell would split odd paths.
place_melange() {
  program=$(command -v "$melange") || return 0
  case $ours:$program in *[!A-Za-z0-9_@%+=:,./~-]* | *:[!/]*) return 0 ;; esac
  last=${variables##*"$newline"}
  variables=${variables%"$last"}MELANGE=$ours/melange$newline$last
  # No link that could be followed to the other name.
  cp "$ours/bwrap" "$ours/melange" && ln -sfn "$program" "$state/melange"
}
try_step() {
  set -- --dev /dev --proc /proc --unshare-pid --die-with-parent --new-session true
  [ -e "$state/root" ] || set -- --unshare-user --uid 1000 --gid 1000 "$@"
  bwrap --ro-bind / / "$@" 2>&1
}
is_set() { [ "$(cat "/proc/sys/$1" 2>/dev/null)" = "$2" ]; }
what_would_do() {
  if is_set user/max_user_namespaces 0; then echo 'set user.max_user_namespaces to 15000 with sysctl'
  elif is_set kernel/unprivileged_userns_clone 0; then echo 'set kernel.unprivileged_userns_clone to 1 with sysctl'
  elif is_set kernel/apparmor_restrict_unprivileged_userns 1; then
    echo 'set kernel.apparmor_restrict_unprivileged_userns to 0 with sysctl'
  else
    case $1 in
      *'65535 cannot be mapped'*) echo 'build as another user than root, or where root has these ids' ;;
      *'mount proc'*) echo 'build where nothing is mounted over parts of /proc' ;;
      *) echo 'allow user namespaces here' ;;
    esac
  fi
}
# Where steps are trusted, another runner may do.
if [ -n "$trusted" ] && ! command -v bwrap >/dev/null; then bwrap=''; fi
if [ -n "$bwrap" ]; then
  real=$(command -v bwrap) ||
    refuse 'there is no bwrap, which runs the steps of a build: install bubblewrap, or see --sdk-image'
  place_bwrap || refuse "no file can be made in $state"
  ours=$(cd "$state/bin" && pwd)
  [ -n "$trusted" ] || place_melange || refuse "no file can be made in $state"
  PATH=$ours:$PATH
  export PATH
  [ -n "$trusted" ] || [ "$(command -v bwrap)" = "$ours/bwrap" ] ||
    refuse "PATH cannot name $ours, because that has a colon: build in another directory"
  # More than once, because a mount of a container that goes at this moment lets bwrap fail, too.
  [ -z "$check" ] || said=$(try_step) || said=$(try_step) || said=$(try_step) || refuse "steps cannot be confined here ($(
    echo "$said" | tr '\n' ' ' | sed 's/ *$//'
  )): $(what_would_do "$said"), or trust all steps with --trust-steps"
fi
[ -z "$check_only" ] || exit 0

if [ -n "$mounted_key" ]; then
  [ -r "$mounted_key" ] ||
    refuse "there is no key at $mounted_key: does the SecretProviderClass name it melange.rsa?"
  case $(grep -e '-----BEGIN ' "$mounted_key" | head -n 1) in
    *'-----BEGIN RSA PRIVATE KEY-----'*) ;;
    '') refuse "the mounted key is no RSA key in PEM: $mounted_key has no line -----BEGIN" ;;
    *) refuse 'the mounted key is not in PKCS #1, the only format in which melange reads a key: keep it as openssl rsa -traditional writes it' ;;
  esac
  (umask 077 && cp "$mounted_key" "$key") || refuse "the key cannot be copied to $key"
  if [ -r "$mounted_key.pub" ]; then
    cp "$mounted_key.pub" "$key.pub"
  elif command -v openssl >/dev/null; then
    openssl rsa -in "$key" -pubout -out "$key.pub" 2>/dev/null
  elif command -v ssh-keygen >/dev/null; then
    ssh-keygen -e -m PKCS8 -f "$key" >"$key.pub" 2>/dev/null
  else
    refuse 'this image has neither openssl nor ssh-keygen to make the public key: mount melange.rsa.pub, too'
  fi || refuse 'the mounted key is no RSA key in PEM'
  cp "$key.pub" . || refuse "$PWD cannot be written to"
fi

trap '[ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT
tee "$state/log" <"$state/pipe" &
tee=$!
# So that git finds the repositories of the cache. What is in the cache itself sets no variable. Where
# steps are not trusted our bwrap sets it; another runner, or another bwrap, gets it through melange.
if [ -n "$env_option" ] && [ -f "$cache/gitconfig" ]; then
  echo "$git_env" >"$state/melange.env"
  variables=$variables$env_option
fi

# Become make, with the variables and what else it is given.
become_make() {
  set -f
  IFS=$newline
  # shellcheck disable=SC2086  # there is one assignment a line
  set -- $variables "$@"
  unset IFS
  exec make ${makefile:+-f "$state/Makefile"} "$@"
}
finds_our_bwrap() {
  found=$(become_make -s --no-print-directory --eval '.PHONY: dag-bwrap
dag-bwrap: ; @:; command -v bwrap' dag-bwrap 2>/dev/null | tail -n 1)
  case $found in
    "$ours/bwrap" | [!/]* | '') return 0 ;;
  esac
  echo "dag: nothing was built, because steps would not be confined: with the PATH of the Makefile its recipes find $found, and not the bwrap of dag: let them call \$(MELANGE), or leave what PATH has first, or trust all steps with --trust-steps" >&2
  return 1
}
fetched() { for apk in packages/"$arch"/*.apk; do [ ! -e "$apk" ] || return 0; done; return 1; }
build() {
  [ -z "$check_path" ] || finds_our_bwrap || return
  [ -z "$make_key" ] || (become_make "$key") || return
  [ -z "$generate_key" ] || [ -e "$key" ] || "$melange" keygen "$key" || return
  if fetched; then
    find packages -name '*.apk' -exec touch {} +
    "$melange" index -o "packages/$arch/APKINDEX.tar.gz" --signing-key "$signing_key" \
      packages/"$arch"/*.apk || return
  fi
  become_make ${keep_going:+-k} "$@"
}
exec 5>"$state/pipe"
# The pipes tell when this script ends, and are nothing for others.
build "$@" >&5 2>&1 9>&- 8>&- &
child=$!
code=0
# Some shells tell what signal ended a process: those words were in no log, and in no count.
wait "$child" 2>/dev/null || code=$?
# A signal makes wait return early: the build has ended only when the process is gone.
while kill -0 "$child" 2>/dev/null; do code=0; wait "$child" 2>/dev/null || code=$?; done

# The most memory that the control group of this script had. A container may see less of the path to
# that than /proc names.
peak() {
  while IFS=: read -r _ kind path; do
    case $kind in
      memory) set -- memory.max_usage_in_bytes ;;
      '') set -- memory.peak ;;
      *) continue ;;
    esac
    until cat "/sys/fs/cgroup/$kind/$path/$1"; do
      case $path in ?*/*) path=${path#*/} ;; ?*) path='' ;; *) continue 2 ;; esac
    done
    return
  done
}
{ times; peak </proc/self/cgroup; } >"$state/used" 2>/dev/null

exec 5>&-

# The exit code is make's all the same; but whoever waits for packages wants to know.
made() { [ -d packages ] && [ -n "$(find -L packages -name '*.apk' -newer "$state/begun" 2>&1)" ]; }
nothing=''
[ "$code" != 0 ] || [ ! -w /dev/termination-log ] || made || nothing='make made no package'
# Something that the build left in the background may hold the pipe open: no reason to hang.
{ sleep 10; kill "$tee"; } >/dev/null 2>&1 &
dog=$!
while kill -0 "$tee" 2>/dev/null; do wait "$tee" 2>/dev/null; done
kill "$dog" 2>/dev/null

# Where a Makefile changes PATH and does not call $(MELANGE), melange has not called our bwrap.
if [ -n "$bwrap" ] && [ -z "$trusted" ] && [ ! -e "$state/called" ] && grep -q 'melange .*is building:' "$state/log"; then
  echo "dag: the steps of this build were not confined, because melange did not call the bwrap that comes first in PATH: take changes of PATH and other runners than bubblewrap out of the Makefile, or trust all steps with --trust-steps" |
    tee -a "$state/log"
  [ "$code" != 0 ] || code=1
fi

# The last line tells how much there was. Container runtimes drop carriage returns at the ends of lines.
count() { echo "$1 $2"; }
# shellcheck disable=SC2046  # wc prints two numbers
counted=$(count $(tr -d '\r' <"$state/log" | wc -l -c))
lines=${counted% *} bytes=${counted#* }
if [ -n "$(tail -c 1 "$state/log")" ]; then
  echo
  lines=$((lines + 1))
fi
# In a shell of its own: a reader that has gone ends only that.
for pipe in ${first_pipe:+9} ${second_pipe:+8}; do (echo "exit $code" >&"$pipe") 2>/dev/null; done
trailer="dag: end of log: $lines lines, $bytes bytes, exit $code"
# Of a log that the node has rotated, it may not give the end; it gives this all the same.
[ ! -w /dev/termination-log ] ||
  echo "${nothing:+$nothing$newline}$trailer" >/dev/termination-log
echo "$trailer"
exit "$code"
