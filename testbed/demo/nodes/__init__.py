"""The demonstration on real nodes: containers run, a model answers, networks are closed."""

from testbed.demo.level import Step
from testbed.demo.nodes import (
    answer,
    cut_off,
    imported,
    kubelet_lies,
    network,
    policy,
    region_lost,
    relabelled,
    served,
    start,
)
from testbed.demo.nodes.stage import CALLERS, FRENCH, NodeStage
from testbed.demo.stage import NAMESPACE

STEPS: tuple[Step[NodeStage], ...] = (
    Step("Four machines in three countries, and the operator installed on them", start.show),
    Step("A policy: models may be served inside the European Union only", policy.show),
    Step("A model is imported: from one source, verified, and whole or not at all", imported.show),
    Step("The model is served, to those who may ask it", served.show),
    Step("The network is closed", network.show),
    Step("A machine changes country while it serves", relabelled.show),
    Step("A machine lies about where it is", kubelet_lies.show),
    Step("A region is lost", region_lost.show),
    Step("Everything else is cut off", cut_off.show),
    Step("A question to the model in France", answer.show),
)

LOOKS = (
    "kubectl get sovereign -A",
    f"kubectl get pods -n {NAMESPACE} -o wide",
    "kubectl sovereign explain node us-1",
    f"kubectl exec -it caller -n {CALLERS} -- sh   # then: wget -q -O- http://{FRENCH}.{NAMESPACE}.svc.cluster.local:8080/health",
    "kubectl sovereign doctor",
)
