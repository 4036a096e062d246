"""Row 15: image references, held against the library by which container runtimes read them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.plan import images
from tests.fuzz.references import REGISTRIES, reference
from tests.fuzz.totals import tried
from tests.oracles.references import Reference, ReferenceOracle

_by_grammar = st.integers(0, 2**64).map(lambda seed: reference(Random(seed)))
_references = st.one_of(*[_by_grammar] * 7, st.text(max_size=60))

REFUSED = {
    "the registry is left out, which stands for docker.io": lambda image, meant: (
        meant.domain == "docker.io" and not image.startswith("docker.io/")
    ),
    "a folder is left out, which stands for docker.io/library": lambda image, meant: (
        meant.domain == "docker.io" and meant.path.startswith("library/") and "library/" not in image
    ),
    "the host has a character that hosts have not, so that the library finds none": lambda image, meant: (
        not meant.domain
    ),
    "the host has capitals": lambda image, meant: meant.domain != meant.domain.lower(),
    "the host is an IPv6 address": lambda image, meant: meant.domain.startswith("["),
    "the port has more than five digits": lambda image, meant: len(meant.domain.partition(":")[2]) > 5,
    "the digest is not SHA-256": lambda image, meant: meant.digest and not meant.digest.startswith("sha256:"),
    "it is longer than 255 characters without its digest": lambda image, meant: len(image.partition("@")[0]) > 255,
}
"""All reasons for which a reference is refused that a container runtime takes."""


@given(_references)
def test_what_is_accepted_means_the_same_to_a_container_runtime_and_what_is_refused_has_a_reason(
    oracle: ReferenceOracle, image: str
) -> None:
    """Row 15."""
    meant = oracle.parse(image)
    accepted = images.well_formed(image)
    tried(_outcome(meant, accepted=accepted))
    if not accepted:
        assert meant.error or any(holds(image, meant) for holds in REFUSED.values()), meant
        return
    assert not meant.error
    host, _, rest = image.partition("/")
    assert meant.domain == host
    assert rest.startswith(meant.path)
    assert images.pinned(image) is bool(meant.digest)
    assert not meant.digest or image.endswith(f"@{meant.digest}")


def _outcome(meant: Reference, *, accepted: bool) -> str:
    if accepted:
        return "references: accepted"
    return "references: refused, and by container runtimes too" if meant.error else "references: refused for a reason"


@given(_references, st.lists(st.sampled_from(REGISTRIES), min_size=3, max_size=8))
def test_an_image_within_a_registry_is_pulled_from_below_it_by_whole_segments(
    oracle: ReferenceOracle, image: str, registries: list[str]
) -> None:
    """Row 15."""
    meant = oracle.parse(image)
    inside = any(_below(meant, registry) for registry in registries)
    tried(f"references: {'in' if images.within(image, registries) else 'not in'} an allowed registry")
    if images.within(image, registries):
        assert inside, meant
    elif inside:
        assert any(holds(image, meant) for holds in REFUSED.values()), meant


def _below(meant: Reference, registry: str) -> bool:
    host, _, folder = registry.partition("/")
    segments = meant.path.split("/")
    wanted = folder.split("/") if folder else []
    return meant.domain == host and len(segments) > len(wanted) and segments[: len(wanted)] == wanted


@pytest.mark.parametrize(
    "image", ["nginx", "library/nginx", "ai/vllm", "docker.io/nginx", "index.docker.io/library/nginx"]
)
def test_what_stands_for_docker_io_without_saying_so_is_refused(oracle: ReferenceOracle, image: str) -> None:
    """Row 15."""
    assert oracle.parse(image).domain == "docker.io"
    assert not images.well_formed(image)


def test_the_generator_makes_what_is_accepted_and_what_is_refused_of_every_kind(oracle: ReferenceOracle) -> None:
    random, missing, accepted = Random(1), {*REFUSED}, 0
    for _ in range(6000):
        image = reference(random)
        meant = oracle.parse(image)
        accepted += images.well_formed(image)
        if not meant.error and not images.well_formed(image):
            missing -= {reason for reason, holds in REFUSED.items() if holds(image, meant)}
    assert not missing
    assert accepted > 500
