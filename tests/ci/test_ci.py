"""The action for GitHub and the template for GitLab do what they say, as far as that runs here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from cluster import parts
from dag import __version__
from dag.core.package.builtin import MELANGE
from examples.bootstrap import bootstrap
from tests.support.builds import apks

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / ".github" / "actions" / "build"
WORKFLOW = ROOT / "examples" / "ci" / "github.yml"
TEMPLATE = ROOT / "examples" / "ci" / "gitlab.yml"
PAGE = ROOT / "docs" / "ci.md"


def lint(place: Path, workflow: str) -> subprocess.CompletedProcess[str]:
    """Check a workflow in a repository that has the action in its own checkout."""
    file = place / ".github" / "workflows" / "packages.yml"
    file.parent.mkdir(parents=True)
    file.write_text(workflow)
    shutil.copytree(ACTION, place / ".github" / "actions" / "build")
    subprocess.run(["git", "init", "-q", place], check=True)
    return subprocess.run(
        [parts.build("actionlint") / "actionlint", "-no-color", "-shellcheck", "shellcheck"],
        cwd=place,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_workflow_and_the_inputs_of_the_action_are_right(tmp_path: Path) -> None:
    local = "./.github/actions/build"
    place = f"OWNER/REPOSITORY/.github/actions/build@v{__version__}"
    workflow = WORKFLOW.read_text().replace(place, local)
    assert local in workflow
    done = lint(tmp_path / "right", workflow)
    assert (done.returncode, done.stdout) == (0, "")
    done = lint(tmp_path / "wrong", workflow.replace("          arch: ${{", "          arhc: ${{"))
    assert 'input "arhc" is not defined' in done.stdout


@pytest.mark.parametrize("file", [WORKFLOW, TEMPLATE, PAGE])
def test_this_version_of_dag_is_taken(file: Path) -> None:
    versions = re.findall(r"(?:OWNER/REPOSITORY|GROUP/dag)\S*@v([0-9.]+)", file.read_text())
    assert {*versions} == {__version__}


def test_the_melange_whose_pipelines_dag_knows_is_installed() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    assert action["inputs"]["melange"]["default"] == MELANGE
    assert f"| `melange` | `{MELANGE}` |" in PAGE.read_text()


def test_what_a_build_that_fails_has_built_is_kept() -> None:
    steps = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"]
    taken = [one.get("uses", "").partition("@")[0] for one in steps]
    save = steps[taken.index("actions/cache/save")]
    assert "actions/cache" not in taken, "it saves only after success"
    assert steps.index(save) > next(n for n, one in enumerate(steps) if one.get("id") == "build")
    assert save["if"].startswith("always()")
    restored = steps[taken.index("actions/cache/restore")]
    assert save["with"]["path"] == restored["with"]["path"]


class Checkout:
    """A repository with the distribution of `dag init`, and the commands of a CI service in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.service = place.parent / "service"
        self.service.mkdir()
        program = self.service / "bin" / "dag"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dag "$@"\n')
        program.chmod(0o755)

    def run(self, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.service / 'bin'}:{parts.build('melange')}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src"), **more}
        return subprocess.run(
            words, cwd=self.place, env=environment, capture_output=True, text=True, check=False
        )

    def move_to(self, name: str) -> None:
        """Move the definitions, with all that is beside them, into a directory of the repository."""
        (self.place / name).mkdir()
        for path in self.place.iterdir():
            if path.name not in (".git", name):
                path.rename(self.place / name / path.name)

    def commit(self) -> str:
        """Commit everything, and return the name of the commit."""
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        self.run("git", "add", "-A")
        assert self.run("git", *who, "commit", "-qm", "a change").returncode == 0
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def break_hello(self) -> None:
        file = self.place / "example-hello.yaml"
        file.write_text(file.read_text().replace("chmod 755", "echo ::error::x; no-such-program"))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    checkout = Checkout(tmp_path / "checkout")
    begin = ("dag", "init", "-r", "./bootstrap", "--keyring", "./bootstrap/bootstrap.rsa.pub", ".")
    checkout.place.mkdir()
    assert checkout.run(*begin).returncode == 0
    bootstrap(checkout.place / "bootstrap")
    ignored = checkout.place / ".gitignore"
    ignored.write_text(f"{ignored.read_text()}!/bootstrap/*.pub\n")
    checkout.run("git", "init", "-q")
    return checkout


def act(checkout: Checkout, since: str) -> subprocess.CompletedProcess[str]:
    """Run the last step of the action."""
    (checkout.service / "output").unlink(missing_ok=True)
    return checkout.run(
        ACTION / "build.sh",
        DIRECTORY=".",
        SINCE=since,
        BUILD_ARCH="x86_64",
        BUILD_FLAGS="--retries 0",
        GITHUB_ACTIONS="true",
        GITHUB_OUTPUT=str(checkout.service / "output"),
        GITHUB_STEP_SUMMARY=str(checkout.service / "summary.md"),
        GITHUB_WORKSPACE=str(checkout.place),
        RUNNER_TEMP=str(checkout.service),
    )


def test_the_action_builds_what_is_touched_and_says_where_it_failed(checkout: Checkout) -> None:
    first = checkout.commit()
    checkout.break_hello()
    checkout.commit()
    done = act(checkout, first)
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("::error")]
    assert len(errors) == 1, "what a step prints is no command"
    place = "::error file=example-hello.yaml,line=1,title=example-hello 1.0.0-r0 failed::"
    assert errors[0].startswith(place)
    assert "::group::the end of the log of example-hello" in done.stderr
    assert "example-hello 1.0.0-r0 failed" in (checkout.service / "summary.md").read_text()
    outputs = dict(
        line.split("=") for line in (checkout.service / "output").read_text().splitlines()
    )
    assert (
        Path(outputs["markdown"]).read_text().startswith("## dag build, x86_64: 1 built, 1 failed")
    )
    assert "<testsuite" in Path(outputs["junit"]).read_text()


def test_without_a_commit_to_compare_with_the_action_builds_everything_once(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.commit()
    done = act(checkout, "0" * 40)
    assert done.returncode == 0, done.stderr
    assert "::notice::" in done.stdout
    assert apks(checkout.place) == ["example-greeting-1.0.0-r0.apk", "example-hello-1.0.0-r0.apk"]
    again = checkout.run("dag", "build", XDG_DATA_HOME=str(tmp_path / "another key"))
    assert again.returncode == 0, again.stderr
    assert "0 packages to build" in again.stderr


def listed(checkout: Checkout, since: str) -> tuple[int, str]:
    """Return the exit code of the workflow's list, and what the list is."""
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["touched"]["steps"]
    script = next(one["run"] for one in steps if one.get("id") == "list")
    output = checkout.service / "output"
    output.write_text("")
    done = checkout.run("bash", "-ec", script, SINCE=since, GITHUB_OUTPUT=str(output))
    return done.returncode, output.read_text()


def test_the_workflow_lists_what_is_touched_or_everything_and_fails_with_dag(
    checkout: Checkout,
) -> None:
    subprocess.run([ROOT / "scripts/apt", "jq"], check=True)
    both = 'packages=["example-greeting","example-hello"]\n'
    first = checkout.commit()
    assert listed(checkout, first) == (0, "packages=[]\n")
    checkout.break_hello()
    checkout.commit()
    assert listed(checkout, first) == (0, 'packages=["example-hello"]\n')
    assert listed(checkout, "0" * 40) == (0, both)
    assert listed(checkout, "") == (0, both)
    (checkout.place / "dag.toml").write_text("no-such-key = 1\n")
    assert listed(checkout, first) == (2, "")


def test_the_template_builds_what_a_merge_request_touches(checkout: Checkout) -> None:
    job: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())["packages"]
    checkout.move_to("os")
    first = checkout.commit()
    greeting = checkout.place / "os" / "example-greeting.yaml"
    greeting.write_text(greeting.read_text().replace("epoch: 0", "epoch: 1"))
    checkout.commit()
    ((arch,),) = (one["BUILD_ARCH"] for one in job["parallel"]["matrix"])
    variables = {name: str(value) for name, value in job["variables"].items()}
    variables |= {"DIRECTORY": "os", "BUILD_ARCH": arch, "CI_MERGE_REQUEST_DIFF_BASE_SHA": first}
    done = checkout.run("bash", "-ec", job["script"][0], **variables)
    assert done.returncode == 0, done.stderr
    assert apks(checkout.place / "os") == ["example-greeting-1.0.0-r1.apk"]
    for path in job["artifacts"]["paths"]:
        place = checkout.place / Template(path).substitute(variables)
        kept = [place, *place.rglob("*")]
        assert not any(one.is_symlink() for one in kept), "it would lead nowhere"
        assert any(one.is_file() for one in kept)
    (kept_between,) = job["cache"]["paths"]
    assert (checkout.place / Template(kept_between).substitute(variables)).is_dir()
    assert (checkout.place / job["artifacts"]["reports"]["junit"]).exists()
    assert done.stdout.count("section_start") == done.stdout.count("section_end") == 1
