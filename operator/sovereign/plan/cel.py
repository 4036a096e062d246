"""CEL expressions, built from parts that cannot break out of their place.

What a user wrote becomes a quoted literal through `quote` and nothing else; code is written with `code`,
whose argument is a literal of this program. Source: the CEL language definition, "String and Bytes Values".
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

_SPECIAL: Final = frozenset("'\"\\`")
"""Printable ASCII that does not stand for itself everywhere."""
_IDENTIFIER: Final = re.compile(r"[a-z][A-Za-z0-9_]*")
_PATH: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.?]*")


@dataclass(frozen=True, slots=True)
class Cel:
    """A complete CEL expression. Combined with others it keeps its meaning: what needs parentheses gets them."""

    text: str
    atomic: bool = False
    """Whether any operator may stand beside it without parentheses."""

    @property
    def operand(self) -> str:
        """The text as it may stand beside an operator."""
        return self.text if self.atomic else f"({self.text})"

    def __and__(self, other: "Cel") -> "Cel":
        return Cel(f"{self.operand} && {other.operand}")

    def __or__(self, other: "Cel") -> "Cel":
        return Cel(f"{self.operand} || {other.operand}")

    def __invert__(self) -> "Cel":
        return Cel(f"!{self.operand}", atomic=True)

    def equals(self, other: "Cel") -> "Cel":
        """Whether both have the same value."""
        return Cel(f"{self.operand} == {other.operand}")

    def within(self, values: "Cel") -> "Cel":
        """Whether the list ``values`` contains it."""
        return Cel(f"{self.operand} in {values.operand}")

    def every(self, name: LiteralString, condition: "Cel") -> "Cel":
        """Whether ``condition`` holds for every item of this list, called ``name`` in it."""
        return self._call("all", f"{_identifier(name)}, {condition.text}")

    def some(self, name: LiteralString, condition: "Cel") -> "Cel":
        """Whether ``condition`` holds for an item of this list, called ``name`` in it."""
        return self._call("exists", f"{_identifier(name)}, {condition.text}")

    def where(self, name: LiteralString, condition: "Cel") -> "Cel":
        """The items of this list, called ``name`` in ``condition``, for which it holds."""
        return self._call("filter", f"{_identifier(name)}, {condition.text}")

    def each(self, name: LiteralString, value: "Cel") -> "Cel":
        """``value`` for every item of this list, called ``name`` in it."""
        return self._call("map", f"{_identifier(name)}, {value.text}")

    def joined(self, separator: LiteralString) -> "Cel":
        """The items of this list of strings as one string."""
        return self._call("join", quote(separator).text)

    def starts_with(self, prefix: "Cel") -> "Cel":
        """Whether this string begins with ``prefix``."""
        return self._call("startsWith", prefix.text)

    def matches(self, pattern: str) -> "Cel":
        """Whether the RE2 ``pattern`` is found in this string."""
        return self._call("matches", quote(pattern).text)

    def filled(self, *parts: "Cel") -> "Cel":
        """This expression with each ``%s`` replaced by one of ``parts``, in parentheses where needed."""
        return Cel(self.text % tuple(part.operand for part in parts), self.atomic)

    def _call(self, function: LiteralString, arguments: str) -> "Cel":
        return Cel(f"{self.operand}.{function}({arguments})", atomic=True)


def code(text: LiteralString) -> Cel:
    """A piece of CEL as it is written in this program; never anything that was read."""
    return Cel(text, atomic=_PATH.fullmatch(text) is not None)


def variable(name: str) -> Cel:
    """The policy's variable ``name``.

    Raises:
        ValueError: not an identifier.
    """
    return Cel(f"variables.{_identifier(name)}", atomic=True)


def name(identifier: LiteralString) -> Cel:
    """A field's name, to fill a place in `code`."""
    return Cel(_identifier(identifier), atomic=True)


def quote(text: str) -> Cel:
    """``text`` as a string literal of printable ASCII; everything else, quotes and backslashes are escaped.

    Raises:
        ValueError: the text holds half of a surrogate pair, which is no character.
    """
    inside = text if _is_plain(text) else "".join(map(_escaped, text))
    return Cel(f"'{inside}'", atomic=True)


def integer(value: int) -> Cel:
    """``value`` as a literal."""
    return Cel(str(value), atomic=value >= 0)


def strings(values: Iterable[str]) -> Cel:
    """A list of string literals, in the order given."""
    texts = list(values)
    if _is_plain("".join(texts)):  # together, because names of nodes are many
        inside = "', '".join(texts)
        return Cel(f"['{inside}']" if texts else "[]", atomic=True)
    return Cel(f"[{', '.join(quote(text).text for text in texts)}]", atomic=True)


def integers(values: Iterable[int]) -> Cel:
    """A list of numbers, in the order given."""
    return Cel(f"[{', '.join(integer(value).text for value in values)}]", atomic=True)


def all_of(conditions: Iterable[Cel]) -> Cel:
    """Whether all ``conditions`` hold; true when there are none."""
    return _chain(conditions, " && ", "true")


def any_of(conditions: Iterable[Cel]) -> Cel:
    """Whether any of ``conditions`` holds; false when there are none."""
    return _chain(conditions, " || ", "false")


def choose(condition: Cel, yes: Cel, no: Cel) -> Cel:
    """``yes`` where ``condition`` holds, else ``no``."""
    return Cel(f"{condition.operand} ? {yes.operand} : {no.operand}")


def with_variables(variables: Sequence[tuple[str, Cel]], condition: Cel) -> Cel:
    """``condition``, which is about ``variables``, for a place where a policy's variables are not known: match conditions.

    Each is computed once, whether it is needed or not. A later one may use those before it.
    """
    for place, (last, expression) in reversed([*enumerate(variables)]):
        before = [f"{quote(known).text}: {variable(known).text}" for known, _ in variables[:place]]
        # `dyn`, because values of a map are of one type.
        entries = ", ".join([*before, f"{quote(last).text}: dyn({expression.text})"])
        condition = Cel(f"[{{{entries}}}]", atomic=True).every("variables", condition)
    return condition


def sentence(*parts: str | Cel) -> Cel:
    """A string put together from texts, which are quoted, and string expressions."""
    return Cel(" + ".join((part if isinstance(part, Cel) else quote(part)).operand for part in parts))


def _chain(conditions: Iterable[Cel], operator: str, neutral: str) -> Cel:
    all_conditions = list(conditions)
    if not all_conditions:
        return Cel(neutral, atomic=True)
    if len(all_conditions) == 1:
        return all_conditions[0]
    return Cel(operator.join(condition.operand for condition in all_conditions))


def _identifier(name: str) -> str:
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is not an identifier")
    return name


def _is_plain(text: str) -> bool:
    """Whether all of ``text`` is printable ASCII that stands for itself in a literal."""
    return text.isascii() and text.isprintable() and not any(special in text for special in _SPECIAL)


def _escaped(character: str) -> str:
    if _is_plain(character):
        return character
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        raise ValueError(f"\\u{point:04x} is half of a surrogate pair")
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
