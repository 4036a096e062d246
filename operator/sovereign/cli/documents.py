"""Reading manifests: each object with the place it stands at, so that what is wrong with it can be pointed at."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from sovereign.cli.failure import CommandFailed

SUFFIXES: Final = (".yaml", ".yml", ".json")
STANDARD_INPUT: Final = "-"
_MERGE: Final = "tag:yaml.org,2002:merge"
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"

Where = tuple[str | int, ...]
"""A path inside an object, such as ``("spec", "network", "egress", 0)``."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as kubectl reads it: a date is a string."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the parent's attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True)
class Document:
    """One object of a file."""

    file: str
    index: int
    """Its number in the file, from 1."""
    content: dict[str, Any]
    node: yaml.Node | None = field(default=None, repr=False, compare=False)
    """The parsed YAML, for line numbers; JSON has none."""
    prefix: Where = ()
    """Where in the document the object is; not empty for an item of a List."""

    @property
    def place(self) -> str:
        """File and number, for people."""
        return f"{self.file}: document {self.index}"

    def at(self, where: Where = ()) -> str:
        """File, line and number of the field ``where``, or of the nearest thing around it that is there."""
        line = _line(self.node, (*self.prefix, *where)) if self.node is not None else 0
        return f"{self.file}:{line}: document {self.index}" if line else self.place


def read(paths: Iterable[str], *, recursive: bool = False) -> list[Document]:
    """The objects of files, folders and standard input, Lists taken apart.

    Raises:
        CommandFailed: a path is not there, a file is not YAML, or a document is no object.
    """
    documents = [document for path in paths for document in _read(path, recursive=recursive)]
    return [item for document in documents for item in _items(document)]


def _read(path: str, *, recursive: bool) -> Iterator[Document]:
    if path == STANDARD_INPUT:
        yield from _parse("standard input", sys.stdin.read())
        return
    found = Path(path)
    if found.is_dir():
        files = sorted(file for file in found.glob("**/*" if recursive else "*") if file.suffix in SUFFIXES)
        if not files:
            hint = "" if recursive else "; use -R to read the folders in it too"
            raise CommandFailed(f"{path}: the folder holds no {', '.join(SUFFIXES)} file{hint}")
    else:
        files = [found]
    for file in files:
        yield from _parse(str(file), _text(file))


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file}: not a text file in UTF-8") from error


def _parse(file: str, text: str) -> Iterator[Document]:
    if text.lstrip().startswith("{"):
        try:
            yield _document(file, 1, orjson.loads(text), None)
        except orjson.JSONDecodeError:
            pass  # YAML in flow style, or several JSON documents, both of which YAML can read
        else:
            return
    yield from _parse_yaml(file, text)


def _parse_yaml(file: str, text: str) -> Iterator[Document]:
    loader = _Loader(text)
    index = 0
    try:
        while loader.check_node():
            node = loader.get_node()
            index += 1
            _refuse_duplicate_keys(file, index, node)
            content = loader.construct_document(node)
            if content is not None:
                yield _document(file, index, content, node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        raise CommandFailed(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from error
    finally:
        loader.dispose()


def _document(file: str, index: int, content: Any, node: yaml.Node | None) -> Document:
    if not isinstance(content, dict):
        raise CommandFailed(f"{file}: document {index}: not an object with apiVersion and kind")
    return Document(file, index, content, node)


def _items(document: Document) -> Iterator[Document]:
    """The items of a List such as ``kubectl get -o yaml`` prints; else the document itself."""
    content = document.content
    kind = content.get("kind")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(content.get("items"), list)):
        yield document
        return
    for number, item in enumerate(content["items"]):
        if not isinstance(item, dict):
            raise CommandFailed(f"{document.at(('items', number))}: items[{number}] is not an object")
        # The items of a typed list need not repeat what they are.
        named = {"apiVersion": content.get("apiVersion"), "kind": kind.removesuffix("List")} | item
        yield Document(document.file, document.index, named, document.node, ("items", number))


def _refuse_duplicate_keys(file: str, index: int, root: yaml.Node) -> None:
    """YAML takes the last of two equal keys without a word; the API server refuses them, and so do we."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen and key.tag != _MERGE and isinstance(key, yaml.ScalarNode):
                    line = key.start_mark.line + 1
                    raise CommandFailed(f"{file}:{line}: document {index}: the key {key.value!r} stands here twice")
                if isinstance(key, yaml.ScalarNode):
                    seen.add(key.value)
                stack.append(value)


def _line(node: yaml.Node, where: Where) -> int:
    """The line of a field, from 1."""
    line = node.start_mark.line
    for step in where:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        else:
            found = None
        if found is None:
            break
        line, node = found[0].start_mark.line, found[1]
    return int(line) + 1
