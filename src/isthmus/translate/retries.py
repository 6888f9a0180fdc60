"""When and where a request is tried again."""

from __future__ import annotations

from isthmus.api.istio.http_route import HTTPRetry
from isthmus.envoy.types import PreviousHostsPredicate, PreviousPrioritiesConfig, RetryPolicy
from isthmus.kit import duration
from isthmus.translate import proto

_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
"""What may be tried again without asking: the request did not begin to be served."""


def retry_policy(asked: HTTPRetry | None, *, crosses: bool, hashed: bool) -> RetryPolicy | None:
    """The policy of a route; None where its author wants no retries.

    `crosses`: endpoints are in several clusters, so the last try goes to the next priority even where
    the nearest endpoints still look well. `hashed`: the endpoint is given by the request, so another
    one must not be looked for.
    """
    if asked is not None and asked.attempts == 0:
        return None
    policy = RetryPolicy(retry_on=_RETRY_ON)
    policy.num_retries.value = 2
    remote = crosses
    if asked is not None:
        policy.num_retries.value = asked.attempts
        _apply(policy, asked)
        if asked.retry_remote_localities is not None:
            remote = asked.retry_remote_localities
    if not hashed and (asked is None or asked.retry_ignore_previous_hosts is not False):
        predicate = policy.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
        predicate.typed_config.CopyFrom(proto.any_of(PreviousHostsPredicate()))
        policy.host_selection_retry_max_attempts = 5
    if remote and not hashed:
        policy.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        policy.retry_priority.typed_config.CopyFrom(
            proto.any_of(PreviousPrioritiesConfig(update_frequency=2))
        )
    return policy


def inbound_retries(asked: HTTPRetry | None) -> RetryPolicy | None:
    """The policy towards the application beside a proxy; None where nothing is tried again.

    The application may close an idle connection just as it is used; nothing was sent then.
    """
    if asked is not None and asked.attempts == 0:
        return None
    policy = RetryPolicy(retry_on="reset-before-request")
    policy.num_retries.value = 2
    if asked is not None:
        policy.num_retries.value = asked.attempts
        _apply(policy, asked)
    return policy


def _apply(policy: RetryPolicy, asked: HTTPRetry) -> None:
    if asked.retry_on:
        words = [word.strip() for word in asked.retry_on.split(",")]
        codes = [int(word) for word in words if word.isdecimal()]
        reasons = [word for word in words if word and not word.isdecimal()]
        if codes and "retriable-status-codes" not in reasons:
            reasons.append("retriable-status-codes")
        policy.retry_on = ",".join(reasons)
        policy.retriable_status_codes.extend(codes)
    if asked.per_try_timeout:
        policy.per_try_timeout.CopyFrom(proto.seconds(duration.parse(asked.per_try_timeout)))
    if asked.backoff:
        policy.retry_back_off.base_interval.CopyFrom(proto.seconds(duration.parse(asked.backoff)))
