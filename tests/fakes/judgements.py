"""What filters that guard a chain said of a call: by the trace, and by the Envoy that has them."""

from __future__ import annotations

from isthmus.translate.trace.steps import Answer, Closed, Says


def differences(observed, found):
    """What of `found`, the trace of a call, is not as it was observed; nothing where they agree."""
    unknown = [each for each in found.verdicts if each.says is Says.UNKNOWN]
    if unknown:
        return [("unknown", unknown)]
    (branch,) = found.branches
    refused = next((each for each in found.verdicts if each.says is Says.REFUSES), None)
    if refused is None:
        closed = isinstance(branch.action, Closed)
        if closed == observed.is_let_in:
            return [("envoy lets in", observed.is_let_in, "trace", branch.action)]
    elif observed.is_let_in:
        return [("envoy lets in, and the trace refuses", refused)]
    if isinstance(branch.action, Answer) and branch.action.status != observed.status:
        return [("status", observed.status, branch.action.status)]
    return [*_policies(observed, found, refused)]


def _policies(observed, found, refused):
    """The names of policies, where Envoy tells them: of requests, and what is tried only of those that are let in."""
    if refused is not None and observed.status == 403 and refused.action:
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
