from __future__ import annotations

from prometheus_client import Metric

from isthmus.kit import metrics


def test_every_metric_of_the_house_is_exposed_once_with_its_help():
    found: list[Metric] = list(metrics.REGISTRY.collect())
    assert len({each.name for each in found}) == len(found)
    text = metrics.exposition().decode()
    assert all(f"# HELP {each.name}" in text and each.documentation for each in found)
