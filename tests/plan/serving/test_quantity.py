"""Quantities in the form in which the API server stores them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.schema import parse_quantity
from sovereign.plan.quantity import canonical, whole

SUFFIXES = ["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("8", "8"),
        ("8.0", "8"),
        ("0.5", "500m"),
        ("2000m", "2"),
        ("1500m", "1500m"),
        ("1.5", "1500m"),
        ("1000", "1k"),
        ("16000", "16k"),
        ("80Gi", "80Gi"),
        ("65536Mi", "64Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1536Ki", "1536Ki"),
        ("17179869184", "17179869184"),
        ("100G", "100G"),
        ("1e3", "1e3"),
        ("0.1m", "100u"),
        ("9999999Ti", "9223372036854775807"),
    ],
)
def test_canonical_form(written: str, stored: str) -> None:
    # Source of the pairs: resource.MustParse(written).String() of apimachinery.
    assert canonical(written) == stored


@given(st.integers(1, 10**6), st.sampled_from(SUFFIXES))
def test_canonical_form_means_the_same_and_stays(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    assert parse_quantity(canonical(text)) == parse_quantity(text)
    assert canonical(canonical(text)) == canonical(text)


@given(st.decimals(Decimal("0.001"), Decimal(10**9), places=3))
def test_whole_rounds_up(number: Decimal) -> None:
    assert 0 <= whole(str(number)) - number < 1


def test_what_is_no_quantity() -> None:
    with pytest.raises(ValueError, match="80Gi"):
        canonical("80GB")
