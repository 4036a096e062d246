"""The benchmark suite: how fast the operator is, as ratios within one run, and whether the goals are met."""
