"""The images and what is in them."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from testbed import binaries, models
from testbed.errors import TestbedError
from testbed.images import bases, chroot, containerfile, context, layers, oci, packages, rootfs, stages, steps, wheels
from testbed.images.layers import Layer, Tree
from testbed.images.oci import Image
from testbed.images.packages import Selection
from testbed.images.stages import Base

ROOT: Final = Path(__file__).resolve().parents[2]
CONTAINERFILE: Final = ROOT / "images/Containerfile"
IGNORE_FILE: Final = ROOT / "images/Containerfile.dockerignore"
LOCKS: Final = (ROOT / "requirements/run.lock", ROOT / "requirements/build.lock")
STANDS_FOR: Final = "python:3.13-slim"

# wget fetches models and debconf asks about it, neither of which happens here; nothing converts character sets.
_ENGINE: Final = Selection(
    "forky", ("llama.cpp-tools",), ("debconf", "wget"), ("libc-gconv-modules-extra", "openssl-provider-legacy")
)
_NOBODY: Final = f"{rootfs.NOBODY}:{rootfs.NOBODY}"


@dataclass(frozen=True)
class Recipe:
    """An image that can be asked for by name."""

    name: str
    content: str
    base: str
    build: Callable[[Mapping[str, str]], Image]


def pause(arguments: Mapping[str, str]) -> Image:
    """What holds a pod's namespaces: it sleeps."""
    _none(arguments)
    content = [layers.layer(bases.tree("pause", packages.fetch(bases.BUSYBOX), rootfs.finish))]
    return oci.image("pause", content, _settings(Entrypoint=["/usr/bin/busybox", "sleep", "infinity"]))


def engine(arguments: Mapping[str, str]) -> Image:
    """llama.cpp's server, and no shell beside it."""
    _none(arguments)
    content = [layers.layer(bases.tree("engine", packages.fetch(_ENGINE), rootfs.finish))]
    return oci.image("engine", content, _settings(Entrypoint=["llama-server"], ExposedPorts={"8080/tcp": {}}))


def client(arguments: Mapping[str, str]) -> Image:
    """Python and a shell with small network tools."""
    _none(arguments)
    return oci.image("client", [bases.python(), bases.tools()], _settings(Cmd=["sleep", "infinity"]))


def coredns(arguments: Mapping[str, str]) -> Image:
    """The cluster's name server."""
    _none(arguments)
    ports: dict[str, Any] = {"53/tcp": {}, "53/udp": {}}
    return oci.image("coredns", [_program("coredns")], _settings(Entrypoint=["/coredns"], ExposedPorts=ports))


def agnhost(arguments: Mapping[str, str]) -> Image:
    """What Kubernetes' own tests run in their pods: clients and servers in one program."""
    _none(arguments)
    # Its tests ask for no user, and upstream's image names none.
    return oci.image("agnhost", [_program("agnhost")], _settings(Entrypoint=["/agnhost"], Cmd=["pause"], User="0:0"))


def source(arguments: Mapping[str, str]) -> Image:
    """An S3 server whose bucket has the weights of a small model, for clusters that have no outside world of the test bed's."""
    _none(arguments)
    program, weights = binaries.require("versitygw"), models.smollm2()

    def make(root: Path) -> None:
        rootfs.finish(root)
        bucket = root / "s3" / "weights" / "smollm2"
        bucket.mkdir(parents=True)
        shutil.copy(program, root / program.name)
        shutil.copy(weights, bucket / weights.name)

    content = [layers.layer(Tree("source", (program.parent.name, weights.parent.name), make))]
    serve = ["/versitygw", "--port", ":7070", "--health", "/health", "--quiet", "posix", "--nometa", "/s3"]
    return oci.image("source", content, _settings(Entrypoint=serve, ExposedPorts={"7070/tcp": {}}))


def operator(arguments: Mapping[str, str]) -> Image:
    """What images/Containerfile says, carried out."""
    plans = operator_plans(arguments)
    return oci.image("operator", steps.carry_out(plans), plans[-1].settings)


def operator_plans(arguments: Mapping[str, str]) -> list[steps.Plan]:
    """The plans of the stages of images/Containerfile."""
    source = containerfile.read(CONTAINERFILE, arguments)
    lowest = bases.python()
    base = Base((lowest,), (lowest, bases.tools(), bases.venv()), {"PATH": chroot.PATH})
    return stages.Planner(
        source,
        context.read(ROOT, IGNORE_FILE),
        {STANDS_FOR: base},
        arguments,
        lambda: wheels.wheelhouse(LOCKS, bases.python_version()),
    ).plans()


def _program(name: str) -> Layer:
    """A layer that has one static program of `go/`, at its root."""
    program = binaries.require(name)

    def make(root: Path) -> None:
        rootfs.finish(root)
        shutil.copy(program, root / name)

    return layers.layer(Tree(name, (program.parent.name,), make))


def _none(arguments: Mapping[str, str]) -> None:
    if arguments:
        raise TestbedError(f"only the operator's image takes build arguments, such as {next(iter(arguments))}")


def _settings(**settings: Any) -> dict[str, Any]:
    return {"Env": [bases.PATH], "User": _NOBODY, **settings}


RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("pause", "sleeps; holds a pod's namespaces", f"Debian {bases.RELEASE}: busybox-static", pause),
        Recipe("engine", "llama.cpp's server", "Debian forky: llama.cpp-tools", engine),
        Recipe(
            "operator",
            "images/Containerfile carried out",
            f"Debian {bases.RELEASE}: python3, standing for {STANDS_FOR}",
            operator,
        ),
        Recipe(
            "client",
            "Python and a shell with network tools",
            f"Debian {bases.RELEASE}: python3, busybox-static",
            client,
        ),
        Recipe("source", "an S3 server with a small model", "nothing: one static program", source),
        Recipe("coredns", "the cluster's name server", "nothing: one static program", coredns),
        Recipe("agnhost", "what Kubernetes' own tests run in their pods", "nothing: one static program", agnhost),
    )
}
