"""Types of texts and numbers that many kinds have, with the names by which the reference calls them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Duration = Annotated[str, Meta(extra_json_schema={"title": "duration"})]
"""As `1h`, `1m`, `1s`, `1ms` and sums of them."""
PortNumber = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0)]
Percentage = Annotated[int, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=100)]
"""In per cent."""
