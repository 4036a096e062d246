"""Policies and nodes to plan with, and strategies that make them."""

from typing import Any

from hypothesis import strategies as st

from sovereign.api.meta import FACT_JURISDICTION, FACT_PROVIDER, FACT_REGION
from sovereign.api.policy import PolicySpec
from sovereign.plan.inventory import Node, Owner, Policy

TIER = "example.node-restriction.kubernetes.io/tier"
DIGEST = "@sha256:" + "a" * 64


def policy(name: str = "eu", **spec: Any) -> Policy:
    """A policy for France, with fields of ``spec`` on top."""
    base = {
        "namespaceSelector": {"matchLabels": {"tier": "restricted"}},
        "placement": {"jurisdictions": ["FR"]},
    }
    return Policy(Owner("SovereigntyPolicy", name, f"uid-{name}"), PolicySpec.model_validate(base | spec))


def placed(name: str = "eu", **placement: Any) -> Policy:
    """A policy that differs in placement only."""
    return policy(name, placement={"jurisdictions": ["FR"]} | placement)


def node(name: str, jurisdiction: str = "", region: str = "", provider: str = "", **labels: str) -> Node:
    """A node with these facts; those left empty are missing."""
    facts = {FACT_JURISDICTION: jurisdiction, FACT_REGION: region, FACT_PROVIDER: provider}
    return Node(name, labels={key: value for key, value in facts.items() if value} | labels)


# Few values, so that they meet.
_COUNTRIES = ["FR", "DE", "NO", "US", "GB"]
_REGIONS = ["fr-par", "de-fra", "us-east"]
_PROVIDERS = ["seine", "rhein"]
_TIERS = ["gold", "iron"]


def _some(values: list[str], **bounds: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), unique=True, **bounds)


placements = st.fixed_dictionaries(
    {"jurisdictions": _some([*_COUNTRIES, "EU", "EEA"], min_size=1, max_size=3)},
    optional={
        "regions": _some(_REGIONS),
        "providers": _some(_PROVIDERS),
        "nodeSelector": st.fixed_dictionaries({TIER: st.sampled_from(_TIERS)}),
    },
)


@st.composite
def nodes(draw: st.DrawFn, max_size: int = 5) -> list[Node]:
    """Nodes with some facts right, some wrong and some missing."""
    count = draw(st.integers(0, max_size))
    return [
        node(
            f"n{index}",
            draw(st.sampled_from([*_COUNTRIES, "", "EU", "fr"])),
            draw(st.sampled_from([*_REGIONS, ""])),
            draw(st.sampled_from([*_PROVIDERS, ""])),
            **draw(st.fixed_dictionaries({}, optional={TIER: st.sampled_from(_TIERS)})),
        )
        for index in range(count)
    ]
