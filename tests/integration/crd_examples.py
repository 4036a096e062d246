"""For every rule of the CRDs what it accepts and what it refuses, by the rule's message.

An example is a value for the field that the rule stands on. Rules on the whole object or on ``spec`` have patches instead, which
are merged into a valid object; rules that compare with what was there before have three values: before, accepted, refused.
"""

from typing import Any, Final

DIGEST: Final = "sha256:" + "a" * 64
KEY: Final = "example.node-restriction.kubernetes.io/tier"

_EXPRESSION = {"key": "team", "operator": "In", "values": ["web"]}
_SELECTOR = {"matchLabels": {"team": "web"}, "matchExpressions": [_EXPRESSION]}
_GRANT = {"cidr": "10.1.0.0/16", "ports": [443]}

# With every field of the kind, so that each rule can be tried by changing one value.
BASE: Final[dict[str, dict[str, Any]]] = {
    "SovereigntyPolicy": {
        "metadata": {"name": "example"},
        "spec": {
            "namespaceSelector": _SELECTOR,
            "enforcement": "Enforce",
            "onViolation": {"action": "Evict", "gracePeriod": "60s", "maxConcurrent": 10},
            "placement": {
                "jurisdictions": ["FR"],
                "regions": ["fr-par"],
                "providers": ["on-prem"],
                "nodeSelector": {KEY: "gold"},
                "dedicated": True,
            },
            "network": {
                "egress": [_GRANT],
                "importEgress": [_GRANT],
                "dns": {"resolvers": ["10.0.0.53/32"]},
                "ingressNamespaces": _SELECTOR,
                "serviceTypes": ["LoadBalancer"],
                "routes": "Allow",
            },
            "storage": {"storageClasses": ["fast-fr"], "snapshotClasses": ["fast-fr"], "requireTopology": True},
            "images": {"registries": ["registry.example.eu/ai"], "requireDigest": True},
            "models": {
                "sources": ["s3://weights-fr/"],
                "formats": ["safetensors"],
                "requireDigest": True,
                "hubEndpoint": "https://hub.example.eu",
                "s3Endpoint": "https://s3.example.eu",
            },
            "licenses": {"allow": ["Apache-2.0"], "unknown": "Deny"},
            "access": {
                "exec": "Allow",
                "portForward": "Allow",
                "ephemeralContainers": "Allow",
                "resize": "Allow",
                "serviceAccountTokens": "Allow",
            },
        },
    },
    "SovereignModel": {
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {
            "source": {
                "uri": "hf://mistralai/Mistral-7B-Instruct-v0.3",
                "revision": "main",
                "endpoint": "https://hub.example.eu",
                "secretRef": {"name": "hub"},
                "include": ["*.safetensors"],
                "exclude": ["consolidated.safetensors"],
            },
            "digest": DIGEST,
            "format": "safetensors",
            "license": "Apache-2.0",
            "parameters": {"layers": 32, "hiddenSize": 4096},
            "cache": {
                "storageClassName": "fast-fr",
                "size": "60Gi",
                "accessMode": "ReadWriteOnce",
                "retention": "Retain",
            },
        },
    },
    "InferencePool": {
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {
            "modelRef": {"name": "mistral"},
            "runtime": {
                "name": "vllm",
                "image": f"registry.example.eu/ai/vllm@{DIGEST}",
                "args": ["--enable-prefix-caching"],
                "env": [{"name": "VLLM_LOGGING_LEVEL", "value": "WARNING"}],
            },
            "accelerator": {
                "resourceName": "nvidia.com/gpu",
                "count": 2,
                "memory": "80Gi",
                "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            },
            "parallelism": {"tensor": 2, "pipeline": 1, "data": 1},
            "maxModelLen": 32768,
            "resources": {"cpu": "8", "memory": "64Gi", "sharedMemory": "16Gi"},
            "replicas": 2,
            "placement": {"jurisdictions": ["FR"], "regions": ["fr-par"], "spread": {"by": "region"}},
            "network": {
                "ingressFrom": [{"namespaceSelector": _SELECTOR, "podSelector": _SELECTOR}],
                "apiKeySecretRef": {"name": "key"},
            },
        },
    },
    "InferenceRuntime": {
        "metadata": {"name": "example"},
        "spec": {
            "image": f"registry.example.eu/ai/vllm@{DIGEST}",
            "formats": ["safetensors"],
            "command": ["vllm"],
            "args": ["serve"],
            "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
            "apiKeyEnv": "VLLM_API_KEY",
            "port": 8000,
            "probes": {
                "startup": {"path": "/health"},
                "readiness": {"path": "/health"},
                "liveness": {"path": "/health"},
            },
            "metrics": {"path": "/metrics", "requestsRunning": "a:b", "requestsWaiting": "a:c", "cacheUsage": "a:d"},
            "drain": {"preStopSeconds": 5, "gracePeriodSeconds": 60},
            "writablePaths": ["/root/.cache"],
            "overrides": {"args": ["--dtype"], "env": ["VLLM_LOGGING_LEVEL"]},
        },
    },
}

_QUANTITY = (
    ["80Gi", "1500M", "500m", 80000, "1.5Gi"],
    ["80GB", "1e9", "1e99999999", "80 Gi", "-1Gi", "0", 0, "many", "1Gi;"],
)
_NAMES_OF_KINDS = ["mistral-small", "m", "m" * 50]

VALUES: Final[dict[str, tuple[list[Any], list[Any]]]] = {
    "write a country as its two-letter ISO 3166-1 code in capitals": (
        ["FR", "EU", "EEA"],
        ["fr", "FRA", "F", "EEU", "France"],
    ),
    "write a label value as it stands on the node": (["fr-par", "A_1.b"], ["fr par", "-fr", "fr-", "fr/par"]),
    "write a label value: 63 letters": (["", "web", "a" * 63], ["a b", "-a", "a/b", "ä"]),
    "write a label key": (["team", "example.eu/team", "a" * 63], ["a b", "/team", "-a", "a" * 64, "a//b", "Ä/b"]),
    "write a registry host with a dot or a port": (
        ["registry.example.eu/ai", "localhost:5000", "registry:5000/ai", "r.example.eu:443/a/b-c_d"],
        [
            "ai",
            "https://registry.example.eu",
            "registry.example.eu/",
            "Registry.example.eu",
            "r.example.eu//a",
            "a.eu/../b",
        ],
    ),
    "write the beginning of a source up to a '/'": (
        ["s3://weights-fr/", "oci://registry.example.eu/models/"],
        ["s3://weights-fr", "http://host/", "ftp://host/", "https://user@host/", "s3://weights fr/"],
    ),
    "write a URL without user name": (
        ["https://s3.example.eu", "http://10.0.0.1:9000", "https://[fd00::1]:9000"],
        [
            "s3.example.eu",
            "https://user:password@s3.example.eu",
            "https://s3.example.eu?x=1",
            "https://s3.example.eu/#x",
        ],
    ),
    "write an SPDX licence id": (["Apache-2.0", "LicenseRef-mine"], ["Apache 2.0", "-MIT", "MIT OR GPL"]),
    "write a duration as a whole number": (["60s", "5m", "1h"], ["5 minutes", "60", "1.5h", "1h30m", "-5s"]),
    "only keys under node-restriction.kubernetes.io": (
        [{KEY: "gold"}, {"node-restriction.kubernetes.io/a": "b"}],
        [
            {"topology.kubernetes.io/region": "fr"},
            {"node-restriction.kubernetes.io.evil.org/a": "b"},
            {"x": "y"},
            {f"{KEY}' || true": "b"},
        ],
    ),
    "write a network in CIDR form": (
        ["10.1.0.0/16", "fd00:1::/64", "10.0.0.1/32"],
        ["10.1.0.1/16", "10.1.0.0", "10.1/16", "::ffff:10.0.0.0/104", "fe80::%eth0/64", "host/24"],
    ),
    "0.0.0.0/0 and ::/0 would allow": (
        [[_GRANT], []],
        [[{"cidr": cidr, "ports": [443]}] for cidr in ("0.0.0.0/0", "::/0", "0:0::0/0")],
    ),
    "0.0.0.0/0 and ::/0 would have names asked": (
        [["10.0.0.53/32"], []],
        [["0.0.0.0/0"], ["10.0.0.53/32", "::/0"]],
    ),
    "an empty selector would select everything": (
        [{"matchLabels": {"team": "web"}}, {"matchExpressions": [{"key": "team", "operator": "Exists"}]}],
        [{}, {"matchLabels": {}}, {"matchExpressions": []}, {"matchLabels": {}, "matchExpressions": []}],
    ),
    "In and NotIn need values": (
        [_EXPRESSION, {"key": "a", "operator": "Exists"}, {"key": "a", "operator": "DoesNotExist", "values": []}],
        [
            {"key": "a", "operator": "In"},
            {"key": "a", "operator": "NotIn", "values": []},
            _EXPRESSION | {"operator": "Exists"},
        ],
    ),
    "write the name of an object": (["fast-fr", "a.b"], ["Fast", "fast_fr", "-fast", "fast-", "fast fr"]),
    "write a source such as s3://bucket/path": (
        ["hf://mistralai/x"],
        ["http://host/x", "mistralai/x", "s3://", "hf://a b", "file:///etc/passwd", "hf://u@host/x?y"],
    ),
    "write a branch, tag, commit": (["main", "v0.3", "refs/pr/1"], ["-x", "a b", "main;rm"]),
    "write a file pattern such as": (["*.safetensors", "a/b.json"], ["a\\b", "a\nb"]),
    "write a SHA-256 digest": ([DIGEST], ["a" * 64, "sha256:" + "A" * 64, "sha256:abc", "md5:" + "a" * 64]),
    "write the claim's size": _QUANTITY,
    "write the memory of one GPU": _QUANTITY,
    "write CPU as cores": (["8", "500m", 8, "0.5"], ["8 cores", "-1", "0", 0]),
    "write memory as a quantity": _QUANTITY,
    "write shared memory as a quantity": _QUANTITY,
    "write an image with its registry and digest": (
        [f"registry.example.eu/ai/vllm@{DIGEST}", f"registry:5000/vllm:v1@{DIGEST}"],
        [
            "vllm",
            "registry.example.eu/ai/vllm:v1",
            f"vllm@{DIGEST}",
            f"ai/vllm@{DIGEST}",
            f"r.eu/../v@{DIGEST}",
            f"Registry.eu/vllm@{DIGEST}",
            "r.eu/v@sha256:1",
        ],
    ),
    "write a variable's name": (["VLLM_LOGGING_LEVEL", "_x1"], ["1X", "A-B", "A B", "A=B"]),
    "write an extended resource with its domain": (
        ["nvidia.com/gpu", "amd.com/gpu"],
        ["gpu", "nvidia.com/", "/gpu", "a b/c"],
    ),
    "autoscaling.maxReplicas must not be less": (
        [{"maxReplicas": 4}, {"minReplicas": 4, "maxReplicas": 4}],
        [{"minReplicas": 5, "maxReplicas": 4}],
    ),
    "write a path that begins with '/'": (["/", "/v1/health"], ["health", "/a b", "/x?y"]),
    "write an absolute path such as": (["/root/.cache"], ["cache", "/", "/a/", "/a b"]),
    "write a flag with its dashes": (["--dtype", "-x"], ["dtype", "--dtype=half", "--", "---x"]),
    "write a Prometheus metric's name": (["vllm:num_requests_waiting"], ["1x", "a-b", "a b"]),
}

# Merged into the base; a field that is None is taken out.
PATCHES: Final[dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]] = {
    "the name of a SovereigntyPolicy may hold": (
        [{"metadata": {"name": name}} for name in ("eu-only", "1", "e" * 50)],
        [{"metadata": {"name": name}} for name in ("eu.only", "e" * 51)],
    ),
    "the name of a SovereignModel may have": (
        [{"metadata": {"name": name}} for name in _NAMES_OF_KINDS],
        [{"metadata": {"name": "m" * 51}}],
    ),
    "the name of a SovereignModel must begin": (
        [{"metadata": {"name": name}} for name in _NAMES_OF_KINDS],
        [{"metadata": {"name": name}} for name in ("7b", "a.b")],
    ),
    "the name of an InferencePool may have": (
        [{"metadata": {"name": name}} for name in _NAMES_OF_KINDS],
        [{"metadata": {"name": "m" * 51}}],
    ),
    "the name of an InferencePool must begin": (
        [{"metadata": {"name": name}} for name in _NAMES_OF_KINDS],
        [{"metadata": {"name": name}} for name in ("7b", "a.b")],
    ),
    "a pvc:// source is not fetched": (
        [{"spec": {"source": {"uri": "pvc://claim/x", "secretRef": None, "endpoint": None, "revision": None}}}],
        [{"spec": {"source": {"uri": "pvc://claim/x", "endpoint": None, "revision": None}}}],
    ),
    "spec.source.endpoint goes with": (
        [{"spec": {"source": {"uri": "https://host/x", "endpoint": None, "revision": None}}}],
        [{"spec": {"source": {"uri": "https://host/x", "revision": None}}}],
    ),
    "spec.source.revision goes with": (
        [{"spec": {"source": {"uri": "s3://bucket/x", "revision": None}}}],
        [{"spec": {"source": {"uri": "s3://bucket/x"}}}],
    ),
    "spec.source.uri must not contain '..'": (
        [{"spec": {"source": {"uri": "hf://a/b..c"}}}],
        [{"spec": {"source": {"uri": uri}}} for uri in ("hf://a/../b", "hf://a/..")],
    ),
    "set exactly one of spec.replicas": (
        [{"spec": {"replicas": 0}}, {"spec": {"replicas": None, "autoscaling": {"maxReplicas": 2}}}],
        [{"spec": {"replicas": None}}, {"spec": {"autoscaling": {"maxReplicas": 2}}}],
    ),
    "accelerator.count must be parallelism": (
        [
            {"spec": {"accelerator": {"count": 4}, "parallelism": {"tensor": 2, "pipeline": 2}}},
            {"spec": {"accelerator": {"count": None}, "parallelism": {"tensor": 4}}},
            {"spec": {"accelerator": {"count": 0}}},
        ],
        [{"spec": {"accelerator": {"count": 4}}}, {"spec": {"parallelism": {"data": 2}}}],
    ),
    "writablePaths must not contain '..'": (
        [{"spec": {"writablePaths": ["/a/b"]}}],
        [{"spec": {"writablePaths": [path]}} for path in ("/a/../b", "/models/x")],
    ),
    "drain.gracePeriodSeconds includes": (
        [{"spec": {"drain": {"preStopSeconds": 5, "gracePeriodSeconds": 6}}}],
        [{"spec": {"drain": {"preStopSeconds": 60, "gracePeriodSeconds": 60}}}],
    ),
}

# Changes of spec.cache of a model: what is accepted, what is refused.
CHANGES: Final[dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]] = {
    "cache.storageClassName cannot be changed": (
        [{"retention": "Delete"}],
        [{"storageClassName": "slow"}, {"storageClassName": None}],
    ),
    "cache.accessMode cannot be changed": ([{"retention": "Delete"}], [{"accessMode": "ReadWriteMany"}]),
    "cache.size can grow but not shrink": (
        [{"size": "60Gi"}, {"size": "61Gi"}, {"size": "1Ti"}],
        [{"size": "59Gi"}, {"size": "60G"}],
    ),
}
