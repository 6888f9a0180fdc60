from __future__ import annotations

from isthmus.kit.log import Redacted, _redact


def test_a_secret_is_not_shown_however_deep_it_lies():
    secret = Redacted("hunter2")
    shown = _redact(None, "info", {"event": "e", "a": secret, "b": [secret], "c": {"d": (secret, 1)}})
    assert shown == {"event": "e", "a": "<redacted>", "b": ["<redacted>"], "c": {"d": ["<redacted>", 1]}}
    assert repr([secret]) == "[<redacted>]"
