"""Access tokens: short-lived, signed, and good for nothing but naming a sign-in.

What the person may do is read from the database each time, so that a change of role or a sign-out bites at once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from jwt.types import Options

ALGORITHM = "HS256"
NAME = "bawaba"  # both issuer and audience: we issue them for ourselves
LIFE = timedelta(minutes=15)
CLAIMS = ["sub", "sid", "iat", "exp", "jti", "iss", "aud"]


@dataclass(frozen=True, slots=True)
class Claims:
    """Whom a token speaks for, by which sign-in, until when."""

    user_id: int
    login_id: int
    expires_at: datetime


def generate_token(key: bytes, user_id: int, login_id: int, now: datetime) -> str:
    """Sign an access token that is good for `LIFE`."""
    claims = {
        "iss": NAME,
        "aud": NAME,
        "sub": str(user_id),
        "sid": login_id,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFE).timestamp()),
        "jti": secrets.token_hex(8),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def read_token(key: bytes, token: str, now: datetime) -> Claims | None:
    """What a token says, or None when it is not ours or over. Judged by our steady clock, not the machine's."""
    checks: Options = {"require": CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
    try:
        said = jwt.decode(token, key, algorithms=[ALGORITHM], issuer=NAME, audience=NAME, options=checks)
        claims = Claims(int(said["sub"]), int(said["sid"]), datetime.fromtimestamp(int(said["exp"]), UTC))
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
        return None
    return claims if now < claims.expires_at else None
