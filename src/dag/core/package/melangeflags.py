"""With which flags melange builds each definition, as far as that counts for what it resolves to.

They come from the Makefile's own call, from `[melange]` in `dag.toml`, whose words go before those
of the Makefile, and from the flags of `dag` itself, which are added.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from dag.core.arch import Arch
from dag.core.package.makefile import Makefile
from dag.core.package.makesource import MakefileText
from dag.core.package.melangecall import OPTIONS, MelangeCall, MelangeCalls
from dag.core.package.melangetable import KEYS, NO_TABLE, TABLE, MelangeTable
from dag.core.package.model import APPENDED, Named, Need, Package, bare_name
from dag.core.package.problems import FileProblem
from dag.core.package.repositories import OWN

OWN_PIPELINES = "pipelines"
"""The directory of pipelines of its own that every directory of definitions may have."""
MELANGE_DIR = "/usr/share/melange"
EXTRA = "MELANGE_EXTRA_OPTS"

# Flag of melange → key of the table, and what is written there.
_REMEDIES = {
    "--package-append": ("package-append", '["NAME"]'),
    "--vars-file": ("vars-file", '"FILE"'),
    "--pipeline-dirs": ("pipeline-dirs", '["DIR"]'),
    "--pipeline-dir": ("pipeline-dirs", '["DIR"]'),
    "--build-option": ("build-option", '["NAME"]'),
}


class Resolution(NamedTuple):
    """The flags on which it depends what the text of a definition means."""

    pipeline_dirs: tuple[str, ...] = (OWN_PIPELINES,)
    """In the order in which melange looks, before its own; relative to the directory."""
    build_options: tuple[str, ...] = ()
    vars_file: str = ""


class MelangeFlags:
    """The flags for each definition of a directory."""

    def __init__(
        self,
        makefile: Makefile,
        source: MakefileText,
        table: MelangeTable = NO_TABLE,
        *,
        settings: tuple[str, int] = ("dag.toml", 1),
        arch: Arch,
        make_vars: Iterable[tuple[str, str]] = (),
        pipeline_dirs: Sequence[str] = (),
        build_options: Sequence[str] = (),
    ) -> None:
        """Take the Makefile and the table, which has its `package-append` at `settings`.

        `make_vars` are the assignments on make's command line.
        `pipeline_dirs` and `build_options` are those that flags of `dag` name.
        """
        self._makefile = makefile
        self._source = source
        self._table = table
        self._settings = settings
        self._pipeline_dirs = tuple(pipeline_dirs)
        self._build_options = tuple(build_options)
        make_vars = tuple(make_vars)
        given = {
            "ARCH": arch.apk,
            "KEY": makefile.key,
            "REPO": "./packages",
            "SOURCE_DATE_EPOCH": "0",
            "MELANGE_RUNNER": "bubblewrap",
            "MELANGE_DIR": MELANGE_DIR,
            **dict(make_vars),
            # What is given here is added to what dag itself puts there.
            EXTRA: " ".join(value for name, value in make_vars if name == EXTRA),
            "MELANGE": "melange",
        }
        self._calls = MelangeCalls(source.text, given)
        self._text = "\n".join(line.partition("#")[0] for line in source.text.split("\n"))
        self._unread: dict[tuple[str, str, int], None] = {}
        self._named_by_call: dict[
            int, tuple[MelangeCall, tuple[Named, ...], tuple[Named, ...]]
        ] = {}

    def resolution(self, stem: str) -> Resolution:
        """Return how a definition is resolved; `stem` is the name of its file, without `.yaml`."""
        # Its package has another name only where the Makefile finds it by this one all the same.
        call, table = self._call(stem, ""), self._table
        dirs = call.pipeline_dirs if table.pipeline_dirs is None else table.pipeline_dirs
        options = call.build_options if table.build_option is None else table.build_option
        vars_file = call.vars_file if table.vars_file is None else table.vars_file
        return Resolution(
            tuple(dict.fromkeys((*(dirs or (OWN_PIPELINES,)), *self._pipeline_dirs))),
            tuple(dict.fromkeys((*options, *self._build_options))),
            vars_file or "",
        )

    def with_appended(self, package: Package) -> Package:
        """Return the package with what is appended to its environment, and whom that asks."""
        call = self._call(self._makefile.stem_of(package), package.full_version)
        needs = self._appended(package, call)
        repositories, keys = self._named(call)
        if not (needs or repositories or keys or call.ignores_signatures):
            return package
        there = {need.text for need in package.environment}
        more = [one for one in needs if one.text not in there]
        return replace(
            package,
            environment=(*package.environment, *more),
            repositories=(*package.repositories, *repositories),
            keyring=(*package.keyring, *keys),
            ignores_signatures=call.ignores_signatures,
        )

    def _named(self, call: MelangeCall) -> tuple[tuple[Named, ...], tuple[Named, ...]]:
        """Return the repositories and the keys that a call names; the directory's own is none."""
        found = self._named_by_call.get(id(call))
        if found is None or found[0] is not call:
            places = [one for one in call.repositories if posixpath.normpath(one) != OWN]
            found = self._named_by_call[id(call)] = (
                call,
                self._places(call, "--repository-append", places),
                self._places(call, "--keyring-append", call.keyrings),
            )
        return found[1:]

    def _places(self, call: MelangeCall, flag: str, texts: Iterable[str]) -> tuple[Named, ...]:
        named = tuple(text for text in dict.fromkeys(texts) if text)
        if not named:
            return ()
        file, line = self._place(call, flag)
        return tuple(Named(text, file, line) for text in named)

    def _appended(self, package: Package, call: MelangeCall) -> list[Need]:
        table = self._table.package_append
        if table is None:
            if not call.package_append:
                return []
            (file, line), texts = self._place(call, "--package-append"), call.package_append
        else:
            # The Makefile spares what cannot be built with itself; where melange gets the table's
            # words from us, every definition gets them.
            own = package.promised if self._passes("--package-append") else ()
            file, line = self._settings
            texts = tuple(text for text in table if bare_name(text) not in own)
        named = dict.fromkeys(text for text in texts if bare_name(text))
        return [Need(text, file, line, APPENDED) for text in named]

    def _call(self, stem: str, full_version: str) -> MelangeCall:
        call = self._calls.of(stem, full_version)
        for flag in call.unreadable:
            place = self._place(call, flag)
            if flag == OPTIONS:
                is_said = self._table != NO_TABLE
            else:
                key = _REMEDIES.get(flag)
                is_said = key is None or getattr(self._table, KEYS[key[0]]) is not None
            if not is_said:
                self._unread[(flag, *place)] = None
        return call

    def _place(self, call: MelangeCall, flag: str) -> tuple[str, int]:
        return self._source.place(self._calls.line_of(call, flag))

    def _passes(self, flag: str) -> bool:
        """Return whether the Makefile passes a flag to melange, as far as can be seen."""
        return flag.removesuffix("s") in self._text or self._calls.has_unknown_options

    @property
    def words(self) -> list[str]:
        """The words that melange must be given, too, because the Makefile does not pass such flags."""
        table = self._table
        words: list[str] = []
        for flag, values in (
            ("--package-append", table.package_append or ()),
            ("--vars-file", (table.vars_file,) if table.vars_file else ()),
            ("--pipeline-dirs", table.pipeline_dirs or ()),
            ("--build-option", table.build_option or ()),
        ):
            if not self._passes(flag):
                words += (word for value in values for word in (flag, value))
        return words

    def unread(self) -> list[FileProblem]:
        """Return which flags only make can tell, of all that was asked for so far."""
        found = []
        for flag, file, line in self._unread:
            if flag == OPTIONS:
                what = "only make can tell which options melange gets here"
                fix = f"name those that count below [{TABLE}] in dag.toml; see docs/makefiles.md"
            else:
                key, value = _REMEDIES[flag]
                what = f"only make can tell what melange gets for {flag}"
                fix = f"say it in dag.toml: [{TABLE}] {key} = {value}"
            found.append(FileProblem(file, line, what, fix))
        return found
