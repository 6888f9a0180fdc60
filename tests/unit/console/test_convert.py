from __future__ import annotations

import yaml
from click.testing import CliRunner

from isthmus.console.cli import main

RULE = """
# who is jason
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: reviews-default%s}
spec:
  destination: {name: reviews}
  route: [{labels: {version: v1}}]
"""
OTHER = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"


def run(*arguments, **more):
    return CliRunner().invoke(main, ["convert", *(str(each) for each in arguments)], **more)


def test_rules_become_todays_kinds_in_yaml(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(RULE % "")
    found = run("-f", path)
    assert found.exit_code == 0
    destination, virtual = yaml.safe_load_all(found.stdout)
    assert (destination["kind"], virtual["kind"]) == ("DestinationRule", "VirtualService")
    assert virtual["apiVersion"] == "networking.istio.io/v1"
    assert "namespace" not in virtual["metadata"]
    assert "#" not in found.stdout
    assert "15s" in found.stderr  # what was the default then


def test_the_same_comes_from_several_files_in_any_order_and_from_standard_input(tmp_path):
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(RULE % "")
    other.write_text((RULE % "").replace("reviews", "ratings"))
    wanted = run("-f", one, "-f", other).stdout
    assert wanted == run("-f", other, "-f", one).stdout
    assert wanted == run("-f", "-", input=one.read_text() + "---" + other.read_text()).stdout


def test_a_list_is_its_objects():
    items = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(RULE % "")]})
    assert "VirtualService" in run("-f", "-", input=items).stdout


def test_a_namespace_may_be_given_for_those_who_say_none():
    found = run("-f", "-", "-n", "shop", input=RULE % "")
    assert {each["metadata"]["namespace"] for each in yaml.safe_load_all(found.stdout)} == {"shop"}


def test_objects_of_other_kinds_are_left_out_and_told():
    found = run("-f", "-", input=OTHER)
    assert (found.exit_code, found.stdout) == (0, "")
    assert "warning: stdin:1: v1 Service is no kind of 2018" in found.stderr


def test_what_cannot_be_converted_is_told_and_ends_in_one():
    lost = RULE % "" + "  l4Fault: {throttle: {}}\n"
    found = run("-f", "-", input=lost)
    assert found.exit_code == 1
    assert "error: RouteRule reviews-default: $.spec.l4Fault" in found.stderr
    assert "VirtualService" in found.stdout


def test_what_is_wrong_is_told_with_its_place_and_the_rest_is_converted():
    wrong = (RULE % "").replace("{name: reviews}", "{nam: reviews}")
    found = run(
        "-f", "-", input=wrong + "---" + RULE % "-2" + "---" + (RULE % "-3").replace("{name: reviews}", "{}")
    )
    assert found.exit_code == 1
    assert "$.spec.destination.nam: is no field of RouteRule (hint: did you mean name?)" in found.stderr
    assert "RouteRule reviews-default-3: $.spec.destination: has neither name nor service" in found.stderr
    assert "reviews-default-2" in found.stdout


def test_what_is_no_yaml_is_told():
    found = run("-f", "-", input="a: [")
    assert found.exit_code == 1
    assert "is not YAML" in found.stderr


def test_a_folder_stands_for_all_manifests_in_it(tmp_path):
    (tmp_path / "one.yaml").write_text(RULE % "")
    (tmp_path / "other.yml").write_text((RULE % "").replace("reviews", "ratings"))
    found = run("-f", tmp_path)
    assert found.exit_code == 0
    names = {each["metadata"]["name"] for each in yaml.safe_load_all(found.stdout)}
    assert names == {"reviews", "ratings"}
    missing = run("-f", tmp_path / "none")
    assert (missing.exit_code, "there is no such file" in missing.stderr) == (1, True)
