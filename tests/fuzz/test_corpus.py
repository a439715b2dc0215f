"""The corpus of the fuzzer, and texts near it, on every parser: a few seconds of what `make torture`
does for ten minutes.
"""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS

_NEAR = 12
"""How many changed texts are tried for each one of the corpus."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_refuses_or_reads_what_it_gets(name: str) -> None:
    seeds = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert seeds, "every parser has a text to begin with"
    chance = random.Random(name)
    for seed in (b"", *seeds):
        TARGETS[name](seed)
        for _ in range(_NEAR):
            TARGETS[name](changed(seed, chance))


def changed(data: bytes, chance: random.Random) -> bytes:
    """Return a text with a piece cut out, doubled, or replaced by other bytes."""
    begin = chance.randint(0, len(data))
    end = min(len(data), begin + chance.randint(0, 40))
    piece = data[begin:end]
    other = (b"", piece * 2, chance.randbytes(4), b"\0", b"-1", b"9" * 25, b"\xff", b"[{\"'")
    return data[:begin] + chance.choice(other) + data[end:]


def test_the_corpus_takes_little_memory() -> None:
    # getrusage would count what the process had that this one came from.
    script = (
        "import tests.fuzz.targets as targets, tests.fuzz.__main__ as command\n"
        "for name, function in targets.TARGETS.items():\n"
        "    for path in (command.CORPUS / name).iterdir():\n"
        "        function(path.read_bytes())\n"
        "status = open('/proc/self/status').read()\n"
        "print(status.split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 256 << 10, f"{done.stdout} KiB"


def test_there_is_nothing_in_the_corpus_that_no_parser_reads() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*TARGETS}


@pytest.mark.long
def test_the_fuzzer_begins_with_the_corpus() -> None:
    directory = CORPUS / "lock_holder"
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--one", "lock_holder", "-runs=1", str(directory)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{len([*directory.iterdir()])} files found in {directory}" in done.stderr
