"""Write a plan of `dag setup` as a shell script that does the same with kubectl."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence

from dag.core.kube.objects import KubeObject
from dag.core.setup.forbidding import FORBIDDEN, NOT_APART
from dag.core.setup.steps import (
    ABSENT_WORDS,
    FOREIGN_TRUST,
    GUEST,
    MANAGER,
    OTHERS_TRUSTED,
    OWNER,
    OWNER_LABEL,
    TOLERATED,
    Connect,
    Ensure,
    Extend,
    Forbid,
    KeepFiles,
    KeepTrust,
    LineCheck,
    ProveByPod,
    Publish,
    RunProgram,
    SetupPlan,
    SetupStep,
    Tolerate,
    identity,
)
from dag.report.envelope import envelope
from dag.report.manifest import to_yaml

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
_COLUMN = ("--no-headers", "-o", f"custom-columns=OWNER:.metadata.labels.{TOLERATED}")
_CUSTOM = "secretproviderclass"
"""The one kind that a cluster need not know."""
_LOOKS = "# Look first: a look that fails ends this script, and nothing is deleted."
_ROW = "owner uid version api kind namespace name managers"
_SHOWN = f"custom-columns={','.join(f'{name}:{path}' for name, path in _COLUMNS.items())}"

# The functions of the scripts. `exit` in one that is called in $(…) ends the script by `set -e`.
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
_WIDE = 92


def to_script(plan: SetupPlan, command: str, *, undo: bool = False) -> str:
    """Return the script for `sh` that carries out a plan, or with `undo` the one that undoes it.

    Like `dag setup`, it does not repeat what is done already, and looks at everything before it
    deletes something. `command` is what the user typed.
    """
    body = "\n\n".join(_parts_undoing(plan) if undo else _parts_doing(plan))
    head = [f"#!/bin/sh\n# What `{_one_line(command)}` does.", "set -eu"]
    if plan.kubeconfig:
        head.append(f"export KUBECONFIG={shlex.quote(plan.kubeconfig)}")
    functions: list[str] = []
    for name, source in reversed(_FUNCTIONS):
        if re.search(rf"\b{name} ", "\n".join([*functions, body])):
            functions.insert(0, source)
    if plan.context and "kubectl " in "\n".join([*functions, body]):
        context = shlex.quote(plan.context)
        head.append(f'kubectl() {{ command kubectl --context={context} "$@"; }}')
    return "\n\n".join([*head, *functions, body]) + "\n"


def to_json(plan: SetupPlan, script: str) -> str:
    """Return a plan and the script that carries it out, or undoes it, as one JSON object."""
    steps = [step.title for step in plan.steps]
    return envelope("setup", {"steps": steps, "flags": plan.flags, "script": script})


def _parts_doing(plan: SetupPlan) -> list[str]:
    parts = _numbered((step.title, _do(step)) for step in plan.steps)
    ready = shlex.quote(f"ready: {plan.next_command}")
    said = [f"echo {shlex.quote(words)}" for words in plan.next_words]
    return [*parts, "\n".join([*said, f"echo {ready}"])]


def _parts_undoing(plan: SetupPlan) -> list[str]:
    # Without its credentials nothing in a cluster can be seen, so they come first.
    looks = [_connect(step) for step in plan.steps if isinstance(step, Connect)]
    steps = list(enumerate(plan.steps))[::-1]
    looks += [text for number, step in steps if (text := _look(step, number))]
    removals = ((step.title, text) for number, step in steps if (text := _undo(step, number)))
    return [
        "\n".join([_LOOKS, *looks]),
        *_numbered(removals),
    ]


def _numbered(texts: Iterable[tuple[str, str]]) -> list[str]:
    return [
        f"# {number}. {_one_line(title)}\n{text}" for number, (title, text) in enumerate(texts, 1)
    ]


def _one_line(text: str) -> str:
    # The text is for a comment, and must not break out of it.
    return " ".join(text.split())


def _do(step: SetupStep) -> str:
    match step:
        case RunProgram():
            asked = f"{_says(step.done)} ||\n" if step.done else ""
            return asked + _command(step.argv, step.stdin)
        case Connect():
            return _command(step.argv)
        case Ensure() | KeepTrust() | KeepFiles():
            return _make(step)
        case Extend():
            return _apply(step.manifest, GUEST)
        case Tolerate():
            return _tolerate(step)
        case Publish():
            apply = f'kubectl apply --server-side --field-manager={MANAGER} -f "$url"'
            label = f'kubectl label --overwrite -f "$url" {OWNER_LABEL}={OWNER}'
            return f'{_url(step)}\nif ours_to_make -f "$url"; then\n  {apply}\n  {label}\nfi'
        case ProveByPod():
            pod = _thing(step.pod)
            wait = f"--for=jsonpath={{.status.phase}}=Succeeded --timeout={step.seconds:.0f}s"
            return "\n".join(
                (
                    f"ours_to_make {pod} || exit 1",
                    f"remove {pod}",
                    _apply(step.pod, MANAGER),
                    f"kubectl wait {pod} {wait} || {{ kubectl describe {pod}; exit 1; }}",
                    f"remove {pod}",
                )
            )
        case Forbid():
            return _forbid(step)


def _make(step: Ensure | KeepTrust | KeepFiles) -> str:
    match step:
        case Ensure():
            thing = _thing(step.manifest)
            otherwise = f"else\n  echo {shlex.quote(step.unless_foreign)} >&2\n  exit 1\n"
            return (
                f"if ours_to_make {thing}; then\n{_apply(step.manifest, MANAGER)}\n"
                f"{otherwise if step.unless_foreign else ''}fi"
            )
        case KeepTrust():
            return _keep_trust(step)
        case KeepFiles():
            thing = _thing(step.manifest)
            files = [f"--from-file={key}={path}" for key, path in step.files.items()]
            space = step.manifest["metadata"]["namespace"]
            make = ["create", "secret", "generic", step.manifest["metadata"]["name"], "-n", space]
            made = shlex.join(["kubectl", *make, *files, "--dry-run=client", "-o", "yaml"])
            label = f"kubectl label --local -f - {OWNER_LABEL}={OWNER} -o yaml"
            apply = f"kubectl apply --server-side --field-manager={MANAGER} -f -"
            return f"if ours_to_make {thing}; then\n  {made} |\n    {label} |\n    {apply}\nfi"


def _forbid(step: Forbid) -> str:
    asked = [shlex.quote(_can_i(*one)) for one in FORBIDDEN]
    where = f"-n {shlex.quote(step.namespace)} --as={shlex.quote(step.user)}"
    return "\n".join(
        (
            f"for may in {' '.join(asked)}; do",
            f"  case $(kubectl auth can-i $may {where}) in",
            "    no*) ;;",
            f'    *) echo "$may: {NOT_APART.format(step=step)}" >&2; exit 1 ;;',
            "  esac",
            "done",
        )
    )


_DATA = 'go-template={{range $name, $text := .data}}{{printf "  %q: %q\\n" $name $text}}{{end}}'
"""Has kubectl print the data of an object as they stand in YAML."""


def _keep_trust(step: KeepTrust) -> str:
    thing = _thing(step.manifest)
    get = f"kubectl get {thing} --ignore-not-found -o {shlex.quote(_DATA)}"
    mine = " ".join(f"-e {shlex.quote(json.dumps(name))}" for name in step.manifest["data"])
    apply = f"kubectl apply --server-side --field-manager={MANAGER} -f -"
    lines = [
        f"if ours_to_make {thing}; then",
        f"others=$({get})",
        f"others=$(printf '%s\\n' \"$others\" | grep -vF {mine} || :)",
        f"{{ cat <<'EOF'\n{to_yaml(step.manifest)}EOF",
        f"printf '%s\\n' \"$others\"; }} | {apply}",
        f"echo 'it trusts these engines:' {' '.join(step.manifest['data'])}",
        'if [ -n "$others" ]; then',
        "  echo 'and, as before:'",
        "  printf '%s\\n' \"$others\" | cut -d '\"' -f 2",
        f"  echo {shlex.quote(OTHERS_TRUSTED)}",
        "fi",
        f"else\n  echo {shlex.quote(FOREIGN_TRUST)} >&2\n  exit 1\nfi",
    ]
    if step.replaces:
        lines[1:3] = ["others="]
    return "\n".join(lines)


def _can_i(verb: str, group: str, resource: str) -> str:
    name, _, below = resource.partition("/")
    return (
        f"{verb} {f'{name}.{group}' if group else name}{f' --subresource={below}' if below else ''}"
    )


def _look(step: SetupStep, number: int) -> str:
    match step:
        case RunProgram(undo=()) | Connect() | Extend() | Tolerate() | Forbid():
            return ""  # an object that is extended is looked at by the step that makes it
        case RunProgram():
            asked = [_asks(question) for question in (step.done, step.ours) if question]
            return " &&\n".join([f"run_{number}=", *asked, f"run_{number}=yes || :"])
        case Ensure() | KeepTrust() | KeepFiles():
            return f"look {_thing(step.manifest)}"
        case Publish():
            return f'{_url(step)}\nlook -f "$url"'
        case ProveByPod():
            return f"look {_thing(step.pod)}"


def _connect(step: Connect) -> str:
    return f'{_asks(step.there)} || gone=yes\nif [ -z "$gone" ]; then\n  {_command(step.argv)}\nfi'


def _undo(step: SetupStep, number: int) -> str:
    match step:
        case RunProgram(undo=()) | Connect() | Forbid():
            return ""
        case RunProgram():
            return f'if [ -n "$run_{number}" ]; then\n{_command(step.undo)}\nfi'
        case ProveByPod():
            return f"remove {_thing(step.pod)}"
        case Ensure() | KeepTrust() | KeepFiles():
            return f"remove {_thing(step.manifest)}"
        case Extend():
            bare = identity(step.manifest)
            template = json.dumps({**bare, "metadata": {**bare["metadata"], "uid": "%s"}})
            return (
                f"uid=$(added {_thing(step.manifest)})\n"
                f'[ -z "$uid" ] || printf {shlex.quote(template)} "$uid" |\n'
                f"  kubectl apply --server-side --field-manager={GUEST} -f -"
            )
        case Tolerate():
            return f"# DaemonSet {step.name}: its toleration is removed by `kubectl edit` alone"
        case Publish():
            return f'{_url(step)}\nremove -f "$url"'


def _says(question: LineCheck) -> str:
    return shlex.join(["says", question.line, *question.argv])


def _asks(question: LineCheck) -> str:
    return shlex.join(["asks", question.line, *question.argv])


def _url(step: Publish) -> str:
    return f"url={shlex.quote(step.url)}"


def _command(argv: Sequence[str], stdin: str = "") -> str:
    text = shlex.join(argv)
    if len(text) > _WIDE and "\n" not in text:
        # People can read this if there is one flag a line.
        words = [shlex.quote(word) for word in argv]
        first = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
        text = " \\\n  ".join([" ".join(words[:first]), *words[first:]])
    return f"{text} <<'EOF'\n{stdin}EOF" if stdin else text


def _apply(manifest: KubeObject, manager: str) -> str:
    command = ("kubectl", "apply", "--server-side", f"--field-manager={manager}", "-f", "-")
    return _command(command, to_yaml(manifest))


def _thing(manifest: KubeObject) -> str:
    metadata = manifest["metadata"]
    namespace = ["-n", metadata["namespace"]] if "namespace" in metadata else []
    return shlex.join([manifest["kind"].lower(), metadata["name"], *namespace])


def _tolerate(step: Tolerate) -> str:
    thing = shlex.join(["daemonset", step.name, "-n", step.namespace])
    column = shlex.join(_COLUMN)
    path = "/spec/template/spec/tolerations"
    more = json.dumps([{"op": "add", "path": f"{path}/-", "value": step.toleration}])
    first = json.dumps([{"op": "add", "path": path, "value": [step.toleration]}])
    return "\n".join(
        (
            f"if says '<none>' kubectl get {thing} {column}; then",
            f"  kubectl patch {thing} --type=json -p {shlex.quote(more)} ||",
            f"  kubectl patch {thing} --type=json -p {shlex.quote(first)}",
            f"  kubectl label {thing} {TOLERATED}={OWNER}",
            "fi",
        )
    )
