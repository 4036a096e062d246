"""The order of the run: the longest groups first, so that the workers end together. And no property test is held to milliseconds."""

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

_FIRST = ("operator", "testbed", "install", "demo")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by folder, the longest first; stable within."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folders = {parent.name for parent in item.path.parents}
    return next((rank for rank, name in enumerate(_FIRST) if name in folders), len(_FIRST))
