"""What all policies of a namespace say together.

Policies only tighten: a thing is allowed when every policy allows it, and a grant is what every policy
grants. The first policy (by name) that does not allow it is the one that is named.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import Final, TypeVar
from urllib.parse import unquote

from sovereign.api.conditions import Reason
from sovereign.api.policy import Placement
from sovereign.api.schema import LabelSelector
from sovereign.plan import grants, images, jurisdictions, placement
from sovereign.plan.grants import Grant, Network
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.verdict import Verdict

NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""The label that the API server sets on every namespace to its name."""

T = TypeVar("T")

_ENDPOINT_FIELDS: Final = {"hf": "hubEndpoint", "s3": "s3Endpoint"}


@dataclass(frozen=True)
class Governance:
    """The policies that govern one namespace, sorted by name. Without any, nothing of ours may run in it."""

    policies: tuple[Policy, ...] = ()
    namespace: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the policies."""
        return tuple(policy.name for policy in self.policies)

    @property
    def governed(self) -> bool:
        """Whether there is any policy."""
        return bool(self.policies)

    @property
    def enforced(self) -> bool:
        """Whether any policy refuses and repairs, rather than only reports."""
        return any(policy.spec.enforcement == "Enforce" for policy in self.policies)

    # --- verdicts -------------------------------------------------------------------------------

    def check_image(self, image: str) -> Verdict:
        """Whether a container image may run."""
        return self._all(image_verdict, image)

    def check_source(self, uri: str) -> Verdict:
        """Whether weights may come from ``uri``."""
        return self._all(_source, uri)

    def check_format(self, format: str) -> Verdict:  # noqa: A002 - the field's name
        """Whether weights may be of ``format``."""
        return self._all(_format, format)

    def check_digest(self, digest: str | None) -> Verdict:
        """Whether a model may go without a digest."""
        return self._all(_digest, digest)

    def check_license(self, license: str | None) -> Verdict:  # noqa: A002 - the field's name
        """Whether weights may be under ``license``; ``None`` when the model states none."""
        return self._all(_license, license)

    def check_storage_class(self, name: str | None) -> Verdict:
        """Whether a claim may use the storage class ``name``; ``None`` stands for the cluster's default."""
        return self._all(_storage_class, name)

    def check_endpoint(self, uri: str, endpoint: str | None) -> Verdict:
        """Whether ``uri`` may be fetched from ``endpoint``, or from the one that the policies name."""
        scheme = _scheme(uri)
        field = _ENDPOINT_FIELDS.get(scheme)
        if field is None:
            return _allowed("models.sources")
        rule = f"models.{field}"
        wanted = endpoint
        for policy, required in self._endpoints(scheme):
            if wanted is not None and _same_url(wanted) != _same_url(required):
                message = (
                    f"policy {policy.name} has {scheme}:// sources fetched from {required} only, not from "
                    f"{wanted}; "
                    "leave spec.source.endpoint out"
                )
                return Verdict(False, rule, Reason.ENDPOINT_NOT_ALLOWED, message, wanted)
            wanted = required
        if wanted is None:
            message = (
                f"{scheme}:// sources have no public default: set spec.source.endpoint of the model, or "
                f"{rule} "
                "of the policy, to the server that has the weights"
            )
            return Verdict(False, rule, Reason.ENDPOINT_REQUIRED, message)
        return _allowed(rule)

    def endpoint_for(self, uri: str, endpoint: str | None) -> str | None:
        """The server that ``uri`` is fetched from; nothing where the URI names it, or where nobody does."""
        scheme = _scheme(uri)
        if scheme not in _ENDPOINT_FIELDS:
            return None
        return next((required for _, required in self._endpoints(scheme)), endpoint)

    def conflict(self) -> Verdict | None:
        """What leaves no node that all policies could approve, if anything does; two policies at a time."""
        for first, second in combinations(self.policies, 2):
            rule = disjoint(first.spec.placement, second.spec.placement)
            if rule is not None:
                message = (
                    f"policies {first.name} and {second.name} govern this namespace and have nothing in "
                    "common in "
                    f"{rule}, so no node can satisfy both; change one of them, or the labels that select the "
                    "namespace"
                )
                return Verdict(False, rule, Reason.EMPTY_INTERSECTION, message, f"{first.name}, {second.name}")
        return None

    # --- network --------------------------------------------------------------------------------

    def egress(self) -> tuple[Grant, ...]:
        """What serving pods may reach."""
        return _granted(grants.bounded(grants.of(policy.spec.network.egress)) for policy in self.policies)

    def import_egress(self) -> tuple[Grant, ...]:
        """What import jobs may reach."""
        return _granted(grants.bounded(grants.of(policy.spec.network.import_egress)) for policy in self.policies)

    def resolvers(self) -> tuple[Network, ...] | None:
        """The DNS servers that may be asked; ``None``, where no policy names any, is the cluster's DNS."""
        stated = [
            grants.bounded(grants.dns(policy.spec.network.dns))
            for policy in self.policies
            if policy.spec.network.dns.resolvers
        ]
        if not stated:
            return None
        return tuple(grant.network for grant in _granted(stated))

    def ingress_namespaces(self) -> tuple[LabelSelector, ...]:
        """Selectors that a caller's namespace must all satisfy; none stands for the own namespace alone."""
        if all(policy.spec.network.ingress_namespaces is None for policy in self.policies):
            return ()
        own = LabelSelector(match_labels={NAMESPACE_NAME: self.namespace})
        return tuple(policy.spec.network.ingress_namespaces or own for policy in self.policies)

    # --------------------------------------------------------------------------------------------

    def _all(self, rule: Callable[[Policy, T], Verdict], value: T) -> Verdict:
        verdict = _allowed("")
        for policy in self.policies:
            verdict = rule(policy, value)
            if not verdict.ok:
                return verdict
        return verdict

    def _endpoints(self, scheme: str) -> list[tuple[Policy, str]]:
        """The policies that say where sources of ``scheme`` are fetched from, and what they say."""
        found = []
        for policy in self.policies:
            models = policy.spec.models
            required = models.hub_endpoint if scheme == "hf" else models.s3_endpoint
            if required is not None:
                found.append((policy, required))
        return found


def govern(namespace: str, labels: Mapping[str, str], policies: Iterable[Policy], settings: Settings) -> Governance:
    """The policies that govern ``namespace`` with its ``labels``; none for those that settings exempt."""
    if namespace in settings.ungoverned_namespaces:
        return Governance((), namespace)
    known = {**labels, NAMESPACE_NAME: namespace}
    selected = [policy for policy in policies if policy.spec.namespace_selector.matches(known)]
    return Governance(tuple(sorted(selected, key=lambda policy: policy.name)), namespace)


def disjoint(one: Placement, other: Placement) -> str | None:
    """The first rule of placement in which two policies have nothing in common, if there is one."""
    if not {*jurisdictions.expand(one.jurisdictions)} & {*jurisdictions.expand(other.jurisdictions)}:
        return placement.JURISDICTIONS
    if one.regions and other.regions and not {*one.regions} & {*other.regions}:
        return placement.REGIONS
    if one.providers and other.providers and not {*one.providers} & {*other.providers}:
        return placement.PROVIDERS
    if any(other.node_selector.get(key, value) != value for key, value in one.node_selector.items()):
        return placement.NODE_SELECTOR
    return None


def _granted(stated: Iterable[tuple[Grant, ...]]) -> tuple[Grant, ...]:
    each = list(stated)
    return reduce(grants.intersection, each) if each else ()


def _allowed(rule: str) -> Verdict:
    return Verdict(True, rule, Reason.POLICY_ACCEPTED)


def image_verdict(policy: Policy, image: str) -> Verdict:
    """Whether ``policy`` lets a container image run."""
    registries, rule = policy.spec.images.registries, "images.registries"
    whose = f"policy {policy.name}: image {image}"
    if not images.well_formed(image):
        example = registries[0] if registries else "registry.example.eu"
        message = (
            f"{whose} is not written in full; name registry, path and digest, for example "
            f"{example}/vllm@sha256:<64 hex digits>"
        )
        return Verdict(False, rule, Reason.IMAGE_NOT_ALLOWED, message, image)
    if registries and not images.within(image, registries):
        message = f"{whose} is not in an allowed registry; copy it to {' or '.join(registries)}"
        return Verdict(False, rule, Reason.IMAGE_NOT_ALLOWED, message, image)
    if policy.spec.images.require_digest and not images.pinned(image):
        message = f"{whose} has no digest; name it by @sha256:<64 hex digits>, because a tag can be moved"
        return Verdict(False, "images.requireDigest", Reason.IMAGE_NOT_ALLOWED, message, image)
    return _allowed(rule)


def _source(policy: Policy, uri: str) -> Verdict:
    rule, prefixes = "models.sources", policy.spec.models.sources
    climbs = any(segment in (".", "..") for segment in unquote(uri).replace("\\", "/").split("/"))
    if climbs:
        message = f"source {uri} contains '.' or '..' as a folder; write the path without them"
        return Verdict(False, rule, Reason.SOURCE_NOT_ALLOWED, message, uri)
    if prefixes and not any(uri.startswith(prefix) for prefix in prefixes):
        message = (
            f"policy {policy.name} does not list source {uri}; copy the weights below "
            f"{' or '.join(prefixes)}, "
            f"or have the source added to {rule}"
        )
        return Verdict(False, rule, Reason.SOURCE_NOT_ALLOWED, message, uri)
    return _allowed(rule)


def _format(policy: Policy, found: str) -> Verdict:
    rule, formats = "models.formats", policy.spec.models.formats
    if found in formats:
        return _allowed(rule)
    wanted = " or ".join(formats)
    message = f"policy {policy.name} does not allow the format {found}; convert the weights to {wanted}"
    return Verdict(False, rule, Reason.FORMAT_NOT_ALLOWED, message, found)


def _digest(policy: Policy, found: str | None) -> Verdict:
    rule = "models.requireDigest"
    if found or not policy.spec.models.require_digest:
        return _allowed(rule)
    message = (
        f"policy {policy.name} wants models pinned: set spec.digest to what `kubectl sovereign digest` "
        "prints for the "
        "approved weights"
    )
    return Verdict(False, rule, Reason.DIGEST_REQUIRED, message)


def _license(policy: Policy, found: str | None) -> Verdict:
    rule, licenses = "licenses.allow", policy.spec.licenses
    if not licenses.allow:
        return _allowed(rule)
    listed = ", ".join(licenses.allow)
    if found is None:
        message = (
            f"policy {policy.name} allows {listed}, and the model states no licence; set spec.license to its SPDX id"
        )
        return Verdict(licenses.unknown == "Allow", "licenses.unknown", Reason.LICENSE_UNKNOWN, message)
    # SPDX, Annex D: ids are compared without regard to case.
    if found.lower() in {allowed.lower() for allowed in licenses.allow}:
        return Verdict(True, rule, Reason.LICENSE_ACCEPTED, found=found)
    message = (
        f"policy {policy.name} allows {listed}, not {found}; choose another model, or have the licence added to {rule}"
    )
    return Verdict(False, rule, Reason.LICENSE_DENIED, message, found)


def _storage_class(policy: Policy, found: str | None) -> Verdict:
    rule, allowed = "storage.storageClasses", policy.spec.storage.storage_classes
    if not allowed or found in allowed:
        return _allowed(rule)
    what = f"storage class {found}" if found else "the cluster's default storage class"
    message = f"policy {policy.name} does not allow {what}; set storageClassName to {' or '.join(allowed)}"
    return Verdict(False, rule, Reason.STORAGE_CLASS_NOT_ALLOWED, message, found or "")


# By hand: the standard library raises for hosts that it does not like, such as ``a[b``.


def _scheme(uri: str) -> str:
    return uri.partition("://")[0]


def _same_url(url: str) -> tuple[str, str, str]:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return scheme, host.lower(), path.rstrip("/")
