"""What can be wrong with an object that someone wrote.

InvalidConfig     the object does not decode; carries the path in it and the mend
UnknownKind       no kind of ours has this apiVersion and kind
"""

from __future__ import annotations


class InvalidConfig(ValueError):
    """An object that does not decode: `path` says where (`$.spec.http[0].route[1].weight`)."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path, self.message = path, message


class UnknownKind(LookupError):
    """No kind of ours has this apiVersion and kind."""
