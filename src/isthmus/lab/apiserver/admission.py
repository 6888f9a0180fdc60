"""What may still change or stop a request that its user was allowed to make.

First the built-in plugins and the mutating webhooks, each seeing what those before it made of the
object, and then the validating webhooks.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from isthmus.lab.apiserver import errors, signing_requests
from isthmus.lab.apiserver.account_admission import admit_pod
from isthmus.lab.apiserver.api import Target, Write
from isthmus.lab.apiserver.attempt import Attempt
from isthmus.lab.apiserver.errors import invalid
from isthmus.lab.apiserver.lookup import Lookup
from isthmus.lab.apiserver.rbac import Rbac
from isthmus.lab.apiserver.validation import Validation
from isthmus.lab.apiserver.webhooks import Webhooks

Json = dict[str, Any]


class Admission:
    """Admits writes in one cluster; see `api.Admit`."""

    def __init__(self, objects: Lookup, validation: Validation, webhooks: Webhooks, rbac: Rbac) -> None:
        self._objects, self._rbac = objects, rbac
        self._validation = validation
        self._webhooks = webhooks

    async def admit(
        self, operation: str, target: Target, new: Json | None, old: Json | None, write: Write
    ) -> Json | None:
        """`new` as plugins and webhooks want it. Raises `ApiError` where one refuses."""
        attempt = Attempt(
            operation,
            target.each,
            write.user,
            new,
            old,
            write.dry_run,
            target.subresource,
            (target.namespace, target.name),
            _options(operation, write),
            write.warn,
        )
        if target.each.kind == "Pod" and operation == "CREATE" and new is not None and not target.subresource:
            attempt = replace(attempt, new=self._shaped(target, admit_pod(new, self._objects)))
        if target.each.group == signing_requests.GROUP and new is not None:
            attempt = replace(attempt, new=self._signing(target, new, old, write))
        changed = await self._webhooks.mutate(attempt)
        if changed is not None and changed is not attempt.new:
            changed = self._shaped(target, changed)
        await self._webhooks.review(replace(attempt, new=changed))
        return changed

    def _signing(self, target: Target, new: Json, old: Json | None, write: Write) -> Json:
        if old is None:
            return signing_requests.asked_by(new, write.user)
        if why := signing_requests.refusal(old, new, target.subresource, write.user, self._rbac):
            raise errors.forbidden(target.each, target.name, why)
        return new

    def _shaped(self, target: Target, obj: Json) -> Json:
        """What admission added, with the same defaults and limits as what the user sent."""
        each = target.each
        obj = self._validation.prune(each, obj)
        causes = self._validation.check_structure(each, obj)
        if causes:
            raise invalid(each, target.name, causes)
        return self._validation.apply_defaults(each, copy.deepcopy(obj))


def _options(operation: str, write: Write) -> Json | None:
    """What the request says beside its object, as webhooks are told it."""
    kinds = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
    if operation not in kinds:
        return None
    options: Json = {"kind": kinds[operation], "apiVersion": "meta.k8s.io/v1"}
    options |= {"dryRun": ["All"]} if write.dry_run else {}
    return options | ({"fieldManager": write.manager} if operation != "DELETE" else {})
