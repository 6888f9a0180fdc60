from __future__ import annotations

import io
import json
import socket
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest

from fakes.live_cluster import live_cluster
from fakes.objects_of import CONFIG_MAPS, config_map
from isthmus.lab.apiserver.api import Target
from isthmus.lab.apiserver.served import Address

INITIAL = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
YAML = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {when: 2026-01-01T00:00:00Z}\n"


class Client:
    """The administrator, with HTTP alone."""

    def __init__(self, session, url):
        self._session, self.url = session, url

    async def __call__(self, method, path, content=None, **more):
        """Code, content and headers of the answer."""
        if content is not None:
            more["data"] = content if isinstance(content, str | bytes) else json.dumps(content)
            more["headers"] = {"Content-Type": "application/json"} | more.get("headers", {})
        async with self._session.request(method, self.url + path, **more) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json" and not path.count("watch=")
            return answer.status, json.loads(text) if is_json and text else text, answer.headers

    @asynccontextmanager
    async def watch(self, path, **more):
        """The events of a watch, one after the other."""
        async with self._session.get(self.url + path, **more) as answer:

            async def events():
                async for line in answer.content:
                    yield json.loads(line)

            yield events()


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served:
        yield served


@pytest.fixture
async def client(cluster):
    credentials = cluster.credentials
    context = ssl.create_default_context(cadata=credentials.ca.decode())
    headers = {"Authorization": f"Bearer {credentials.admin_token}"}
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield Client(session, cluster.url)


async def test_an_object_is_created_read_written_and_deleted(client):
    code, made, _ = await client("POST", MAPS, config_map("one", a="1"))
    assert code == 201
    assert made["metadata"]["uid"]
    assert (await client("GET", f"{MAPS}/one"))[1] == made
    code, changed, _ = await client("PUT", f"{MAPS}/one", {**made, "data": {"a": "2"}})
    assert (code, changed["data"]) == (200, {"a": "2"})
    code, status, _ = await client("DELETE", f"{MAPS}/one")
    assert (code, status["status"]) == (200, "Success")
    assert status["details"] == {"name": "one", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    code, status, _ = await client("GET", f"{MAPS}/one")
    assert (code, status["reason"], status["kind"]) == (404, "NotFound", "Status")


async def test_yaml_is_read_and_written_and_times_stay_text(client):
    code, _, _ = await client("POST", MAPS, YAML, headers={"Content-Type": "application/yaml"})
    assert code == 201
    code, text, headers = await client("GET", f"{MAPS}/one", headers={"Accept": "application/yaml"})
    assert headers["Content-Type"].startswith("application/yaml")
    assert "2026-01-01T00:00:00Z" in text


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("POST", f"{MAPS}/one", 405, "MethodNotAllowed"),
        ("PUT", MAPS, 405, "MethodNotAllowed"),
        ("PATCH", MAPS, 405, "MethodNotAllowed"),
        ("DELETE", "/apis/authentication.k8s.io/v1/tokenreviews", 405, "MethodNotAllowed"),
        ("GET", "/api/v1/namespaces/default/pears", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/configmaps/one/status", 404, "NotFound"),
        ("GET", f"{MAPS}?limit=many", 400, "BadRequest"),
        ("GET", f"{MAPS}?continue=nonsense", 400, "BadRequest"),
        ("GET", f"{MAPS}?labelSelector=a%20b", 400, "BadRequest"),
        ("GET", f"{MAPS}?watch=true&resourceVersion=yesterday", 500, None),
        ("GET", f"{MAPS}?watch=true&timeoutSeconds=soon", 400, "BadRequest"),
        ("DELETE", f"{MAPS}/one?propagationPolicy=Sideways", 422, "Invalid"),
        ("GET", f"{MAPS}?watch=true&sendInitialEvents=true", 422, "Invalid"),
        ("DELETE", f"{MAPS}/one?gracePeriodSeconds=long", 400, "BadRequest"),
    ],
)
async def test_a_request_without_sense_is_refused_with_a_reason(client, method, path, code, reason):
    answered, status, _ = await client(method, path)
    if not isinstance(status, dict):
        status = json.loads(status)
    assert (answered, status["code"], status.get("reason")) == (code, code, reason)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"kind": "Pear"},
            'Pear in version "v1" cannot be handled as a ConfigMap: no kind "Pear" is registered',
        ),
        (
            {"metadata": {"name": "two"}},
            "the name of the object (two) does not match the name on the URL (one)",
        ),
        ({"metadata": {"namespace": "shop"}}, "does not match the namespace sent on the request"),
    ],
)
async def test_an_object_must_be_what_the_path_says(client, change, words):
    await client("POST", MAPS, config_map("one"))
    code, status, _ = await client("PUT", f"{MAPS}/one", config_map("one") | change)
    assert code == 400
    assert words in status["message"]


async def test_a_body_of_another_kind_is_not_read(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        code, status, _ = await client("POST", MAPS, "a=b", headers={"Content-Type": kind})
        assert (code, status["reason"]) == (415, "UnsupportedMediaType")
    code, status, _ = await client("PATCH", f"{MAPS}/one", {}, headers={"Content-Type": "application/json"})
    assert code == 415
    assert status["reason"] == "UnsupportedMediaType"


async def test_a_body_that_is_too_long_is_refused(client):
    body = io.BytesIO(json.dumps(config_map("one", a="x" * (9 << 20))).encode())
    code, status, _ = await client("POST", MAPS, data=body, headers={"Content-Type": "application/json"})
    assert (code, status["reason"]) == (413, "RequestEntityTooLarge")


async def test_who_reads_no_form_of_ours_is_told_which_there_are(client):
    code, status, _ = await client("GET", MAPS, headers={"Accept": "text/html"})
    assert (code, status["reason"]) == (406, "NotAcceptable")
    assert "application/json" in status["message"]


async def test_the_first_form_that_is_known_is_taken(client):
    await client("POST", MAPS, config_map("one"))
    accept = f"text/html, application/json;as=Chart, {TABLE}, application/json"
    _, table, _ = await client("GET", MAPS, headers={"Accept": accept})
    assert (table["kind"], [row["cells"][0] for row in table["rows"]]) == ("Table", ["one"])
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    _, table, _ = await client("GET", f"{MAPS}?includeObject=Object", headers={"Accept": TABLE})
    assert table["rows"][0]["object"]["kind"] == "ConfigMap"
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    _, listed, _ = await client("GET", MAPS, headers={"Accept": accept})
    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_a_pretty_answer_has_lines(client):
    async with client._session.get(f"{client.url}{MAPS}?pretty=true") as answer:
        assert len((await answer.text()).splitlines()) > 3


async def test_dropped_fields_are_warned_of_unless_they_are_ignored_or_refused(client):
    odd = config_map("one") | {"dat": {"a": "b"}}
    code, _, headers = await client("POST", f"{MAPS}?dryRun=All", odd)
    assert (code, headers["Warning"]) == (201, '299 - "unknown field \\"dat\\""')
    _, _, headers = await client("POST", f"{MAPS}?dryRun=All&fieldValidation=Ignore", odd)
    assert "Warning" not in headers
    code, status, _ = await client("POST", f"{MAPS}?fieldValidation=Strict", odd)
    assert code == 400
    assert 'ConfigMap: strict decoding error: unknown field "dat"' in status["message"]
    code, _, _ = await client("POST", f"{MAPS}?fieldValidation=Maybe", odd)
    assert code == 422


async def test_all_that_is_selected_goes_and_is_told(client):
    for name, color in (("one", "red"), ("two", "red"), ("three", "blue")):
        await client("POST", MAPS, config_map(name, {"color": color}))
    _, gone, _ = await client("DELETE", f"{MAPS}?labelSelector=color%3Dred")
    assert [obj["metadata"]["name"] for obj in gone["items"]] == ["one", "two"]
    assert [obj["metadata"]["name"] for obj in (await client("GET", MAPS))[1]["items"]] == ["three"]


async def test_an_apply_makes_and_changes_and_must_say_what_it_is(client):
    apply = {"headers": {"Content-Type": "application/apply-patch+yaml"}}
    path = f"{MAPS}/one?fieldManager=me"
    assert (await client("PATCH", path, config_map("one", a="1"), **apply))[0] == 201
    assert (await client("PATCH", path, config_map("one", a="2"), **apply))[0] == 200
    code, status, _ = await client("PATCH", path, {"data": {}}, **apply)
    assert code == 400
    assert status["message"] == "invalid object type: /, Kind="
    code, status, _ = await client("PATCH", path, config_map("one") | {"dat": {}}, **apply)
    assert code == 500
    assert status["message"].endswith(
        "(default/one; /v1, Kind=ConfigMap): .dat: field not declared in schema"
    )
    merge = {"headers": {"Content-Type": "application/merge-patch+json"}}
    assert (await client("PATCH", f"{path}&force=true", {"data": {}}, **merge))[0] == 422


async def test_pages_show_the_collection_as_it_was_at_the_first(client):
    for name in "abcdef":
        await client("POST", MAPS, config_map(name))
    _, first, _ = await client("GET", f"{MAPS}?limit=2")
    await client("DELETE", f"{MAPS}/a")
    await client("DELETE", f"{MAPS}/d")
    await client("POST", MAPS, config_map("bb"))
    names, page = [obj["metadata"]["name"] for obj in first["items"]], first
    while more := page["metadata"].get("continue"):
        _, page, _ = await client("GET", f"{MAPS}?limit=2&continue={more}")
        names += [obj["metadata"]["name"] for obj in page["items"]]
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert names == list("abcdef")


async def test_a_page_of_a_list_long_gone_has_expired(client, cluster):
    for name in "abc":
        await client("POST", MAPS, config_map(name))
    _, first, _ = await client("GET", f"{MAPS}?limit=2")
    await client("DELETE", f"{MAPS}/c")
    await cluster.forget_history()
    code, status, _ = await client("GET", f"{MAPS}?limit=2&continue={first['metadata']['continue']}")
    assert (code, status["reason"]) == (410, "Expired")


async def test_a_watch_goes_on_from_a_list(client):
    _, listed, _ = await client("GET", MAPS)
    version = listed["metadata"]["resourceVersion"]
    await client("POST", MAPS, config_map("one"))
    async with client.watch(f"{MAPS}?watch=true&resourceVersion={version}") as events:
        assert (await anext(events))["type"] == "ADDED"
        await client("DELETE", f"{MAPS}/one")
        assert (await anext(events))["type"] == "DELETED"


async def test_a_watch_of_tables_tells_the_columns_once(client):
    for name in ("one", "two"):
        await client("POST", MAPS, config_map(name))
    async with client.watch(f"{MAPS}?watch=true", headers={"Accept": TABLE}) as events:
        first, second = (await anext(events))["object"], (await anext(events))["object"]
    assert first["columnDefinitions"][0]["name"] == "Name"
    assert second["columnDefinitions"] is None
    assert second["rows"][0]["cells"][0] == "two"


async def test_a_watch_of_metadata_has_bookmarks_of_metadata(client):
    await client("POST", MAPS, config_map("one"))
    accept = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
    async with client.watch(f"{MAPS}?{INITIAL}", headers=accept) as events:
        told = [await anext(events), await anext(events)]
    assert [each["type"] for each in told] == ["ADDED", "BOOKMARK"]
    assert {each["object"]["kind"] for each in told} == {"PartialObjectMetadata"}


async def test_a_watch_ends_when_its_time_is_over(client):
    async with client.watch(f"{MAPS}?watch=true&timeoutSeconds=1&resourceVersion=0") as events:
        assert [each async for each in events] == []


@pytest.mark.embedded("reaches into it")
async def test_a_watcher_that_was_too_slow_is_told_that_its_history_is_gone(client, cluster):
    api, store = cluster.server.api, cluster.server.store
    async with client.watch(f"{MAPS}?watch=true&resourceVersion={store.version}") as events:
        for round_ in range(300):  # more than the buffers on the way hold, so that the server waits
            await api.create(CONFIG_MAPS, config_map(f"m{round_}", a="x" * 100_000))
        await client("GET", "/healthz")
        store._history = 10
        await api.create(CONFIG_MAPS, config_map("last"))
        types = [each["type"] async for each in events]
    assert types[-1] == "ERROR"
    assert len(types) < 301, "not all could be told"


@pytest.mark.embedded("reaches into it")
async def test_a_server_that_was_away_goes_on_from_its_history(client, cluster):
    server, port = cluster.server, int(cluster.url.rpartition(":")[2])
    _, listed, _ = await client("GET", MAPS)
    await server.stop()
    await server.api.create(CONFIG_MAPS, config_map("meanwhile"))
    await _start_again(server, port)
    version = listed["metadata"]["resourceVersion"]
    async with client.watch(f"{MAPS}?watch=true&resourceVersion={version}") as events:
        assert (await anext(events))["object"]["metadata"]["name"] == "meanwhile"


@pytest.mark.embedded("reaches into it")
async def test_a_server_that_lost_its_history_says_so(client, cluster):
    server, port = cluster.server, int(cluster.url.rpartition(":")[2])
    _, listed, _ = await client("GET", MAPS)
    await server.stop()
    await server.api.create(CONFIG_MAPS, config_map("meanwhile"))
    server.store.forget_history()
    await _start_again(server, port)
    version = listed["metadata"]["resourceVersion"]
    async with client.watch(f"{MAPS}?watch=true&resourceVersion={version}") as events:
        (told,) = [each async for each in events]
    assert (told["type"], told["object"]["code"], told["object"]["reason"]) == ("ERROR", 410, "Expired")


@pytest.mark.embedded("reaches into it")
async def test_a_write_in_between_is_no_lost_write(client, cluster):
    """While admission takes its time, somebody else writes: both writes count."""
    api, target = cluster.server.api, Target(CONFIG_MAPS, "default", "one")
    await client("POST", MAPS, config_map("one", a="1", b="1"))
    slow = api.admission

    class Interrupted:
        async def admit(self, operation, target, new, old, write):
            api.admission = slow
            await api.patch(target, {"data": {"a": "2"}}, "application/merge-patch+json")
            return await slow.admit(operation, target, new, old, write)

    api.admission = Interrupted()
    await api.patch(target, {"data": {"b": "2"}}, "application/merge-patch+json")
    assert api.get(CONFIG_MAPS, "default", "one")["data"] == {"a": "2", "b": "2"}
    old = api.get(CONFIG_MAPS, "default", "one")
    api.admission = Interrupted()
    await api.patch(target, {"data": {"a": "3"}}, "application/merge-patch+json")
    code, status, _ = await client("PUT", f"{MAPS}/one", old)
    assert (code, status["reason"]) == (409, "Conflict")


async def _start_again(server, port):
    listener = socket.create_server(("127.0.0.1", port))
    listener.setblocking(False)
    await server.start([listener], Address("127.0.0.1", port))
