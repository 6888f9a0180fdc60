"""What filters that guard a chain said of a call: by the trace, and by the Envoy that has them."""

from __future__ import annotations

from fakes.judges import BY_UPSTREAM
from isthmus.translate.trace.steps import Answer, Closed, Says


def differences(observed, found):
    """What of `found`, the trace of a call, is not as it was observed; nothing where they agree."""
    ending = next((each for each in found.verdicts if _ends(each)), None)
    unknown = [each for each in found.verdicts if each.says is Says.UNKNOWN]
    if unknown and "value" not in unknown[0].why:
        return [("unknown", unknown)]
    if ending is not None and ending.says is Says.ASKS:
        return _by_judge(observed, BY_UPSTREAM[ending.why])
    if unknown:
        return []  # somebody may give a header another value, and the oracle alone knows which
    (branch,) = found.branches
    refused = ending
    if refused is None:
        closed = isinstance(branch.action, Closed)
        if closed == observed.is_let_in:
            return [("envoy lets in", observed.is_let_in, "trace", branch.action)]
    elif observed.is_let_in:
        return [("envoy lets in, and the trace refuses", refused)]
    if isinstance(branch.action, Answer) and branch.action.status != observed.status:
        return [("status", observed.status, branch.action.status)]
    return [*_policies(observed, found, refused)]


def _ends(verdict):
    """Whether the call ends there: it is refused, or it is asked of a provider that says no."""
    is_asked = verdict.says is Says.ASKS
    return verdict.says is Says.REFUSES or (is_asked and not BY_UPSTREAM[verdict.why].lets_in)


def _by_judge(observed, judge):
    if observed.is_let_in:
        return [("envoy lets in, and the provider does not", judge)]
    return [("status", observed.status, judge.status)] if observed.status not in {0, judge.status} else []


def _policies(observed, found, refused):
    """The names of policies, where Envoy tells them: of requests, and what is tried only of those that are let in."""
    asked = [BY_UPSTREAM[each.why] for each in found.verdicts if each.says is Says.ASKS]
    # Where headers may be others, a rule before the one that matches may match as well.
    is_named = not any(each.changes or each.over == "grpc" for each in asked)
    if refused is not None and observed.status == 403 and refused.action and is_named:
        told = f"rbac_access_denied_matched_policy[{refused.policy or 'none'}]"
        if observed.details != told:
            yield ("refused by", observed.details, told)
    tried = [each for each in found.verdicts if each.is_tried]
    if tried and observed.is_let_in and observed.status:
        last = tried[-1]
        result = "allowed" if last.says is Says.PASSES else "denied"
        told = {value for name, value in observed.left.items() if "shadow_" in name}
        if not {result, last.policy or result} <= told:
            yield ("tried", observed.left, last)
