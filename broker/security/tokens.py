"""What a delegation token is (KIP-48): a name and a key, with which a client is who has asked for them, for a while.

The token's id is public. Its HMAC, made of the id with the cluster's secret, is what its holder proves to have: it is
never kept, and can be made again at any time.

Source: TokenInformation, DelegationTokenManager.createHmac.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from broker.security.principals import Principal


class DelegationToken(NamedTuple):
    """One token. Times are wall-clock milliseconds; it is valid until `expires`, and cannot be renewed beyond
    `lives_until`."""

    token_id: str
    owner: Principal
    requester: Principal
    renewers: tuple[Principal, ...]
    issued: int
    expires: int
    lives_until: int

    def is_over(self, now: int) -> bool:
        """Whether it is not valid any more."""
        return self.expires < now or self.lives_until < now

    def may_be_renewed_by(self, principal: Principal) -> bool:
        """Whether this client may prolong or end it."""
        return principal == self.owner or principal in self.renewers

    def belongs_to(self, principal: Principal) -> bool:
        """Whether this client sees it without any permission."""
        return principal == self.requester or self.may_be_renewed_by(principal)


def hmac_of(secret: str, token_id: str) -> bytes:
    """The key of the token with this id."""
    return hmac.digest(secret.encode(), token_id.encode(), "sha512")
