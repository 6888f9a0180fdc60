"""The names of a running pod: from the file that its agent keeps to the rows that people see."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from isthmus.console.explain_dns import explained, text_of
from isthmus.console.proxy_names import names_of
from isthmus.console.render import render_rows
from isthmus.console.shown import show
from isthmus.model.name_table import Named, alias, entry
from isthmus.sidecar.ads_messages import Resource, answer_of
from isthmus.sidecar.dns_names import Names
from isthmus.sidecar.pod_names import PodTable


@pytest.fixture
def kept(tmp_path: Path) -> PodTable:
    """What the command beside a pod prints, read again."""
    body = entry("stars.default.svc.cluster.local", Named(("240.240.0.9",), "stars", "default"))
    body += alias("shop.default.svc.cluster.local", "shop.example.com")
    (tmp_path / "NameTable.binpb").write_bytes(answer_of([Resource("names/0", "1", body)]))
    here = PodTable.here({"POD_NAMESPACE": "default"}, tmp_path)
    return msgspec.json.decode(show(here).encode(), type=PodTable)


def test_the_table_of_a_pod_is_shown_in_rows(kept: PodTable) -> None:
    shown = render_rows(names_of(kept))
    assert [" ".join(line.split()) for line in shown.splitlines()] == [
        "NAME ADDRESSES STANDS FOR",
        "shop.default.svc.cluster.local - shop.example.com",
        "stars.default.svc.cluster.local 240.240.0.9 -",
    ]


def test_a_name_is_explained_by_the_table_of_the_pod(kept: PodTable) -> None:
    names = Names(kept.table, kept.namespace, kept.domain, ("default.svc.cluster.local",))
    found = explained("caller", "stars", names, ("default.svc.cluster.local",))
    assert "240.240.0.9" in text_of(found)
    assert "shop.example.com" in text_of(explained("caller", "shop", names, ("default.svc.cluster.local",)))


def test_a_pod_that_was_told_nothing_has_no_table(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"NameTable\.binpb"):
        PodTable.here({}, tmp_path)
