"""Simulated Envoys by the thousand, in processes of their own: each subscribes over delta ADS as Envoy does.

`workers.Fleet` starts and asks them; `python -m benchmarks.fleet` is one such process that is asked by lines. They are
not Envoy: what they leave out is said in docs/performance/README.md.
"""

from benchmarks.fleet.envoy import acknowledgement
from benchmarks.fleet.resources import digest

__all__ = ["acknowledgement", "digest"]
