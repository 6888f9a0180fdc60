from __future__ import annotations

from isthmus.discovery.status_body import status_with

US, THEM = "istio.io/gateway-controller", "example.com/other"


def said(type_, status="True", since=None, **more):
    found = {"type": type_, "status": status, "reason": type_, "message": "", **more}
    return found if since is None else {**found, "lastTransitionTime": since}


def told(before, body):
    return status_with(before, body, US, "now")


def test_a_condition_that_holds_on_keeps_the_time_of_its_change():
    before = {"conditions": [said("Accepted", since="then"), said("Programmed", "Unknown", since="then")]}
    after = told(before, {"conditions": [said("Programmed"), said("Accepted", message="more")]})
    assert after["conditions"] == [
        said("Accepted", since="then", message="more"),
        said("Programmed", since="now"),
    ]


def test_conditions_of_others_stay_and_ours_that_are_not_told_any_more_go():
    before = {"conditions": [said("example.com/Seen", since="then"), said("PartiallyInvalid", since="then")]}
    after = told(before, {"conditions": [said("Accepted")]})
    assert after["conditions"] == [said("example.com/Seen", since="then"), said("Accepted", since="now")]


def parent(controller, name, *conditions):
    return {"parentRef": {"name": name}, "controllerName": controller, "conditions": list(conditions)}


def test_entries_of_other_controllers_are_never_touched():
    theirs = parent(THEM, "web", said("Accepted", "False", since="then"))
    before = {"parents": [parent(US, "old", said("Accepted", since="then")), theirs]}
    after = told(before, {"parents": [parent(US, "web", said("Accepted"))]})
    assert after == {"parents": [theirs, parent(US, "web", said("Accepted", since="now"))]}


def test_an_entry_about_the_same_parent_keeps_its_times():
    before = {"parents": [parent(US, "web", said("Accepted", since="then"))]}
    assert told(before, {"parents": [parent(US, "web", said("Accepted"))]}) == before


def test_nothing_is_said_of_an_object_that_is_not_ours_at_all():
    theirs = parent(THEM, "web", said("Accepted", since="then"))
    assert told({}, {"parents": []}) == {}
    assert told({"parents": [theirs]}, {"parents": []}) == {"parents": [theirs]}
    mine = parent(US, "web", said("Accepted", since="then"))
    assert told({"parents": [mine, theirs]}, {"parents": []}) == {"parents": [theirs]}


def test_listeners_are_told_by_name_and_those_that_are_gone_go():
    before = {
        "listeners": [
            {"name": "a", "attachedRoutes": 1, "conditions": [said("Accepted", since="then")]},
            {"name": "b", "attachedRoutes": 0, "conditions": []},
        ]
    }
    after = told(
        before, {"listeners": [{"name": "a", "attachedRoutes": 2, "conditions": [said("Accepted")]}]}
    )
    assert after["listeners"] == [
        {"name": "a", "attachedRoutes": 2, "conditions": [said("Accepted", since="then")]}
    ]


def test_other_fields_stand_as_told_and_none_takes_one_away():
    before = {"validationMessages": [{"code": "IST0101"}], "observedGeneration": 3, "kept": True}
    after = told(before, {"validationMessages": None, "observedGeneration": 4})
    assert after == {"observedGeneration": 4, "kept": True}
