"""kopf, without the Kubernetes clients that it imports wherever they are installed.

kopf takes their objects as well as dicts, and so loads them: 10 MB and a tenth of a second for ``kubernetes``, which is needed for
kubeconfigs with exec plugins only. So kopf is imported here and nowhere else.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CLIENTS: Final = ("kubernetes", "kubernetes_asyncio", "pykube")


@contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """Have imports of ``packages`` fail meanwhile; those that are loaded already stay.

    None in ``sys.modules`` stands for a module that is not there (The Python Language Reference, 5.3.1: The module cache).
    """
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _absent(*_CLIENTS):
    import kopf

__all__ = ["kopf"]
