"""The Lease of a store: who drives a build of it in a cluster, and what others are told of that.

There is one for each store and architecture; it stays when nobody holds it, with what was told last.
The clocks of machines differ. So whoever finds a holder looks whether the Lease still changes, and
compares no times.
https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from dag.core.decoding import Undecodable, decode
from dag.core.jobs.names import StoreInCluster, labels
from dag.core.kube.objects import KubeObject, KubeView

RENEWAL = 5.0
"""Seconds between two renewals."""
LEASE_DURATION = 30.0
"""Seconds without a renewal after which a holder counts as gone."""
_NOTE, _CANCEL = "dag/driver", "dag/cancel"  # names of annotations
_LONGEST_NOTE = 64 << 10


class DriverNote(Struct, frozen=True, kw_only=True):
    """What whoever drives a build tells of it."""

    client: str = ""
    """The driver's place for the store, which nobody else has: it knows its own Lease by that."""
    run: str = ""
    """The run; empty as long as there is none."""
    job: str = ""
    """The driver's Job, if it runs in the cluster itself."""
    progress: str = ""
    """How far it is, in words."""


_NOTES = msgspec.json.Decoder(DriverNote)


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A Lease as it was read."""

    version: str
    holder: str
    """Who drives, in words; empty if nobody does."""
    renewed: str
    """When, by the clock of the holder: it changes as long as that is alive."""
    note: DriverNote
    cancelled: str
    """The run that somebody wants to end; empty if nobody does."""


def read_lease(found: KubeView) -> LeaseView:
    """Return what a Lease says; a note that cannot be read says nothing."""
    metadata, spec = found["metadata"], found.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    try:
        note = decode(_NOTES, str(annotations.get(_NOTE, "")).encode(), limit=_LONGEST_NOTE)
    except Undecodable:
        note = DriverNote()
    return LeaseView(
        version=str(metadata["resourceVersion"]),
        holder=str(spec.get("holderIdentity") or ""),
        renewed=str(spec.get("renewTime") or ""),
        note=note,
        cancelled=str(annotations.get(_CANCEL, "")),
    )


def new_lease(key: StoreInCluster) -> KubeObject:
    """Return the manifest of a Lease that nobody holds yet."""
    marks = {one: value for one, value in labels("", key.arch, key.store).items() if value}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": key.lease_name, "namespace": key.namespace, "labels": marks},
        "spec": {},
    }


def held_by(lease: LeaseView, holder: str, note: DriverNote, now: datetime) -> list[KubeObject]:
    """Return the patch with which `holder` takes or renews a Lease, if it is still this one."""
    stamp = now.isoformat(timespec="microseconds")
    spec: dict[str, Any] = {"leaseDurationSeconds": round(LEASE_DURATION), "renewTime": stamp}
    if holder:
        spec["holderIdentity"] = holder
    annotations = _annotations(note)
    if note.run and note.run == lease.cancelled:  # until its Jobs are gone
        annotations[_CANCEL] = note.run
    return _patch(lease, {"/spec": spec, "/metadata/annotations": annotations})


def cancelled_in(lease: LeaseView, run: str) -> list[KubeObject]:
    """Return the patch that asks the holder of a Lease to end its run, if it is still this one."""
    annotations = {**_annotations(lease.note), _CANCEL: run}
    return _patch(lease, {"/metadata/annotations": annotations})


def _annotations(note: DriverNote) -> dict[str, str]:
    return {_NOTE: msgspec.json.encode(note).decode()}


def _patch(lease: LeaseView, changes: Mapping[str, object]) -> list[KubeObject]:
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": lease.version}
    return [test, *({"op": "add", "path": path, "value": one} for path, one in changes.items())]
