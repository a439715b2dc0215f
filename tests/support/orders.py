"""What Jobs have in common, and what their agents are told, for tests."""

from __future__ import annotations

import hashlib

from dag.core.arch import Arch
from dag.core.jobs.claims import Claim
from dag.core.jobs.manifest import JobSettings
from dag.core.jobs.order import GivenPackage, ServedPackage, UnitOrder, bare_package
from dag.core.package.model import Need, Package, Subpackage
from dag.core.pod.scheduling import SchedulingOptions

SETTINGS = JobSettings(
    namespace="builds",
    run="20260101-000000-000abc",
    arch=Arch.parse("x86_64"),
    node_arch=None,
    store=Claim("packages", "wolfi"),
    bundle="registry.example.com/dag@sha256:1",
    sdk_image="registry.example.com/sdk@sha256:2",
    cache_bundle=None,
    service_account="builder",
    scheduling=SchedulingOptions(),
    confined=True,
    disk="1Gi",
    timeout=None,
    version="1",
)
PACKAGE = Package(
    name="Catch2",
    version="3.1",
    epoch=2,
    file="catch2.yaml",
    line=2,
    environment=(Need("busybox", "catch2.yaml", 9, "environment"),),
    subpackages=(Subpackage("Catch2-dev", "catch2.yaml", 20, runtime=("Catch2",)),),
)


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def order(given: int = 2, served: int = 1) -> UnitOrder:
    return UnitOrder(
        run="20260101-000000-000abc",
        attempt=1,
        arch="x86_64",
        package=bare_package(PACKAGE),
        paths=("Makefile", "catch2.yaml"),
        copies=("keys/a.rsa.pub",),
        given=tuple(
            GivenPackage(f"some-library-{n}", f"{n}.2.3-r1", digest(n)) for n in range(given)
        ),
        served=tuple(
            ServedPackage(f"other-{n}", f"{n}-r0", f"Q1{digest(n).hex()[:27]}=", 0, "P:other\n")
            for n in range(served)
        ),
        repositories=("https://example.com/os",),
        named={},
        roots={},
        public_key="melange.rsa.pub",
        own="0" * 64,
        dropped=(),
        open="",
        melange="0.56.0",
        defined=(),
        fingerprint="1" * 64,
        epoch=7,
        memory=1 << 30,
        arguments=("--state=/tmp/.dag", "--", "packages/x86_64/Catch2-3.1-r2.apk"),
        reuse=True,
    )
