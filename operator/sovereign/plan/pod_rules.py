"""What pods of governed namespaces must be, whoever makes them: rules on pods, not on our labels."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sovereign.plan import canary_requests, images, names
from sovereign.plan.cel import Cel, any_of, code, name, quote, sentence, strings, variable
from sovereign.plan.inventory import Policy
from sovereign.plan.pod_baseline import baseline
from sovereign.plan.reserved_rules import reserved
from sovereign.plan.rules import SPEC_CHANGES, Rules, Validation, each, resources

_PODS: Final = (
    resources("", "v1", ["CREATE", "UPDATE"], ["pods"]),
    resources("", "v1", ["UPDATE"], ["pods/ephemeralcontainers"]),
)

_VARIABLES: Final = (
    (
        "containers",
        code(
            "object.spec.containers + object.spec.?initContainers.orValue([]) + "
            "object.spec.?ephemeralContainers.orValue([])"
        ),
    ),
    ("volumes", code("object.spec.?volumes.orValue([])")),
    (
        "images",
        code(
            "variables.containers.map(c, c.?image.orValue('')) + "
            "variables.volumes.filter(v, has(v.image)).map(v, v.image.?reference.orValue(''))"
        ),
    ),
)
_IMAGES: Final = variable("images")
_IMAGE: Final = code("i")
VOLUME_KINDS: Final = (
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
"""Kinds of volumes that stay in the namespace, and are judged by their own rules where they have any."""
PROXIES: Final = ("all_proxy", "ftp_proxy", "http_proxy", "https_proxy")
"""Names of variables, in lower case, by which programs are sent to a proxy."""


def pod_rules(policy: Policy) -> Rules:
    """The rules about a pod's reach into the host, its name resolution, the weights it mounts, and its images."""
    whose = f"policy {policy.name}: "
    validations = (*any_policy(whose), *_image_rules(policy, whose))
    canary = canary_requests.image(policy)
    return Rules("pods", _PODS, validations, _VARIABLES, (SPEC_CHANGES,), screened=True, canary=canary)


def any_policy(whose: str) -> Iterator[Validation]:
    """The rules that no policy changes, in the order in which they are asked."""
    yield from baseline(whose)
    yield _volume_kinds(whose)
    yield _mirror(whose)
    yield _resolver(whose)
    yield _host_aliases(whose)
    yield _proxies(whose)
    yield _tolerations(whose)
    yield _weights(whose)


def _volume_kinds(whose: str) -> Validation:
    listed = any_of(code("has(v.%s)").filled(name(kind)) for kind in VOLUME_KINDS)
    kinds = ", ".join(VOLUME_KINDS)
    wrong = "is of a kind that reaches the host or other machines"
    return Validation(
        variable("volumes").every("v", listed),
        f"{whose}a volume {wrong} (hostPath, nfs, csi, ...); use one of {kinds}",
        sentence(
            f"{whose}volume ",
            variable("volumes").where("v", ~listed).each("v", code("v.name")).joined(", "),
            f" {wrong}; use one of {kinds}",
        ),
    )


def _mirror(whose: str) -> Validation:
    return Validation(
        code("!('kubernetes.io/config.mirror' in object.metadata.?annotations.orValue({}))"),
        f"{whose}mirror pods stand for what a kubelet runs by itself, past the scheduler; make an ordinary pod",
    )


def _resolver(whose: str) -> Validation:
    return Validation(
        code(
            "object.spec.?dnsPolicy.orValue('ClusterFirst') in ['ClusterFirst', 'ClusterFirstWithHostNet'] "
            "&& "
            "object.spec.?dnsConfig.?nameservers.orValue([]).size() == 0"
        ),
        f"{whose}names are resolved by the cluster alone; leave dnsPolicy and dnsConfig.nameservers out",
    )


def _host_aliases(whose: str) -> Validation:
    return Validation(
        code("object.spec.?hostAliases.orValue([]).size() == 0"),
        f"{whose}names are resolved by the cluster alone; leave hostAliases out",
    )


def _proxies(whose: str) -> Validation:
    """What a ConfigMap or Secret brings in by ``envFrom`` is not seen here."""
    lawful = ~code("e.name.lowerAscii()").within(strings(PROXIES))
    variables = code("c.?env.orValue([])")
    wrong = "that would send requests through another machine; leave it out"
    found = variable("containers").each("c", variables.where("e", ~lawful).each("e", code("e.name")).joined(", "))
    return Validation(
        variable("containers").every("c", variables.every("e", lawful)),
        f"{whose}a container has a variable {wrong}",
        sentence(f"{whose}a container has the variable ", found.where("n", code("n != ''")).joined(", "), f" {wrong}"),
    )


def _tolerations(whose: str) -> Validation:
    return Validation(
        code(
            "request.operation == 'CREATE' || oldObject.spec.?nodeName.orValue('') == '' || "
            "object.spec.?tolerations.orValue([]) == oldObject.spec.?tolerations.orValue([])"
        ),
        f"{whose}the tolerations of a pod that has a node cannot be changed; make a new pod",
    )


def _weights(whose: str) -> Validation:
    """Whoever can write to a model's claim can swap its weights after they were verified. Only an import does.

    ``readOnly`` may stand at the claim or at each mount: on a local volume, all pods must say the same at the claim.
    """
    weights = code("has(v.persistentVolumeClaim) && v.persistentVolumeClaim.claimName.endsWith(%s)").filled(
        quote(names.claim(""))
    )
    at_claim = code("v.persistentVolumeClaim.?readOnly.orValue(false)")
    at_mounts = code(
        "variables.containers.all(c, "
        "c.?volumeMounts.orValue([]).all(m, m.name != v.name || m.?readOnly.orValue(false)) && "
        "c.?volumeDevices.orValue([]).all(d, d.name != v.name))"
    )
    made_by_us = reserved(code("object.metadata.?labels.orValue({})"))
    lawful = ~weights | at_claim | at_mounts
    wrong = "holds weights, which only the operator's import may write; set readOnly: true at its persistentVolumeClaim or at each mount"
    rule = each(variable("volumes"), "v", lawful, whose, "a volume", wrong, shown=code("v.name"))
    return replace(rule, expression=made_by_us | rule.expression)


def _image_rules(policy: Policy, whose: str) -> Iterator[Validation]:
    registries = sorted(policy.spec.images.registries)
    example = f"{registries[0] if registries else 'registry.example.eu/ai'}/name@sha256:<digest>"
    yield _each_image(
        images.in_full(_IMAGE),
        whose,
        f"not written in full; name registry, path and digest, for example {example}",
    )
    if registries:
        yield _each_image(
            any_of(_IMAGE.starts_with(quote(f"{registry}/")) for registry in registries),
            whose,
            f"not in an allowed registry; copy it to {' or '.join(registries)}",
        )
    if policy.spec.images.require_digest:
        yield _each_image(
            _IMAGE.matches(images.PINNED),
            whose,
            "without digest; name it by @sha256:<digest>, because a tag can be moved",
        )


def _each_image(condition: Cel, whose: str, wrong: str) -> Validation:
    return each(_IMAGES, "i", condition, whose, "an image", f"is {wrong}")
