"""The weights importer: fetches a model from its source, checks it, and publishes it atomically on a volume.

It is the program of the import Job's container (``python -m sovereign.importer``) and knows nothing of
Kubernetes. `sovereign.importer.manifest` and `sovereign.importer.catalogue` are also used by the command
line, to make the digest of a directory of weights.
"""
