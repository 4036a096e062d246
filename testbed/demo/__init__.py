"""The demonstration: what a sovereignty policy does, step by step, on a real control plane with fake GPU nodes."""
