"""What can be wrong with an object that someone wrote.

InvalidConfig     the object does not decode; carries the path in it and the mend
UnknownKind       no kind of ours has this apiVersion and kind
"""

from __future__ import annotations

Problem = tuple[str, str]
"""The path, and what is wrong there with the mend."""


class InvalidConfig(ValueError):
    """An object that does not decode: `path` says where (`$.spec.http[0].route[1].weight`).

    `problems` are all things that are wrong with it, by path; `message` says them in one line. `instead` is the object
    that counts in its place while nobody knows a better one; None: there is none.
    """

    def __init__(
        self, path: str, message: str, others: tuple[Problem, ...] = (), instead: object | None = None
    ) -> None:
        self.path, self.problems, self.instead = path, ((path, message), *others), instead
        self.message = "; ".join((message, *(": ".join(each) for each in others)))
        super().__init__(f"{path}: {self.message}")


class UnknownKind(LookupError):
    """No kind of ours has this apiVersion and kind."""
