"""An API server that knows tokens by a table, in place of TokenReview."""

from __future__ import annotations

from isthmus.ca.vouching import Review, ReviewUnavailable
from isthmus.model.signing import AUDIENCE


class FakeReviewer:
    """Says whose a token is by the table `accounts`: token to `namespace:account`."""

    def __init__(self, accounts: dict[str, str], audiences: tuple[str, ...] = (AUDIENCE,)) -> None:
        self.accounts, self.audiences = accounts, audiences
        self.asked: list[str] = []
        self.away = False

    async def review(self, token: str, audience: str) -> Review:
        self.asked.append(token)
        if self.away:
            raise ReviewUnavailable("cannot have the token reviewed: no answer")
        account = self.accounts.get(token)
        if account is None or audience not in self.audiences:
            return Review(error="unknown token")
        return Review(f"system:serviceaccount:{account}", self.audiences)
