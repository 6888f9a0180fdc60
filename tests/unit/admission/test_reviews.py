from __future__ import annotations

import base64

import msgspec
import pytest

from isthmus.admission.door import Door
from isthmus.admission.injection import Injection, NotReady, There
from isthmus.admission.paths import UnknownPath, Where, where_of
from isthmus.admission.review import Answer, Asked, InvalidReview, read_review, written
from isthmus.kit.metrics import REGISTRY
from isthmus.kit.plain_http import Request
from isthmus.sidecar.inject.settings import InjectSettings


class Known:
    """What an injector knows of its cluster."""

    def __init__(self, now=None, **labels):
        self.now, self._labels = now, labels

    def labels(self, namespace):
        return self._labels.get(namespace, {})


EAST = InjectSettings(cluster="east", network="east-net")
POD = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"containers": [{"name": "web", "image": "w"}]},
}
RULE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "reviews", "namespace": "shop"},
    "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]},
}


def review(obj=POD, operation="CREATE", version="v1", **more):
    request = {"uid": "u1", "operation": operation, "namespace": "shop", "name": "web", "object": obj} | more
    return {"apiVersion": f"admission.k8s.io/{version}", "kind": "AdmissionReview", "request": request}


async def ask(path, body, *, door=None, method="POST", **headers):
    headers = {"content-type": "application/json"} | {
        key.replace("_", "-"): each for key, each in headers.items()
    }
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    door = door or Door(Injection(Known(EAST)))
    return await door.answer(Request(method, path, headers, content))


async def told(path, body, **more):
    """What the API server reads."""
    answer = await ask(path, body, **more)
    assert answer.status == 200, answer.body
    found = msgspec.json.decode(answer.body)
    assert (found["apiVersion"], found["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    return found["response"]


async def injected(path="/inject", pod=POD):
    """The settings that the sidecar was given."""
    found = await told(path, review(pod))
    assert (found["uid"], found["allowed"], found["patchType"]) == ("u1", True, "JSONPatch")
    return base64.b64decode(found["patch"]).decode()


async def test_a_sidecar_comes_as_a_patch():
    assert "istio-proxy" in await injected()


@pytest.mark.parametrize(
    ("path", "cluster", "network"),
    [
        ("/inject", "east", "east-net"),
        ("/inject/", "east", "east-net"),
        ("/inject/cluster/west/net/far", "west", "far"),
        ("/inject/net/far", "east", "far"),
        ("/inject/cluster/a%2Fb/net/far", "a/b", "far"),
        ("/inject/cluster/east?timeout=10s", "east", "east-net"),
    ],
)
async def test_a_path_says_in_which_cluster_and_network_a_pod_is(path, cluster, network):
    found = await injected(path)
    assert f'"{cluster}"' in found
    assert f'"{network}"' in found


async def environment(path, settings=EAST, **known):
    """What the sidecar is told of where it is, by a server that knows this of clusters elsewhere."""
    door = Door(Injection(Known(settings), lambda name: known.get(name, There())))
    patch = msgspec.json.decode(base64.b64decode((await told(path, review(), door=door))["patch"]))
    proxies = [
        each
        for change in patch
        for each in (change["value"] if isinstance(change.get("value"), list) else [change.get("value")])
        if isinstance(each, dict) and each.get("name") == "istio-proxy"
    ]
    return {each["name"]: each.get("value") for each in proxies[0]["env"]}


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/inject/cluster/west", "west-net"),
        ("/inject/cluster/west/net/far", "far"),
        ("/inject/cluster/nowhere", ""),
        ("/inject/cluster/east", "east-net"),
    ],
)
async def test_a_pod_elsewhere_whose_path_names_no_network_is_in_that_of_its_cluster(path, network):
    found = await environment(path, west=There("west-net"), east=There("wrong"))
    assert found.get("ISTIO_META_NETWORK") == network


@pytest.mark.parametrize(
    ("ours", "pilots", "theirs", "said"),
    [
        ("a.example", "", "a.example", ("a.example", None)),
        ("a.example", "", "", ("a.example", None)),
        ("a.example", "", "b.example", ("b.example", "a.example")),
        ("a.example", "b.example", "b.example", ("b.example", None)),
        ("a.example", "c.example", "b.example", ("b.example", "c.example")),
    ],
)
async def test_a_pod_elsewhere_is_of_the_trust_domain_of_its_cluster(ours, pilots, theirs, said):
    settings = msgspec.structs.replace(EAST, trust_domain=ours, pilot_trust_domain=pilots)
    found = await environment("/inject/cluster/west", settings, west=There(trust_domain=theirs))
    assert (found["TRUST_DOMAIN"], found.get("ISTHMUS_PILOT_TRUST_DOMAIN")) == said


async def test_nobody_is_injected_for_a_cluster_of_which_nothing_is_known_yet():
    def not_yet(_):
        raise NotReady("not heard yet")

    door = Door(Injection(Known(EAST), not_yet))
    assert (await ask("/inject/cluster/west/net/far", review(), door=door)).status == 503
    assert (await ask("/inject/cluster/east", review(), door=door)).status == 200


@pytest.mark.parametrize(
    ("path", "native"),
    [
        ("/inject", False),
        ("/inject/cluster/east", False),
        ("/inject/cluster/west/net/far", True),
        ("/inject/cluster/nowhere", False),
    ],
)
async def test_a_sidecar_is_native_where_the_cluster_of_its_pod_has_such(path, native):
    known = Known(msgspec.structs.replace(EAST, kubernetes="v1.32.9"))
    there = {"west": There(kubernetes="v1.33.0-gke.1")}
    door = Door(Injection(known, lambda name: there.get(name, There())))
    patch = msgspec.json.decode(base64.b64decode((await told(path, review(), door=door))["patch"]))
    (inits,) = (each["value"] for each in patch if each["path"] == "/spec/initContainers")
    assert [each["name"] for each in inits] == ["istio-init", *(["istio-proxy"] if native else [])]


@pytest.mark.parametrize(
    "path", ["/inject/cluster", "/inject/a/b", "/inject/cluster/a/cluster/b", "/injected", "/validate/x", "/"]
)
async def test_other_paths_are_told_which_there_are(path):
    answer = await ask(path, review())
    assert answer.status == 404
    assert b"/inject" in answer.body


def counted(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.mark.parametrize(
    ("path", "failures", "errors"), [("/inject", 1, 0), ("/inject/a", 1, 0), ("/validate", 0, 1), ("/", 0, 0)]
)
async def test_a_question_without_an_answer_is_counted_once_as_what_it_asks_for(path, failures, errors):
    def now():
        wrong = sum(counted("galley_validation_http_error_total", status=each) for each in ("400", "503"))
        return counted("sidecar_injection_failure_total"), wrong

    before = now()
    body = b"nothing" if path == "/validate" else review()
    assert (await ask(path, body, door=Door(Injection(Known())))).status >= 400
    assert tuple(a - b for a, b in zip(now(), before, strict=True)) == (failures, errors)


def test_a_path_without_more_says_nothing():
    assert where_of("/inject") == Where()
    with pytest.raises(UnknownPath, match="/inject/cluster/NAME/net/NETWORK"):
        where_of("/inject/zone/a")


def test_a_name_may_have_a_slash():
    there = Where("of/east", "a/b")
    assert where_of("/inject/cluster/of--slash--east/net/a--slash--b") == there
    assert where_of("/inject/cluster/of%2Feast/net/a%2Fb") == there


async def test_a_pod_that_is_to_have_no_sidecar_stays_as_it_is():
    pod = POD | {"metadata": {"name": "web", "labels": {"sidecar.istio.io/inject": "false"}}}
    assert await told("/inject", review(pod)) == {"uid": "u1", "allowed": True}


async def test_the_labels_of_the_namespace_are_looked_at_where_they_are_known():
    door = Door(Injection(Known(EAST, shop={"istio-injection": "disabled"})))
    assert "patch" not in await told("/inject", review(), door=door)
    assert "patch" in await told("/inject/cluster/west", review(), door=door)


async def test_changes_of_pods_are_none_of_ours():
    assert await told("/inject", review(operation="UPDATE")) == {"uid": "u1", "allowed": True}
    assert await told("/inject", review(subResource="exec")) == {"uid": "u1", "allowed": True}


async def test_a_pod_that_cannot_be_understood_is_refused_with_the_reason():
    found = await told("/inject", review(POD | {"spec": {"containers": "none"}}))
    assert not found["allowed"]
    assert found["status"]["code"] == 400
    assert "no containers" in found["status"]["message"]


async def test_without_settings_there_is_no_answer_and_the_policy_decides():
    answer = await ask("/inject", review(), door=Door(Injection(Known())))
    assert answer.status == 503
    assert b"ConfigMap istio-sidecar-injector" in answer.body


async def test_right_configuration_is_taken():
    assert await told("/validate", review(RULE)) == {"uid": "u1", "allowed": True}


async def test_wrong_configuration_is_refused_with_all_that_is_wrong_as_validate_says_it():
    wrong = RULE | {"spec": {"hosts": [], "http": [{"rout": []}, {"timeout": "soon"}]}}
    found = await told("/validate", review(wrong))
    first, *lines = found["status"]["message"].split("\n")
    assert not first
    assert len(lines) > 2
    causes = found["status"]["details"]["causes"]
    assert [line.split(": ", 1)[1] for line in lines] == [
        f"{each['field']}: {each['message']}" for each in causes
    ]


async def test_what_is_doubtful_is_taken_with_a_warning():
    unknown = {"apiVersion": "networking.istio.io/v1", "kind": "Unheard", "metadata": {"name": "a"}}
    found = await told("/validate", review(unknown))
    assert found["allowed"]
    assert found["warnings"] == [
        "[IST0106] $.kind: the mesh does not read networking.istio.io/v1 Unheard: it has no effect"
    ]


async def test_what_was_wrong_before_and_stays_is_only_warned_of():
    wrong = RULE | {"spec": {"hosts": ["reviews"], "http": [{}]}}
    labelled = wrong | {"metadata": wrong["metadata"] | {"labels": {"a": "b"}}}
    found = await told("/validate", review(labelled, "UPDATE", oldObject=wrong))
    assert found["allowed"]
    assert "does nothing" in found["warnings"][0]
    worse = wrong | {"spec": {"hosts": ["reviews"], "http": [{}, {}]}}
    assert not (await told("/validate", review(worse, "UPDATE", oldObject=wrong)))["allowed"]


async def test_what_goes_is_not_looked_at():
    wrong = RULE | {"spec": 1}
    assert (await told("/validate", review(None, "DELETE", oldObject=wrong)))["allowed"]
    going = wrong | {"metadata": wrong["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert (await told("/validate", review(going, "UPDATE", oldObject=wrong)))["allowed"]


async def test_an_injector_that_does_not_validate_says_so():
    answer = await ask("/validate", review(RULE), door=Door(Injection(Known(EAST)), validates=False))
    assert (answer.status, answer.body) == (404, b"/validate: webhooks are answered at /inject\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (review(version="v1beta1"), "admission.k8s.io/v1beta1 AdmissionReview is not answered here"),
        ({"kind": "Pod", "apiVersion": "v1"}, "v1 Pod is not answered here"),
        ({}, "an object without a kind is not answered here"),
        (b"nothing", "is no AdmissionReview"),
        (b"[" * 100_000, "is no AdmissionReview"),
        (review() | {"request": {"uid": ""}}, "no request.uid"),
        (review() | {"request": None}, "asks nothing that can be understood"),
        (review() | {"request": {"uid": "u", "object": "text"}}, "asks nothing that can be understood"),
        (b"\xff", "is no AdmissionReview"),
    ],
)
async def test_a_body_that_is_no_question_is_told_so(body, said):
    for path in ("/inject", "/validate"):
        answer = await ask(path, body)
        assert answer.status == 400
        assert said in answer.body.decode()


async def test_only_posted_json_is_read():
    assert (await ask("/inject", review(), method="GET")).status == 405
    assert (await ask("/inject", review(), content_type="text/plain")).status == 415
    assert (await ask("/inject", review(), content_type="application/json; charset=utf-8")).status == 200
    assert (await ask("/inject", b"")).status == 400


async def test_a_large_question_is_answered_as_a_small_one():
    big = RULE | {"metadata": RULE["metadata"] | {"annotations": {"a": "x" * 200_000}}}
    assert (await told("/validate?timeout=5s", review(big)))["allowed"]


def test_warnings_are_as_long_as_api_servers_hand_on():
    asked = Asked(uid="u")
    answer = Answer(warnings=("a" * 300, *(str(each) for each in range(30))))
    warnings = msgspec.json.decode(written(answer, asked))["response"]["warnings"]
    assert max(map(len, warnings)) == 256
    assert warnings[-1] == "and 15 more (hint: isthmus validate)"


def test_the_review_says_what_is_asked():
    asked = read_review(msgspec.json.encode(review(dryRun=True, oldObject=None, userInfo={"username": "a"})))
    assert (asked.uid, asked.operation, asked.namespace, asked.object) == ("u1", "CREATE", "shop", POD)
    with pytest.raises(InvalidReview):
        read_review(b"1")
