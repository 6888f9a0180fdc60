"""Types of texts and numbers that many kinds have, with the names by which the reference calls them."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

LEAST_S: Final = "least_s"
"""By which a type of text says that it is a duration, and of how many seconds at least."""
_TITLE = {"title": "duration"}

Duration = Annotated[str, Meta(extra_json_schema=_TITLE, extra={LEAST_S: 0.0})]
"""As `1h`, `1m`, `1s`, `1ms` and sums of them."""
AtLeast1Ms = Annotated[str, Meta(extra_json_schema=_TITLE, extra={LEAST_S: 0.001})]
AtLeast1S = Annotated[str, Meta(extra_json_schema=_TITLE, extra={LEAST_S: 1.0})]
PortNumber = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""As many as Envoy can count."""
Percentage = Annotated[int, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=100)]
"""In per cent."""
