from __future__ import annotations

import pytest

from isthmus.api.core.service import ServicePort
from isthmus.model.protocol import protocol_of
from isthmus.model.service import Protocol


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"name": "http"}, Protocol.HTTP),
        ({"name": "http-web"}, Protocol.HTTP),
        ({"name": "HTTP-web"}, Protocol.HTTP),
        ({"name": "http2"}, Protocol.HTTP2),
        ({"name": "http2-x"}, Protocol.HTTP2),
        ({"name": "grpc"}, Protocol.GRPC),
        ({"name": "grpc-web"}, Protocol.GRPC_WEB),
        ({"name": "grpc-web-x"}, Protocol.GRPC_WEB),
        ({"name": "grpc-website"}, Protocol.GRPC),
        ({"name": "https-x"}, Protocol.HTTPS),
        ({"name": "tls"}, Protocol.TLS),
        ({"name": "tcp-x"}, Protocol.TCP),
        ({"name": "mongo"}, Protocol.MONGO),
        ({"name": "mysql"}, Protocol.MYSQL),
        ({"name": "redis"}, Protocol.REDIS),
        ({"name": "httpx"}, Protocol.UNSPECIFIED),
        ({"name": "web"}, Protocol.UNSPECIFIED),
        ({"name": ""}, Protocol.UNSPECIFIED),
        ({"name": "web", "port": 3306}, Protocol.TCP),
        ({"name": "http", "port": 3306}, Protocol.HTTP),
        ({"name": "http", "protocol": "UDP"}, Protocol.UDP),
        ({"name": "tcp", "app_protocol": "http"}, Protocol.HTTP),
        ({"name": "tcp", "app_protocol": "kubernetes.io/h2c"}, Protocol.HTTP2),
        ({"name": "http", "app_protocol": "example.com/own"}, Protocol.UNSPECIFIED),
    ],
)
def test_the_protocol_of_a_port(port, protocol):
    assert protocol_of(ServicePort(**{"port": 80, **port})) is protocol


def test_requests_are_routed_on_http_only():
    assert {each for each in Protocol if each.is_http} == {
        Protocol.HTTP,
        Protocol.HTTP2,
        Protocol.GRPC,
        Protocol.GRPC_WEB,
    }
