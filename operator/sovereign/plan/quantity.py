"""Kubernetes quantities as numbers, and as the API server writes them back."""

from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final

from sovereign.api.schema import parse_quantity

_DECIMAL: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_NANO: Final = Decimal("1e-9")
_LARGEST: Final = Decimal(2**63 - 1)
"""Larger quantities are cut to this."""
GIB: Final = 2**30


@lru_cache(maxsize=4096)
def whole(value: str) -> int:
    """``value`` rounded up to a whole number, e.g. bytes of ``80Gi`` or cores of ``500m``.

    Raises:
        ValueError: the text is not a quantity.
    """
    return int(parse_quantity(value).to_integral_value(rounding=ROUND_CEILING))


@lru_cache(maxsize=4096)
def canonical(value: str) -> str:
    """``value`` in the one form in which the API server stores it: ``2000m`` is ``2``, ``65536Mi`` is ``64Gi``.

    A manifest that is written in another form looks changed every time it is read back.

    Raises:
        ValueError: the text is not a quantity.

    Source: apimachinery ``resource.Quantity.CanonicalizeBytes``.
    """
    text = value.strip()
    number = min(parse_quantity(text), _LARGEST).quantize(_NANO, rounding=ROUND_CEILING)
    if text.endswith("i") and abs(number) >= 1024 and number == number.to_integral_value():
        return _binary(int(number))
    return _decimal(number, exponent_form=text[-1].isdigit() and "e" in text.lower())


def _binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < len(_BINARY) - 1:
        number //= 1024
        power += 1
    return f"{number}{_BINARY[power]}"


def _decimal(number: Decimal, *, exponent_form: bool) -> str:
    sign, digits, exponent = number.normalize().as_tuple()
    mantissa = int("".join(map(str, digits)))
    if mantissa == 0 or not isinstance(exponent, int):
        return "0"
    scale = max(min(exponent - exponent % 3, 18), -9)
    mantissa *= 10 ** (exponent - scale)
    suffix = (f"e{scale}" if scale else "") if exponent_form else _DECIMAL[scale]
    return f"{'-' if sign else ''}{mantissa}{suffix}"


def gibibytes(count: int) -> str:
    """``count`` bytes for a message, e.g. ``13.5 GiB``."""
    return f"{count / GIB:.1f} GiB"
