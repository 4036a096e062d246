"""Reference pages, generated from what they describe: ``python -m sovereign.cli.reference docs/reference [--check]``."""
