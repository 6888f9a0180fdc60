"""RouteRule, DestinationPolicy and EgressRule of 2018 → today's kinds; no I/O. Begin with `convert.py`."""
