"""Describes small Pods that try on a node what a build will need there, and judges what they say.

Each has one container and one question. They run with the service account, on the nodes and within the
confinement of the build. What they have to say is their termination message, so that no log need be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from dag.core.arch import Arch
from dag.core.build.scripts import SCRIPT_STATE, check_script
from dag.core.doctor.checks import Finding, Status, ok
from dag.core.kube.containers import container_words
from dag.core.kube.objects import KubeObject, KubeView, seal
from dag.core.pod.ending import UNSTARTABLE, Cause, Ending, PodFacts
from dag.core.pod.identity import CloudIdentity
from dag.core.pod.lastwords import LastWords, read_last_words
from dag.core.pod.manifest import BUILD, MOUNTED_KEY, UPLOAD, PodSettings, pod
from dag.core.pod.pieces import agent_security, preparing_security
from dag.core.pod.sample import NO_REQUESTS
from dag.core.pod.states import WatchRules
from dag.core.pod.status import containers, scheduling, termination
from dag.core.pod.waiting import USER_NAMESPACES
from dag.core.shell import ShellScript, script_text
from dag.core.store.buckets import EMPTY, Bucket

_PACKAGE = "dag.core.doctor"
PROBE = "probe"
PROBE_LABEL = "dag/probe"
DEADLINE = 60.0
"""Seconds that an answer may take."""
# Of a problem that may heal: mounts and sandboxes are tried again, nodes become free.
_PATIENCE = 10.0


def pull_probe(settings: PodSettings) -> KubeObject:
    """Ask a node to pull the bundle and to run a shell of it."""
    return _probe(settings, "pull", _plain_container(settings.bundle, "true"))


def emulation_probe(settings: PodSettings, image: str) -> KubeObject:
    """Ask a node to run a shell of an image that is for the architecture which is built for."""
    return _probe(settings, "emulation", _plain_container(image, "true"), _CONFINEMENT)


def userns_probe(settings: PodSettings) -> KubeObject:
    """Ask for a user namespace, and what its users are outside."""
    container = _plain_container(settings.bundle, "cat", "/proc/self/uid_map")
    return _probe(settings, "userns", container, _CONFINEMENT)


def sdk_probe(settings: PodSettings, melange: str) -> KubeObject:
    """Ask the SDK's image for its tools, and for a step, confined as the build is."""
    step = ["true"] if settings.options.trust_steps else check_script(SCRIPT_STATE).command()
    build = next(one for one in pod(settings)["spec"]["containers"] if one["name"] == BUILD)
    container = {
        "image": settings.options.sdk_image,
        "command": probe_command(*probe_script("sdk", melange, *step)),
        "securityContext": build["securityContext"],
    }
    return _probe(settings, "sdk", container, _CONFINEMENT)


def key_probe(settings: PodSettings) -> KubeObject:
    """Mount the signing key as the build does, and look whether it is there."""
    spec = pod(settings)["spec"]
    place, _, name = MOUNTED_KEY.rpartition("/")
    (volume,) = (one for one in spec["volumes"] if "csi" in one)
    container = _plain_container(settings.bundle, *probe_script("key", place, name))
    mount = {"name": volume["name"], "mountPath": place, "readOnly": True}
    return _probe(
        settings, "key", {**container, "volumeMounts": [mount]}, _CONFINEMENT, volumes=[volume]
    )


def bucket_probe(settings: PodSettings, *, write: bool) -> KubeObject:
    """List a bucket as the build's transfers will; with `write`, put an object and delete it."""
    spec = pod(settings)["spec"]
    name = UPLOAD if write else "fetch-packages"
    # The very container that will transfer: its image, its user, its secret.
    transfer = next(
        one for one in (*spec["initContainers"], *spec["containers"]) if one["name"] == name
    )
    kept = ("image", "env", "envFrom", "securityContext")
    container = {key: transfer[key] for key in kept if key in transfer}
    bucket = settings.options.bucket if write else settings.options.src_bucket
    written = [f"--write=.dag-probe-{settings.run}"] if write else []
    container["args"] = ["try-bucket", f"--bucket={bucket}", *written]
    name = "write" if write else "read"
    return _probe(settings, name, container, _CONFINEMENT, identity=settings.identity)


def proxy_probe(settings: PodSettings, proxy: str) -> KubeObject:
    """Ask an agent whether the proxy serves it."""
    return _probe(settings, "proxy", proxy_container(settings.bundle, proxy), _CONFINEMENT)


def proxy_container(image: str, proxy: str) -> KubeObject:
    """Return the container of an agent that tries a proxy."""
    return {
        "image": image,
        "args": container_words(["try-proxy", f"--proxy={proxy}"]),
        "securityContext": agent_security(),
    }


def _plain_container(image: str, *words: str) -> KubeObject:
    """Return a container that runs a program, and has the rights of what prepares a build."""
    command = probe_command(*words)
    return {"image": image, "command": command, "securityContext": preparing_security()}


def probe_script(name: str, *arguments: str) -> list[str]:
    """Return the words that run a script of a probe."""
    return ShellScript(script_text(_PACKAGE, name), arguments).command()


def probe_command(*words: str) -> list[str]:
    """Return the command of a container that runs a program and leaves its last words behind."""
    return container_words(probe_script("probe", *words))


_PLACE = (
    *("serviceAccountName", "automountServiceAccountToken", "nodeSelector", "tolerations"),
    *("priorityClassName", "imagePullSecrets"),
)
_CONFINEMENT = ("hostUsers", "securityContext")


def _probe(
    settings: PodSettings,
    name: str,
    container: KubeObject,
    more: Sequence[str] = (),
    volumes: Sequence[KubeObject] = (),
    *,
    identity: CloudIdentity | None = None,
) -> KubeObject:
    """Describe a Pod that has the place of the build's and, of its specification, `more`."""
    whole = pod(settings)
    spec = whole["spec"]
    if identity is not None:
        container = {**container, "volumeMounts": identity.mounts}
        volumes = identity.volumes
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "dag-probe-",
            "namespace": settings.namespace,
            "labels": {**whole["metadata"]["labels"], PROBE_LABEL: name},
            **({"annotations": {**identity.annotations}} if identity is not None else {}),
        },
        "spec": {
            "restartPolicy": "Never",
            # Kubernetes ends what nobody is left to delete.
            "activeDeadlineSeconds": round(2 * DEADLINE),
            "terminationGracePeriodSeconds": 1,
            **{key: spec[key] for key in (*_PLACE, *more) if key in spec},
            "containers": [{"name": PROBE, "resources": {"requests": NO_REQUESTS}, **container}],
            "volumes": [*volumes],
        },
    }
    return seal(manifest)


class Fate(Enum):
    """The fate of a probe."""

    ENDED = auto()
    REFUSED = auto()
    """It will not start."""
    PULLING = auto()
    """Its image was still on its way: so the node may read it."""
    WAITING = auto()


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """A probe's fate, its exit code if it ended, and what it or the cluster says."""

    fate: Fate
    message: str
    code: int | None = None
    hint: str | None = None


def how_probe_ended(facts: PodFacts) -> Ending | None:
    """Return how a probe ended, in its own words, or None while it goes on."""
    pod = facts.pod
    ended = termination(containers(pod).get(PROBE, {}))
    if ended is not None:
        said = read_last_words(ended) or LastWords("")
        if ended.get("reason") in UNSTARTABLE:
            image = pod["spec"]["containers"][0]["image"]
            return Ending(Cause.START, f"{image} cannot start: {said.message}", container=PROBE)
        cause = Cause.DONE if ended["exitCode"] == 0 else Cause.MAKE
        return Ending(cause, said.message, said.hint, PROBE)
    if pod["status"].get("phase") == "Failed":
        words = str(pod["status"].get("message", "the pod failed"))
        return Ending(Cause.START, words, container=PROBE)
    return None


PROBE_RULES = WatchRules(
    pending_timeout=DEADLINE,
    timeout=DEADLINE,
    stalled_grace=_PATIENCE,
    main=PROBE,
    how_ended=how_probe_ended,
    reads_logs=False,
    keeps_pod=False,
    awaits_removal=False,
)
"""How a probe is watched: it is given up sooner than a build, and it goes whatever it said."""


def outcome(ending: Ending, probe: KubeView, events: Sequence[KubeView]) -> ProbeOutcome:
    """Return what became of a probe, from how its watch ended and its last known state.

    `events` are the Pod's own, oldest first.
    """
    match ending.cause:
        case Cause.DONE | Cause.MAKE:
            code = (termination(containers(probe)[PROBE]) or {}).get("exitCode")
            return ProbeOutcome(Fate.ENDED, ending.message, code, ending.hint)
        case Cause.PENDING if events and events[-1].get("reason") == "Pulling":
            return ProbeOutcome(Fate.PULLING, str(events[-1].get("message", "")))
        case Cause.PENDING | Cause.TIMEOUT:
            return ProbeOutcome(Fate.WAITING, ending.message, hint=ending.hint)
        case _:
            is_scheduled = scheduling(probe).get("status") == "True"
            fate = Fate.REFUSED if is_scheduled else Fate.WAITING
            return ProbeOutcome(fate, ending.message, hint=ending.hint)


def judge(outcome: ProbeOutcome, done: str, failed: str, fix: str | None = None) -> Finding:
    """Return the finding for an outcome: `done` if it ended well, else `failed` and what it said."""
    said = " ".join(outcome.message.split())
    match outcome.fate:
        case Fate.ENDED if outcome.code == 0:
            return ok(done)
        case Fate.ENDED:
            said = said or f"exit code {outcome.code}"
            return Finding(Status.FAILED, f"{failed}: {said}", outcome.hint or fix)
        case Fate.REFUSED:
            return Finding(Status.FAILED, f"{failed}: {said}", fix or outcome.hint)
        case Fate.PULLING:
            return ok(f"not refused within {DEADLINE:.0f} s, but not done either: {said}")
        case Fate.WAITING:
            return Finding(
                Status.WARNING,
                f"no probe came to its end, so this is not known: {said}",
                outcome.hint or "a pool of nodes may be scaling: try again",
            )


def judge_pull(outcome: ProbeOutcome, done: str, failed: str) -> Finding:
    """Judge whether a node pulled an image of the bundle's repository."""
    fix = (
        "--pull-repo names the repository as nodes know it; a private one needs --image-pull-secret,"
        " or read access for the nodes"
    )
    return judge(outcome, done, failed, fix)


def judge_sdk(outcome: ProbeOutcome) -> Finding:
    """Judge whether a build could run in the image of --sdk-image."""
    return judge(
        outcome,
        "a node runs it: make and melange are there, and a step can be confined",
        "a build cannot run in the image of --sdk-image",
    )


def judge_userns(outcome: ProbeOutcome) -> Finding:
    """Judge the user namespace by its uid_map: https://man7.org/linux/man-pages/man7/user_namespaces.7.html."""
    fix = USER_NAMESPACES
    finding = judge(outcome, "", "no user namespace on the node", fix)
    if finding.status is not Status.OK or outcome.fate is not Fate.ENDED:
        return finding
    inside, outside, count, *_ = (*outcome.message.split(), "", "", "")
    if inside == outside or not count:
        return Finding(
            Status.FAILED, f"the node gave no user namespace: uid_map says {outcome.message!r}", fix
        )
    return ok(f"root of the pod is uid {outside} on its node ({count} uids)")


def judge_emulation(outcome: ProbeOutcome, arch: Arch, namespace: str) -> Finding:
    """Judge whether a node runs what is for another architecture than its own."""
    return judge(
        outcome,
        f"a node runs programs of {arch.oci}",
        f"a node cannot run programs of {arch.oci}",
        f"dag setup cluster --binfmt -n {namespace} registers an emulator on every node",
    )


def judge_proxy(outcome: ProbeOutcome, proxy: str) -> Finding:
    """Judge the proxy of builds by what an agent found."""
    return judge(
        outcome,
        f"{proxy} serves pods",
        f"{proxy} serves no pod",
        "--proxy is to name a proxy that pods reach and that asks for no login",
    )


def judge_bucket(outcome: ProbeOutcome, bucket: Bucket, fix: str, *, write: bool) -> Finding:
    """Judge a bucket by what a transfer could do there."""
    if outcome.fate is Fate.ENDED and outcome.code == EMPTY:
        # An empty folder of a bucket lists well. A build goes on without what it would have fetched.
        return Finding(Status.WARNING, f"there is no {bucket}: nothing would come from it", fix)
    done = "list, write and delete in" if write else "list"
    return judge(
        outcome,
        f"a pod can {done} {bucket}",
        f"a pod cannot {'write to' if write else 'read'} {bucket}",
        fix,
    )
