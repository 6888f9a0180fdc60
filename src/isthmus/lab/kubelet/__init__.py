"""The kubelet of the lab: pods as processes in namespaces."""
