"""What a demonstration is made of: steps on a stage, at one of two levels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from testbed.demo.stage import Stage

S = TypeVar("S", bound=Stage)


@dataclass(frozen=True)
class Step(Generic[S]):
    """One thing that is shown. It raises when what it shows does not hold."""

    title: str
    show: Callable[[S], None]


@dataclass(frozen=True)
class Level(Generic[S]):
    """How real the cluster is, and what is shown on it."""

    name: str
    cluster: str
    """Name of the cluster unless another is asked for."""
    steps: tuple[Step[S], ...]
    looks: tuple[str, ...]
    """Commands for those who want to look around afterwards."""
