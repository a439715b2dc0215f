"""Two packages never have one file in the store."""

from __future__ import annotations

import pytest

from dag.core.build.plan import BuildRequest
from dag.errors import UsageError
from tests.core.build.test_plan import package, plan, sub


def test_a_name_and_a_version_that_give_the_file_of_another_are_refused_with_both_files() -> None:
    both = [package("ca", version="certificates-1"), package("ca-certificates", version="1")]
    with pytest.raises(UsageError) as caught:
        plan(both)
    for words in ("ca.yaml:2 (ca certificates-1-r0)", "ca-certificates.yaml:2", "-1-r0.apk"):
        assert words in caught.value.message
    assert caught.value.hint == (
        "melange refuses the version certificates-1 of ca.yaml: correct it"
    )


def test_so_are_those_of_subpackages() -> None:
    one = package("a", version="b-1", subpackages=(sub("a-x"),))
    other = package("c", version="1", subpackages=(sub("a-x-b"),))
    with pytest.raises(UsageError, match=r"the file a-x-b-1-r0\.apk"):
        plan([one, other])


def test_they_stop_nothing_that_does_not_build_them() -> None:
    both = [package("ca", version="certificates-1"), package("ca-certificates", version="1")]
    made = plan([*both, package("other")], request=BuildRequest(packages=("other",)))
    assert [step.package.name for step in made.steps] == ["other"]
