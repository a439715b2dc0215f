"""Patterns of ignore files; the table follows the cases of moby/patternmatcher's own tests."""

from __future__ import annotations

import pytest

from dag.core.image.ignore import parse_patterns
from dag.errors import UsageError


@pytest.mark.parametrize(
    ("text", "path", "left_out"),
    [
        ("**", "file", True),
        ("**", "dir/file", True),
        ("**/", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/file", True),
        ("dir/**", "dir/dir2/file", True),
        ("dir/**", "other/file", False),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/*", "dir/dir2/dir2/file", True),
        ("**file", "file", True),
        ("**file", "dir/dir/file", True),
        ("**/file", "file", True),
        ("**/file", "dir/file", True),
        ("**file*", "dir/file.txt", True),
        ("**/*.txt", "dir/file.txt", True),
        ("*.txt", "dir/file.txt", False),
        ("*.txt", "file.txt", True),
        ("/file.txt", "file.txt", True),
        ("./file.txt", "file.txt", True),
        ("dir/../file.txt", "file.txt", True),
        ("a**/*.txt", "a/file.txt", True),
        ("a**/*.txt", "a/dir/dir/file.txt", True),
        ("a/*.txt", "a/dir/file.txt", False),
        ("a/*/*.txt", "a/dir/file.txt", True),
        ("a[b-d]e", "ace", True),
        ("a[b-d]e", "aae", False),
        ("a[^b-d]e", "aze", True),
        ("a[^b]c", "a/c", True),
        ("a**foo", "abcfoo", False),
        ("a**foo", "a/b/foo", True),
        ("**foo*", "barfoo1", False),
        ("**foo*", "bar/foo1", True),
        ("foo**bar", "fooxbar", False),
        ("foo**bar", "foox/bar", True),
        ("foo**", "foox/bar", True),
        ("[\\]]", "]", True),
        ("a[]", "a]", None),
        ("[]a]", "a", None),
        ("[a-]", "-", None),
        ("[a-b-c]", "b", None),
        ("{a,b}", "a", False),
        ("(x)", "(x)", True),
        ("x$", "x$", True),
        ("x\vy", "x\vy", True),
        ("x\x85y", "x\x85y", True),
        ("a\r\nb\r\n", "b", True),
        ("?", "\udcff", True),
        ("a[\\-x]", "a-", True),
        ("abc.def", "abcdef", False),
        ("abc?def", "abcZdef", True),
        ("abc?def", "abcdef", False),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("dir", "dir/below/file", True),
        ("di", "dir/file", False),
        ("dir/", "dir/file", True),
        ("*", ".hidden", True),
        ("#dir", "#dir", False),
        (" dir ", "dir", True),
        ("dir\n!dir/keep", "dir/keep", False),
        ("dir\n!dir/keep", "dir/other", True),
        ("!dir/keep\ndir", "dir/keep", True),
        ("*\n!*.yaml", "a.yaml", False),
        ("*\n!*.yaml", "a.txt", True),
        ("*\n!*.yaml\nsecret.yaml", "secret.yaml", True),
        ("*\n! keep", "keep", False),
        (".", "file", False),
        ("/", "file", False),
        ("", "file", False),
        ("\ufefffile", "file", True),
    ],
)
def test_a_path_is_left_out_as_docker_does(text: str, path: str, left_out: bool | None) -> None:
    """None stands for a pattern that Docker does not accept, and neither do we."""
    if left_out is None:
        with pytest.raises(UsageError):
            parse_patterns(text, ".dagignore")
    else:
        assert (parse_patterns(text, ".dagignore").match(path) is not None) is left_out


def test_the_pattern_that_decided_can_be_named() -> None:
    pattern = parse_patterns("# tools\n\n*.txt\n", ".dagignore").match("a.txt")
    assert pattern is not None
    assert (pattern.text, pattern.where) == ("*.txt", ".dagignore:3")


@pytest.mark.parametrize("text", ["a[", "[]", "a\\", "!", "a[z-a]"])
def test_a_malformed_pattern_names_its_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"\.dagignore:2"):
        parse_patterns(f"fine\n{text}\n", ".dagignore")
