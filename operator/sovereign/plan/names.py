"""Names of children. Suffixes keep the children of a model and of a pool with the same name apart."""


def claim(model: str) -> str:
    """The PersistentVolumeClaim that holds a model's weights."""
    return f"{model}-weights"


def importer(model: str) -> str:
    """The ServiceAccount and NetworkPolicy of a model's import."""
    return f"{model}-import"


def import_job(model: str, source_hash: str) -> str:
    """The Job that imports a model from one source; another source is another Job, because a Job cannot be changed."""
    return f"{model}-import-{source_hash[:8]}"


def serving(pool: str) -> str:
    """The ServiceAccount and NetworkPolicy of a pool's pods. Its Deployment and Service have the pool's own name."""
    return f"{pool}-serving"


def default_deny(policy: str) -> str:
    """The NetworkPolicy that shuts each namespace which a policy governs."""
    return f"sovereign-{policy}-default-deny"
