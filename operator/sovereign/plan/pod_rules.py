"""What pods of governed namespaces must be, whoever makes them: rules on pods, not on our labels."""

from collections.abc import Iterator
from typing import Final

from sovereign.plan import canary_requests, images
from sovereign.plan.cel import Cel, any_of, code, name, quote, sentence, variable
from sovereign.plan.inventory import Policy
from sovereign.plan.rules import SPEC_CHANGES, Rules, Validation, resources

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
_VOLUME_KINDS: Final = (
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)


def pod_rules(policy: Policy) -> Rules:
    """The rules about a pod's images, its reach into the host, and its name resolution."""
    whose = f"policy {policy.name}: "
    validations = (*_image_rules(policy, whose), *_host_rules(whose), *_other_rules(whose))
    return Rules("pods", _PODS, validations, _VARIABLES, (SPEC_CHANGES,), canary=canary_requests.image(policy))


def _image_rules(policy: Policy, whose: str) -> Iterator[Validation]:
    registries = sorted(policy.spec.images.registries)
    example = f"{registries[0] if registries else 'registry.example.eu/ai'}/name@sha256:<digest>"
    yield _each_image(
        _IMAGE.matches(images.REFERENCE),
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
    found = _IMAGES.where("i", ~condition).joined(", ")
    return Validation(
        _IMAGES.every("i", condition),
        f"{whose}an image is {wrong}",
        sentence(f"{whose}image ", found, f" is {wrong}"),
    )


def _host_rules(whose: str) -> Iterator[Validation]:
    yield Validation(
        code(
            "!(object.spec.?hostNetwork.orValue(false) || object.spec.?hostPID.orValue(false) || "
            "object.spec.?hostIPC.orValue(false))"
        ),
        f"{whose}the host's network, processes and IPC are out of bounds; leave hostNetwork, hostPID and hostIPC out",
    )
    listed = any_of(code("has(v.%s)").filled(name(kind)) for kind in _VOLUME_KINDS)
    kinds = ", ".join(_VOLUME_KINDS)
    wrong = "is of a kind that reaches the host or other machines"
    yield Validation(
        variable("volumes").every("v", listed),
        f"{whose}a volume {wrong} (hostPath, nfs, csi, ...); use one of {kinds}",
        sentence(
            f"{whose}volume ",
            variable("volumes").where("v", ~listed).each("v", code("v.name")).joined(", "),
            f" {wrong}; use one of {kinds}",
        ),
    )
    yield Validation(
        code("variables.containers.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))"),
        f"{whose}ports of the host are out of bounds; leave hostPort out and make a Service",
    )
    yield Validation(
        code("variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"),
        f"{whose}privileged containers have the whole host; leave securityContext.privileged out",
    )
    yield Validation(
        code("!('kubernetes.io/config.mirror' in object.metadata.?annotations.orValue({}))"),
        f"{whose}mirror pods stand for what a kubelet runs by itself, past the scheduler; make an ordinary pod",
    )


def _other_rules(whose: str) -> Iterator[Validation]:
    yield Validation(
        code(
            "object.spec.?dnsPolicy.orValue('ClusterFirst') in ['ClusterFirst', 'ClusterFirstWithHostNet'] "
            "&& "
            "object.spec.?dnsConfig.?nameservers.orValue([]).size() == 0"
        ),
        f"{whose}names are resolved by the cluster alone; leave dnsPolicy and dnsConfig.nameservers out",
    )
    yield Validation(
        code("object.spec.?hostAliases.orValue([]).size() == 0"),
        f"{whose}names are resolved by the cluster alone; leave hostAliases out",
    )
    yield Validation(
        code(
            "request.operation == 'CREATE' || oldObject.spec.?nodeName.orValue('') == '' || "
            "object.spec.?tolerations.orValue([]) == oldObject.spec.?tolerations.orValue([])"
        ),
        f"{whose}the tolerations of a pod that has a node cannot be changed; make a new pod",
    )
