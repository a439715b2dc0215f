"""Flags, each declared once, as a field of the options of a command.

The type of the field, the flag, its environment variable, its key in `dag.toml`, its heading and its
line in `--help`, and its row in docs/flags.md all follow from one declaration:

    @flag_group
    class ResourceOptions(Options):
        heading: ClassVar[str] = "Resources"

        cpu: str = flag(QUANTITY, "--cpu", "Ask for this many CPUs.", default="1")

A command takes a class that inherits from such groups, and may word what a flag of theirs does there. A
function that needs one group asks for that group only, and is given the command's whole object. Nothing
here knows click: `dag.cli.options` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import (
    MISSING,
    Field,
    FrozenInstanceError,
    dataclass,
    field,
    fields,
    is_dataclass,
    replace,
)
from enum import Enum, auto
from functools import cache
from typing import Any, ClassVar, NoReturn, TypeVar, dataclass_transform, overload

from dag.core.kinds import ValueKind

T = TypeVar("T")

GENERAL = "General"
"""Heading of the flags that every command has."""
_KEY = "dag.flag"
"""In the metadata of a field."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
def flag_group(group: type[T]) -> type[T]:
    """Make a class of flags a frozen dataclass whose methods are those of `Options`.

    What `dataclass` writes for a class takes a millisecond to compile, at each start of `dag`.
    """
    return dataclass(init=False, repr=False, eq=False, match_args=False)(group)


@flag_group
class Options:
    """Base of every group of flags and of what a command takes."""

    heading: ClassVar[str] = ""
    """Heading in `--help` of the flags that the class itself declares."""
    headings: ClassVar[Mapping[str, str]] = {}
    """Headings of groups → what stands there in a command where they are for something special.

    Where that is `HEADING, with FLAG`, the flags below it are of no use without that flag.
    """
    texts: ClassVar[Mapping[str, str]] = {}
    """Fields of groups → what `--help` says of them here, where they do something else than there.

    Whoever inherits a class has its texts, too, unless it has others.
    """
    needs: ClassVar[Mapping[str, str]] = {}
    """Fields of flags that are of no use without another flag → that one, as it is typed.

    `--a and --b or --c x: why` stands for `--a`, and either of the others, and says why. Who types such
    a flag in vain is refused. The environment and `dag.toml` may have it, which are for other commands, too.
    """
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init__(self, **values: object) -> None:
        """Take the values of the fields, by their names.

        Raises:
            TypeError: there is no such field, or one without a default is missing.

        """
        own = self.__dict__
        for one in fields(self):
            if one.name in values:
                own[one.name] = values.pop(one.name)
            elif one.default is not MISSING:
                own[one.name] = one.default
            else:
                raise TypeError(f"{type(self).__name__} lacks the value of {one.name!r}")
        if values:
            raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")

    def useless_flags(self) -> Iterator[tuple[Declared, str]]:
        """Yield each flag that is of no use with these values, and which other it needs, and why."""
        gives = cache(self.gives)
        for one in flags_of(type(self)):
            needed, _, why = one.flag.needs.partition(": ")
            for each in filter(None, needed.split(" and ")):
                if not any(map(gives, each.split(" or "))):
                    yield one, f"{each}: {why}" if why else each
                    break

    def gives(self, words: str) -> bool:
        """Return whether these values have what a flag gives, which is written as it is typed."""
        name, _, value = words.partition(" ")
        (found,) = (one for one in flags_of(type(self)) if name in one.flag.names)
        given = getattr(self, found.field)
        return bool(given == value if value else given)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.items()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({values})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


class Shape(Enum):
    """How often a flag may be given, and whether it takes a value."""

    ONE = auto()
    SEVERAL = auto()
    SWITCH = auto()
    COUNT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag, or a positional argument if it has no names."""

    kind: ValueKind[object] | None = None
    """None for a switch and for a count, which take no value."""
    names: tuple[str, ...] = ()
    text: str
    """Whole sentences for `--help`."""
    shape: Shape = Shape.ONE
    default: str | None = None
    """As a person would type it."""
    shown: str = ""
    """The default in words, if it is not the same everywhere."""
    required: bool = False
    metavar: str = ""
    variable: str = ""
    """A second environment variable."""
    command: str = ""
    """The command of a flag whose name means something else in others: it becomes a part of the
    variable's name, and in `dag.toml` the flag is in that command's table only."""
    inside: str = ""
    """The table in `dag.toml` that has its key, for every command that has the flag."""
    table: str = ""
    """Name of the table in `dag.toml` whose lines are values; the command line adds to them."""
    typed_only: bool = False
    """Neither the environment nor `dag.toml` may set it."""
    typed_values: tuple[str, ...] = ()
    """The values that neither of them may give it."""
    needs: str = ""
    """The other flags without which it is of no use, as `Options.needs` has them."""
    finds_file: bool = False
    """It says where `dag.toml` is, so that file cannot set it."""

    @property
    def name(self) -> str:
        """The long name, without dashes."""
        return next(name for name in self.names if name.startswith("--")).removeprefix("--")

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables, the first one that is set counts."""
        if self.typed_only or not self.names:
            return ()
        own = self.own_variable
        return (own, self.variable) if self.variable else (own,)

    @property
    def own_variable(self) -> str:
        """The environment variable that is named like the flag, also if it may not set the flag."""
        words = [*([self.command] if self.command else []), self.name]
        return f"DAG_{'_'.join(words).upper().replace('-', '_')}"

    @property
    def key(self) -> str:
        """The key in `dag.toml`; empty if it has none."""
        if self.finds_file or not self.names:
            return ""
        return f"{self.inside}.{self.name}" if self.inside else self.table or self.name

    @property
    def placeholder(self) -> str:
        """The word for the value in `--help`; empty if there is none."""
        return self.metavar or (self.kind.metavar if self.kind else "")

    @property
    def default_words(self) -> str:
        """The default as `--help` and the reference show it; empty if there is none."""
        return self.shown or self.default or ""

    @property
    def sentences(self) -> str:
        """The help text, with what follows from the shape."""
        if self.shape is Shape.SEVERAL and self.names:
            return f"{self.text} It may be given several times."
        return self.text


@dataclass(frozen=True, slots=True)
class Declared:
    """A flag with the name of its field and the heading of its group."""

    field: str
    heading: str
    flag: Flag


def flags_of(options: type[Options]) -> list[Declared]:
    """Return the flags of a command: its own first, then those of its groups, in their order.

    Those that every command has are at the end.
    """
    return sorted(_flags_of(options), key=lambda one: one.heading == GENERAL)


def _flags_of(options: type[Options]) -> Iterator[Declared]:
    seen: set[str] = set()
    texts = _inherited(options, "texts")
    needs = _inherited(options, "needs")
    for owner in options.__mro__:
        if not is_dataclass(owner) or not issubclass(owner, Options):
            continue
        for one in fields(owner):
            if one.name in owner.__annotations__ and one.name not in seen:  # the last one counts
                seen.add(one.name)
                heading = options.headings.get(owner.heading, owner.heading)
                declared: Flag = one.metadata[_KEY]
                if one.name in texts:
                    declared = replace(declared, text=texts[one.name])
                if needed := needs.get(one.name) or heading.partition(", with ")[2]:
                    declared = replace(declared, needs=needed)
                yield Declared(one.name, heading, declared)


def _inherited(options: type[Options], name: str) -> dict[str, str]:
    """Return what groups say of fields in a table of that name; whoever inherits has the last word."""
    tables: Iterable[Mapping[str, str]] = (
        vars(owner).get(name, {}) for owner in reversed(options.__mro__)
    )
    return {field: words for table in tables for field, words in table.items()}


# The overloads say which type a field has, so that a type checker compares it with the annotation.
@overload
def flag(
    kind: ValueKind[T],
    names: str,
    text: str,
    *,
    default: str,
    shown: str = ...,
    metavar: str = ...,
    variable: str = ...,
    command: str = ...,
    typed_only: bool = ...,
    finds_file: bool = ...,
) -> T: ...
@overload
def flag(
    kind: ValueKind[T],
    names: str,
    text: str,
    *,
    shown: str = ...,
    metavar: str = ...,
    variable: str = ...,
    command: str = ...,
    typed_only: bool = ...,
) -> T | None: ...
def flag(
    kind: ValueKind[T],
    names: str,
    text: str,
    *,
    default: str | None = None,
    shown: str = "",
    metavar: str = "",
    variable: str = "",
    command: str = "",
    typed_only: bool = False,
    finds_file: bool = False,
) -> T | None:
    """Declare a flag that takes one value; without a default it may be missing."""
    return _declare(
        Flag(
            kind=kind,
            names=tuple(names.split()),
            text=text,
            default=default,
            shown=shown,
            metavar=metavar,
            variable=variable,
            command=command,
            typed_only=typed_only,
            finds_file=finds_file,
        ),
        None if default is None else kind.parse(default),
    )


def required_flag(kind: ValueKind[T], names: str, text: str, *, metavar: str = "") -> T:
    """Declare a flag that must be given."""
    one = Flag(kind=kind, names=tuple(names.split()), text=text, metavar=metavar, required=True)
    return _declare_required(one, kind)


def list_flag(
    kind: ValueKind[T],
    names: str,
    text: str,
    *,
    metavar: str = "",
    table: str = "",
    inside: str = "",
    typed_values: tuple[str, ...] = (),
) -> tuple[T, ...]:
    """Declare a flag that may be given several times."""
    one = Flag(
        kind=kind,
        names=tuple(names.split()),
        text=text,
        shape=Shape.SEVERAL,
        metavar=metavar,
        table=table,
        inside=inside,
        typed_values=typed_values,
    )
    return _declare(one, ())


def switch(names: str, text: str, *, default: bool = False, typed_only: bool = False) -> bool:
    """Declare a flag that is true or false."""
    one = Flag(
        names=tuple(names.split()),
        text=text,
        shape=Shape.SWITCH,
        default="true" if default else "false",
        typed_only=typed_only,
    )
    return _declare(one, default)


def counting_flag(names: str, text: str) -> int:
    """Declare a flag that counts how often it is given."""
    return _declare(Flag(names=tuple(names.split()), text=text, shape=Shape.COUNT), 0)


def argument(kind: ValueKind[T], metavar: str, text: str) -> T:
    """Declare a positional argument that must be given."""
    return _declare_required(Flag(kind=kind, text=text, metavar=metavar, required=True), kind)


def arguments(kind: ValueKind[T], metavar: str, text: str) -> tuple[T, ...]:
    """Declare the positional arguments of a command that takes any number of them."""
    return _declare(Flag(kind=kind, text=text, metavar=metavar, shape=Shape.SEVERAL), ())


def _declare(one: Flag, default: T) -> T:
    return field(default=default, metadata={_KEY: one})


def _declare_required(one: Flag, _kind: ValueKind[T]) -> T:
    declaration: T = field(metadata={_KEY: one})
    return declaration
