"""Which credential is meant."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.api.resource import Ref
from isthmus.model.names import ClusterId


class CredentialKey(NamedTuple):
    """Which Secret or ConfigMap of which cluster."""

    cluster: ClusterId
    ref: Ref
