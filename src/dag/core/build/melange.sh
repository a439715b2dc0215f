#!/bin/sh
# Stands before melange in PATH, where a build may install only the packages that it was given. In
# the directory above there are: `real`, the melange that is meant; `places`, with a line for each
# repository that the environment names, its place and the directory that stands in for it; these
# directories; and `unpacked`, where melange keeps packages that it has unpacked. What is not known
# to be there is written into `open`. It runs under dash and busybox.
here=$(cd "${0%/*}/.." && pwd)
real=$here/real tab='	'

is_build=''
for word in "$@"; do
  case $word in
    build) is_build=yes && break ;;
    # Other words may be values of flags that stand before the command.
    index | keygen | package-version | query | sign | sign-index | test) break ;;
  esac
done
[ -n "$is_build" ] || exec "$real" "$@"

# A list of repositories as it is on the command line, each with what stands in for it.
stand_ins() {
  set -f
  IFS=,
  list=''
  for one in $1; do
    tag=''
    case $one in @*' '*) tag="${one%% *} " one=${one#* } ;; esac
    found=$one
    while IFS=$tab read -r place target; do
      [ "$place" != "$one" ] || found=$target
    done <"$here/places"
    case $found in http://* | https://*) echo "$found" >>"$here/open" ;; esac
    list=$list${list:+,}$tag$found
  done
  printf '%s' "$list"
}
# The keys that are files: those of other repositories are not needed.
files() {
  set -f
  IFS=,
  list=''
  for one in $1; do
    case $one in http://* | https://*) ;; *) list=$list${list:+,}$one ;; esac
  done
  printf '%s' "$list"
}

key='' count=$#
while [ "$count" -gt 0 ]; do
  word=$1 value=''
  shift
  count=$((count - 1))
  case $word in
    --repository-append | --keyring-append | --signing-key | -r | -k)
      value=${1-}
      shift
      count=$((count - 1))
      ;;
    --repository-append=* | --keyring-append=* | --signing-key=*) value=${word#*=} word=${word%%=*} ;;
    -r=* | -k=*) value=${word#*=} word=${word%%=*} ;;
    -r?* | -k?*) value=${word#??} word=${word%"$value"} ;;
    *)
      set -- "$@" "$word"
      continue
      ;;
  esac
  case $word in
    --repository-append | -r) value=$(stand_ins "$value") ;;
    --keyring-append | -k) value=$(files "$value") ;;
    --signing-key) key=$value ;;
  esac
  [ -z "$value" ] || set -- "$@" "$word" "$value"
done

for index in "$here"/*/*/APKINDEX.tar.gz; do
  [ -z "$key" ] || [ ! -e "$index" ] || "$real" sign-index --signing-key "$key" "$index" || exit
done
[ -n "$key" ] || set -- "$@" --ignore-signatures
: >"$here/used"
# melange would look for a checkout around the store, and write its last commit into every package.
# That is no input of a unit. Who passes a commit, later in the line, gets that one.
exec "$real" --git-commit=unknown "$@" --apk-cache-dir "$here/unpacked"
