"""``python -m testbed images``."""

import json
import logging
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from testbed import images
from testbed.errors import TestbedError
from testbed.images.recipes import RECIPES

app = typer.Typer(
    help="Container images for real nodes, made from Debian packages and files without a Docker daemon.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
_err = Console(stderr=True, highlight=False)

_Names = Annotated[list[str] | None, typer.Argument(help="Which; all when none is named.", metavar="[NAME]...")]
_Output = Annotated[str, typer.Option("--output", "-o", help="[b]text[/] or [b]json[/].", metavar="text|json")]


class _Steps(logging.Handler):
    """Shows what is being done on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        _err.print(record.getMessage(), markup=False, soft_wrap=True)


def _example(*commands: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  $ python -m testbed images {command}" for command in commands)


@app.command(epilog=_example("build", "build pause engine -o json", "build operator --build-arg VERSION=0.2.0"))
def build(
    names: _Names = None,
    build_arg: Annotated[
        list[str] | None,
        typer.Option(help="An argument of images/Containerfile; may be repeated.", metavar="NAME=VALUE"),
    ] = None,
    output: _Output = "text",
) -> None:
    """Make images that are not in the cache yet, and print where they are."""
    arguments = dict(_pair(each) for each in build_arg or ())
    rows = [_row(image, seconds) for image, seconds in _build(names, arguments)]
    _print(rows, "{name:<9}{digest}  {size:>11,} bytes  {seconds:>5} s  {path}", output)


@app.command(
    epilog=_example("push --registry http://127.0.0.1:5000", "push engine --registry http://10.0.0.1:5000 --prefix ai")
)
def push(
    registry: Annotated[str, typer.Option(help="Its address.", metavar="http://HOST:PORT")],
    names: _Names = None,
    prefix: Annotated[str, typer.Option(help="What comes before the image's name in the repository.")] = "testbed",
    output: _Output = "text",
) -> None:
    """Push images to a registry, made first where they have to be, and print their references by digest."""
    try:
        rows = [
            {"name": image.name, "reference": images.push(image, registry, f"{prefix}/{image.name}".lstrip("/"))}
            for image, _ in _build(names)
        ]
    except TestbedError as error:
        _fail(error)
    _print(rows, "{reference}", output)


@app.command("list", epilog=_example("list", "list -o json"))
def list_(output: _Output = "text") -> None:
    """List the images there are, and what they are made from."""
    rows = [{"name": each.name, "content": each.content, "base": each.base} for each in RECIPES.values()]
    _print(rows, "{name:<9} {content}; from {base}", output)


def _build(
    names: list[str] | None, arguments: Mapping[str, str] = MappingProxyType({})
) -> list[tuple[images.Image, float]]:
    log = logging.getLogger("testbed")
    log.setLevel(logging.INFO)
    log.handlers = [_Steps()]
    made = []
    try:
        for name in names or images.names():
            started = time.monotonic()
            made.append((images.build(name, **arguments), round(time.monotonic() - started, 1)))
    except TestbedError as error:
        _fail(error)
    return made


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--build-arg")
    return name, value


def _row(image: images.Image, seconds: float) -> dict[str, Any]:
    facts = {"name": image.name, "digest": image.digest, "size": image.size, "seconds": seconds}
    return facts | {"path": str(image.path)}


def _print(rows: list[dict[str, Any]], line: str, output: str) -> None:
    if output not in ("text", "json"):
        raise typer.BadParameter(f"{output!r} is neither text nor json", param_hint="--output")
    if output == "json":
        typer.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:  # never wrapped: it may be for a shell to read
            typer.echo(line.format(**row))


def _fail(error: TestbedError) -> NoReturn:
    _err.print(f"error: {error}", style="red", markup=False)
    raise typer.Exit(1) from None
