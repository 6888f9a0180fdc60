"""Names of ciphers and curves that Envoy takes; for any other it refuses the whole resource.

Source: what the Envoy that we ship takes of BoringSSL's names.
"""

from __future__ import annotations

CIPHERS = frozenset(
    f"{key}-{cipher}".removeprefix("-")
    for key, ciphers in {
        "ECDHE-ECDSA": "AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305 AES128-SHA AES128-SHA256 AES256-SHA",
        "ECDHE-RSA": "AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305 AES128-SHA AES128-SHA256 AES256-SHA",
        "ECDHE-PSK": "CHACHA20-POLY1305 AES128-CBC-SHA AES256-CBC-SHA",
        "PSK": "AES128-CBC-SHA AES256-CBC-SHA",
        "": "AES128-GCM-SHA256 AES256-GCM-SHA384 AES128-SHA AES256-SHA DES-CBC3-SHA",
    }.items()
    for cipher in ciphers.split()
)
CURVES = frozenset({"X25519", "P-256", "P-384", "P-521", "X25519MLKEM768", "MLKEM1024"})
