"""What counts in place of an AuthorizationPolicy that is wrong, while no good one is known: nobody gets in by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from isthmus.api.errors import Problem
from isthmus.api.istio.authorization_policy import AuthorizationPolicy, From, Rule, Source

_NO_CALL, _EVERY_CALL = Rule(from_=(From(source=Source(principals=())),)), Rule()


def closed(found: AuthorizationPolicy, wrong: Sequence[Problem]) -> AuthorizationPolicy | None:
    """The policy without what is `wrong` with it: such rules allow no call, and deny or ask about every one.

    Where its action cannot be read it allows nothing. None: it is only reported on, so that nothing counts.
    """
    if found.is_dry:
        return None
    lets_in = found.spec.action in {"ALLOW", "AUDIT"}
    paths = [path for path, _ in wrong]
    if "$.spec.action" in paths:
        rules: tuple[Rule, ...] = ()
    elif found.spec.rules is None and any(path.startswith("$.spec.rules") for path in paths):
        rules = () if lets_in else (_EVERY_CALL,)  # nothing of them could be read
    else:
        rules = tuple(_rules(found, paths, _NO_CALL if lets_in else _EVERY_CALL))
    return msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, rules=rules))


def _rules(found: AuthorizationPolicy, paths: Sequence[str], instead: Rule) -> Iterator[Rule]:
    for index, rule in enumerate(found.spec.rules or ()):
        at = f"$.spec.rules[{index}]"
        yield instead if any(path == at or path.startswith(f"{at}.") for path in paths) else rule
