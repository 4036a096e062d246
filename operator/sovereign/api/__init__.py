"""The kinds of sovereignai.io/v1alpha1. Imports nothing else of the project."""
