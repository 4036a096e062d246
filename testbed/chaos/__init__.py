"""Faults on purpose: a proxy that answers wrongly, and a long random run over a mixed workload that ends with a report.

``python -m testbed.chaos --seed 7 --faults 1000`` (``make chaos``). What is done, to whom and in which order follows from the
seed alone; when it meets what else is going on does not, because real processes take the time they take.
"""
