"""The parsers of foreign bytes, by their subjects."""

from tests.fuzz.targets import build, image, jobs, kube, package, sources, store
from tests.fuzz.targets.common import TARGETS

__all__ = ["TARGETS", "build", "image", "jobs", "kube", "package", "sources", "store"]
