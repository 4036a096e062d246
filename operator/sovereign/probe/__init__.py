"""The program of a network probe: tries for a while to reach an address, and reports what it saw.

It runs on nodes as a pod of seconds, so it uses the standard library alone and stands apart from the operator.
"""
