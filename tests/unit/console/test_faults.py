"""What is wrong in manifests, with its place, in every form of output."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from isthmus.console.cli import main
from isthmus.console.fault_filter import FOUND

TEXT = """apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.0.0.1, ports: [{port: 9080, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
    - timeout: soon
      route:
        - destination: {host: reviews}
          weight: 30
        - destination: {host: reviews}
          weight: 70
      match:
        - uri: {exact: /a, prefix: /b}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: lost
spec:
  hosts: [lost.example.com]
  http:
    - route:
        - destination:
            host: review
---
apiVersion: networking.istio.io/v1
kind: Hovercraft
metadata: {name: eels}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text(TEXT)
    return path


def run(*words, stdin=""):
    return CliRunner().invoke(main, [str(word) for word in words], input=stdin)


def faults(*words):
    return json.loads(run(*words, "-o", "json").stdout)


def test_all_that_is_wrong_with_an_object_is_told_with_its_lines(file):
    found = faults("validate", "-f", file)
    assert [(each["object"], each["path"], each["line"]) for each in found] == [
        ("VirtualService default/reviews", "$.spec.http[0].match[0].uri", 20),
        ("VirtualService default/reviews", "$.spec.http[0].timeout", 13),
        ("Hovercraft default/eels", "$.kind", 34),
    ]
    assert {each["code"] for each in found} == {"IST0106"}
    assert run("validate", "-f", file).exit_code == FOUND


def test_how_objects_fit_together_is_told_too_and_each_thing_once(file):
    found = faults("analyze", file)
    assert len(found) == len({(each["object"], each["path"]) for each in found})
    (lost,) = [each for each in found if each["object"] == "VirtualService default/lost"]
    assert (lost["code"], lost["line"]) == ("IST0101", 31)
    assert "did you mean reviews" in lost["message"]


def test_people_read_a_line_each_with_the_place_first(file):
    first, *_ = run("validate", "-f", file).stdout.splitlines()
    place = "error [IST0106] VirtualService default/reviews: $.spec.http[0].match[0].uri: needs exactly one"
    assert first.startswith(f"{file}:20: {place}")


def test_yaml_says_what_json_says(file):
    assert yaml.safe_load(run("analyze", file, "-o", "yaml").stdout) == faults("analyze", file)


def test_reviews_of_code_get_each_fault_at_its_line(file):
    (told,) = json.loads(run("analyze", file, "-o", "sarif").stdout)["runs"]
    rules = {each["id"]: each["name"] for each in told["tool"]["driver"]["rules"]}
    assert rules["IST0101"] == "ReferencedResourceNotFound"
    places = {
        (each["ruleId"], each["level"], each["locations"][0]["physicalLocation"]["region"]["startLine"])
        for each in told["results"]
    }
    assert {("IST0106", "error", 13), ("IST0106", "warning", 34), ("IST0101", "error", 31)} <= places


def test_nothing_wrong_is_success_from_standard_input_too():
    right = TEXT.split("---", maxsplit=1)[0]
    done = run("validate", "-f", "-", stdin=right)
    assert (done.exit_code, done.stdout) == (0, "nothing found\n")
    assert run("validate", "-f", "-", stdin="a: [").exit_code == FOUND


def test_a_file_that_is_no_yaml_is_told_and_others_go_on(file, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    found = faults("analyze", broken, file)
    assert found[0]["object"] == f"File {broken}"
    assert len(found) == 4


REDIRECTED_AND_REWRITTEN = """apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: web}]
  rules:
    - filters:
        - {type: RequestRedirect, requestRedirect: {hostname: b.example.com}}
        - {type: URLRewrite, urlRewrite: {hostname: c.example.com}}
"""


@pytest.mark.parametrize("words", [("validate", "-f"), ("analyze",)])
def test_filters_that_cannot_be_together_are_told_once_by_either_command(words, file):
    file.write_text(REDIRECTED_AND_REWRITTEN)
    result = run(*words, file)
    assert result.exit_code == FOUND
    assert result.output.count("have both a RequestRedirect and a URLRewrite (hint: one of both)") == 1
    assert f"{file}:13: error [IST0171] HTTPRoute default/shop: $.spec.rules[0].filters: " in result.output


def test_a_delegate_that_is_refused_itself_is_not_called_missing(tmp_path):
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    root = "{hosts: [web], http: [{match: [{uri: {prefix: /x}}], delegate: {name: page}}]}"
    wrong = "{http: [{routes: []}]}"
    path = tmp_path / "mesh.yaml"
    path.write_text(
        f"{head}metadata: {{name: root}}\nspec: {root}\n---\n{head}metadata: {{name: page}}\nspec: {wrong}\n"
    )
    assert [(each["object"], each["code"]) for each in faults("analyze", path)] == [
        ("VirtualService default/page", "IST0106")
    ]
