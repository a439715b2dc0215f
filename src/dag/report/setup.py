"""Write a plan of `dag setup` as a shell script that does the same with kubectl."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from dag.core.kube.objects import KubeObject
from dag.core.setup.steps import (
    GUEST,
    MANAGER,
    OWNER,
    OWNER_LABEL,
    TOLERATED,
    Connect,
    Ensure,
    Extend,
    LineCheck,
    ProveByPod,
    Publish,
    Run,
    SetupPlan,
    SetupStep,
    Tolerate,
    identity,
)
from dag.report.manifest import to_yaml

_COLUMN = ("--no-headers", "-o", "custom-columns=OWNER:.metadata.labels.{}")
_OWNER_COLUMN = shlex.join([*_COLUMN[:2], _COLUMN[2].format(OWNER_LABEL.replace(".", r"\."))])
_SAYS = """\
says() { # LINE COMMAND…: does it print that line?
  line=$1; shift
  "$@" 2>/dev/null | grep -qxFe "$line"
}"""
_OURS = f"""\
ours() {{ # KIND NAME, or -f URL: is there nothing of that name that somebody else has made?
  ! kubectl get "$@" --ignore-not-found {_OWNER_COLUMN} |
    grep -qvxF {OWNER} || {{ echo "$* is somebody else's and stays as it is"; false; }}
}}"""
_WIDE = 92


def to_script(plan: SetupPlan, command: str, *, undo: bool = False) -> str:
    """Return the script for `sh` that carries out a plan, or with `undo` the one that undoes it.

    Like `dag setup`, it does not repeat what is done already. `command` is what the user typed.
    """
    steps = list(plan.steps)
    if undo:
        # Without its credentials nothing in a cluster can be removed, so they come first.
        steps.sort(key=lambda step: isinstance(step, Connect))
        steps.reverse()
    texts = [(step.title, text) for step in steps if (text := _undo(step) if undo else _do(step))]
    body = [
        f"# {number}. {_one_line(title)}\n{text}" for number, (title, text) in enumerate(texts, 1)
    ]
    whole = "\n".join(text for _, text in texts)
    # Undoing continues when something cannot be removed.
    head = [f"#!/bin/sh\n# What `{_one_line(command)}` does.", *([] if undo else ["set -eu"])]
    if plan.kubeconfig:
        head.append(f"export KUBECONFIG={shlex.quote(plan.kubeconfig)}")
    if plan.context and "kubectl " in whole:
        context = shlex.quote(plan.context)
        head.append(f'kubectl() {{ command kubectl --context={context} "$@"; }}')
    head += [source for name, source in (("says ", _SAYS), ("ours ", _OURS)) if name in whole]
    return "\n\n".join([*head, *body]) + "\n"


def _one_line(text: str) -> str:
    # The text is for a comment, and must not break out of it.
    return " ".join(text.split())


def _do(step: SetupStep) -> str:
    match step:
        case Run():
            asked = f"{_says(step.done)} ||\n" if step.done else ""
            return asked + _command(step.argv, step.stdin)
        case Connect():
            return _command(step.argv)
        case Ensure():
            return f"if ours {_thing(step.manifest)}; then\n{_apply(step.manifest, MANAGER)}\nfi"
        case Extend():
            return _apply(step.manifest, GUEST)
        case Tolerate():
            return _tolerate(step)
        case Publish():
            apply = f'kubectl apply --server-side --field-manager={MANAGER} -f "$url"'
            label = f'kubectl label --overwrite -f "$url" {OWNER_LABEL}={OWNER}'
            return f'{_url(step)}\nif ours -f "$url"; then\n  {apply}\n  {label}\nfi'
        case ProveByPod():
            pod = _thing(step.pod)
            wait = f"--for=jsonpath={{.status.phase}}=Succeeded --timeout={step.seconds:.0f}s"
            return "\n".join(
                (
                    f"kubectl delete {pod} --ignore-not-found",
                    _apply(step.pod, MANAGER),
                    f"kubectl wait {pod} {wait} || {{ kubectl describe {pod}; exit 1; }}",
                    f"kubectl delete {pod}",
                )
            )


def _undo(step: SetupStep) -> str:
    match step:
        case Run(undo=()):
            return ""
        case ProveByPod():
            return f"kubectl delete {_thing(step.pod)} --ignore-not-found"
        case Run():
            asked = [_says(question) for question in (step.done, step.ours) if question]
            return " &&\n".join([*asked, _command(step.undo)])
        case Connect():
            return f"{_says(step.there)} &&\n{_command(step.argv)}"
        case Ensure():
            thing = _thing(step.manifest)
            return f"ours {thing} && kubectl delete {thing} --ignore-not-found"
        case Extend():
            thing, bare = _thing(step.manifest), _apply(identity(step.manifest), GUEST)
            return f"kubectl get {thing} >/dev/null 2>&1 &&\n{bare}"
        case Tolerate():
            return f"# DaemonSet {step.name}: its toleration is removed by `kubectl edit` alone"
        case Publish():
            return f'{_url(step)}\nours -f "$url" && kubectl delete -f "$url" --ignore-not-found'


def _says(question: LineCheck) -> str:
    return shlex.join(["says", question.line, *question.argv])


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
    column = shlex.join([*_COLUMN[:2], _COLUMN[2].format(TOLERATED)])
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
