"""The page of metrics."""

from prometheus_client.metrics import MetricWrapperBase

from sovereign.cli.reference.markdown import code, plain, table
from sovereign.cluster import metrics


def page() -> str:
    """Every metric that the operator serves at /metrics, besides those of its process."""
    ours = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    rows = sorted(_row(metric) for metric in ours)
    return (
        "# Metrics\n\n"
        "Served at `/metrics` of the operator. Names are those of controller-runtime where the meaning is the same. The usual "
        "`process_*` metrics are there too.\n\n" + table(("Metric", "Type", "Labels", "Meaning"), rows)
    )


def _row(metric: MetricWrapperBase) -> tuple[str, str, str, str]:
    (family,) = metric.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = metric._labelnames  # noqa: SLF001 - the client has no public way to a metric's labels
    return code(name), family.type, ", ".join(map(code, labels)), plain(family.documentation)
