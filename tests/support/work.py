"""Work on what strangers write, each by the size of its input, at which it must not grow faster."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from dag.core.graph.affected import find_affected
from dag.core.graph.graph import Graph
from dag.core.image.secrets import secret_content
from dag.core.limits import LOG_LINE
from dag.core.lines import LineSplitter
from dag.core.package import constraints
from dag.core.package.apkindex import read_index
from dag.core.package.makefile import included_patterns, read_makefile
from dag.core.package.maketext import MakeText
from dag.core.package.melangecall import _BUILD, MelangeCalls
from dag.core.package.model import Need, Package
from dag.core.package.nametext import names_in_text
from dag.core.package.substitutions import Unresolvable, substitute
from dag.core.package.transforms import transform
from dag.core.pod.log import PodLog
from dag.core.pod.reading import ContainerLog
from dag.core.pod.waiting import why_waiting
from dag.core.visible import visible
from dag.core.web import redact
from dag.io.image.registry.auth import parse_challenges
from dag.io.store.buckets.refusals import bucket_error
from tests.support.definitions import compiled

STAMP = b"2026-01-01T00:00:00Z "


def log_line(size: int) -> None:
    splitter, log, kept = LineSplitter(LOG_LINE), PodLog(), ContainerLog()
    data = STAMP + b"x" * size
    for start in range(0, len(data), 1000):
        assert not splitter.feed(data[start : start + 1000])
    text = log.feed(splitter.rest())
    assert text is not None
    kept.take([text])


def failed_target(size: int) -> None:
    ContainerLog().take([b"make: *** [" + b"a: " * size])


def makefile(text: str) -> None:
    read_makefile(text)
    included_patterns(text, str)


def make_text(text: str) -> None:
    MakeText(text, {}).expand("$(A)", {})


def transformed(text: str, match: str, replace: str) -> None:
    try:
        transform(text, match, replace)
    except Unresolvable:
        return


def changed_definitions(size: int) -> None:
    before = Package(name="", version="1", epoch=0, file="", line=1)
    packages = [
        replace(
            before,
            name=f"p{number}",
            version="2",
            file=f"p{number}.yaml",
            environment=(Need(f"p{number - number % 5}", f"p{number}.yaml", 5, "environment"),),
        )
        for number in range(size)
    ]
    then = {one.file: replace(one, version="1") for one in packages}
    find_affected(Graph(packages), then, [], then)


def waiting(detail: str) -> None:
    state = {"waiting": {"reason": "ErrImagePull", "message": detail}}
    status = {"containerStatuses": [{"name": "a", "image": "b", "state": state}]}
    why_waiting({"metadata": {}, "spec": {"containers": [{"name": "a"}]}, "status": status})


SUBPACKAGES = b"package: {name: x, version: 1}\nsubpackages: [&a {name: a}"

WORK: dict[str, tuple[Callable[[int], object], int]] = {
    "a line of a log without an end": (log_line, 1 << 20),
    "what make says of a target": (failed_target, 1000),
    "a challenge of letters": (lambda n: parse_challenges("Bearer " + "a" * n), 20_000),
    "a challenge of open quotes": (lambda n: parse_challenges("Bearer " + 'a="\\"' * n), 20_000),
    "a challenge of blanks": (lambda n: parse_challenges("Bearer a=" + " " * n + "x " * n), 20_000),
    "blanks of a bucket's refusal": (
        lambda n: bucket_error("s3://b", ValueError("a" + " " * n + "b")),
        2_000,
    ),
    "blanks of a bucket's code": (
        lambda n: bucket_error("s3://b", ValueError("<Code>" + " " * n + "a" * 101)),
        2_000,
    ),
    "colours": (lambda n: visible("\x1b[1;" * n), 50_000),
    "orders": (lambda n: visible("##" + "a##" * n), 50_000),
    "blanks": (lambda n: visible(" \n" * n + " " * n), 50_000),
    "a user of a URL": (lambda n: redact("http://[" + "//" * n), 20_000),
    "parameters of a URL": (lambda n: redact("http://h/?" + "a=b&" * n), 5_000),
    "colons of a configuration of git": (
        lambda n: secret_content(b'[url "https://' + b":" * n),
        20_000,
    ),
    "blanks of a netrc": (lambda n: secret_content(b"machine" + b" " * n + b"password"), 20_000),
    "blanks before a key of AWS": (lambda n: secret_content(b" " * n + b"secret_key"), 20_000),
    "signs of a constraint": (lambda n: constraints.parse("a" + "=" * n + "@!"), 1_000),
    "numbers of a version": (lambda n: constraints.is_version.__wrapped__("1." * n + "x"), 10_000),
    "an index": (lambda n: read_index("P:a\nV:1\n\n" * n), 5_000),
    "lines of a Makefile": (lambda n: makefile("a\n" * n), 10_000),
    "continued lines of a Makefile": (lambda n: makefile("a \\\n" * n), 10_000),
    "dollars of a Makefile": (lambda n: makefile("x: melange build\n\t" + "$" * n), 20_000),
    "colons of a Makefile": (lambda n: makefile("a" + ":" * n + " package/%"), 20_000),
    "keys of a Makefile": (lambda n: makefile("--signing-key " * n), 5_000),
    "calls of melange": (lambda n: _BUILD.split("melange -a " * n), 1_000),
    "assignments for targets": (lambda n: MelangeCalls("package/%: A := $(A)b\n" * n, {}), 1_000),
    "blanks behind define": (lambda n: make_text("define a" + " " * n + "x\nendef\n"), 1_000),
    "blanks of an assignment": (lambda n: make_text("a" + " " * n + "b\n" * 2), 10_000),
    "names in a broken definition": (lambda n: names_in_text(b"name: " * n, "x"), 5_000),
    "references": (lambda n: transformed("${{" * n, "x", "y"), 10_000),
    "open references": (lambda n: _refused("${{ " + " " * n), 20_000),
    "a replacement that looks ahead": (lambda n: transformed("a" * n, "a.*z|a", "b"), 1_000),
    "changed definitions": (changed_definitions, 1000),
    "subpackages": (lambda n: compiled(SUBPACKAGES + b", *a" * n + b"]", "x.yaml"), 2_000),
    "a pull's prefixes": (lambda n: waiting('Failed to pull image "' * n), 5_000),
}


def _refused(text: str) -> None:
    with suppress(Unresolvable):
        substitute(text, str)


def seconds(work: Callable[[int], object], size: int) -> float:
    """Return the processor's time that work takes.

    Garbage is not collected meanwhile: that looks at all that the process has, which is none of the work.
    """
    gc.disable()
    try:
        began = time.process_time()
        work(size)
        return time.process_time() - began
    finally:
        gc.enable()
