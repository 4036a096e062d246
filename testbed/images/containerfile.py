"""Reading a Containerfile: the instructions that this project's own uses, and no others.

What is not known is refused with its line, never skipped: an image made from half a Containerfile would look like the
one its users build and be another.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from testbed.errors import TestbedError

KEYWORDS: Final = ("ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "EXPOSE", "ENTRYPOINT", "CMD")
# $NAME, ${NAME}, ${NAME:-default}; what else begins with a dollar is refused.
_VARIABLE: Final = re.compile(
    r"\\(?P<escaped>.)|\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?::-(?P<default>[^}$]*))?\})|(?P<other>\$)"
)


@dataclass(frozen=True)
class Instruction:
    """One instruction, its lines joined."""

    file: Path
    line: int
    keyword: str
    text: str

    def error(self, message: str) -> TestbedError:
        """An error that says where."""
        return TestbedError(f"{self.file}:{self.line}: {self.keyword} {message}")

    def words(self) -> list[str]:
        """The words of the text; double quotes hold one together."""
        if "'" in self.text:
            raise self.error("has a single quote, which is not read here: use double quotes")
        return shlex.split(self.text)

    def arguments(self) -> list[str]:
        """The words of the exec form, a JSON list."""
        try:
            words = json.loads(self.text)
        except ValueError:
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise self.error('has to be in the exec form, ["program", "argument"]')
        return words

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The words NAME=VALUE."""
        for word in self.words():
            name, equals, value = word.partition("=")
            if not (name and equals):
                raise self.error(f"has {word!r} where NAME=VALUE is meant")
            yield name, value

    def substitute(self, text: str, variables: Mapping[str, str]) -> str:
        """`text` with variables replaced; one that is not set is empty."""

        def value(match: re.Match[str]) -> str:
            if match["escaped"]:
                return match["escaped"]
            if match["other"]:
                raise self.error(f"has {text!r}; of variables $NAME, ${{NAME}} and ${{NAME:-default}} are read here")
            return variables.get(match["plain"] or match["name"], "") or match["default"] or ""

        return _VARIABLE.sub(value, text)


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next."""

    start: Instruction
    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)


@dataclass(frozen=True)
class Containerfile:
    """The arguments before the first FROM, and the stages."""

    path: Path
    arguments: Mapping[str, str]
    stages: list[Stage]


def read(path: Path, arguments: Mapping[str, str]) -> Containerfile:
    """Read a Containerfile, with these build arguments.

    Raises:
        TestbedError: an instruction, or a form of one, that is not known here; an argument that it does not have.
    """
    declared: dict[str, str] = {}
    stages: list[Stage] = []
    asked = set(arguments)
    for instruction in _instructions(path):
        if instruction.keyword == "ARG":
            asked.discard(instruction.text.partition("=")[0])
        if instruction.keyword == "FROM":
            stages.append(_stage(instruction, declared, len(stages)))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.keyword == "ARG":
            name, value = argument(instruction, declared)
            declared[name] = arguments.get(name, value)
        else:
            raise instruction.error("comes before the first FROM")
    if asked:
        raise TestbedError(f"{path} has no ARG {', '.join(sorted(asked))}")
    if not stages:
        raise TestbedError(f"{path} has no FROM")
    return Containerfile(path, declared, stages)


def argument(instruction: Instruction, variables: Mapping[str, str]) -> tuple[str, str]:
    """Name and default of an ARG."""
    words = instruction.words()
    if len(words) != 1:
        raise instruction.error("declares one argument at a time here")
    name, _, default = words[0].partition("=")
    return name, instruction.substitute(default, variables)


def _stage(start: Instruction, arguments: Mapping[str, str], number: int) -> Stage:
    base, *rest = start.words()
    if base.startswith("--") or (rest and (len(rest) != 2 or rest[0].upper() != "AS")):
        raise start.error("has to have the form `FROM BASE [AS NAME]` here")
    return Stage(start, start.substitute(base, arguments), rest[1] if rest else str(number))


def _instructions(path: Path) -> Iterator[Instruction]:
    first, text = 0, ""
    for number, raw in enumerate(path.read_text().splitlines(), start=1):
        line = raw.strip()
        if line.startswith("#"):
            if re.match(r"#\s*(syntax|escape|check)\s*=", line):
                raise TestbedError(f"{path}:{number}: parser directives are not read here; take `{line}` away")
            continue
        if not line:
            continue
        first = first or number
        if line.endswith("\\"):
            text += line.removesuffix("\\")
            continue
        yield _instruction(path, first, text + line)
        first, text = 0, ""
    if text:
        raise TestbedError(f"{path}:{first}: the last line ends with a backslash")


def _instruction(path: Path, line: int, text: str) -> Instruction:
    keyword, _, rest = text.partition(" ")
    found = Instruction(path, line, keyword.upper(), rest.strip())
    if found.keyword not in KEYWORDS:
        raise found.error(f"is not read here; known are {', '.join(KEYWORDS)}. Do without it, or teach testbed/images")
    if "<<" in found.text:
        raise found.error("has a here-document, which is not read here")
    return found
