"""A distribution in whose build everything happens that an engine can be told, and when to die."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.support.builds import definition

_BIN = '"${{targets.destdir}}/usr/bin"'
_CHAIN = (
    *("Start BEGUN", "Succeeded COME", "Succeeded WRITTEN", "ProvePackages BEGUN"),
    *("Proven COME", "Proven WRITTEN", "Settled BEGUN"),
)
"""Transitions of every package that is built."""
MOMENTS = (
    *("Began COME", "Began WRITTEN"),
    *("Unchanged COME same1", "Unchanged WRITTEN same2"),
    *("Lacked COME app1", "Await BEGUN app2", "Lacked WRITTEN app3"),
    *(f"{moment} chain{number}" for number, moment in enumerate(_CHAIN)),
)
"""Where the builds die, one after the other."""
END = ("Broke COME broken", "Broke WRITTEN broken", "Finish BEGUN")
"""The same, when everything else is built: what is broken is tried each time, beside what is not."""
LAST = f"chain{len(_CHAIN) - 1}"
"""The package that is built last."""
SAME = ("base1", "same1", "base2", "same2")
"""Packages that are built beforehand. Then each base changes, and comes out the same."""


@dataclass(frozen=True)
class Everything:
    """The definitions, by name."""

    files: Mapping[str, str]
    """As they are built in the end."""
    before: Mapping[str, str]
    """The same, with another base for each of `SAME`."""


def everything() -> Everything:
    """Return the distribution of `MOMENTS` and `END`."""
    files = dict(_definitions())
    other = {name: f"# Once it was like this.\n{files[name]}" for name in ("base1", "base2")}
    return Everything(files, {**files, **other})


def _definitions() -> Iterator[tuple[str, str]]:
    for name, *needs in zip(SAME, ("", *SAME), strict=False):
        yield name, definition(name, *filter(None, needs))
    yield "broken", definition("broken", runs="false")
    for number in range(len(_CHAIN)):
        before = [f"chain{number - 1}"] if number else ["app3"]
        yield f"chain{number}", definition(f"chain{number}", *before)
    # A script needs a program that is there only when what takes longer is built.
    for number in (1, 2, 3):
        script, program, run = f"script{number}", f"z{number}", f"{_BIN}/run{number}"
        asks = f"mkdir -p {_BIN}\nprintf '#!/usr/bin/{program}\\n' >{run}\nchmod 755 {run}"
        gives = f"mkdir -p {_BIN}\ncp /bin/busybox {_BIN}/{program}"
        # Each begins when the one before is done, because Jobs go on when their client has died.
        first = [f"app{number - 1}"] if number > 1 else ["same2"]
        yield script, definition(script, *first, runs=asks)
        yield f"app{number}", definition(f"app{number}", script, runs=f"test -x /usr/bin/{program}")
        yield f"long{number}", definition(f"long{number}", *first, runs="sleep 4")
        yield f"tool{number}", definition(f"tool{number}", f"long{number}", runs=gives)
