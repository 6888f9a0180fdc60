"""A node that runs nothing: for what reads objects and writes files."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.lab.apiserver.tokens import Tokens
from isthmus.lab.kubelet.node import Node
from isthmus.lab.spec import TALK


def quiet_node(api, folder):
    """A node of the first cluster of the talk, without a network."""
    tokens = Tokens(ec.generate_private_key(ec.SECP256R1()), api.store, api.clock)
    return Node(TALK.clusters[0], api, tokens, None, None, None, folder)
