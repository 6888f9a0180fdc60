"""Envoy's own configuration, patched while traffic flows: a filter of one's own, and one that is in error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from e2e.calls import call
from e2e.mesh_views import findings
from isthmus.console.demo.stage import PUBLIC, Stage

LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
ROUTER = {
    "name": "envoy.filters.network.http_connection_manager",
    "subFilter": {"name": "envoy.filters.http.router"},
}
MATCH = {"context": "SIDECAR_OUTBOUND", "listener": {"portNumber": 9080, "filterChain": {"filter": ROUTER}}}


def envoy_filter(*patches: dict[str, Any]) -> str:
    """For productpage's Envoy alone."""
    spec = {"workloadSelector": {"labels": {"app": "productpage"}}, "configPatches": list(patches)}
    meta = {"name": "story", "namespace": "default"}
    api = "networking.istio.io/v1alpha3"
    return yaml.safe_dump({"apiVersion": api, "kind": "EnvoyFilter", "metadata": meta, "spec": spec})


def inserted(name: str, typed: dict[str, Any]) -> dict[str, Any]:
    patch = {"operation": "INSERT_BEFORE", "value": {"name": name, "typed_config": typed}}
    return {"applyTo": "HTTP_FILTER", "match": MATCH, "patch": patch}


def stamp(text: str) -> dict[str, Any]:
    script = f'function envoy_on_response(handle)\n  handle:headers():add("x-story", "{text}")\nend\n'
    return inserted(
        "envoy.filters.http.lua", {"@type": LUA, "default_source_code": {"inline_string": script}}
    )


@pytest.fixture
async def patched(stage: Stage) -> AsyncIterator[Stage]:
    """The mesh; afterwards the story's EnvoyFilter is gone."""
    yield stage
    await stage.kubectl(PUBLIC).run("delete", "envoyfilter", "story", "--ignore-not-found")


async def story(stage: Stage) -> set[str | None]:
    """The header that the answers of reviews carry; each must be an answer."""
    answers = await call(stage, times=4)
    assert {answer.status for answer in answers} == {200}
    return {answer.headers.get("x-story") for answer in answers}


async def test_a_lua_filter_marks_the_answers_and_goes_again(patched: Stage) -> None:
    public = patched.kubectl(PUBLIC)
    assert await story(patched) == {None}
    for text in ("once", "again"):
        await public.apply(envoy_filter(stamp(text)))

        async def marked(wanted: str = text) -> bool:
            return await story(patched) == {wanted}

        assert await patched.until(marked, 30)
    await public.run("delete", "envoyfilter", "story")

    async def unmarked() -> bool:
        return await story(patched) == {None}

    assert await patched.until(unmarked, 30)


async def test_a_patch_in_error_is_told_and_the_others_hold(patched: Stage) -> None:
    old = inserted("old", {"@type": "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua"})
    await patched.kubectl(PUBLIC).apply(envoy_filter(old, stamp("good")))

    async def told() -> bool:
        return any(
            each["object"] == "EnvoyFilter default/story"
            and each["path"] == "$.spec.configPatches[0].patch.value.typed_config"
            and "Envoy knows no type" in each["message"]
            for each in await findings(patched)
        )

    async def marked() -> bool:
        return await story(patched) == {"good"}

    assert await patched.until(told, 30)
    assert await patched.until(marked, 30)
