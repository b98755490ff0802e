"""TLS to a controller whose certificate nobody signed: it is known by its fingerprint, and judged within the handshake,
so that no password and no key goes to anyone else."""

from __future__ import annotations

import hashlib
import hmac
import ssl

from bawaba.routers.drivers.unifi.options import bare


class UnknownCertificate(ssl.SSLError):
    """This is not the controller that the owner knows. `shown` is the fingerprint of what it showed, AA:BB:…"""

    def __init__(self, shown: str) -> None:
        super().__init__(1, f"the certificate {shown} is not the one that is known")
        self.shown = shown


def context(pin: str) -> ssl.SSLContext:
    """TLS that takes the certificate with this fingerprint (SHA-256, bare hex) and no other."""

    class Judged(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest().hex(":").upper()
            if not hmac.compare_digest(bare(shown), pin):
                raise UnknownCertificate(shown)

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE  # judged by its fingerprint instead
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.sslobject_class = Judged
    return made


def unknown_certificate(error: BaseException | None) -> UnknownCertificate | None:
    """The judgement that lies behind an error, if there is one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, UnknownCertificate):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
