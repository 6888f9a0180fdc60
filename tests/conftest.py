"""Being here puts `tests/` on the path, so that tests can say `from fakes...`.

Properties run under one profile: how long a machine under load takes to draw an example proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from isthmus.kit.log import log

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Where nft and ip are: the PATH of an ordinary user does not lead there.
os.environ["PATH"] += ":/usr/sbin:/sbin"


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Commands that run in our process set up its logs, which later tests must not find changed."""
    yield
    structlog.reset_defaults()
    vars(log).pop("bind", None)  # what the logger has remembered of the set-up
