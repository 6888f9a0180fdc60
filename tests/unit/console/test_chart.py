"""The Helm chart installs what `isthmus install` does, whatever its values say."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import random
from contextlib import suppress
from itertools import pairwise
from typing import get_args

import msgspec
import pytest

from fakes.helm import helm, written
from isthmus.api.described import hints
from isthmus.api.yaml import documents
from isthmus.console.chart.families import MOST_MADE, Choice, Fields, Items, Literal, TooMany, laid_over
from isthmus.console.chart.made import KEPT, files, spec_of, unfolded
from isthmus.console.chart.said import OWN, Role, values
from isthmus.console.install.reading import InvalidInstallation, Layer, settings
from isthmus.console.install.roles import ROLES
from isthmus.console.install.settings import Installation
from isthmus.console.installation import documents as installed
from unit.console.chart_settings import DRAWN

MOST_OF_A_SECRET = 1 << 20
"""In which Helm keeps what it installed. Source: Kubernetes' limit of a Secret's data."""


def take(taken, at):
    return dict(taken).get(at, 0)


def test_what_is_alike_stays_and_what_differs_is_decided():
    def make(taken):
        first, second = take(taken, 0), take(taken, 1)
        return {"a": 1, "b": first, **({"c": second} if first else {})}

    node = laid_over(make, [2, 3], beside=[0])
    assert isinstance(node, Fields)
    always, decided, sometimes = node.entries
    assert (always.there, always.node) == (None, Literal(1))
    assert decided.node == Choice((0,), {(0,): 0, (1,): 1})
    assert sometimes.there == Choice((0,), {(0,): False, (1,): True})
    assert sometimes.node == Choice((1,), {(0,): 0, (1,): 1, (2,): 2})


def test_items_are_known_by_their_names_and_keep_their_order():
    def make(taken):
        return [
            {"name": "a"},
            *([{"name": "b"}] if take(taken, 0) else []),
            *([{"name": "c"}] if take(taken, 1) else []),
        ]

    node = laid_over(make, [2, 2], beside=[0])
    assert isinstance(node, Items)
    assert [each.key for each in node.entries] == ["a", "b", "c"]


def test_what_too_many_decide_together_is_said_before_it_is_made():
    made = 0

    def make(taken):
        nonlocal made
        made += 1
        return [len(taken)]

    with pytest.raises(TooMany, match="decide together"):
        laid_over(make, [2] * 40)
    assert made == 41
    with pytest.raises(TooMany, match="too many"):
        laid_over(make, [2] * (MOST_MADE // 2), beside=range(4))
    assert made == 41


def test_each_value_is_told():
    lines = values().splitlines()
    untold = [
        line
        for before, line in pairwise(lines)
        if line and not line.lstrip().startswith("#") and not before.lstrip().startswith("#")
    ]
    assert untold == []


def leaves(of, at=""):
    for each in msgspec.structs.fields(of):
        kind = hints(of)[each.name]
        if isinstance(each.default, msgspec.Struct):
            yield from leaves(type(each.default), f"{at}{each.encode_name}.")
        else:
            assert kind
            yield f"{at}{each.encode_name}"


def test_the_chart_has_each_setting_and_each_role():
    assert sorted(leaves(Installation)) == sorted(DRAWN)
    assert {*get_args(Role)} == ROLES.keys()


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    return written(tmp_path_factory.mktemp("chart") / "isthmus", files())


@pytest.fixture
def rendered(chart, tmp_path):
    """What Helm makes of values."""

    def render(said, namespace="istio-system"):
        (tmp_path / "values.json").write_text(json.dumps(said))
        done = helm("template", "isthmus", chart, "-n", namespace, "-f", tmp_path / "values.json")
        assert done.returncode == 0, done.stderr
        return [each.value for each in documents(done.stdout) if each.value]

    return render


@pytest.mark.helm
def test_helm_has_nothing_to_say_against_the_chart(chart):
    done = helm("lint", "--strict", chart, "--set", "cluster=gke")
    assert done.returncode == 0, done.stdout


WRONG = {
    "cluster": {"cluster": ""},
    "clutser": {"cluster": "a", "clutser": "b"},
    "plainXds": {"cluster": "a", "pilot": {"plainXds": "yes"}},
    "resuorces": {"cluster": "a", "egressGateway": {"resuorces": {}}},
    "image": {"cluster": "a", "image": "two words"},
    "network": {"cluster": "a", "role": "eastwest"},
    "role": {"cluster": "a", "role": "mixer"},
    "timeoutSeconds": {"cluster": "a", "webhooks": {"timeoutSeconds": 31}},
    "injectionURL": {"cluster": "a", "injectionURL": "https://injector.example"},
    "/injectionURL": {"cluster": "a", "role": "remote", "injectionURL": "http://injector.example"},
    "/injectionRoots": {"cluster": "a", "role": "remote", "injectionRoots": "none"},
}


@pytest.mark.helm
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_and_named(chart, tmp_path, name):
    (tmp_path / "wrong.json").write_text(json.dumps(WRONG[name]))
    done = helm("template", "isthmus", chart, "-f", tmp_path / "wrong.json")
    assert done.returncode
    assert name in done.stderr


def by_name(found):
    """Objects as one compares them: by what they are, with texts of YAML unfolded."""
    return {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): unfolded(each)
        for each in copy.deepcopy(found)
    }


def without(found, kept):
    """The objects without the annotation by which Helm leaves them."""
    for each in found:
        for name in kept:
            each["metadata"]["annotations"].pop(name)
        if not each["metadata"]["annotations"]:
            del each["metadata"]["annotations"]
    return found


@pytest.mark.helm
@pytest.mark.parametrize("role", ["primary", "gateway-api"])
def test_kinds_and_the_namespace_come_too_and_stay(rendered, role):
    found = rendered({"cluster": "gke", "network": "net-1", "role": role, "withNamespace": True})
    stay = [each for each in found if each["kind"] in {"CustomResourceDefinition", "Namespace"}]
    wanted = installed(role, Installation(cluster="gke", network="net-1"))
    own = [each for each in wanted if each["kind"] in {"CustomResourceDefinition", "Namespace"}]
    assert by_name(without(stay, KEPT)) == by_name(own)
    assert {"Namespace", "CustomResourceDefinition"} >= {each["kind"] for each in stay}
    fewer = rendered({"cluster": "gke", "network": "net-1", "role": role, "definitions": False})
    assert len(fewer) == len(wanted) - len(own)


@pytest.mark.helm
def test_what_helm_keeps_of_a_release_fits_into_a_secret(rendered, chart):
    parts = [
        {"name": str(each.relative_to(chart)), "data": base64.b64encode(each.read_bytes()).decode()}
        for each in sorted(chart.rglob("*"))
        if each.is_file()
    ]
    manifest = json.dumps(rendered({"cluster": "gke"}))
    kept = gzip.compress(json.dumps({"chart": parts, "manifest": manifest}).encode())
    assert len(base64.b64encode(kept)) < 0.9 * MOST_OF_A_SECRET


def draw(drawn):
    """A role, and settings with which there is an installation of it."""
    often = drawn.choice((0.05, 0.3, 0.6))
    while True:
        said = {name: drawn.choice(some) for name, some in DRAWN.items() if drawn.random() < often}
        role = drawn.choice(
            (*(each for each in ROLES if each != "gateway-api"), "primary", "primary", "remote")
        )
        said |= {"cluster": "gke", **({"network": "net-1"} if role == "eastwest" else {})}
        if role == "primary":
            said.pop("injectionURL", None)
        with suppress(InvalidInstallation):
            return role, spec_of(said), settings([Layer("values", spec_of(said))])


@pytest.mark.helm
@pytest.mark.parametrize("seed", range(32))
def test_the_chart_installs_what_isthmus_install_does(rendered, seed):
    role, said, installation = draw(random.Random(seed))
    found = rendered(said | {"role": role, "definitions": False, "withNamespace": True})
    namespaces = [each for each in found if each["kind"] == "Namespace"]
    without(namespaces, KEPT)
    assert by_name(found) == by_name(installed(role, installation, with_definitions=False))


def test_values_that_are_only_the_charts_are_few():
    assert [each for each in OWN if each in {name.partition(".")[0] for name in DRAWN}] == []
