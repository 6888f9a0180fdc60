"""What turns wishes into objects: each controller watches some types and makes others follow."""

UNATTENDED = frozenset(
    {
        ("apps", "daemonsets"),
        ("apps", "statefulsets"),
        ("autoscaling", "horizontalpodautoscalers"),
        ("batch", "cronjobs"),
        ("batch", "jobs"),
        ("networking.k8s.io", "ingresses"),
        ("networking.k8s.io", "networkpolicies"),
        ("policy", "poddisruptionbudgets"),
        ("", "persistentvolumeclaims"),
        ("", "replicationcontrollers"),
    }
)
"""Types, by group and plural, that the API server stores and nothing in the lab acts on: who makes one is told."""
