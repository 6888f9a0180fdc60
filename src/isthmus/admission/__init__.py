"""What the API server asks before it takes a pod or configuration: sidecars in, wrong objects out (ADR 0042)."""
