"""The names of a definition that nothing can read any more."""

import pytest

from dag.core.package.nametext import may_define, names_in_text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("package:\n  name: a\n\tversion: 1\n", ("a",)),
        ("package: {name: 'a', version: [\n", ("a",)),
        ("# x\npackage:\n  version: 1\n  name: a # b\n  name: c\n", ("a",)),
        (
            (
                'package:\n  name: a\nsubpackages:\n  - name: "a-dev"\n  - name: ${{package.name}}-doc\n'
                "  - range: data\n    name: ${{range.key}}-x\n"
            ),
            ("a", "a-dev", "a-doc"),
        ),
        ("subpackages: [{name: b}, {name: c}]\n", ("b", "c")),
        ("package:\n  name: ../../x\n", ("file",)),
        ("\0\1\2", ("file",)),
        ("", ("file",)),
    ],
)
def test_names_are_read_as_far_as_the_text_tells(text: str, names: tuple[str, ...]) -> None:
    assert names_in_text(text.encode(), "file.yaml") == names


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (b"package:\n  name: a\n", True),
        (b"package: a\nname: b\n", False),
        (b"name: package\n", False),
        (b"", False),
    ],
)
def test_a_definition_is_a_mapping_with_a_name(text: bytes, is_one: bool) -> None:
    assert may_define(text) is is_one
