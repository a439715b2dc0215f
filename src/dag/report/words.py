"""Words for numbers and lists, which all reports share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dag.core.build.result import UnitResult
    from dag.core.build.stuck import Stuck
    from dag.core.build.summary import SkippedSummary
    from dag.core.graph.remarks import EnvironmentRefusal


def seconds(value: float | None) -> str:
    """Return a duration: 0.4s, 12s, 3m05s, 2h07m; a dash for None."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f}s"
    minutes, rest = divmod(round(value), 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def count(number: int, noun: str) -> str:
    """Return a number of things: 1 package, 2 packages, 3 repositories."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


_MANY = 5


def some(names: Sequence[str], most: int = _MANY) -> str:
    """Return the first names of many: a, b and 7 more."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Return which names have each reason; the reasons come in the order of their first names."""
    found: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        found.setdefault(reason, []).append(name)
    return found


_NO_REPOSITORY = (
    "no repository is named: -r names one, and --keyring of `dag build` its public key; dag.toml keeps"
    " both as `repository` and `keyring`"
)


def missing_lines(
    missing: Mapping[str, Sequence[str]],
    names: Collection[str],
    *,
    others: bool,
    verbose: int,
    there: Mapping[str, Sequence[str]],
    remarks: Mapping[str, str],
    unasked: Collection[str] = (),
    known: bool = True,
) -> Iterator[str]:
    """Yield lines about what is not defined here; `others` says if repositories were asked.

    `there` has what there is of a name in other versions, `remarks` what is known besides. What is
    nearly one of `names`, which are defined, is told first, because it is most likely misspelt.
    `unasked` are those that repositories may have which nobody has asked: these are told only with
    -v, unless there is something else to say about them. Without -v, a remark that several of them
    have is told once. `known` says if any repository is named at all; if not, a line says how it is done.
    """
    if not missing:
        return
    from dag.core.graph.similar import SimilarNames

    similar = SimilarNames(names)
    meant = {
        name: found
        for name in missing
        if not there.get(name) and (found := similar.find(name)) not in (None, name)
    }
    foreign = {name for name in missing if name not in meant and not there.get(name)}
    quiet = foreign.intersection(unasked)
    where = "another repository" if others else "a repository"
    remedy = [_NO_REPOSITORY] if foreign and not known else []

    def what(name: str, shared: Sequence[str] = ()) -> str:
        found = there.get(name)
        told = [f"there is only {some(found)}"] if found else []
        told += [remarks[name]] if name in remarks and remarks[name] not in shared else []
        return f"{name} ({'; '.join(told)})" if told else name

    if verbose:
        for name, users in missing.items():
            guess = f"; did you mean {meant[name]}?" if name in meant else ""
            needed = f"it is needed by {', '.join(users)}"
            if name in quiet:
                yield f"{name} is left to repositories that are not asked here; {needed}"
                continue
            yield f"melange must find {what(name)} in {where}; {needed}{guess}"
        yield from remedy
        return
    told = [f"{name} (did you mean {found}?)" for name, found in meant.items()]
    # Then what is there in another version: nobody expects that it is missing.
    unlike = (name for name in missing if name not in meant and name not in quiet)
    left = sorted(unlike, key=lambda name: not (there.get(name) or name in remarks))
    seen = left[: max(0, _MANY - len(told))]
    by_remark = by_reason({name: remarks[name] for name in seen if name in remarks})
    shared = [remark for remark, several in by_remark.items() if len(several) > 1]
    told += [what(name, shared) for name in left]
    if told:
        more = "".join(f"; {remark}" for remark in shared)
        yield f"melange must find in {where}: {some(told)}{more}; -v names who needs them"
    yield from remedy


def refusal_lines(told: Sequence[EnvironmentRefusal], *, verbose: int) -> Iterator[str]:
    """Yield lines about environments that apko does not make."""
    if not told:
        return
    if verbose:
        yield from (f"apko gives up at the environment of {_refusal(one)}" for one in told)
        return
    more = "; and so on" if len(told) > 1 else ""
    yield (
        f"apko gives up at the environment of {count(len(told), 'package')}, for which other"
        f" packages must be there: {_refusal(told[0])}{more}; -v names all"
    )


def _refusal(one: EnvironmentRefusal) -> str:
    user = f", which {one.by[-1]} needs at run time" if one.by else ""
    there = f"there is {some(one.there)}" if one.there else "there is nothing of that name"
    if one.ruled_out:
        there = some(one.ruled_out, 2)
    return f"{one.package}: it cannot have {one.gave_up.constraint}{user}; {there}"


def reason_words(unit: UnitResult) -> str:
    """Return why a unit was to be built, and whether it turned out not to be reproducible."""
    because = f" ({unit.because})" if unit.because else ""
    return "; ".join(filter(None, (unit.reason + because, dubious_words(unit))))


def dubious_words(unit: UnitResult) -> str:
    """Return that a unit turned out not to be reproducible; empty if it did not."""
    second = unit.second
    told = list(second.differences) if second else []
    if second and second.has_failed:
        told.append(f"the second build failed: {second.cause}")
    if unit.results > 1:
        if second and second.is_built and not told:
            told.append("these two builds are equal, and an earlier one was different")
        words = f"the same inputs gave {unit.results} different results"
        return f"not reproducible: {'; '.join((words, *told))}"
    return f"not reproducible: {'; '.join(told)}" if unit.is_dubious else ""


def impossible_words(one: SkippedSummary, arch: str) -> str:
    """Return that a package that was asked for is not for this architecture."""
    return f"{one.name} {one.version} was asked for but is not built for {arch}"


def ring(way: Sequence[str]) -> str:
    """Return a cycle in words: a → b → a."""
    return " → ".join((*way, way[0]))


def stuck_words(stuck: Stuck) -> str:
    """Return that packages of a cycle cannot be built."""
    if len(stuck.packages) == 1:
        return f"{stuck.packages[0]} cannot be built, because it needs itself"
    return f"a cycle of {count(len(stuck.packages), 'package')} cannot be built"


def closing_words(stuck: Stuck) -> str:
    """Return a shortest cycle of packages that cannot be built, and the need that closes it."""
    need = f"; {stuck.needs[0][-1]}" if stuck.needs else ""  # older plans have no needs
    return f"{ring(stuck.cycles[0])}{need}"


def opening_words(stuck: Stuck) -> str:
    """Return what would open a cycle of packages."""
    wanted = stuck.openers or stuck.bootstrap  # older results have no openers
    return f"a repository (-r) with {', '.join(wanted)} would open it"


def stuck_lines(stuck: Stuck, indent: str) -> Iterator[str]:
    """Yield the cycles of packages that cannot be built, each with its needs, and what would open them."""
    for place, way in enumerate(stuck.cycles):
        yield f"{indent}{ring(way)}"
        for need in stuck.needs[place] if stuck.needs else ():
            yield f"{indent}  {need}"
    yield f"{indent}{opening_words(stuck)}"


def stopped_lines(
    stopped: Collection[str], causes: Mapping[str, object], *, verbose: int
) -> Iterator[str]:
    """Yield lines about packages that are left out, because what they need cannot be built.

    `causes` says of some what they need; the others need these. A package that is not in `stopped`
    may be among them.
    """
    told = {name: str(causes[name]) for name in sorted(causes) if name in stopped}
    if verbose:
        for words, names in by_reason(told).items():
            yield f"left out: {', '.join(names)}; {words}"
        if others := sorted(set(stopped).difference(told)):
            yield f"left out, because they need one of these: {', '.join(others)}"
    elif stopped:
        reasons = by_reason(told)
        words = next(iter(reasons), "")
        more = "; -v says why of all" if len(reasons) > 1 else ""
        yield f"left out, because what they need cannot be built: {some(sorted(stopped))}; {words}{more}"


def blocked_lines(because: Mapping[str, str]) -> Iterator[str]:
    """Yield lines about packages that cannot be built, each with a reason in words."""
    for words, names in by_reason(because).items():
        yield f"cannot be built: {some(names, 10)}; {words}"
