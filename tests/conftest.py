"""Settings and fixtures of all tests."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.distributions import SHARED, MissingDataError
from tests.support.golden import Golden

pytest_plugins = ["tests.support.errors", "tests.support.servers", "tests.support.stores"]

# A slow example is no failure: the machine may be busy.
# The same examples in every run, so that a failure has to do with a change. DAG_EXPLORE=1 makes new
# ones, and more.
explore = bool(os.environ.get("DAG_EXPLORE"))
settings.register_profile("dag", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=20)
# `make unit` asks for that: a fifth of the examples, and `make test` tries them all.
quick = bool(os.environ.get("DAG_QUICK"))
settings.load_profile("explore" if explore else "quick" if quick else "dag")


# Programs that tests start receive SIGHUP and SIGINT, even if the tests run under nohup or in the
# background of a script.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# The keys of the stores that tests make are nobody's.
_keys = tempfile.TemporaryDirectory(prefix="dag-tests-")
os.environ["XDG_DATA_HOME"] = _keys.name

# The makes of tests are no sub-makes of `make test`.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)


HERE = Path(__file__).parent
INSTALLING = tuple(
    HERE / name
    for name in (
        "bare",
        "browser",
        "ci",
        "cluster",
        "examples",
        "io/sources/git",
        "melange",
        "real",
        "run/build",
        "torture",
    )
)
"""Folders whose tests need melange, the cluster or Debian's packages; others mark single tests."""
# `make unit` does not even import them.
collect_ignore = [str(folder) for folder in INSTALLING] if os.environ.get("DAG_NO_INSTALL") else []


def _leave_out_torture(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes longer than `make test` may."""
    marks = {item: item.get_closest_marker("torture") for item in items}
    out = {item for item, mark in marks.items() if mark and mark.kwargs.get("only")}
    if out and not explore:
        config.hook.pytest_deselected(items=[*out])
        items[:] = [item for item in items if item not in out]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the tests that have the cluster alone, and with those that need none beside them.

    The tests that share the cluster come last: they wait most, and for each other least. The longest
    of them begin first, so that none is left alone at the end.
    """
    _leave_out_torture(config, items)
    cluster = f"{HERE}/cluster/"
    installing = tuple(f"{folder}/" for folder in INSTALLING)

    def turn(item: pytest.Item) -> int:
        if not str(item.path).startswith(cluster):
            return 1
        return 0 if "alone" in getattr(item, "fixturenames", ()) else 2

    items.sort(
        key=lambda item: (turn(item), turn(item) == 2 and not item.get_closest_marker("long"))
    )
    for item in items:
        needs_registry = "running" in getattr(item, "fixturenames", ())
        if needs_registry or str(item.path).startswith(installing):
            item.add_marker(pytest.mark.installs)
    for item in items:
        if turn(item) == 0:
            item.add_marker(pytest.mark.xdist_group("alone"))
        elif "simulated" in getattr(item, "fixturenames", ()):
            # They exclude each other, and would wait for that in several processes.
            item.add_marker(pytest.mark.xdist_group("simulated"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Give long values short names: xdist sends every name to every process."""
    if isinstance(val, str | bytes) and len(val) > 200:
        return f"{argname}-of-{len(val)}"
    return None


LEFT_OUT = ("left out", "comparison with real distributions")
"""The mark in the report of a test that was left out because the real distributions are missing."""


def _without_data(item: pytest.Item) -> Generator[None]:
    """Leave a test out if it reads real distributions that are missing; in CI it fails."""
    try:
        return (yield)
    except MissingDataError as error:
        if os.environ.get("CI") == "true":
            raise
        item.user_properties.append(LEFT_OUT)
        pytest.skip(str(error))


pytest_runtest_setup = pytest.hookimpl(wrapper=True)(_without_data)
pytest_runtest_call = pytest.hookimpl(wrapper=True)(_without_data)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Print at the very end, in one line, which comparisons were left out."""
    yield
    skipped = terminalreporter.getreports("skipped")
    left_out = [one for one in skipped if LEFT_OUT in getattr(one, "user_properties", ())]
    if left_out:
        files = ", ".join(sorted({one.nodeid.partition("::")[0] for one in left_out}))
        terminalreporter.write_line(
            f"{len(left_out)} comparisons with real distributions were left out ({files}), because"
            f" {SHARED / 'data'} does not have them: $DAG_SHARED, which names the directory above"
            " data/, brings them in."
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", action="store_true", help="write golden files anew instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return what compares a text with a file."""

    def compare(name: str | Path, text: str) -> None:
        path = request.path.parent / "golden" / name
        if request.config.getoption("--golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{path}: `make golden` writes it anew"

    return compare
