"""`dag cache` fetches what `dag build` needs with the same flags, to where `dag build` looks for it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.apks import write_index
from tests.support.caching import BODIES, dag, files, sha256, write
from tests.support.faults import Origin


def names(*packages: str) -> list[str]:
    return sorted(f"sha256:{sha256(BODIES[name])}" for name in packages)


def test_the_cache_is_beside_the_definitions_wherever_one_is(
    distribution: Path, tmp_path: Path
) -> None:
    done = dag("-d", distribution, "lib", cwd=tmp_path)
    assert (done.code, files(distribution / "cache")) == (0, names("lib")), done.err
    assert not (tmp_path / "cache").exists()
    assert "1 present" in dag("-d", distribution, "--out=", "lib", cwd=tmp_path).err
    assert "1 present" in dag("lib", cwd=distribution).err


def test_sources_at_the_place_of_earlier_versions_get_a_word(
    distribution: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    listed = ["-d", distribution, "--dry-run"]
    assert "./cache" not in dag(*listed, cwd=tmp_path).err
    dag("-d", distribution, "-o", "cache", "lib", cwd=tmp_path)
    said = dag(*listed, cwd=tmp_path).err
    assert f"./cache has sources, but {distribution}/cache is the cache of these" in said
    assert "./cache" not in dag(*listed, "-o", "cache", cwd=tmp_path).err


def test_what_a_repository_has_is_not_fetched(distribution: Path, tmp_path: Path) -> None:
    write_index(tmp_path / "os" / "x86_64", {"lib": "1.0-r0"})
    out = tmp_path / "cache"
    for words in (["app"], []):
        done = dag("-d", distribution, "-o", out, "-r", tmp_path / "os", "--dry-run", *words)
        listed = sorted(line.split("\t")[1] for line in done.out.splitlines())
        assert listed == names("app", *([] if words else ["tool"])), done.err
    # prune keeps what the definitions name.
    dag("-d", distribution, "-o", out)
    assert dag("prune", "-d", distribution, "-o", out, "-r", tmp_path / "os").out == ""


def test_only_leaves_out_what_is_needed(distribution: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    assert dag("-d", distribution, "-o", out, "--only", "app").code == 0
    assert files(out) == names("app")


def test_packages_that_need_each_other_are_fetched_although_nothing_opens_the_cycle(
    tmp_path: Path, origin: Origin
) -> None:
    (tmp_path / "d").mkdir()
    for name, needs in (("lib", "app"), ("app", "lib"), ("tool", "app")):
        uri = origin.put(f"/{name}", BODIES[name])
        write(tmp_path / "d", name, uri, sha256(BODIES[name]), needs=needs)
    done = dag("-d", tmp_path / "d", "tool")
    assert (done.code, files(tmp_path / "d/cache")) == (0, names("app", "lib", "tool")), done.err


def test_a_source_is_one_failure_however_many_definitions_need_it(
    distribution: Path, tmp_path: Path, origin: Origin
) -> None:
    for number in range(3):
        write(distribution, f"gone{number}", f"{origin.url}/gone", "1" * 64)
        (distribution / f"clone{number}.yaml").write_text(
            f"package: {{name: clone{number}, version: '1', epoch: 0}}\npipeline:\n"
            f"  - uses: git-checkout\n    with:\n      repository: file:///srv/repo\n"
            f"      tag: v1\n      expected-commit: {'1' * 40}\n"
        )
    write(distribution, "mirrored", f"{origin.url}/mirror", "1" * 64)
    done = dag("-d", distribution, "-o", tmp_path / "cache")
    assert done.code == 1
    refused = "only http, https, git and ssh are fetched by git, not file:"
    assert done.err.splitlines()[-6:] == [
        "dag: 2 failures:",
        f"  clone0.yaml:3: file:///srv/repo: {refused}",
        "    also needed by clone1.yaml:3, clone2.yaml:3",
        f"  gone0.yaml:6: {origin.url}/gone: HTTP 404 Not Found",
        f"    also {origin.url}/mirror: HTTP 404 Not Found",
        "    also needed by gone1.yaml:6, gone2.yaml:6, mirrored.yaml:6",
    ]
    done = dag("-d", distribution, "-o", tmp_path / "cache", "--json")
    found = json.loads(done.out)["problems"]
    assert [len(one["places"]) for one in found] == [3, 4]
    assert found[1]["others"] == [{"uri": f"{origin.url}/mirror", "message": "HTTP 404 Not Found"}]


def test_only_the_command_line_can_ask_for_credentials(distribution: Path, tmp_path: Path) -> None:
    (distribution / "dag.toml").write_text("credentials = true\n")
    assert "only the command line" in dag("-d", distribution).err.lower()
    (distribution / "dag.toml").unlink()
    assert dag("-d", distribution, "--dry-run", DAG_CREDENTIALS="true").code == 2
