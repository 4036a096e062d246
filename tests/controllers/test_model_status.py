"""PlacementVerified of a model: what is not known is never shown as a pass (row 20)."""

import pytest

from sovereign.api.conditions import Reason
from sovereign.controllers.model_status import placement_verified
from sovereign.plan.inventory import Elsewhere

WRONG = Elsewhere("placement.jurisdictions", Reason.VOLUME_ELSEWHERE, "elsewhere", enforced=True, stops=True)


@pytest.mark.parametrize(
    ("known", "elsewhere", "nowhere", "expected"),
    [
        (True, None, False, ("True", "Placed")),
        (True, None, True, ("Unknown", "NoApprovedNode")),
        (False, None, False, ("Unknown", "NotVerified")),
        (None, None, False, ("Unknown", "Progressing")),
        (True, WRONG, False, ("False", "VolumeElsewhere")),
        (False, WRONG, True, ("False", "VolumeElsewhere")),
    ],
)
def test_only_what_was_compared_is_a_pass(
    known: bool | None, elsewhere: Elsewhere | None, nowhere: bool, expected: tuple[str, str]
) -> None:
    found = placement_verified(known, elsewhere, nowhere=nowhere)
    assert (found["status"], found["reason"]) == expected
