"""Writes `monitoring/dashboard.json`: the control plane of a mesh, for Grafana, with the alerts' own expressions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "monitoring" / "dashboard.json"
_WIDTH, _HEIGHT, _ACROSS = 8, 7, 24


class Panel(NamedTuple):
    """A picture: what it shows, its queries with their legends, its unit, and what it is for."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    about: str = ""
    kind: str = "timeseries"


def _quantile(of: str, share: str, by: str = "") -> str:
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({grouped}) (rate({of}_bucket[$__rate_interval])))"


ROWS: dict[str, tuple[Panel, ...]] = {
    "The mesh": (
        Panel("Pilots", (('sum by (tag) (istio_build{component="pilot"})', "{{tag}}"),), kind="stat"),
        Panel(
            "Proxies",
            (("sum by (version) (pilot_xds)", "{{version}}"),),
            about="By the release of their agents.",
        ),
        Panel(
            "Clusters",
            (("max by (state, cluster_type) (istiod_managed_clusters) > 0", "{{state}} {{cluster_type}}"),),
            about="SYNCED is well; what is stale, kept or unreachable is served as it was.",
        ),
        Panel(
            "Services", (("max(pilot_services)", "services"), ("max(pilot_virt_services)", "VirtualServices"))
        ),
        Panel(
            "Endpoints that get no traffic",
            (
                ("max(pilot_endpoint_not_ready)", "not ready"),
                ("max(pilot_eds_no_instances)", "services without any"),
                ("max(endpoint_no_pod)", "without a known pod"),
            ),
        ),
        Panel(
            "Named twice",
            (
                ("max(pilot_vservice_dup_domain)", "hosts of VirtualServices"),
                ("max(pilot_destrule_subsets)", "subsets"),
                ("max(pilot_conflict_inbound_listener)", "ports of pods, with several protocols"),
            ),
            about="One of them counts: isthmus analyze",
        ),
        Panel(
            "Findings", (("max by (severity) (isthmus_findings)", "{{severity}}"),), about="isthmus analyze"
        ),
    ),
    "From a change to proxies": (
        Panel(
            "Convergence",
            tuple(
                (_quantile("pilot_proxy_convergence_time", share), f"p{share[2:]}")
                for share in ("0.50", "0.99")
            ),
            "s",
            "From a change to the answer being sent to a proxy.",
        ),
        Panel(
            "Changes", (("sum by (type) (rate(pilot_inbound_updates[$__rate_interval]))", "{{type}}"),), "ops"
        ),
        Panel("Pushes", (("sum by (type) (rate(pilot_xds_pushes[$__rate_interval]))", "{{type}}"),), "ops"),
        Panel(
            "What set them off",
            (("sum by (type) (rate(pilot_push_triggers[$__rate_interval]))", "{{type}}"),),
            "ops",
        ),
        Panel("One push", ((_quantile("pilot_xds_push_time", "0.99", "type"), "{{type}} p99"),), "s"),
        Panel(
            "Size of answers",
            ((_quantile("pilot_xds_config_size_bytes", "0.99", "type"), "{{type}} p99"),),
            "bytes",
        ),
        Panel(
            "Waiting",
            (
                (_quantile("pilot_debounce_time", "0.99"), "for quiet, p99"),
                (_quantile("pilot_proxy_queue_time", "0.99"), "for their turn, p99"),
                (_quantile("isthmus_mesh_build_seconds", "0.99"), "for the mesh, p99"),
            ),
            "s",
        ),
        Panel(
            "Events of API servers",
            (
                ("sum by (type) (rate(pilot_k8s_reg_events[$__rate_interval]))", "{{type}}"),
                ("sum by (type) (rate(pilot_k8s_cfg_events[$__rate_interval]))", "{{type}}"),
            ),
            "ops",
        ),
    ),
    "What goes wrong": (
        Panel(
            "Proxies that reject",
            tuple((f"count(pilot_xds_{kind}_reject)", kind.upper()) for kind in ("cds", "eds", "lds", "rds")),
        ),
        Panel(
            "Rejections",
            (("sum by (type) (rate(pilot_total_xds_rejects[$__rate_interval]))", "{{type}}"),),
            "ops",
        ),
        Panel("Proxies behind", (("sum(isthmus_proxies_behind)", "behind"),)),
        Panel(
            "Withheld",
            (("sum by (type) (increase(isthmus_xds_withheld_total[$__rate_interval]))", "{{type}}"),),
        ),
        Panel(
            "Callers refused",
            (
                (
                    "sum by (door, reason) (rate(isthmus_refused_total[$__rate_interval]))",
                    "{{door}}: {{reason}}",
                ),
            ),
            "ops",
        ),
        Panel(
            "Slow readers", (("sum(increase(pilot_xds_write_timeout[$__rate_interval]))", "streams ended"),)
        ),
    ),
    "Certificates": (
        Panel(
            "Signed",
            (
                ("sum(rate(citadel_server_success_cert_issuance_count[$__rate_interval]))", "signed"),
                ("sum by (reason) (rate(citadel_server_csr_errors[$__rate_interval]))", "{{reason}}"),
            ),
            "ops",
        ),
        Panel(
            "Ends in",
            (
                ("min(citadel_server_root_cert_expiry_seconds)", "root"),
                ("min(citadel_server_cert_chain_expiry_seconds)", "CAs"),
            ),
            "s",
        ),
        Panel(
            "Not proven",
            (("sum(rate(citadel_server_authentication_failure_count[$__rate_interval]))", "callers"),),
            "ops",
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row, here in ROWS.items():
        panels.append(
            _placed({"type": "row", "title": row, "collapsed": False, "panels": []}, (0, top, _ACROSS, 1))
        )
        top += 1
        for number, panel in enumerate(here):
            left = number * _WIDTH % _ACROSS
            panels.append(
                _placed(_panel(panel), (left, top + number * _WIDTH // _ACROSS * _HEIGHT, _WIDTH, _HEIGHT))
            )
        top += -(-len(here) * _WIDTH // _ACROSS) * _HEIGHT
    for number, each in enumerate(panels, start=1):
        each["id"] = number
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "title": "Isthmus: control plane",
        "uid": "isthmus-control-plane",
        "tags": ["isthmus", "istio"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }


def _placed(panel: dict[str, Any], at: tuple[int, int, int, int]) -> dict[str, Any]:
    return panel | {"gridPos": dict(zip("xywh", at, strict=True))}


def _panel(panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": source,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0 if panel.unit != "s" else None},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + number), "expr": expr, "legendFormat": legend, "datasource": source}
            for number, (expr, legend) in enumerate(panel.queries)
        ],
    }


def main() -> int:
    """0 when the file is written."""
    FILE.write_text(json.dumps(dashboard(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
