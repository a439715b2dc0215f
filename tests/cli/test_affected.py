"""`dag affected`: what must be built again after files have changed."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_graph_commands import committing, dag, define, directory

__all__ = ["directory"]


def test_what_has_changed_and_what_needs_it_is_printed_in_the_order_of_builds(
    directory: Path,
) -> None:
    git = committing(directory)
    (directory / "pipelines").mkdir()
    (directory / "pipelines" / "strip.yaml").write_text("needs: {packages: []}\n")
    git("add", ".")
    git("commit", "-qm", "first")
    assert dag("affected", "-d", directory, "--since", "HEAD")[0] == ""
    (directory / "zip").mkdir()
    (directory / "zip" / "a.patch").write_text("x")
    out, err = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", "-v")
    assert out == "zip\n"
    assert "zip: zip/a.patch changed" in err
    define(directory, "lib", "[]", "subpackages: [{name: lib-dev}]")
    git("add", ".")
    git("commit", "-qm", "second")
    (directory / "pipelines" / "strip.yaml").write_text("needs: {packages: [tool]}\n")
    (directory / "README.md").write_text("x")
    out, err = dag("affected", "-d", directory, "--since", "HEAD^", "-t", "name")
    assert out.split() == ["lib", "tool", "app", "zip"]
    assert "files that belong to no package have changed: README.md" in err
    out, _ = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", "--direct")
    assert out == "zip\n"
    _, err = dag("affected", "-d", directory, "--since", "--output=x", code=2)
    assert "git knows no commit" in err
    (directory / "lib.yaml").unlink()
    out, _ = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name")
    assert out.split() == ["tool", "app", "zip"]


def test_affected_through_links_submodules_and_other_directories(tmp_path: Path) -> None:
    """The files of a package are elsewhere, and are changed there."""
    other = tmp_path / "other"
    (other / "q").mkdir(parents=True)
    (other / "q" / "step.yaml").write_text("needs: {packages: []}\n")
    (other / "notes").write_text("x")
    elsewhere = committing(other)
    elsewhere("add", ".")
    elsewhere("commit", "-qm", "first")

    top = tmp_path / "repository"
    directory = top / "os"
    for name in ("os/pipelines", "shared/link", "shared/more", "common"):
        (top / name).mkdir(parents=True)
    uses = {"a": "link/step", "b": "step", "c": "sub/q/step", "d": "strip", "e": "strip"}
    for name, pipeline in uses.items():
        define(directory, name, "[]", f"pipeline: [{{uses: {pipeline}}}]")
    (top / "shared/link/step.yaml").write_text("needs: {packages: []}\n")
    (top / "shared/more/step.yaml").write_text("needs: {packages: []}\n")
    (directory / "d.yaml").rename(top / "common/d.yaml")
    (directory / "d.yaml").symlink_to("../common/d.yaml")
    (directory / "e").symlink_to("../common/e")
    (top / "common/e").mkdir()
    (top / "common/e/patch").write_text("x")
    (directory / "pipelines/link").symlink_to("../../shared/link")
    git = committing(top)
    git("submodule", "add", str(other), "os/pipelines/sub")
    git("add", ".")
    git("commit", "-qm", "first")

    def affected(since: str = "HEAD") -> list[str]:
        words = ("--pipeline-dir", top / "shared/more", "-t", "name")
        return dag("affected", "-d", directory, "--since", since, *words)[0].split()

    def changed(path: Path) -> list[str]:
        before = path.read_text()
        path.write_text(before + "# more\n")
        found = affected()
        path.write_text(before)
        return found

    assert affected() == []
    assert changed(top / "shared/link/step.yaml") == ["a"]
    assert changed(top / "shared/more/step.yaml") == ["b"]
    assert changed(directory / "pipelines/sub/q/step.yaml") == ["c"]
    assert changed(directory / "pipelines/sub/notes") == []
    assert changed(top / "common/d.yaml") == ["d"]
    assert changed(top / "common/e/patch") == ["e"]
    (directory / "e").unlink()
    (directory / "e").symlink_to("../common")
    assert affected() == ["e"]
    git("checkout", "os/e")

    (other / "q" / "step.yaml").write_text("needs: {packages: [d]}\n")
    elsewhere("commit", "-qam", "second")
    git("-C", "os/pipelines/sub", "pull", "-q", str(other))
    assert affected() == ["c"]
    git("commit", "-qam", "second")
    assert affected() == []
    assert affected("HEAD^") == ["c"]


def test_affected_by_names_that_are_gone(directory: Path) -> None:
    define(directory, "lib", "[]", "subpackages: [{name: lib-dev}, {name: lib-doc}]")
    define(directory, "doc", "[lib-doc]")
    git = committing(directory)
    git("add", ".")
    git("commit", "-qm", "first")
    define(directory, "lib", "[]", "subpackages: [{name: lib-doc}]")
    out, err = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", "-v", "--direct")
    assert out.split() == ["lib", "app"]
    assert "app: lib.yaml changed" in err
    (directory / "lib.yaml").unlink()
    out, _ = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", "--direct")
    assert "doc" in out.split()


def test_affected_by_a_version_that_another_constraint_wants(directory: Path) -> None:
    def write(name: str, version: int, dependencies: str) -> None:
        (directory / f"{name}.yaml").write_text(
            f"package: {{name: {name}, version: {version}, epoch: 0, dependencies: {dependencies}}}"
        )

    write("old", 1, "{provides: [virtual=5]}")
    write("other", 1, "{provides: [virtual=4]}")
    write("carrier", 1, "{runtime: ['old<2']}")
    for name, needs in {
        "direct": "['old<2']",
        "through": "[carrier]",
        "choice": "[virtual]",
    }.items():
        define(directory, name, needs)
    define(directory, "same", "[old]")
    git = committing(directory)
    git("add", ".")
    git("commit", "-qm", "first")
    write("old", 2, "{provides: [virtual=3]}")
    out, err = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", "-v")
    assert set(out.split()) == {"old", "direct", "through", "choice", "same"}
    for name in ("direct", "through", "choice"):
        assert f"{name}: old.yaml changed" in err
    assert "same: " not in err


def test_affected_leaves_out_what_is_stopped(directory: Path) -> None:
    define(directory, "bad", "[]")
    define(directory, "user", "[bad, zip]")
    git = committing(directory)
    git("add", ".")
    git("commit", "-qm", "first")
    define(directory, "bad", "[")
    define(directory, "zip", "[]")
    out, err = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", code=2)
    assert out == "zip\n"
    assert "user needs bad" in err
    assert "belong to no package" not in err
    assert "dag: what has changed is broken: bad.yaml\n" in err


def test_affected_by_a_pipeline_that_breaks_what_uses_it(directory: Path) -> None:
    pipelines = directory / "pipelines"
    pipelines.mkdir()
    for name in ("gone", "broken", "kept"):
        (pipelines / f"{name}.yaml").write_text("needs: {packages: []}\n")
        (pipelines / f"{name}-more.yaml").write_text(f"pipeline: [{{uses: {name}}}]\n")
        define(directory, f"by-{name}", "[]", f"pipeline: [{{uses: {name}-more}}]")
    git = committing(directory)
    git("add", ".")
    git("commit", "-qm", "first")
    (pipelines / "gone.yaml").unlink()
    (pipelines / "broken.yaml").write_text("needs: 1\n")
    out, err = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name", code=2)
    assert out == ""
    assert "dag: what has changed is broken: by-broken.yaml, by-gone.yaml\n" in err
    assert "belong to no package" not in err
    git("commit", "-qam", "second")
    define(directory, "zip", "[]", "subpackages: [{name: zip-more}]")
    out, _ = dag("affected", "-d", directory, "--since", "HEAD", "-t", "name")
    assert out == "zip\n"


def test_affected_by_variables_that_break_what_uses_them(directory: Path) -> None:
    (directory / "Makefile").write_text(
        "package/zip: VARIABLES = --vars-file=z.vars\n"
        "package/%:\n\tmelange build $*.yaml $(VARIABLES)\n"
    )
    define(directory, "zip", "[]", "vars: {}")
    (directory / "z.vars").write_text("a: b\n")
    git = committing(directory)
    git("add", ".")
    git("commit", "-qm", "first")
    (directory / "z.vars").write_text("a: c\n")
    assert dag("affected", "-d", directory, "--since", "HEAD", "-t", "name")[0] == "zip\n"
    (directory / "z.vars").write_text("[")
    _, err = dag("affected", "-d", directory, "--since", "HEAD", code=2)
    assert "dag: what has changed is broken: zip.yaml\n" in err


def test_without_a_repository_nothing_tells_what_has_changed(directory: Path) -> None:
    _, err = dag("affected", "-d", directory, "--since", "HEAD", code=2)
    assert err == (
        f"dag: {directory} is in no git repository, so nothing tells what has changed\n"
        "hint: keep the definitions in git, or correct --dir\n"
    )
