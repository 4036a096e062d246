"""Sovereign AI on Kubernetes: open-weight models served only where they may be."""

from importlib.metadata import version

__version__ = version("sovereign-operator")
