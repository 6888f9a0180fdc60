"""A node that runs nothing: for what reads objects and writes files."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.tokens import Tokens
from isthmus.lab.kubelet.node import Node
from isthmus.lab.spec import TALK


def quiet_node(api, folder):
    """A node of the first cluster of the talk, without a network."""
    tokens = Tokens(ec.generate_private_key(ec.SECP256R1()), api.store, api.clock)
    return Node(TALK.clusters[0], api, GivenTokens(tokens), None, None, None, folder)


class GivenTokens:
    """Satisfies `GivesTokens` without a control plane, for as long as it `is_there`."""

    def __init__(self, tokens):
        self.verify, self._issue = tokens.verify, tokens.issue
        self.is_there = True

    async def token(self, grant):
        if not self.is_there:
            raise ApiError(503, "ServiceUnavailable", "nobody answers")
        return self._issue(grant)
