"""make can build the targets of `dag pod` one after the other, with real melange."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from dag.core.arch import Arch
from dag.core.build.options import SelectionOptions
from dag.core.build.scripts import MakeVariables, build_script
from dag.run.graph.selection import Selection, select
from tests.support.builds import SHARE, definition
from tests.support.distributions import case
from tests.support.melange import binary

pytestmark = pytest.mark.installs
X86 = Arch.parse("x86_64")


@pytest.fixture
def bootstrap(empty: Path) -> Path:
    """Return a repository with what the first packages are built with."""
    return empty / "bootstrap"


def build_as_a_pod(directory: Path, bootstrap: Path, *names: str) -> tuple[Selection, str]:
    """Build in the directory itself what `dag pod` would, by the same script; return the log."""
    shutil.copytree(bootstrap, directory / "bootstrap")
    keyring = str(directory / "bootstrap/bootstrap.rsa.pub")
    options = SelectionOptions(
        packages=names,
        directory=str(directory),
        repositories=(str(directory / "bootstrap"),),
        keyrings=(keyring,),
    )
    selection = select(options, X86, print)
    makefile = selection.makefile
    variables = MakeVariables(
        arch=X86,
        source_date_epoch=0,
        cache_dir=str(directory / "cache"),
        melange=str(binary()),
        key=makefile.key,
        repositories=["./bootstrap"],
        keyrings=["./bootstrap/bootstrap.rsa.pub"],
        melange_flags=selection.definitions.melange_words,
        files=makefile.variables(selection.packages),
    )
    script = build_script(
        variables,
        key_maker=makefile.key_maker,
        makefile=makefile.built_in,
        state=str(directory.parent / f"{directory.name}-state"),
    )
    done = subprocess.run(
        script.command(*selection.targets),
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    for package in selection.packages:
        for name in package.promised:
            assert (directory / f"packages/x86_64/{name}-{package.full_version}.apk").is_file()
    return selection, done.stdout


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("versioned-providers", "rt-1 app"),
        ("bootstrap-chain", "comp-1 comp-2 comp-3"),
        ("provider-order", "other pa qc app"),
        ("runtime-closure", "lib zstuff app"),
        ("package-append", "basics app"),
        ("file-name", "myapp"),
    ],
)
def test_a_case_builds_in_the_order_of_the_graph(
    name: str, order: str, bootstrap: Path, tmp_path: Path
) -> None:
    place = tmp_path / "d"
    shutil.copytree(case(name), place)
    for path in (place, *place.iterdir()):
        path.chmod(0o755)
    asked = order.split()[-1:]
    selection, _ = build_as_a_pod(place, bootstrap, *asked)
    assert [one.name for one in selection.packages] == order.split()


@pytest.mark.parametrize(("seed", "has_makefile"), [(1, True), (2, False)])
def test_a_distribution_made_up_at_random_builds(
    seed: int, has_makefile: bool, bootstrap: Path, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    place = tmp_path / "d"
    place.mkdir()
    # The names say nothing about the order, so that what goes first does so for a reason.
    names = rng.sample([f"{letter}{number}" for letter in "abz" for number in range(4)], 9)
    for number, name in enumerate(names):
        (place / f"{name}.yaml").write_text(made_up(rng, name, names[:number]))
    if has_makefile:
        shutil.copy(case("package-append") / "Makefile", place)
        text = (place / "Makefile").read_text()
        (place / "Makefile").write_text(text.replace("basics", names[0]))
    else:
        (place / "dag.toml").write_text("")
    build_as_a_pod(place, bootstrap)


def made_up(rng: random.Random, name: str, earlier: list[str]) -> str:
    """Return a definition that needs some of the earlier ones, in one way or another."""
    needs, runs = [], []
    for other in rng.sample(earlier, min(len(earlier), rng.randint(0, 2))):
        needs.append(
            rng.choice([other, f"{other}=1-r0", f"v-{other}", f"v-{other}>1", f"{other}-dev"])
        )
        if not needs[-1].endswith("-dev"):
            runs.append(f"test -e {SHARE}/{other}")
    later = rng.sample(earlier, min(len(earlier), rng.randint(0, 1)))
    extra = f"  dependencies:\n    provides: [v-{name}=2]\n    runtime: {later}\n"
    text = definition(name, *needs, runs="\n".join(runs or ["true"]), extra=extra)
    return text + (
        f"subpackages:\n  - name: {name}-dev\n    dependencies: {{runtime: [{name}]}}\n"
        f"    pipeline: [{{runs: 'mkdir -p ${{{{targets.contextdir}}}}/usr/share/{name}'}}]\n"
    )
