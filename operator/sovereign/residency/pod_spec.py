"""What is wrong with a pod whatever the policy: the rules of `plan.pod_rules` and `plan.pod_baseline`, for pods that are there already.

The API server refuses what breaks them. A pod that was made before its policy, or while the rules were gone, was never asked. A test
sends random pods to an API server and compares the answers with these.
"""

from collections.abc import Callable, Iterator, Mapping
from sys import intern
from typing import Any, Final

from sovereign.api.meta import RESERVED_LABELS
from sovereign.plan import names
from sovereign.plan.pod_baseline import CAPABILITIES, PROFILES, SELINUX_TYPES, SYSCTLS
from sovereign.plan.pod_rules import PROXIES, VOLUME_KINDS

Manifest = Mapping[str, Any]
_Check = Callable[[Manifest, Manifest, list[Manifest]], Iterator[str]]
"""Of metadata, spec and all containers, to what was found; nothing where all is well."""

_MIRROR: Final = "kubernetes.io/config.mirror"
_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_RESOLVING: Final = ("ClusterFirst", "ClusterFirstWithHostNet")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS: Final = ("postStart", "preStop")
_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")


def containers(spec: Manifest) -> list[Manifest]:
    """All containers of a pod: ordinary, init and ephemeral ones."""
    return [container for field in _CONTAINERS for container in spec.get(field) or ()]


def images(spec: Manifest) -> tuple[str, ...]:
    """Every image that a pod names, those of image volumes included."""
    found = [container.get("image", "") for container in containers(spec)]
    found += [volume["image"].get("reference", "") for volume in spec.get("volumes") or () if "image" in volume]
    return tuple(dict.fromkeys(intern(image) for image in found))


def by_digest(spec: Manifest) -> dict[str, str]:
    """The images of the containers that name theirs by digest, by the container's name."""
    return {one["name"]: image for one in containers(spec) if "@" in (image := one.get("image", ""))}


def problems(manifest: Manifest) -> tuple[str, ...]:
    """What is wrong with a pod, each as the name of a rule in `MESSAGES` and what was found; usually nothing."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    every = containers(spec)
    return tuple(
        intern(f"{rule} {', '.join(dict.fromkeys(found))}"[:_SHOWN].rstrip())
        for rule, (check, _) in _CHECKS.items()
        if (found := list(check(metadata, spec, every)))
    )


_SHOWN: Final = 160


def message(problem: str) -> tuple[str, str]:
    """The rule's name, and what is wrong and what to do about it, of one of `problems`."""
    rule, _, found = problem.partition(" ")
    return rule, _CHECKS[rule][1] % found


# --- the host -------------------------------------------------------------------------------------------


def _host_namespaces(_: Manifest, spec: Manifest, __: list[Manifest]) -> Iterator[str]:
    return (field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field))


def _volumes(_: Manifest, spec: Manifest, __: list[Manifest]) -> Iterator[str]:
    for volume in spec.get("volumes") or ():
        if volume.keys().isdisjoint(VOLUME_KINDS):
            kind = next((field for field in volume if field != "name"), "unknown")
            yield f"{volume['name']} ({kind})"


def _host_ports(_: Manifest, __: Manifest, every: list[Manifest]) -> Iterator[str]:
    return (one["name"] for one in every if any(port.get("hostPort") for port in one.get("ports") or ()))


def _privileged(_: Manifest, __: Manifest, every: list[Manifest]) -> Iterator[str]:
    return (one["name"] for one in every if (one.get("securityContext") or {}).get("privileged"))


def _mirror(metadata: Manifest, _: Manifest, __: list[Manifest]) -> Iterator[str]:
    return (key for key in (_MIRROR,) if key in (metadata.get("annotations") or {}))


# --- confinement ----------------------------------------------------------------------------------------


def _contexts(spec: Manifest, every: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The security contexts of a pod and its containers, each with whose it is."""
    if context := spec.get("securityContext"):
        yield "the pod", context
    for container in every:
        if context := container.get("securityContext"):
            yield container["name"], context


def _capabilities(_: Manifest, __: Manifest, every: list[Manifest]) -> Iterator[str]:
    for container in every:
        added = ((container.get("securityContext") or {}).get("capabilities") or {}).get("add") or ()
        yield from (f"{container['name']} ({name})" for name in added if name not in CAPABILITIES)


def _proc_mount(_: Manifest, __: Manifest, every: list[Manifest]) -> Iterator[str]:
    for container in every:
        if (container.get("securityContext") or {}).get("procMount", "Default") != "Default":
            yield container["name"]


def _seccomp(_: Manifest, spec: Manifest, every: list[Manifest]) -> Iterator[str]:
    return _profiles("seccompProfile", spec, every)


def _apparmor(metadata: Manifest, spec: Manifest, every: list[Manifest]) -> Iterator[str]:
    yield from _profiles("appArmorProfile", spec, every)
    for key, value in (metadata.get("annotations") or {}).items():
        allowed = value in ("", "runtime/default") or value.startswith("localhost/")
        if key.startswith(_APPARMOR) and not allowed:
            yield key.removeprefix(_APPARMOR)


def _profiles(field: str, spec: Manifest, every: list[Manifest]) -> Iterator[str]:
    for where, context in _contexts(spec, every):
        profile = context.get(field)
        if profile and profile.get("type") not in PROFILES:
            yield where


def _selinux(_: Manifest, spec: Manifest, every: list[Manifest]) -> Iterator[str]:
    for where, context in _contexts(spec, every):
        options = context.get("seLinuxOptions") or {}
        if options.get("type", "") not in SELINUX_TYPES or options.get("user") or options.get("role"):
            yield where


def _sysctls(_: Manifest, spec: Manifest, __: list[Manifest]) -> Iterator[str]:
    set_ones = (spec.get("securityContext") or {}).get("sysctls") or ()
    return (one["name"] for one in set_ones if one["name"] not in SYSCTLS)


# --- names and the way out ------------------------------------------------------------------------------


def _probe_hosts(_: Manifest, __: Manifest, every: list[Manifest]) -> Iterator[str]:
    for container in every:
        hooks = container.get("lifecycle") or {}
        handlers = [*(container.get(probe) for probe in _PROBES), *(hooks.get(hook) for hook in _HOOKS)]
        actions = [handler.get(action) for handler in handlers if handler for action in ("httpGet", "tcpSocket")]
        if any(action.get("host") for action in actions if action):
            yield container["name"]


def _dns(_: Manifest, spec: Manifest, __: list[Manifest]) -> Iterator[str]:
    policy = spec.get("dnsPolicy", "ClusterFirst")
    if policy not in _RESOLVING:
        yield f"dnsPolicy {policy}"
    if (spec.get("dnsConfig") or {}).get("nameservers"):
        yield "dnsConfig.nameservers"


def _host_aliases(_: Manifest, spec: Manifest, __: list[Manifest]) -> Iterator[str]:
    return (alias.get("ip", "") for alias in spec.get("hostAliases") or ())


def _proxies(_: Manifest, __: Manifest, every: list[Manifest]) -> Iterator[str]:
    for container in every:
        for variable in container.get("env") or ():
            if variable["name"].lower() in PROXIES:
                yield f"{container['name']} ({variable['name']})"


def _weights(metadata: Manifest, spec: Manifest, every: list[Manifest]) -> Iterator[str]:
    labels = metadata.get("labels") or {}
    if any(key in labels for key in RESERVED_LABELS):
        return
    for volume in spec.get("volumes") or ():
        claim = volume.get("persistentVolumeClaim") or {}
        if claim.get("claimName", "").endswith(names.claim("")) and not claim.get("readOnly"):
            name = volume["name"]
            mounts = [mount for one in every for mount in one.get("volumeMounts") or () if mount["name"] == name]
            devices = [device for one in every for device in one.get("volumeDevices") or () if device["name"] == name]
            if devices or not all(mount.get("readOnly") for mount in mounts):
                yield name


_CHECKS: Final[Mapping[str, tuple[_Check, str]]] = {
    "hostNamespaces": (
        _host_namespaces,
        "it has %s; the host's network, processes and IPC are out of bounds",
    ),
    "volumes": (_volumes, "volume %s is of a kind that reaches the host or other machines"),
    "hostPorts": (_host_ports, "container %s takes a port of the host; make a Service"),
    "privileged": (_privileged, "container %s is privileged, and has the whole host"),
    "mirror": (_mirror, "it has the annotation %s, so it stands for what a kubelet runs by itself"),
    "capabilities": (_capabilities, "container %s adds capabilities beyond those of an ordinary container"),
    "procMount": (_proc_mount, "container %s has all of /proc unmasked; leave procMount out"),
    "probeHosts": (_probe_hosts, "a probe or a hook of %s calls another host, from the node's own network"),
    "seccomp": (_seccomp, "seccompProfile of %s is not RuntimeDefault or Localhost"),
    "appArmor": (_apparmor, "the AppArmor profile of %s is not RuntimeDefault or Localhost"),
    "seLinux": (_selinux, "seLinuxOptions of %s leave the containers' domain; leave user, role and type out"),
    "sysctls": (_sysctls, "sysctl %s concerns more than the pod"),
    "dns": (_dns, "it has %s; names are resolved by the cluster alone"),
    "hostAliases": (_host_aliases, "hostAliases name %s; names are resolved by the cluster alone"),
    "proxies": (_proxies, "container %s is told to send its traffic to a proxy"),
    "weights": (_weights, "volume %s holds weights and is not mounted readOnly, so that they could be swapped"),
}
"""By the rule's name, in the order in which they are told."""
