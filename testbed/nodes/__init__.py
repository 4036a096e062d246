"""Real nodes: kubelets, container runtimes and a network of their own, each node a set of namespaces on this machine."""
