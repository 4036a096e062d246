"""The verifier: what is where, what is wrong, what to do about it. Pure verdicts over rows."""
