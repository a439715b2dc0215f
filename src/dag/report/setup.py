"""Write a plan of `dag setup` as a shell script that does the same with kubectl."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence

from dag.core.kube.objects import KubeObject
from dag.core.setup.forbidding import FORBIDDEN, NOT_APART
from dag.core.setup.steps import (
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
    ObjectStep,
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
from dag.report.setupfunctions import functions_called_in

_COLUMN = ("--no-headers", "-o", f"custom-columns=OWNER:.metadata.labels.{TOLERATED}")
_LOOKS = "# Look first: a look that fails ends this script, and nothing is deleted."
_APPLY_OURS = f"kubectl apply --server-side --field-manager={MANAGER} -f -"
_WIDE = 92
"""Characters of a line from which on each flag has one of its own."""


def to_script(plan: SetupPlan, command: str, *, undo: bool = False) -> str:
    """Return the script for `sh` that carries out a plan, or with `undo` the one that undoes it.

    Like `dag setup`, it does not repeat what is done already, and looks at everything before it
    deletes something. `command` is what the user typed.
    """
    body = "\n\n".join(_parts_undoing(plan) if undo else _parts_doing(plan))
    head = [f"#!/bin/sh\n# What `{_one_line(command)}` does.", "set -eu"]
    if plan.kubeconfig:
        head.append(f"export KUBECONFIG={shlex.quote(plan.kubeconfig)}")
    functions = functions_called_in(body)
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
            return _run(step)
        case Connect():
            return _command(step.argv)
        case Forbid():
            return _forbid(step)
        case _:
            return _do_objects(step)


def _do_objects(step: ObjectStep) -> str:
    match step:
        case Ensure():
            return _ensure(step)
        case KeepTrust():
            return _keep_trust(step)
        case KeepFiles():
            return _keep_files(step)
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


def _run(step: RunProgram) -> str:
    asked = f"{_says(step.done)} ||\n" if step.done else ""
    return asked + _command(step.argv, step.stdin)


def _ensure(step: Ensure) -> str:
    otherwise = _ending(step.unless_foreign) if step.unless_foreign else ""
    return (
        f"if ours_to_make {_thing(step.manifest)}; then\n{_apply(step.manifest, MANAGER)}\n"
        f"{otherwise}fi"
    )


def _ending(words: str) -> str:
    """Return the other branch of an `if`, which ends the script with these words."""
    return f"else\n  echo {shlex.quote(words)} >&2\n  exit 1\n"


def _keep_files(step: KeepFiles) -> str:
    metadata = step.manifest["metadata"]
    files = [f"--from-file={key}={path}" for key, path in step.files.items()]
    make = ["create", "secret", "generic", metadata["name"], "-n", metadata["namespace"]]
    made = shlex.join(["kubectl", *make, *files, "--dry-run=client", "-o", "yaml"])
    label = f"kubectl label --local -f - {OWNER_LABEL}={OWNER} -o yaml"
    thing = _thing(step.manifest)
    return f"if ours_to_make {thing}; then\n  {made} |\n    {label} |\n    {_APPLY_OURS}\nfi"


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
    lines = [
        f"if ours_to_make {thing}; then",
        f"others=$({get})",
        f"others=$(printf '%s\\n' \"$others\" | grep -vF {mine} || :)",
        f"{{ cat <<'EOF'\n{to_yaml(step.manifest)}EOF",
        f"printf '%s\\n' \"$others\"; }} | {_APPLY_OURS}",
        f"echo 'it trusts these engines:' {' '.join(step.manifest['data'])}",
        'if [ -n "$others" ]; then',
        "  echo 'and, as before:'",
        "  printf '%s\\n' \"$others\" | cut -d '\"' -f 2",
        f"  echo {shlex.quote(OTHERS_TRUSTED)}",
        "fi",
        f"{_ending(FOREIGN_TRUST)}fi",
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
