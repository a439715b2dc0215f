"""The shell functions that the scripts of `dag setup` call: what is there, whose it is, and its end."""

from __future__ import annotations

import re
import shlex

from dag.core.setup.steps import ABSENT_WORDS, GUEST, MANAGER, OWNER, OWNER_LABEL

_COLUMNS = {
    "OWNER": f".metadata.labels.{OWNER_LABEL.replace('.', chr(92) + '.')}",
    "UID": ".metadata.uid",
    "VERSION": ".metadata.resourceVersion",
    "API": ".apiVersion",
    "KIND": ".kind",
    "NAMESPACE": ".metadata.namespace",
    "NAME": ".metadata.name",
    "MANAGERS": ".metadata.managedFields[*].manager",
}
_CUSTOM = "secretproviderclass"
"""The one kind that a cluster need not know."""
_ROW = "owner uid version api kind namespace name managers"
_SHOWN = f"custom-columns={','.join(f'{name}:{path}' for name, path in _COLUMNS.items())}"

# `exit` in a function that is called in $(…) ends the script by `set -e`.
_SAYS = """\
says() { # LINE COMMAND…: does it print that line?
  line=$1; shift
  "$@" 2>/dev/null | grep -qxFe "$line"
}"""
_ASKS = f"""\
asks() {{ # LINE COMMAND…: does it print that line? Without an answer this script ends.
  line=$1; shift
  if said=$("$@" 2>&1); then
    printf '%s\\n' "$said" | grep -qxFe "$line"
  elif [ $? -lt 126 ] && printf '%s\\n' "$said" | grep -qiE {shlex.quote(ABSENT_WORDS)}; then
    false # an answer, too: there is no such thing
  else
    echo "whose it is cannot be seen, so nothing is deleted: $*: $said" >&2
    exit 1
  fi
}}"""
_SEE = f"""\
gone= # yes, if there is no cluster any more
see() {{ # KIND NAME, or -f URL: a line for each such object. Without an answer this script ends.
  [ -z "$gone" ] || return 0
  {{ said=$(kubectl get "$@" --ignore-not-found --no-headers -o \\
    {shlex.quote(_SHOWN)} 2>&1 >&3); }} 3>&1 &&
    return
  # These are answers, too: it is not there, nor is anything of its kind.
  if printf '%s\\n' "$said" | grep -qvE '\\(NotFound\\)|have a resource type "{_CUSTOM}"'; then
    echo "whose it is cannot be seen, so nothing more is done: $*: $said" >&2
    exit 1
  fi
}}"""
_FREE = f"""\
ours_to_make() {{ # KIND NAME, or -f URL: is there none of it that somebody else has made?
  rows=$(see "$@") || exit 1
  ! printf '%s\\n' "$rows" | grep -qvE '^({OWNER} .*[ ,]{MANAGER}(,.*)? *)?$' ||
    {{ echo "$* is somebody else's and stays as it is" >&2; false; }}
}}"""
_OURS = f"""\
ours() {{ # KIND NAME, or -f URL: the path, UID and version of each that dag has made
  rows=$(see "$@") || exit 1
  printf '%s\\n' "$rows" | while read -r {_ROW}; do
    case $owner:,$managers, in
      :*) continue ;;
      {OWNER}:*,{MANAGER},*) ;;
      *) echo "$* is somebody else's and stays as it is" >&2; continue ;;
    esac
    case $api in */*) root=/apis/$api ;; *) root=/api/$api ;; esac
    [ "$namespace" = '<none>' ] || root=$root/namespaces/$namespace
    case $kind in *s) kinds=${{kind}}es ;; *) kinds=${{kind}}s ;; esac
    echo "$root/$(echo "$kinds" | tr A-Z a-z)/$name $uid $version"
  done
}}"""
_LOOK = """\
look() { # KIND NAME, or -f URL: say what is ours of it
  seen=$(ours "$@")
  [ -z "$seen" ] || echo "this is ours and goes: $*"
}"""
_ADDED = f"""\
added() {{ # KIND NAME: the UID of the object, if dag has added something to it
  rows=$(see "$@") || exit 1
  printf '%s\\n' "$rows" | while read -r {_ROW}; do
    case ,$managers, in *,{GUEST},*) echo "$uid" ;; esac
  done
}}"""
_REMOVE = """\
remove() { # KIND NAME, or -f URL: delete what dag has made of it, unless it changes meanwhile
  seen=$(ours "$@")
  printf '%s\\n' "$seen" | while read -r path uid version; do
    [ -n "$path" ] || continue
    printf '{"kind":"DeleteOptions","apiVersion":"v1","preconditions":%s}' \\
      "{\\"uid\\":\\"$uid\\",\\"resourceVersion\\":\\"$version\\"}" |
      kubectl delete --raw "$path" -f - >/dev/null
    echo "deleted: $path"
    case $1 in
      namespace | pod) kubectl wait --for=delete "$@" --timeout=300s </dev/null ;;
    esac
  done
}"""
_FUNCTIONS = (
    ("says", _SAYS),
    ("asks", _ASKS),
    ("see", _SEE),
    ("ours_to_make", _FREE),
    ("ours", _OURS),
    ("look", _LOOK),
    ("added", _ADDED),
    ("remove", _REMOVE),
)
"""Each behind those that it calls."""


def functions_called_in(body: str) -> list[str]:
    """Return the functions that a script calls, and those that these call, as they go before it."""
    functions: list[str] = []
    for name, source in reversed(_FUNCTIONS):
        if re.search(rf"\b{name} ", "\n".join([*functions, body])):
            functions.insert(0, source)
    return functions
