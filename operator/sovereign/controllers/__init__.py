"""Reconciling: one module per kind, each a short sequence snapshot -> plan -> apply -> status."""
