"""All that msgspec raises for bytes that are not what they should be: it says so in three ways.

Text that is no UTF-8 is a `UnicodeError`, and nesting without end a `RecursionError`; neither is a `MsgspecError`.
"""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
