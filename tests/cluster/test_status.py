"""Statuses: one merge patch, only what changed, times kept."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.conditions import READY, Reason
from sovereign.cluster.status import changes, condition, turned, with_conditions

OLD_TIME = "2020-01-01T00:00:00Z"


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386, slowly."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


VALUE = st.recursive(
    st.integers(0, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
STATUS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUE, max_size=3)


@given(STATUS, STATUS)
def test_the_patch_leads_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merge(old, changes(old, new)) == new


@given(STATUS)
def test_nothing_changed_is_an_empty_patch(status: dict[str, Any]) -> None:
    assert changes(status, dict(status)) == {}


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = with_conditions({}, 1, [condition("Ready", False, Reason.PROGRESSING)], {})
    first["conditions"][0]["lastTransitionTime"] = OLD_TIME
    same = with_conditions(first, 2, [condition("Ready", False, Reason.IMPORTING, "other words")], {})
    assert same["conditions"][0]["lastTransitionTime"] == OLD_TIME
    assert same["conditions"][0]["observedGeneration"] == 2
    turned = with_conditions(first, 2, [condition("Ready", True, Reason.READY)], {})
    assert turned["conditions"][0]["lastTransitionTime"] != OLD_TIME


def test_abnormal_conditions_are_left_out_when_false() -> None:
    status = with_conditions(
        {}, 1, [condition("Ready", True, Reason.READY), condition("Stalled", False, Reason.READY)], {}
    )
    assert [entry["type"] for entry in status["conditions"]] == ["Ready"]


def test_an_unknown_is_never_a_pass() -> None:
    assert condition("Verified", None, Reason.NOT_VERIFIED)["status"] == "Unknown"


def test_a_condition_that_somebody_else_wrote_is_no_reason_to_fail() -> None:
    """Row 22: with nothing but what the CRD asks for, whether it says what is true or not."""
    wanted = condition(READY, True, Reason.READY)
    for said in ("True", "False"):
        forged = {"conditions": [{"type": READY, "status": said, "reason": "Forged"}]}
        new = with_conditions(forged, 1, [wanted], {})
        assert new["conditions"][0]["lastTransitionTime"]
        assert turned(forged, new)
