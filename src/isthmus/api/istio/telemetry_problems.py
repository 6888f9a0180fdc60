"""What is wrong with a Telemetry, or with a ProxyConfig, by itself."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.proxy_config import CustomTag, ProxyConfigObject
from isthmus.api.istio.telemetry import MetricsRule, Telemetry, TracingRule


def problems(found: Telemetry) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    if spec.selector is not None and (spec.target_refs or spec.target_ref is not None):
        yield "$.spec.targetRefs", "cannot stand beside selector (hint: leave one of them out)"
    if spec.selector is not None:
        yield from texts.workloads("$.spec.selector.matchLabels", spec.selector.match_labels)
    for index, rule in enumerate(spec.tracing):
        yield from _tracing(f"$.spec.tracing[{index}]", rule)
    for index, logging in enumerate(spec.access_logging):
        at = f"$.spec.accessLogging[{index}]"
        for number, provider in enumerate(logging.providers):
            yield from _name(f"{at}.providers[{number}].name", provider.name)
        if logging.filter is not None and not logging.filter.expression:
            yield f"{at}.filter.expression", "is empty (hint: like response.code >= 500)"
    for index, metrics in enumerate(spec.metrics):
        yield from _metrics(f"$.spec.metrics[{index}]", metrics)


def _name(at: str, name: str) -> Iterator[Problem]:
    if not name:
        yield at, "is empty (hint: the name of an extensionProvider of MeshConfig)"


def _tracing(at: str, rule: TracingRule) -> Iterator[Problem]:
    for number, provider in enumerate(rule.providers):
        yield from _name(f"{at}.providers[{number}].name", provider.name)
    for name, tag in rule.custom_tags.items():
        yield from tag_problem(f"{at}.customTags.{name}", tag)
        if not name:
            yield f"{at}.customTags", "a tag has no name"


def tag_problem(at: str, tag: CustomTag) -> Iterator[Problem]:
    """What is wrong with a tag at `at`."""
    fields = {"literal": tag.literal, "environment": tag.environment, "header": tag.header}
    fields_set = [
        name for name, value in (fields | {"formatter": tag.formatter}).items() if value is not None
    ]
    if len(fields_set) != 1:
        said = " and ".join(fields_set) or "nothing"
        yield at, f"says {said} (hint: exactly one of literal, environment, header, formatter)"
    for name in ("environment", "header"):
        part = getattr(tag, name)
        if part is not None and not part.name:
            yield f"{at}.{name}.name", "is missing"
    for name in ("literal", "formatter"):
        part = getattr(tag, name)
        if part is not None and not part.value:
            yield f"{at}.{name}.value", "is empty: Envoy takes no such tag"


def _metrics(at: str, rule: MetricsRule) -> Iterator[Problem]:
    for number, provider in enumerate(rule.providers):
        yield from _name(f"{at}.providers[{number}].name", provider.name)
    for index, override in enumerate(rule.overrides):
        here = f"{at}.overrides[{index}]"
        match = override.match
        if match is not None and match.metric is not None and match.custom_metric:
            yield f"{here}.match", "names metric and customMetric (hint: leave one of them out)"
        for name, tag in override.tag_overrides.items():
            if tag.operation == "UPSERT" and not tag.value:
                yield (
                    f"{here}.tagOverrides.{name}.value",
                    "is empty (hint: an expression, or operation: REMOVE)",
                )
            if tag.operation == "REMOVE" and tag.value:
                yield f"{here}.tagOverrides.{name}.value", "is of no use: the label is removed"


def proxy_config_problems(found: ProxyConfigObject) -> Iterator[Problem]:
    """Everything that is wrong with a ProxyConfig."""
    spec = found.spec
    if spec.selector is not None:
        yield from texts.workloads("$.spec.selector.matchLabels", spec.selector.match_labels)
    for name in spec.environment_variables:
        if not name or "=" in name or "\0" in name:
            yield f"$.spec.environmentVariables.{name}", f"{name!r} is no name of a variable"
    image = spec.image
    if image is not None and not image.image_type:
        yield "$.spec.image.imageType", "is empty (hint: distroless, debug)"
