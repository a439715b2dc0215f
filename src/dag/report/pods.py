"""What became of the pods of one command, for programs and for pages: JSON, JUnit, Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dag.core.pod.events import PodResult
from dag.report.envelope import envelope
from dag.report.markup import Suite, fenced, pages, plain, row, suites_to_xml
from dag.report.words import count, seconds


def to_json(
    results: Mapping[str, PodResult], created: Sequence[str], namespace: str, exit_code: int
) -> str:
    """Return everything that is known as one JSON object; `results` are by architecture.

    `created` are the names of pods that nobody follows.
    """
    pods = [_pod(arch, result) for arch, result in results.items()]
    pods += [{"name": name} for name in created]
    return envelope("pods", {"namespace": namespace, "pods": pods}, exit_code=exit_code)


def _pod(arch: str, result: PodResult) -> dict[str, object]:
    ending = result.ending
    return {
        "name": result.name,
        "arch": arch,
        "exit_code": ending.exit_code,
        "cause": ending.cause.name.lower().replace("_", " "),
        "message": ending.message,
        "hint": ending.hint,
        "container": ending.container,
        "target": result.failed_target,
        "step": result.step,
        "lines": result.tail,
        "seconds": result.seconds,
        "kept": result.kept,
    }


def to_junit(results: Mapping[str, PodResult]) -> str:
    """Return a test suite in which each pod is a test case."""
    longest = max((result.seconds for result in results.values()), default=0.0)
    suite = Suite("dag pod", "", longest)
    for arch, result in results.items():
        case = suite.case(f"{arch} {result.name}".rstrip(), seconds=result.seconds)
        if result.ending.exit_code:
            case.fail(why(result), result.tail)
    return suites_to_xml([suite])


def to_markdown(results: Mapping[str, PodResult], created: Sequence[str]) -> str:
    """Return a page about the pods for people; `created` are the names of pods that nobody follows."""
    lines = _markdown(results) if results else _created(created)
    return pages([[*lines]])


def _created(names: Sequence[str]) -> Iterator[str]:
    if not names:
        yield "## dag pod: nothing to build"
        return
    verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
    yield f"## dag pod: {count(len(names), 'pod')} {verb} created, and nobody follows {them}"
    yield ""
    yield from (f"- {plain(name)}" for name in names)


def _markdown(results: Mapping[str, PodResult]) -> Iterator[str]:
    failed = {arch: one for arch, one in results.items() if one.ending.exit_code}
    yield f"## dag pod: {f'{len(failed)} of {len(results)} failed' if failed else 'all is built'}"
    for arch, result in failed.items():
        yield ""
        yield f"### {plain(f'{arch} failed: {why(result)}')}"
        if result.ending.hint:
            yield plain(result.ending.hint)
        if result.tail:
            yield "\n".join(fenced(result.tail))
    yield ""
    yield "| architecture | pod | result | time |"
    yield "|---|---|---|---|"
    for arch, result in results.items():
        ended = "failed" if arch in failed else "built"
        yield row(arch, result.name, ended, seconds(result.seconds))


def why(result: PodResult) -> str:
    """Return why a pod failed: its ending, the target that failed, and the step within that."""
    target = f" (target {result.failed_target})" if result.failed_target else ""
    step = f": {result.step}" if result.step else ""
    return f"{result.ending.message}{target}{step}"
