from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from isthmus.console import dashboards
from isthmus.console.cli import dashboard
from isthmus.console.dashboards import Place
from isthmus.kube.kubeconfig import Access


@pytest.fixture
def found(monkeypatch):
    async def place_of(*_):
        return Place(Access(server="https://127.0.0.1:1"), "istio-system", "pilot")

    monkeypatch.setattr(dashboards, "place_of", place_of)


@pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.1"])
def test_where_nobody_can_listen_is_said(found, address):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = CliRunner().invoke(dashboard.command, ["pilot", "--address", address, "--port", port])
    assert ran.exit_code == 1
    assert f"cannot listen on {address}: " in ran.stderr
    assert "hint: --port 0" in ran.stderr


def test_a_port_that_is_none_is_an_error_of_the_command():
    ran = CliRunner().invoke(dashboard.command, ["pilot", "--port", "99999"])
    assert ran.exit_code == 2
    assert "99999 is not in the range" in ran.stderr
