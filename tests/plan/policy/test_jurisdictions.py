"""Country codes and the groups of them."""

import pytest

from sovereign.api.conditions import Reason
from sovereign.plan.jurisdictions import EEA, EU, KNOWN, expand, unknown


def test_the_groups_have_the_members_that_the_treaties_name() -> None:
    assert len(EU) == 27
    assert EEA.difference(EU) == {"IS", "LI", "NO"}
    assert {"GR", "CY", "HR"} <= EU
    assert not {"EL", "GB", "CH", "NO"} & EU


def test_every_assigned_code_is_known() -> None:
    assert len(KNOWN) == 249  # ISO 3166-1, officially assigned
    assert EEA.issubset(KNOWN)


def test_groups_are_written_out_once_and_sorted() -> None:
    assert expand(["NO", "EU", "FR", "EEA"]) == tuple(sorted(EEA))
    assert expand(["FR", "DE"]) == ("DE", "FR")


@pytest.mark.parametrize(
    ("code", "advice"), [("UK", "the United Kingdom is GB"), ("EL", "Greece is GR"), ("XX", "two-letter code")]
)
def test_a_code_that_does_not_exist_opens_nothing_and_is_reported(code: str, advice: str) -> None:
    verdict = unknown(["FR", code], "placement.jurisdictions")
    assert (verdict.ok, verdict.reason, verdict.found) == (False, Reason.INVALID_SPEC, code)
    assert f"{code} is not an ISO 3166-1 code" in verdict.message
    assert advice in verdict.message
    assert expand([code]) == ()


def test_groups_and_countries_are_no_error() -> None:
    assert unknown(["EU", "EEA", "GB"], "placement.jurisdictions").ok
