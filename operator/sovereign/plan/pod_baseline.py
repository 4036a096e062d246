"""The baseline of the Pod Security Standards in full, whatever a namespace's own label says, for each kind of container.

Held to the newest version that is known (1.36), on older API servers too; stricter than it in one: no `procMount`, with a user namespace
neither. Processes of a Windows host (hostProcess) have no rule: the API server itself lets them be only with hostNetwork.
Source: k8s.io/pod-security-admission/policy.
"""

from collections.abc import Iterator
from typing import Final, LiteralString

from sovereign.plan.cel import Cel, code, name, strings, variable
from sovereign.plan.rules import Validation, each

CAPABILITIES: Final = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
"""Capabilities that may be added: those that a container has anyway."""
SELINUX_TYPES: Final = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
"""Types that may be asked for."""
SYSCTLS: Final = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
)
"""Sysctls that the kernel keeps apart for each pod."""
PROFILES: Final = ("Localhost", "RuntimeDefault")
"""Types of AppArmor and seccomp profiles."""

_CONTAINERS: Final = variable("containers")


def baseline(whose: str) -> Iterator[Validation]:
    """What no pod may ask for, one rule for each control of the standard."""
    yield _host_namespaces(whose)
    yield _host_ports(whose)
    yield _privileged(whose)
    yield _capabilities(whose)
    yield _probe_hosts(whose)
    yield _proc_mount(whose)
    yield _selinux(whose)
    yield _sysctls(whose)
    yield _app_armor(whose)
    yield _seccomp(whose)


def _host_namespaces(whose: str) -> Validation:
    return Validation(
        code(
            "!(object.spec.?hostNetwork.orValue(false) || object.spec.?hostPID.orValue(false) || "
            "object.spec.?hostIPC.orValue(false))"
        ),
        f"{whose}the host's network, processes and IPC are out of bounds; leave hostNetwork, hostPID and hostIPC out",
    )


def _host_ports(whose: str) -> Validation:
    return Validation(
        code("variables.containers.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))"),
        f"{whose}ports of the host are out of bounds; leave hostPort out and make a Service",
    )


def _privileged(whose: str) -> Validation:
    return Validation(
        code("variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"),
        f"{whose}privileged containers have the whole host; leave securityContext.privileged out",
    )


def _capabilities(whose: str) -> Validation:
    added = code("c.?securityContext.?capabilities.?add.orValue([])")
    lawful = added.every("a", code("a").within(strings(CAPABILITIES)))
    return _each_container(
        lawful, whose, "adds capabilities that reach the host; leave securityContext.capabilities.add out"
    )


def _probe_hosts(whose: str) -> Validation:
    """A kubelet probes from the host's network, which no NetworkPolicy holds, and sends the headers it is told."""
    hosts = code(
        "[c.?livenessProbe, c.?readinessProbe, c.?startupProbe].all(p, "
        "p.?httpGet.?host.orValue('') == '' && p.?tcpSocket.?host.orValue('') == '') && "
        "[c.?lifecycle.?postStart, c.?lifecycle.?preStop].all(h, "
        "h.?httpGet.?host.orValue('') == '' && h.?tcpSocket.?host.orValue('') == '')"
    )
    return _each_container(hosts, whose, "has a probe or a hook that calls another host; leave its host out")


def _proc_mount(whose: str) -> Validation:
    lawful = code("c.?securityContext.?procMount.orValue('Default') == 'Default'")
    return _each_container(lawful, whose, "wants /proc unmasked; leave securityContext.procMount out")


def _selinux(whose: str) -> Validation:
    lawful = code("o.?type.orValue('') in %s && o.?user.orValue('') == '' && o.?role.orValue('') == ''").filled(
        strings(SELINUX_TYPES)
    )
    return Validation(
        _contexts("seLinuxOptions").every("o", lawful),
        f"{whose}SELinux holds containers apart from the host; leave user and role out of seLinuxOptions, and the type too, or use "
        f"{', '.join(SELINUX_TYPES[1:])}",
    )


def _sysctls(whose: str) -> Validation:
    sysctls = code("object.spec.?securityContext.?sysctls.orValue([])")
    lawful = code("s.name").within(strings(SYSCTLS))
    wrong = "reaches other pods on the host; leave it out of securityContext.sysctls"
    return each(sysctls, "s", lawful, whose, "a sysctl", wrong, shown=code("s.name"))


def _app_armor(whose: str) -> Validation:
    """By field, and by the annotation from before there was one."""
    profile = code("o.?type.orValue('')").within(strings(PROFILES))
    annotations = code(
        "object.metadata.?annotations.orValue({}).all(k, "
        "!k.startsWith('container.apparmor.security.beta.kubernetes.io/') || "
        "object.metadata.annotations[k] in ['', 'runtime/default'] || "
        "object.metadata.annotations[k].startsWith('localhost/'))"
    )
    return Validation(
        _contexts("appArmorProfile").every("o", profile) & annotations,
        f"{whose}AppArmor must not be switched off; leave appArmorProfile and its annotation out, or use RuntimeDefault",
    )


def _seccomp(whose: str) -> Validation:
    profile = code("o.?type.orValue('')").within(strings(PROFILES))
    return Validation(
        _contexts("seccompProfile").every("o", profile),
        f"{whose}seccomp must not be switched off; leave seccompProfile out, or use RuntimeDefault",
    )


def _each_container(lawful: Cel, whose: str, wrong: str) -> Validation:
    """A rule about each container, called `c`."""
    return each(_CONTAINERS, "c", lawful, whose, "a container", wrong, shown=code("c.name"))


def _contexts(field: LiteralString) -> Cel:
    """All there are of one field of the security contexts of the pod and of its containers."""
    return code(
        # `dyn`, because the pod's context and a container's are of different types.
        "([dyn(object.spec).?securityContext.?%s] + variables.containers.map(c, dyn(c).?securityContext.?%s))"
        ".filter(o, o.hasValue()).map(o, o.value())"
    ).filled(name(field), name(field))
