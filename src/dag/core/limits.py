"""The limits on foreign bytes, each with its reason.

A limit is far above what anybody has seen in earnest, and far below what would hurt: the memory of
the machine, or the patience of whoever waits. `dag.io.files` and `dag.io.archives` read no further.
"""

from __future__ import annotations

from dataclasses import dataclass

from dag.errors import UsageError

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_UNITS = ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB"))


class TooLarge(UsageError, ValueError):
    """Foreign bytes went over a limit; the message names where they are from, and the limit."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on the size of something, or on how many parts it has."""

    of: str
    """The thing that has the limit, as the end of a sentence: `an ignore file`."""
    most: int
    """Bytes, or members of an archive."""
    unit: str = ""
    """The things that are counted, where they are not bytes."""

    def __str__(self) -> str:
        if self.unit:
            return f"{self.most:,} {self.unit}"
        for size, unit in _UNITS:
            if self.most >= size and self.most % size == 0:
                return f"{self.most // size} {unit}"
        return f"{self.most:,} bytes"

    def error(self, where: str) -> TooLarge:
        """Return the error for `where`, a file or a URL, that has more."""
        return TooLarge(f"{where} has more than {self}, which is the limit of {self.of}")

    def check(self, size: int, where: str) -> None:
        """Refuse a size in bytes that is over the limit.

        Raises:
            TooLarge: it is.

        """
        if size > self.most:
            raise self.error(where)


DEFINITION = Limit("a definition", 8 * _MIB)
"""The largest of 3,401 real definitions has 100 KiB."""
STRAY = Limit("a file that is not read, but may be a definition", _MIB // 4)
PIPELINE = Limit("a pipeline", 8 * _MIB)
"""melange's own have a few KiB each."""
PIPELINES = Limit("a directory of pipelines", 10_000, "files")
"""melange's own are 150; links may lead to one file in very many ways."""
VARIABLES = Limit("a file of variables", _MIB)
MAKEFILE = Limit("a Makefile", 8 * _MIB)
MELANGE_VERSION = Limit("what melange says of its version", 64 * _KIB)
"""It has 300 bytes."""
SETTINGS = Limit("a settings file", _MIB)
IGNORE_FILE = Limit("an ignore file", _MIB)
"""A thousand patterns have 20 KiB, and each one is matched against each path."""
CREDENTIALS = Limit("a file of credentials", 4 * _MIB)
CERTIFICATES = Limit("a file of certificates", 16 * _MIB)
"""The bundle of all that Mozilla trusts has 250 KiB."""
KUBECONFIG = Limit("a kubeconfig", 16 * _MIB)
"""One with a thousand clusters has 5 MiB: each has a certificate in it."""
RECORD = Limit("a record of ours", 64 * _MIB)
"""A file that dag wrote itself, in a place where somebody else may have written instead."""
UNIT_ORDER = Limit("what a Job is told of its unit", 16 * _MIB)
"""Unpacked; an environment of 400 packages has 50 KiB."""
STORE_LISTING = Limit("what an agent tells of a store", 1 * _GIB)
"""Unpacked; the records of 3,400 units have 20 MiB."""
HANDOVER = Limit("what the driver of a run is told", 64 * _MIB)
"""Unpacked; packed, it must fit into the arguments of a container. 3,401 definitions have 200 KiB."""
RUN_FILES = Limit("the journal and the result of a run", 64 * _MIB)
"""Unpacked; packed, they must fit into the arguments of a container."""
SIGNING_REQUEST = Limit("a request to a signer", 32 * _MIB)
"""It has 350 bytes for each unit, and a distribution 3,400 of these."""
ATTESTATIONS = Limit("what a signer remembers as attested", 64 * _MIB)
"""It has 300 bytes for each version of a unit: of 3,400 units that is each of the last sixty."""
JOURNAL_LINE = Limit("a line of a journal", 64 * _MIB)
"""The line that names what a run builds is the longest: 2 MB for 3,401 packages."""

REGISTRY_DOCUMENT = Limit("a manifest or a config", 4 * _MIB)
"""More need not be accepted by a registry, so it has no more.
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests"""
BASE_LAYER = Limit("a layer of a base image", 16 * _GIB)
"""Unpacked. The largest that are known, with models in them, have as much."""
LIBRARY = Limit("a C library", 64 * _MIB)
"""glibc's has 2 MiB; it is held in memory as a whole."""
KUBERNETES_ANSWER = Limit("an answer of Kubernetes", 256 * _MIB)
"""A list of 10,000 pods has 100 MiB."""
WATCH_EVENT = Limit("an event of a watch", 16 * _MIB)
"""One object of the API, of which etcd keeps 1.5 MiB."""
CONTAINER_LOG = Limit("what is read at once of a container's log", 256 * _MIB)
"""A node keeps 10 MiB of a log, unless somebody has told it otherwise."""
LOG_LINE = Limit("a line of a log", 64 * _MIB)
"""It is held as a whole, because its time stands at its beginning; a longer one comes in pieces."""

PACKAGE_INDEX = Limit("an APKINDEX", 256 * _MIB)
"""Both packed and unpacked: Wolfi's has 50 MiB of text."""
SIGNATURES = Limit("the signatures of an APKINDEX", _MIB)
"""One has 512 bytes, and few have two."""
NAMED_REPOSITORIES = Limit("the repositories that definitions name", 200, "repositories")
"""Each may have to be waited for, and hold memory; of 342 real definitions all name the same."""
LISTED_PACKAGES = Limit("an APKINDEX", 1_000_000, "packages")
"""Wolfi's lists 100,000, old versions included; each takes about 1 KiB of memory."""
ALL_LISTED_PACKAGES = Limit("all indexes that definitions name", 2_000_000, "packages")
PUBLIC_KEY = Limit("a public key", 64 * _KIB)
"""One of RSA has 800 bytes."""
REPOSITORY_PACKAGE = Limit("a package of a repository", 16 * _GIB)
PACKAGE_CACHE = Limit("the cache of packages", 20 * _GIB)
"""What was not used for the longest time goes."""
PACKAGE = Limit("a package", 256 * _GIB)
"""A build may leave a sparse file, which is nothing on its disk and much as a copy."""
PACKAGE_CONTROL = Limit("the signature and control section of a package", 64 * _MIB)
"""Its .PKGINFO, its definition and its scripts have a few KiB."""
PACKAGE_INFO = Limit("a .PKGINFO", 8 * _MIB)
"""A package that provides 10,000 libraries has 1 MiB; it is held in memory as a whole."""
READER_MEMORY = Limit("a process that reads a package", 512 * _MIB)
"""It needs 100 MiB of addresses for itself."""
READER_SECONDS = Limit("a process that reads a package", 20, "seconds")
"""CPU time; it gets another second for each 32 MiB, which it needs not even a tenth of."""

MANIFESTS = Limit("a file of manifests", 4 * _MIB)
"""Those of the Secrets Store CSI driver have 30 KiB each."""
OUT_LISTING = Limit("a pod's list of its packages", 16 * _MIB)
"""Each has 150 bytes of it: a distribution has a few thousand."""
OUT_ANSWER = Limit("a pod's answer that has no content", 64 * _KIB)
BUILT_PACKAGE = Limit("a package", 16 * _GIB)
"""The largest of Wolfi have about 4 GiB."""
BUILD_LOG = Limit("the log of a build", 16 * _GIB)

GIT_OUTPUT = Limit("the output of a git command", 64 * _MIB)
"""The refs of a repository with 100,000 tags have 10 MiB."""
GITMODULES = Limit("a .gitmodules file", _MIB)
GIT_STATE = Limit("a file of a repository in the cache", 64 * _MIB)
"""`packed-refs`, `shallow` and `dag.json`, which come with the image of a cache."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """The bounds on what a tar archive may make its reader do."""

    members: Limit
    header: Limit = Limit("the long name or attributes of an archive's member", _MIB)
    """They are held in memory; the longest path of Linux has 4 KiB."""


BASE_LAYER_MEMBERS = ArchiveLimits(Limit("a layer of a base image", 1_000_000, "members"))
"""A whole Debian with a desktop has 300,000 files."""
CACHE_LAYER_MEMBERS = ArchiveLimits(Limit("a layer of a cache", 1_000_000, "members"))
"""A cache of 3,401 definitions has 10,000 files, nearly all in git repositories."""
PACKAGE_MEMBERS = ArchiveLimits(Limit("the archive of a package or an index", 10_000, "members"))
"""A control section has at most a dozen members, an index two or three."""
PACKAGE_FILES = ArchiveLimits(Limit("the data of a package", 5_000_000, "members"))
"""A member costs time and no memory; the largest packages of Wolfi have 100,000."""
