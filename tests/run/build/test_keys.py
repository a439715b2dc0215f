"""Makefiles that have no rule for their key: built by real make and real melange all the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dag.core.pod.manifest import CACHE
from dag.core.pod.options import PodOptions
from dag.report.terminal import Terminal
from dag.run.pod.request import prepare
from tests.support.builds import Make, apks, definition, run
from tests.support.distributions import case
from tests.torture.kills import environment

# Each has `needs` in its environment only if what signed it is trusted.
RECIPE = (
    "\tmkdir -p ./$(pkg)/\n"
    "\t$(MELANGE) build $(pkg).yaml --repository-append packages/ --keyring-append {key}.pub"
    " --signing-key {key} --arch $(ARCH) --source-dir ./$(pkg)/ $(MELANGE_EXTRA_OPTS)\n"
)
RULES = (
    "package/%:\n\t$(MAKE) pkg=$* packages/$(ARCH)/$*.apk\npackages/$(ARCH)/%.apk: {prerequisite}\n"
)


def makefile(key: str, prerequisite: str) -> str:
    return (RULES + RECIPE).format(key=key, prerequisite=prerequisite)


KINDS = {
    "a literal name, and the variable before it": makefile("melange.rsa", "$(KEY)"),
    "the variable": makefile("$(KEY)", "$(KEY)"),
    "another literal name": makefile("own.rsa", "own.rsa"),
    "a variable of the Makefile's own": "SIGN ?= own.rsa\n" + makefile("$(SIGN)", ""),
    "a rule for a literal name": makefile("own.rsa", "") + "own.rsa:\n\t$(MELANGE) keygen $@\n",
}


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def place(make: Make, request: pytest.FixtureRequest) -> Path:
    place = make(lib=definition("lib"), app=definition("app", "lib"))
    (place / "Makefile").write_text(request.param)
    return place


def test_a_makefile_without_a_rule_for_its_key_builds_on_this_machine(place: Path) -> None:
    code, _, said = run(place)
    assert code == 0, said
    assert apks(place) == ["app-1-r0.apk", "lib-1-r0.apk"]


def test_a_makefile_without_a_rule_for_its_key_builds_in_a_pod(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    melange = shutil.which("melange", path=environment()["PATH"])
    settings = (place / "dag.toml").read_text()
    bootstrap = Path(settings.split('"')[1])
    shutil.copytree(bootstrap, place / "bootstrap")
    options = PodOptions(
        directory=str(place),
        bundle_repo="r.example.com/dag",
        namespace="builds",
        make_vars=(f"MELANGE={melange}",),
        repositories=(str(place / "bootstrap"),),
        keyrings=(str(place / "bootstrap" / "bootstrap.rsa.pub"),),
    )
    (request,) = prepare(options, Terminal()).pods
    has_rule = "own.rsa:" in (place / "Makefile").read_text()
    assert ("has no rule for its key" in capfd.readouterr().err) is not has_rule
    cache = tmp_path / "cache"
    cache.mkdir()
    # The very script of the pod, but for the directories that only a pod has.
    words = [word.replace(CACHE, str(cache)) for word in request.script.command(*request.targets)]
    words = [f"--state={tmp_path}/state" if word.startswith("--state=") else word for word in words]
    done = subprocess.run(
        words, cwd=place, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert apks(place) == ["app-1-r0.apk", "lib-1-r0.apk"]
    assert (place / request.key).exists()
    assert (place / f"{request.key}.pub").exists()


def test_a_public_key_that_somebody_has_committed_is_not_in_the_way(
    empty: Path, tmp_path: Path
) -> None:
    place = tmp_path / "d"
    shutil.copytree(case("committed-public-key"), place)
    shutil.copytree(empty / "bootstrap", place / "bootstrap")
    code, _, said = run(place)
    assert code == 0, said
    assert apks(place) == ["one-1-r0.apk"]
