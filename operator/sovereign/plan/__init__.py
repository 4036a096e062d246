"""The planning core: what should be there, computed from what is written. No I/O, no clock, no randomness."""
