"""The built-in engines as the core plans with them."""

from functools import cache

from sovereign import runtimes
from sovereign.plan.inventory import Runtime


@cache
def builtin() -> dict[str, Runtime]:
    """The built-in InferenceRuntimes by name. One of the same name in the cluster replaces the built-in."""
    return {name: Runtime(name=name, spec=spec) for name, spec in runtimes.specs().items()}
