"""Stages of a rotation: what each wants, and who is behind."""

from pathlib import Path

import msgspec
import pytest

from isthmus.ca import store
from isthmus.ca.founding import Founding, found
from isthmus.ca.rotation import Rotation, Stage, begin, prints, signer

NOW = 1_800_000_000.0
FORWARD = (Stage.TRUST, Stage.SIGN, Stage.FORGET)


def files(directory: Path) -> dict[str, bytes]:
    return store.read(directory)


def material(directory: Path) -> store.Material:
    return store.verify(files(directory), NOW)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two clusters under an old root, and the same under a new one."""
    for name in ("old", "new"):
        found(tmp_path / name, Founding(clusters=("east", "west"), organisation=name), NOW)
    return tmp_path


def rotation(place: Path, *changed: str) -> Rotation:
    before = {name: material(place / "old" / name) for name in ("east", "west")}
    return begin(before, {name: material(place / "new" / name) for name in changed}, NOW)


def roots(place: Path) -> set[str]:
    return prints((place / store.ROOT_CERT).read_bytes())


def test_each_stage_keeps_every_ca_of_the_stages_beside_it_trusted(place: Path):
    both = rotation(place, "east", "west")
    old, new = roots(place / "old"), roots(place / "new")
    assert [prints(both.at(stage).bundle("west")) for stage in FORWARD] == [old | new, old | new, new]
    back = (Stage.RETURN, Stage.WITHDRAW)
    assert [prints(both.at(stage).bundle("west")) for stage in back] == [old | new, old]
    signers = [both.at(stage).issuer("east") for stage in (*FORWARD, *back)]
    before, after = (signer(files(place / each / "east")) for each in ("old", "new"))
    assert signers == [before, after, after, before, before]


@pytest.mark.parametrize("stage", list(Stage))
def test_citadel_takes_what_each_stage_makes_of_the_files(place: Path, stage: Stage):
    at = rotation(place, "east", "west").at(stage)
    signs = files(place / ("new" if at.new_signs else "old") / "east")
    changed = at.changed("east", signs)
    store.verify(changed, NOW)
    held = prints(changed[store.ROOT_CERT])
    assert at.behind("east", held, signer(changed), exactly=True) == ""


def test_who_is_behind_is_told_why(place: Path):
    both = rotation(place, "east", "west")
    old, new = roots(place / "old"), roots(place / "new")
    before, after = (signer(files(place / each / "east")) for each in ("old", "new"))
    told = {
        Stage.TRUST: [(old, before, "does not trust the new root yet"), (old | new, before, "")],
        Stage.SIGN: [
            (old, before, "lacks a root"),
            (old | new, before, "has a certificate of the old CA still"),
            (old | new, after, ""),
        ],
        Stage.FORGET: [
            (old | new, after, "trusts the old root still"),
            (new, before, "has a certificate of the old CA still"),
            (new, after, ""),
        ],
        Stage.RETURN: [(old | new, after, "has a certificate of the new CA still"), (old | new, before, "")],
        Stage.WITHDRAW: [(old | new, before, "trusts the new root still"), (old, before, "")],
    }
    for stage, cases in told.items():
        for held, issuer, why in cases:
            assert both.at(stage).behind("west", held, issuer) == why, stage


def test_a_proxy_may_have_its_certificate_of_any_cluster_and_a_citadel_of_its_own_only(place: Path):
    both = rotation(place, "east", "west").at(Stage.SIGN)
    trusted, of_east = prints(both.bundle("west")), both.issuer("east")
    assert both.behind("west", trusted, of_east) == ""
    assert both.behind("west", trusted, of_east, exactly=True) != ""
    assert both.behind("a cluster without a CA", trusted, of_east) == ""


def test_a_root_that_another_cluster_keeps_is_not_retired(place: Path):
    one = rotation(place, "west")
    assert one.retired == ()
    assert one.at(Stage.SIGN).issuer("east") == signer(files(place / "old" / "east"))
    assert prints(one.at(Stage.FORGET).bundle("east")) == roots(place / "old") | roots(place / "new")


def test_a_new_ca_under_the_same_root_changes_no_root(tmp_path: Path):
    old = tmp_path / "old"
    found(old, Founding(clusters=("east",)), NOW)
    found(old, Founding(clusters=("east-2",)), NOW)
    one = begin({"east": material(old / "east")}, {"east": material(old / "east-2")}, NOW)
    assert one.retired == ()
    assert all(prints(one.at(stage).bundle("east")) == roots(old) for stage in Stage)
    held = roots(old)
    assert one.behind("east", held, one.issuer("east")) == ""
    assert one.at(Stage.SIGN).behind("east", held, one.issuer("east")) != ""


def test_a_rotation_is_kept_as_text_without_a_key(place: Path):
    one = rotation(place, "east", "west").at(Stage.SIGN)
    text = msgspec.json.encode(one)
    assert msgspec.json.decode(text, type=Rotation) == one
    assert b"PRIVATE" not in text
