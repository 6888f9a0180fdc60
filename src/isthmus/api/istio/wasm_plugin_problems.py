"""What is wrong with a WasmPlugin by itself."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from isthmus.api.core.label_problems import labels
from isthmus.api.errors import Problem
from isthmus.api.istio.wasm_plugin import (
    ENV_SOURCES,
    FAIL_STRATEGIES,
    MODES,
    PHASES,
    PLUGIN_TYPES,
    PULL_POLICIES,
    WasmPlugin,
    WasmPluginSpec,
)

SCHEMES = ("oci", "http", "https", "file")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def problems(found: WasmPlugin) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    if spec.selector is not None:
        yield from labels("$.spec.selector.matchLabels", spec.selector.match_labels)
    if spec.selector is not None and (spec.target_refs or spec.target_ref is not None):
        yield "$.spec.targetRefs", "cannot stand beside selector (hint: leave one of them out)"
    yield from _source(spec)
    yield from _word("$.spec.phase", spec.phase, PHASES)
    yield from _word("$.spec.failStrategy", spec.fail_strategy, FAIL_STRATEGIES)
    yield from _word("$.spec.imagePullPolicy", spec.image_pull_policy, PULL_POLICIES)
    yield from _word("$.spec.type", spec.type, PLUGIN_TYPES)
    for index, selector in enumerate(spec.match):
        yield from _word(f"$.spec.match[{index}].mode", selector.mode, MODES)
        for number, port in enumerate(selector.ports):
            if not 0 < port.number < 65536:
                yield f"$.spec.match[{index}].ports[{number}].number", "is no port (hint: 1 to 65535)"
    yield from _environment(spec)


def _source(spec: WasmPluginSpec) -> Iterator[Problem]:
    if not spec.url:
        yield "$.spec.url", "is missing (hint: where the module is: https://…, file://…)"
        return
    try:
        parts = urlsplit(spec.url)
        port = parts.port  # where it is no number
    except ValueError as error:
        yield "$.spec.url", f"{spec.url!r} is no URL: {str(error).lower()}"
        return
    if "://" in spec.url and parts.scheme not in SCHEMES:
        hint = ", ".join(SCHEMES)
        yield "$.spec.url", f"nothing is fetched by {parts.scheme!r} (hint: one of {hint})"
    if parts.scheme in {"http", "https"} and (not parts.hostname or port == 0):
        yield "$.spec.url", "names no host"
    if spec.sha256 and not _SHA256.fullmatch(spec.sha256):
        yield "$.spec.sha256", "is no checksum (hint: 64 digits of 0-9 and a-f, as sha256sum prints them)"


def _environment(spec: WasmPluginSpec) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, each in enumerate(spec.vm_config.env if spec.vm_config else ()):
        at = f"$.spec.vmConfig.env[{index}]"
        yield from _word(f"{at}.valueFrom", each.value_from, ENV_SOURCES)
        if not each.name:
            yield f"{at}.name", "is missing"
        if each.name in seen:
            yield f"{at}.name", f"{each.name!r} is there twice"
        seen.add(each.name)
        if each.value_from == "HOST" and each.value:
            yield f"{at}.value", "is the host's own (hint: leave it out, or valueFrom: INLINE)"


def _word(at: str, found: str, words: Sequence[str]) -> Iterator[Problem]:
    if found in words:
        return
    near = difflib.get_close_matches(found, words, 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"
    yield at, f"is {found!r} (hint: {hint})"
