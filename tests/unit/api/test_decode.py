from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest

from isthmus.api import KINDS, kind_named, kind_of
from isthmus.api.decode import decode, equal_for_mesh
from isthmus.api.described import parts
from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.api.shape import shaped

VIRTUAL_SERVICE, POD = kind_named("VirtualService"), kind_named("Pod")


def virtual_service(**spec):
    return {"metadata": {"name": "reviews", "namespace": "default"}, "spec": {"hosts": ["reviews"], **spec}}


def share(host="reviews", **more):
    return {"destination": {"host": host}, **more}


def refusal(raw, kind=VIRTUAL_SERVICE):
    with pytest.raises(InvalidConfig) as caught:
        decode(kind, raw)
    return caught.value.path, caught.value.message


def test_a_wrong_type_is_told_with_its_path():
    raw = virtual_service(http=[{"route": [share(weight=50), share(weight="50")]}])
    path, message = refusal(raw)
    assert path == "$.spec.http[0].route[1].weight"
    assert message == "is '50' (hint: a whole number, without quotes)"


def test_json_and_a_mapping_are_told_alike():
    raw = virtual_service(http=[{"route": [share(weight=-1)]}])
    assert refusal(raw) == refusal(json.dumps(raw).encode()) == refusal(msgspec.Raw(json.dumps(raw).encode()))


def test_an_unknown_field_is_told_with_the_nearest_one():
    path, message = refusal(virtual_service(http=[{"retrys": {"attempts": 3}}]))
    assert path == "$.spec.http[0].retrys"
    assert message == "is no field of VirtualService (hint: did you mean retries?)"


def test_an_unknown_field_that_is_near_to_none_has_no_hint():
    path, message = refusal(virtual_service(zzzzzzzz=1))
    assert (path, message) == ("$.spec.zzzzzzzz", "is no field of VirtualService")


def test_a_missing_field_is_told():
    path, message = refusal({"metadata": {"name": "reviews"}})
    assert (path, message) == ("$.spec", "is missing")


@pytest.mark.parametrize(
    ("spec", "path", "hint"),
    [
        ({"http": {"route": []}}, "$.spec.http", "a list: start each entry with `-`"),
        ({"http": [{"timeout": 5}]}, "$.spec.http[0].timeout", "a duration with its unit, like 5s"),
        ({"http": [{"retries": 3}]}, "$.spec.http[0].retries", "fields of its own, not a list or a value"),
        (
            {"http": [{"match": [{"ignoreUriCase": "yes"}]}]},
            "$.spec.http[0].match[0].ignoreUriCase",
            "true or false, without quotes",
        ),
    ],
)
def test_a_usual_mistake_is_told_with_its_mend(spec, path, hint):
    where, message = refusal(virtual_service(**spec))
    assert where == path
    assert message.endswith(f" (hint: {hint})")


def test_all_that_the_shape_cannot_say_is_told_at_once():
    route = {"timeout": "soon", "route": [share(host="")]}
    path, message = refusal(virtual_service(http=[{}, route]))
    assert path == "$.spec.http[0]"
    assert "; $.spec.http[1].route[0].destination.host: is empty" in message
    assert "; $.spec.http[1].timeout: not a duration" in message


def test_a_star_is_a_host_of_gateways_only():
    routes = [{"route": [share()]}]
    path, _ = refusal(virtual_service(hosts=["a", "*"], http=routes))
    assert path == "$.spec.hosts[1]"
    assert decode(VIRTUAL_SERVICE, virtual_service(hosts=["*"], gateways=["edge"], http=routes))


def test_what_is_no_json_is_told():
    path, message = refusal(b"{")
    assert path == "$"
    assert message.startswith("is not JSON: ")


def test_what_the_shape_cannot_say_is_refused_as_well():
    path, _ = refusal(virtual_service(http=[{"route": [share(host="")]}]))
    assert path == "$.spec.http[0].route[0].destination.host"


def test_unknown_fields_of_kubernetes_objects_are_let_pass():
    found = decode(POD, {"metadata": {"name": "a", "managedFields": []}, "spec": {"containers": [{}]}})
    assert found.metadata.name == "a"


def test_times_stay_text():
    found = decode(POD, {"metadata": {"name": "a", "creationTimestamp": "2020-01-01T00:00:00Z"}})
    assert found.metadata.creation_timestamp == "2020-01-01T00:00:00Z"


def test_versions_and_generations_make_no_difference_to_the_mesh():
    def pod(**meta):
        return decode(POD, {"metadata": {"name": "a", **meta}})

    assert equal_for_mesh(pod(resourceVersion="1", generation=1), pod(resourceVersion="2", generation=2))
    assert not equal_for_mesh(pod(labels={"a": "b"}), pod(labels={"a": "c"}))
    assert not equal_for_mesh(pod(generation=1), pod(generation=2), with_generation=True)


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_every_version_of_configuration_is_one_kind(version):
    assert kind_of(f"networking.istio.io/{version}", "VirtualService") is VIRTUAL_SERVICE


@pytest.mark.parametrize(
    ("version", "name"), [("v1", "VirtualService"), ("networking.istio.io/v9", "Gateway"), ("v1", "Boat")]
)
def test_other_kinds_are_unknown(version, name):
    with pytest.raises(UnknownKind):
        kind_of(version, name)


def test_a_name_that_is_no_kind_is_unknown():
    with pytest.raises(UnknownKind, match="no kind is called 'Boat'"):
        kind_named("Boat")


def test_all_that_has_the_wrong_shape_is_told_at_once_and_what_else_is_wrong_besides():
    kind = kind_named("VirtualService")
    route = {"destination": {"host": "a", "weight": 9}, "weight": "x"}
    rule = {"timeout": 5, "retires": {}, "route": [route, {"destination": {}}]}
    with pytest.raises(InvalidConfig) as told:
        decode(
            kind,
            {"spec": {"hosts": "a", "http": [rule, {}], "tcp": [{"route": [{"destination": {"host": ""}}]}]}},
        )
    assert {path for path, _ in told.value.problems} == {
        "$.spec.hosts",
        "$.spec.http[0].timeout",
        "$.spec.http[0].retires",
        "$.spec.http[0].route[0].destination.weight",
        "$.spec.http[0].route[0].weight",
        "$.spec.http[0].route[1].destination.host",
        "$.spec.http[1]",
        "$.spec.tcp[0].route[0].destination.host",
    }


def test_a_field_at_the_wrong_place_is_told_where_it_stands():
    rule = {"route": [{"destination": {"host": "a", "weight": 9}}]}
    _, message = refusal(virtual_service(http=[rule]))
    assert message.endswith("(hint: it stands at spec.http[].route[].weight)")


def test_null_is_as_if_it_were_not_there():
    rule = {"match": None, "route": [{"destination": {"host": "a", "port": None}}], "timeout": None}
    found = decode(
        kind_named("VirtualService"), {"metadata": {"name": "v", "labels": None}, "spec": {"http": [rule]}}
    )
    assert found.spec.http[0].match == ()
    assert found.spec.http[0].timeout == ""


def test_a_choice_of_types_is_told_with_all_of_them():
    service = {"spec": {"ports": [{"port": 80, "targetPort": ["http"]}]}}
    path, message = refusal(service, kind_named("Service"))
    assert path == "$.spec.ports[0].targetPort"
    assert message == "is a list (hint: a whole number, without quotes, or text: put it in quotes)"


def test_what_is_said_of_parts_in_which_something_is_wrong_is_not_said_twice():
    raw = virtual_service(gateways=["edge"], http=[{"route": [share(weight="50")]}, {"timeout": "soon"}])
    with pytest.raises(InvalidConfig) as told:
        decode(VIRTUAL_SERVICE, raw)
    paths = [path for path, _ in told.value.problems]
    assert paths == ["$.spec.http[0].route[0].weight", "$.spec.http[1]", "$.spec.http[1].timeout"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.ref_kind)
def test_of_each_kind_all_that_has_the_wrong_shape_can_be_told(kind):
    """No kind has a field of a type that `shape` does not know."""
    for wrong in (5, "text", True, [], [[]], {"a": {}}, [{"a": 1}]):
        tree = {name: wrong for field in msgspec.structs.fields(kind.type) if (name := field.encode_name)}
        with suppress(InvalidConfig):
            decode(kind, tree)
        for part in parts(kind.type):
            shaped({field.encode_name: wrong for field in msgspec.structs.fields(part)}, part)
