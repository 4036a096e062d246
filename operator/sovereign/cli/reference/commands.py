"""The page of the command line, from the application itself."""

import inspect
import typing
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final

import typer
from typer.models import ArgumentInfo, ParameterInfo

from sovereign.cli import app
from sovereign.cli.reference.markdown import code, plain, table

PROGRAM: Final = "kubectl sovereign"
_INSTALL: Final = (
    "Installed with the operator's Python package as `kubectl-sovereign`, which kubectl finds by itself. "
    "`kubectl-sovereign --install-completion` sets up the shell's completion."
)


def page() -> str:
    """Every command with its help, arguments and options."""
    about = f"# {PROGRAM}\n\n{plain(app.info.help or '')}\n\n{_INSTALL}\n\n{plain(app.info.epilog or '')}\n"
    return "\n".join([about, *(_command(path, function) for path, function in _commands(app, PROGRAM))])


def _commands(application: typer.Typer, path: str) -> Iterator[tuple[str, Callable[..., None]]]:
    """The commands of ``application``, with how they are called."""
    for command in application.registered_commands:
        assert command.callback is not None
        yield f"{path} {command.name or command.callback.__name__}", command.callback
    for group in application.registered_groups:
        assert group.typer_instance is not None
        yield from _commands(group.typer_instance, f"{path} {group.name}")


def _command(path: str, function: Callable[..., None]) -> str:
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = [
        (parameter, *_parts(hints[parameter.name])) for parameter in inspect.signature(function).parameters.values()
    ]
    arguments = [str(info.metavar) for _, _, info in parameters if isinstance(info, ArgumentInfo)]
    usage = " ".join([path, *arguments, "[OPTIONS]"])
    rows = [_row(*parameter) for parameter in parameters]
    help_text = _help(inspect.cleandoc(function.__doc__ or ""))
    return f"## {path}\n\n{help_text}\n```\n{usage}\n```\n\n" + table(("Option", "Default", "Meaning"), rows)


def _parts(hint: Any) -> tuple[Any, ParameterInfo]:
    """Type and description of an ``Annotated`` parameter."""
    kind, info = typing.get_args(hint)
    return kind, info


def _row(parameter: inspect.Parameter, kind: Any, info: ParameterInfo) -> tuple[str, str, str]:
    if isinstance(info, ArgumentInfo):
        return code(str(info.metavar)), "required", plain(info.help or "")
    names = _names(info) or [f"--{parameter.name.replace('_', '-')}"]
    value = "" if kind is bool else " " + code(_value(kind, info))
    default = "required" if parameter.default is parameter.empty else code(_default(parameter.default))
    return ", ".join(map(code, names)) + value, default, plain(info.help or "")


def _names(info: ParameterInfo) -> list[str]:
    """The flags of an option, the short one first. Inside ``Annotated``, typer holds the first one as a default."""
    return sorted((flag for flag in (info.default, *(info.param_decls or ())) if isinstance(flag, str)), key=len)


def _value(kind: Any, info: ParameterInfo) -> str:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "|".join(kind)
    return info.metavar or "TEXT"


def _default(default: Any) -> str:
    return "" if default in (None, False) else str(default)


def _help(text: str) -> str:
    """A docstring as Markdown: its examples are code."""
    prose, marker, examples = text.partition("\b\n")
    words = "\n".join(plain(line) for line in prose.strip().splitlines()) + "\n"
    if not marker:
        return words
    title, *lines = examples.strip().splitlines()
    return f"{words}\n{title}\n\n```sh\n" + "\n".join(line.strip() for line in lines) + "\n```\n"
