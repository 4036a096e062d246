"""The verifier and the API server have the same rules on pods: whatever pod is sent, both say the same (rows 11, 14, 15)."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded

from sovereign.cluster import rows
from sovereign.plan.governance import Governance
from sovereign.residency.verdicts import judge
from tests.integration.api import Api
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace
from tests.integration.enforcement import Enforcement, enforce, make_policy
from tests.integration.enforcement import settings as served
from tests.residency.pods import Manifest, manifests

pytestmark = pytest.mark.integration
EXAMPLES = 400


@pytest.fixture(scope="module")
def enforced(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Enforcement]:
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    name = make_namespace(api, kubectl, f"verdicts-{worker}", {TEST_LABEL: f"verdicts-{worker}"})
    enforcement = enforce(api, make_policy(api, name), name, served(api))
    yield enforcement
    enforcement.remove()
    kubectl("delete", "namespace", name, "--wait")


def test_both_say_the_same_of_any_pod(api: Api, enforced: Enforcement) -> None:
    outcomes: Counter[str] = Counter()
    said: set[str] = set()

    @seeded(20)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(manifests())
    def ask(pod: Manifest) -> None:
        sent = {field: value for field, value in pod["metadata"].items() if field not in ("uid", "resourceVersion")}
        metadata = sent | {"namespace": enforced.namespace}
        answer = api.create(pod | {"metadata": metadata}, dry_run=True)
        if answer.code == 422:  # no pod at all, whatever the rules
            outcomes["invalid"] += 1
            return
        assert answer.code in (201, 403), answer.message
        row = rows.pod(pod | {"metadata": pod["metadata"] | metadata})
        violations = judge(row, None, Governance((enforced.policy,), enforced.namespace), {})
        said.update(violation.rule for violation in violations)
        outcomes["lawful" if answer.ok else "refused"] += 1
        assert answer.ok == (not violations), (answer.message, [one.message for one in violations], pod)

    ask()
    assert outcomes["lawful"] > EXAMPLES / 20, outcomes
    assert outcomes["refused"] > EXAMPLES / 4, outcomes
    assert len(said) > 12, said
