"""A pool serves a real model: it answers whom it may, is measured, drained and scaled."""

import pytest

from e2e.world import POOL, World


def test_the_model_answers(served: World) -> None:
    assert "Paris" in served.ask("What is the capital of France?")
