"""Which keys are made."""

from __future__ import annotations

from enum import Enum


class KeyKind(Enum):
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_4096 = "rsa-4096"
