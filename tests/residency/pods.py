"""Pods to judge: as small as they can be, and strategies that make all kinds of them."""

from typing import Any

from hypothesis import strategies as st

from sovereign.cluster import rows
from sovereign.cluster.rows import Pod

Manifest = dict[str, Any]
DIGEST = "@sha256:" + "a" * 64
REGISTRY = "registry.example.eu/ai"
IMAGE = f"{REGISTRY}/vllm{DIGEST}"


def manifest(name: str = "p", namespace: str = "gov", **spec: Any) -> Manifest:
    """A pod that every rule admits, with fields of ``spec`` on top."""
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "1"}
    base = {"containers": [container()]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": base | spec}


def container(name: str = "main", image: str = IMAGE, **fields: Any) -> Manifest:
    """A container."""
    return {"name": name, "image": image, **fields}


def row(name: str = "p", namespace: str = "gov", **spec: Any) -> Pod:
    """The row of such a pod."""
    return rows.pod(manifest(name, namespace, **spec))


# --- pods of all kinds ----------------------------------------------------------------------------------

IMAGES = (
    IMAGE,
    f"{REGISTRY}/vllm:v1",
    f"{REGISTRY}/vllm:v1{DIGEST}",
    f"{REGISTRY}-evil/vllm{DIGEST}",
    f"registry.example.eu.example.com/ai/vllm{DIGEST}",
    f"docker.io/library/nginx{DIGEST}",
    "nginx",
    f"{REGISTRY}/../vllm{DIGEST}",
)
_VOLUMES: tuple[Manifest, ...] = (
    {"emptyDir": {}},
    {"configMap": {"name": "c"}},
    {"secret": {"secretName": "s"}},
    {"persistentVolumeClaim": {"claimName": "data"}},
    {"persistentVolumeClaim": {"claimName": "chat-weights"}},
    {"persistentVolumeClaim": {"claimName": "chat-weights", "readOnly": True}},
    {"projected": {"sources": []}},
    {"downwardAPI": {"items": []}},
    {"image": {"reference": IMAGE}},
    {"image": {"reference": "docker.io/library/data:1"}},
    {"hostPath": {"path": "/"}},
    {"nfs": {"server": "192.0.2.1", "path": "/"}},
    {"csi": {"driver": "example.com"}},
    {"iscsi": {"targetPortal": "192.0.2.1", "iqn": "iqn.2001-04.com.example:disk", "lun": 0}},
)
_PROFILES: tuple[Manifest, ...] = (
    {"type": "RuntimeDefault"},
    {"type": "Unconfined"},
    {"type": "Localhost", "localhostProfile": "p"},
)
_SELINUX: tuple[Manifest, ...] = (
    {"level": "s0:c1,c2"},
    {"type": "container_t"},
    {"type": "spc_t"},
    {"user": "root"},
    {"role": "sysadm_r"},
)
_CAPABILITIES: tuple[list[str], ...] = ([], ["CHOWN"], ["NET_RAW"], ["KILL", "SYS_ADMIN"], ["ALL"], ["chown"])
_ACTIONS: tuple[Manifest, ...] = (
    {"httpGet": {"port": 80}},
    {"httpGet": {"port": 80, "host": "192.0.2.1"}},
    {"tcpSocket": {"port": 80}},
    {"tcpSocket": {"port": 80, "host": "example.com"}},
    {"exec": {"command": ["true"]}},
)
_ANNOTATIONS: tuple[dict[str, str], ...] = (
    {"example.com/note": "x"},
    {"container.apparmor.security.beta.kubernetes.io/main": "unconfined"},
    {"container.apparmor.security.beta.kubernetes.io/main": "runtime/default"},
    {"kubernetes.io/config.mirror": "x"},
)
_VARIABLES = ("PATH", "HTTP_PROXY", "https_proxy", "All_Proxy", "ftp_proxy", "NO_PROXY", "XHTTP_PROXY")


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Manifest]:
    """A map with each of these fields now and then."""
    return st.fixed_dictionaries({}, optional=fields)


def _seldom(bad: Any, *good: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((*good, bad))


_security = _optional(
    privileged=st.booleans(),
    procMount=st.sampled_from(["Default"]),
    seccompProfile=st.sampled_from(_PROFILES),
    appArmorProfile=st.sampled_from(_PROFILES),
    seLinuxOptions=st.sampled_from(_SELINUX),
    capabilities=_optional(add=st.sampled_from(_CAPABILITIES), drop=st.just(["ALL"])),
)
_pod_security = _optional(
    seccompProfile=st.sampled_from(_PROFILES),
    appArmorProfile=st.sampled_from(_PROFILES),
    seLinuxOptions=st.sampled_from(_SELINUX),
    sysctls=st.lists(
        st.sampled_from(
            [{"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": "kernel.msgmax", "value": "65536"}]
        ),
        max_size=1,
    ),
)


@st.composite
def _container(draw: st.DrawFn, name: str, volumes: list[str], *, init: bool) -> Manifest:
    fields = _optional(
        securityContext=_security,
        ports=st.just([{"containerPort": 80}]) | st.just([{"containerPort": 80, "hostPort": 80}]),
        env=st.lists(st.sampled_from(_VARIABLES), max_size=2).map(lambda found: [{"name": one} for one in found]),
        **({} if init else {"livenessProbe": st.sampled_from(_ACTIONS)}),
        **({} if init else {"lifecycle": _optional(preStop=st.sampled_from(_ACTIONS))}),
    )
    mounts = [
        {"name": volume, "mountPath": f"/{volume}", "readOnly": draw(st.booleans())}
        for volume in volumes
        if draw(st.booleans())
    ]
    image = draw(st.sampled_from((*([IMAGE] * 12), *IMAGES)))
    return container(name, image, **draw(fields)) | ({"volumeMounts": mounts} if mounts else {})


_fields = _optional(
    hostNetwork=_seldom(True, False, False, False),
    hostPID=_seldom(True, False, False, False),
    hostIPC=_seldom(True, False, False, False),
    securityContext=_pod_security,
    dnsPolicy=st.sampled_from(["ClusterFirst", "Default", "ClusterFirstWithHostNet"]),
    dnsConfig=st.sampled_from([{"searches": ["a.example"]}, {"nameservers": ["192.0.2.1"]}]),
    hostAliases=st.just([{"ip": "192.0.2.1", "hostnames": ["a.example"]}]),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Pods with some things right and some wrong."""
    sources = draw(st.lists(st.sampled_from((*([_VOLUMES[0]] * 6), *_VOLUMES)), max_size=2))
    volumes = [{"name": f"v{number}", **source} for number, source in enumerate(sources)]
    names = [volume["name"] for volume in volumes if "image" not in volume]
    spec = draw(_fields) if draw(st.booleans()) else {}
    spec["containers"] = [draw(_container("main", names, init=False))]
    if draw(st.booleans()):
        spec["initContainers"] = [draw(_container("init", names, init=True))]
    if volumes:
        spec["volumes"] = volumes
    pod = manifest(**spec)
    annotations = draw(st.sampled_from([None, None, None, *_ANNOTATIONS]))
    if annotations:
        pod["metadata"]["annotations"] = annotations
    return pod
