"""The parsers of foreign bytes, each as a function of bytes that raises nothing.

A parser may refuse what it gets, by the errors that its docstring names. Anything else that it
raises, and whatever takes more memory than the fuzzer allows, is a bug.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

from dag.core.arch import Arch
from dag.core.build import journal
from dag.core.image import layers, secrets
from dag.core.image.descriptors import Blob, parse_object
from dag.core.image.ignore import parse_patterns
from dag.core.image.references import parse_reference, parse_repository
from dag.core.limits import CACHE_LAYER_MEMBERS, LOG_LINE, PACKAGE_MEMBERS, TooLarge
from dag.core.lines import LineSplitter
from dag.core.package import constraints, versions
from dag.core.package.apk import BrokenPackage, describe, listed_packages, read_pkginfo
from dag.core.package.apkindex import BrokenIndex, read_index
from dag.core.package.compile import read_definition
from dag.core.package.makefile import included_patterns, read_makefile
from dag.core.package.melangecall import MelangeCalls
from dag.core.package.nametext import names_in_text
from dag.core.package.pipelines import Table
from dag.core.package.substitutions import Unresolvable, condition, lookup_in, substitute
from dag.core.package.transforms import transform
from dag.core.pod.log import PodLog
from dag.core.pod.reading import ContainerLog
from dag.core.sources.gitstate import STATE
from dag.core.sources.gitstate import parse as parse_state
from dag.core.store.records import decode_record
from dag.core.tar import BrokenArchive, TarReader
from dag.core.visible import visible, visible_entry, visible_json, visible_log_line
from dag.core.web import ContentRange, check_uri, parse_retry_after, redact, redact_text, secret_of
from dag.errors import DagError
from dag.io.archives import DamagedStream, gunzip, limit_pieces, reader_of, unpack
from dag.io.image.registry import credentials
from dag.io.image.registry.auth import Challenge
from dag.io.kube import answers, contexts
from dag.io.package.apk import read_apk
from dag.io.settings import parse_settings
from dag.io.sources.git.files import RepositoryFiles
from dag.io.sources.records import Records

Target = Callable[[bytes], object]
TARGETS: dict[str, Target] = {}
_ARCH = Arch.parse("x86_64")
_LIMIT = CACHE_LAYER_MEMBERS.header


def target(function: Target) -> Target:
    """Name a function as one that is fuzzed."""
    TARGETS[function.__name__] = function
    return function


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _parts(data: bytes, number: int) -> list[str]:
    parts = _text(data).split("\0", number - 1)
    return parts + [""] * (number - len(parts))


def _file(data: bytes) -> Any:
    file = NamedTemporaryFile()  # noqa: SIM115  # whoever calls this closes it
    file.write(data)
    file.flush()
    return file


@target
def definition(data: bytes) -> None:
    read_definition(data, "x.yaml", arch=_ARCH, table=Table({"own": ("own.yaml", data)}))
    names_in_text(data, "x.yaml")


@target
def pipeline(data: bytes) -> None:
    user = b"package: {name: a, version: 1, epoch: 0}\npipeline: [{uses: own, with: {a: b}}]\n"
    read_definition(user, "x.yaml", arch=_ARCH, table=Table({"own": ("own.yaml", data)}))


@target
def var_transforms(data: bytes) -> None:
    text, match, replace = _parts(data, 3)
    with suppress(Unresolvable):
        transform(text, match, replace)


@target
def substitutions(data: bytes) -> None:
    lookup = lookup_in({"a": "${{b}}", "b": "'", "package.name": "x"})
    for work in (substitute, condition):
        with suppress(Unresolvable):
            work(_text(data), lookup)


@target
def makefile(data: bytes) -> None:
    text = _text(data)
    with suppress(DagError):
        read_makefile(text)
    included_patterns(text, str)


@target
def melange_calls(data: bytes) -> None:
    calls = MelangeCalls(_text(data), {"ARCH": "x86_64"})
    calls.of("a", "1-r0")


@target
def dependencies(data: bytes) -> None:
    one, other = _parts(data, 2)
    for text in (one, other):
        constraints.parse(text)
        constraints.version(text)
        versions.key(text)


@target
def pkginfo(data: bytes) -> None:
    with suppress(BrokenPackage):
        describe(read_pkginfo(_text(data)), checksum="Q1", sha256="0" * 64, size=1)


@target
def apkindex(data: bytes) -> None:
    with suppress(BrokenIndex):
        read_index(_text(data))
    listed_packages(_text(data))


@target
def package(data: bytes) -> None:
    with suppress(BrokenPackage):
        read_apk(io.BytesIO(data))


@target
def archive(data: bytes) -> None:
    """Read an index or the layer of an image: packed, and a tar."""
    for limits, joined in ((PACKAGE_MEMBERS, True), (CACHE_LAYER_MEMBERS, False)):
        with suppress(BrokenArchive, DamagedStream, TooLarge):
            pieces = limit_pieces(unpack([data]), _LIMIT, "it")
            reader = TarReader(reader_of(pieces), limits, "it", joined=joined)
            for member in reader:
                member.name.encode(errors="surrogateescape")
                if member.is_file:
                    for _ in reader.blocks():
                        pass
    with suppress(DamagedStream, TooLarge):
        for _ in limit_pieces(gunzip([data]), _LIMIT, "it"):
            pass


@target
def image(data: bytes) -> None:
    """Read manifest, index, descriptor and config of an image."""
    with suppress(ValueError):
        document = parse_object(data)
        for read in (layers.base_layers, Blob.parse):
            with suppress(ValueError):
                read(document)


@target
def references(data: bytes) -> None:
    for read in (parse_reference, parse_repository):
        with suppress(DagError):
            read(_text(data))


@target
def challenge(data: bytes) -> None:
    Challenge.parse(_text(data))


@target
def docker_config(data: bytes) -> None:
    with _file(data) as file:
        one = credentials.CredentialFile(Path(file.name), "X", is_bare=data[:1] == b"\n")
        # What is a program is not run.
        known = {"credsStore": None, "credHelpers": None}
        with suppress(DagError):
            found = credentials._read_config(one)
            places = ["ghcr.io/a/b", "ghcr.io/a", "ghcr.io"]
            tables = {**(found or {}), **known}
            credentials._from_auths(credentials._table(tables, "auths"), places, one.path)


@target
def kubeconfig(data: bytes) -> None:
    with _file(data) as file, suppress(DagError):
        contexts.find_namespace(file.name, None)
    with _file(data) as file, suppress(DagError):
        contexts.choose_context(file.name, None)


@target
def watch_event(data: bytes) -> None:
    with suppress(DagError):
        _, found = answers.read_event("server", data)
        visible_json(found)
    with suppress(ValueError, DagError, RecursionError):
        found = json.loads(data)
        if isinstance(found, dict):
            answers.check_list("server", found)


@target
def log(data: bytes) -> None:
    splitter, pod, kept = LineSplitter(LOG_LINE), PodLog(), ContainerLog()
    for number, piece in enumerate(data.split(b"\xff")):
        texts = [text for line in splitter.feed(piece) if (text := pod.feed(line)) is not None]
        for line in kept.take(texts):
            visible_log_line(line)
        if number % 2:
            pod.resume()


@target
def git_state(data: bytes) -> None:
    with suppress(ValueError):
        state = parse_state(data)
        assert parse_state(state.text().encode()) == state


@target
def git_files(data: bytes) -> None:
    """Read the small files of a repository in the cache."""
    with TemporaryDirectory() as place:
        directory = Path(place)
        for name in ("objects", "refs"):
            (directory / name).mkdir()
        names = ("HEAD", "packed-refs", "shallow", STATE)
        for name, part in zip(names, data.split(b"\0", 3), strict=False):
            (directory / name).write_bytes(part)
        files = RepositoryFiles(directory, Records(directory / "verified"), directory)
        for work in (lambda: files.are_readable(["HEAD"]), files.read_state):
            with suppress(OSError, ValueError):
                work()
        files.resolve("refs/heads/main")


@target
def record(data: bytes) -> None:
    with suppress(ValueError):
        decode_record(data)


@target
def run_journal(data: bytes) -> None:
    with suppress(ValueError):
        journal.replay_run(line + b"\n" for line in data.split(b"\n"))


@target
def ignore_file(data: bytes) -> None:
    with suppress(DagError):
        patterns = parse_patterns(_text(data), ".dagignore")
        patterns.match("a/b/c.yaml")


@target
def urls(data: bytes) -> None:
    text = _text(data)
    with suppress(DagError):
        check_uri(text)
    for shown in (redact(text), redact_text(text)):
        shown.encode()
    secret_of(text)
    parse_retry_after(text, 0.0)
    ContentRange.parse(text)


@target
def shown(data: bytes) -> None:
    for text in (visible(_text(data)), visible_entry(_text(data)), visible_log_line(data)):
        text.encode()
        assert text.replace("\n", "").replace("\t", "").isprintable()


@target
def secret_file(data: bytes) -> None:
    secrets.secret_content(data)
    secrets.secret_name(_text(data))


@target
def settings(data: bytes) -> None:
    with _file(data) as file, suppress(DagError):
        parse_settings(Path(file.name))
