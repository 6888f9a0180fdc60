"""Each case in this folder: what is wrong is found, by its code and place, and what is mended is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.console.reference_findings import Case, page, read_case
from isthmus.model.codes import Code

HERE = Path(__file__).parent
UNSHOWN = {Code.OTHER, Code.CLUSTER_AS_IT_WAS, Code.CLUSTER_NOT_KEPT, Code.CLUSTER_UNKNOWN}
"""Codes without a case here: the first stands for all that a newer Pilot may tell, and no manifest shows the others."""


def places(case: Case, text: str) -> set[tuple[str, str]]:
    return {(each.object, each.path) for each in case.found(text)}


CASES = sorted(HERE.glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_is_wrong_is_found_where_it_is(path: Path) -> None:
    case = read_case(path)
    assert places(case, case.wrong) == set(case.finds)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_is_mended_is_not_found_any_more(path: Path) -> None:
    case = read_case(path)
    assert places(case, case.mended) == set()


def test_each_code_has_a_case() -> None:
    shown = {path.stem for path in CASES}
    assert {code.number for code in Code if code not in UNSHOWN} == shown


ISTIOS = frozenset(
    f"IST{number:04}"
    for number in (
        1,
        2,
        *range(101, 104),
        *range(106, 114),
        116,
        118,
        119,
        122,
        123,
        *range(125, 172),
        173,
        174,
    )
)
"""The codes of Istio's analyzer; the numbers between them are given up, or were never given out."""


def test_each_code_of_istios_is_found_or_the_page_says_why_not() -> None:
    excused = {row.split(" ")[1] for row in page(HERE).splitlines() if row.startswith("| IST")}
    ours = {code.number for code in Code if code.number.startswith("IST")}
    assert ours | excused == ISTIOS
    assert not ours & excused
