"""What the demonstration on real nodes and the end-to-end tests both do: the same story, told by one and checked by the other."""
