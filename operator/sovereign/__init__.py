"""Sovereign AI on Kubernetes: open-weight models served only where they may be."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """``__version__``, read only when asked for: reading it takes longer than all else at the start of a small program."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import version

    return version("sovereign-operator")
