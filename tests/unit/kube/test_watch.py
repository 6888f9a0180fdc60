from __future__ import annotations

from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest

from fakes.ports import free_ports
from fakes.scripted_api import (
    ScriptedApi,
    added,
    bookmark,
    deleted,
    error,
    listing,
    modified,
    pod,
    refuses,
    says,
    streams,
)
from isthmus.api import kind_named
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Forbidden, Gone, KubeError, Refused, Silent, Unreachable
from isthmus.kube.kubeconfig import Access, Token
from isthmus.kube.watch import Changed, Confirmed, Connected, Listed, Lost, Removed, Watch, WatchSettings

SOON = WatchSettings(first_wait_s=0.01, longest_wait_s=0.02)
OLDER = refuses(422, "Invalid", "sendInitialEvents is forbidden")


@asynccontextmanager
async def followed(api, settings=SOON, scope=None):
    async with api.serving(), Client(api.access()) as client:
        watch = Watch(client, kind_named("Pod"), scope, settings)
        async with aclosing(watch.events()) as events:
            yield events


async def first(count, api, settings=SOON, scope=None):
    async with followed(api, settings, scope) as events:
        return [await anext(events) for _ in range(count)]


def names(event):
    items = event.items if isinstance(event, Listed) else [event.item]
    return [msgspec.json.decode(item)["metadata"]["name"] for item in items]


async def test_a_streamed_list_is_told_as_one_and_then_each_change():
    api = ScriptedApi(
        streams(added("a", 1), added("b", 2), bookmark(5, ends_list=True), modified("a", 6), deleted("b", 7))
    )
    events = await first(3, api)
    assert [type(event) for event in events] == [Listed, Changed, Removed]
    assert [names(event) for event in events] == [["a", "b"], ["a"], ["b"]]
    assert api.queries[0]["sendInitialEvents"] == "true"
    assert api.queries[0]["allowWatchBookmarks"] == "true"


async def test_a_watch_that_ends_goes_on_from_the_last_version():
    api = ScriptedApi(
        streams(bookmark(5, ends_list=True), modified("a", 6)), streams(bookmark(9)), streams(added("b", 10))
    )
    events = await first(6, api)
    assert [type(event) for event in events] == [Listed, Changed, Connected, Confirmed, Connected, Changed]
    assert [query.get("resourceVersion") for query in api.queries] == [None, "6", "9"]


async def test_a_list_that_breaks_off_half_way_is_asked_for_again_whole():
    api = ScriptedApi(
        streams(added("a", 1), bookmark(3)),
        streams(added("a", 1), added("b", 2), bookmark(5, ends_list=True)),
    )
    *_, event = await first(2, api)
    assert names(event) == ["a", "b"]
    assert "resourceVersion" not in api.queries[1]


@pytest.mark.parametrize("code", [400, 422])
async def test_an_older_api_server_is_listed_in_pages_then_watched(code):
    api = ScriptedApi(
        refuses(code),
        says(listing(4, pod("a", 1), after="more")),
        says(listing(4, pod("b", 2))),
        streams(deleted("a", 6)),
        streams(),
    )
    events = await first(3, api)
    assert [type(event) for event in events] == [Listed, Connected, Removed]
    assert names(events[0]) == ["a", "b"]
    assert api.queries[1]["limit"] == "500"
    assert api.queries[2]["continue"] == "more"
    assert api.queries[3]["resourceVersion"] == "4"


async def test_a_list_that_expires_between_pages_is_fetched_in_one():
    api = ScriptedApi(
        OLDER,
        says(listing(4, pod("a", 1), after="more")),
        refuses(410, "Expired"),
        says(listing(8, pod("a", 1), pod("b", 2))),
        streams(),
    )
    (event,) = await first(1, api)
    assert names(event) == ["a", "b"]
    assert "limit" not in api.queries[3]


@pytest.mark.parametrize("gone", [refuses(410, "Expired"), streams(error(410, "Expired"))])
async def test_history_that_expired_means_to_list_again(gone):
    whole = streams(added("b", 20), bookmark(21, ends_list=True))
    api = ScriptedApi(streams(bookmark(5, ends_list=True)), gone, whole)
    async with followed(api) as events:
        found = [event async for event in _until(events, Listed, 2)]
    assert names(found[-1]) == ["b"]
    assert not any(isinstance(event, Lost) for event in found), "it is no failure"


async def _until(events, kind, count):
    async for event in events:
        yield event
        count -= isinstance(event, kind)
        if not count:
            return


async def test_an_api_server_that_does_not_know_a_kind_is_not_lost_before_it_fails():
    unknown, fails = refuses(404, "NotFound"), refuses(500, "InternalError", "etcd")
    asked_once, asked_again, failed, failed_again = await first(
        4, ScriptedApi(unknown, unknown, fails, fails)
    )
    assert asked_once.since == asked_again.since < failed.since == failed_again.since


async def test_another_error_in_the_stream_is_a_loss_and_goes_on_from_the_last_version():
    api = ScriptedApi(
        streams(bookmark(5, ends_list=True)), streams(error(500, "InternalError", "etcd")), streams()
    )
    events = await first(4, api)
    assert [type(event) for event in events] == [Listed, Connected, Lost, Connected]
    assert str(events[2].error) == "etcd"
    assert api.queries[2]["resourceVersion"] == "5"


async def test_a_refusal_is_a_loss_until_it_ends():
    api = ScriptedApi(refuses(403, "Forbidden", "pods is forbidden"), streams(bookmark(1, ends_list=True)))
    lost, listed = await first(2, api)
    assert isinstance(lost.error, Forbidden)
    assert listed == Listed([])


async def test_a_connection_that_says_nothing_is_dead():
    api = ScriptedApi()
    api.script = [api.holds(bookmark(5, ends_list=True)), streams(modified("a", 9))]
    settings = msgspec.structs.replace(SOON, silence_s=0.05)
    events = await first(4, api, settings)
    assert [type(event) for event in events] == [Listed, Lost, Connected, Changed]
    assert isinstance(events[1].error, Unreachable)


@pytest.mark.parametrize(
    "garbage", [b"<html>\n", b"{}\n", b'{"type": "ADDED"}\n', b'{"type":1,"object":{}}\n']
)
async def test_an_answer_that_is_no_stream_is_a_loss(garbage):
    api = ScriptedApi(streams(garbage), streams(bookmark(5, ends_list=True)))
    lost, listed = await first(2, api)
    assert "no stream of events" in str(lost.error)
    assert isinstance(listed, Listed)


async def test_a_list_that_is_none_is_a_loss():
    api = ScriptedApi(OLDER, streams(b"<html>"), says(listing(1)), streams())
    lost, listed = await first(2, api)
    assert "none of an API server" in str(lost.error)
    assert isinstance(listed, Listed)


async def test_an_object_as_long_as_it_likes_is_one_line():
    api = ScriptedApi(streams(added("a", 1, label="x" * 3_000_000), bookmark(5, ends_list=True)))
    (event,) = await first(1, api)
    assert names(event) == ["a"]


async def test_a_server_that_is_away_is_lost_and_found():
    (port,) = free_ports(1)
    async with Client(Access(server=f"http://127.0.0.1:{port}")) as client:
        watch = Watch(client, kind_named("Pod"), None, SOON)
        async with aclosing(watch.events()) as events:
            lost = await anext(events)
            assert isinstance(lost.error, Unreachable)
            assert str(lost.error) == f"no answer from http://127.0.0.1:{port}: Connection refused"
            api = ScriptedApi(streams(added("a", 1), bookmark(5, ends_list=True)))
            async with api.serving(port):
                found = [event async for event in _until(events, Listed, 1)]
        assert names(found[-1]) == ["a"]


async def test_selectors_go_with_every_question():
    scope = Scope("istio-system", labels="a=b", fields="metadata.name=c")
    api = ScriptedApi(OLDER, says(listing(1)), streams())
    await first(2, api, scope=scope)
    assert {request.path for request in api.asked} == {"/api/v1/namespaces/istio-system/pods"}
    assert all(query["labelSelector"] == "a=b" for query in api.queries)
    assert all(query["fieldSelector"] == "metadata.name=c" for query in api.queries)


def test_errors_are_known_by_their_codes():
    assert issubclass(Gone, Refused)
    assert issubclass(Refused, KubeError)


@pytest.mark.parametrize(
    "answer",
    [
        streams(bookmark(3)),
        streams(error(504, "Timeout", "Too large resource version: 5, current: 3")),
        streams(error(400, "BadRequest", "invalid resource version")),
        refuses(504, "Timeout", "Too large resource version: 5, current: 3"),
    ],
)
async def test_a_server_whose_backup_was_put_back_is_listed_again(answer):
    whole = streams(added("b", 2), bookmark(3, ends_list=True))
    api = ScriptedApi(streams(bookmark(5, ends_list=True)), answer, whole)
    async with followed(api) as events:
        found = [event async for event in _until(events, Listed, 2)]
    assert names(found[-1]) == ["b"]


async def test_a_watch_that_never_says_a_word_is_listed_again():
    api = ScriptedApi()
    api.script = [
        streams(bookmark(5, ends_list=True)),
        api.holds(),
        streams(added("b", 2), bookmark(3, ends_list=True)),
    ]
    async with followed(api, msgspec.structs.replace(SOON, silence_s=0.05)) as events:
        found = [event async for event in _until(events, Listed, 2)]
    assert any(isinstance(event, Lost) and isinstance(event.error, Silent) for event in found)
    assert names(found[-1]) == ["b"]


async def test_losses_in_a_row_began_with_the_first():
    api = ScriptedApi(refuses(500), refuses(500), streams(bookmark(1, ends_list=True)), refuses(500))
    one, two, _, three = await first(4, api)
    assert one.since == two.since
    assert three.since >= one.since


@pytest.mark.parametrize(
    "access",
    [
        Access(server="http://[::1"),
        Access(server="http://127.0.0.1:99999"),
        Access(server="http://127.0.0.1:1", credentials=Token("a\nb")),
    ],
)
async def test_an_address_or_token_that_no_request_can_carry_is_a_loss(access):
    async with (
        Client(access) as client,
        aclosing(Watch(client, kind_named("Pod"), None, SOON).events()) as events,
    ):
        assert isinstance((await anext(events)).error, Unreachable)
