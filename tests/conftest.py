"""Being here puts `tests/` on the path, so that tests can say `from fakes...`.

Properties run under one profile: how long a machine under load takes to draw an example proves nothing.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Where nft and ip are: the PATH of an ordinary user does not lead there.
os.environ["PATH"] += ":/usr/sbin:/sbin"
