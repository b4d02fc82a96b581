"""Who issued the certificate that a domain shows on port 443."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from poisonscan.errors import SettingsError
from poisonscan.fetch.resolver import endpoint, permit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poisonscan.config import DomainSettings

_PORT = 443
UNTRUSTED = "untrusted"
"""Instead of an issuer: the certificate is expired, self-signed or another name's."""


class Certificates:
    """Opens one TLS connection a domain and reads the issuer of a certificate that can be trusted.

    Raises:
        SettingsError: `tls_connect_to`, `tls_authorities` or `allow_addresses` cannot be used.
    """

    def __init__(self, settings: DomainSettings) -> None:
        self._settings = settings
        self._permit = permit_of(settings)
        self._only = endpoint("tls_connect_to", settings.tls_connect_to) if settings.tls_connect_to else None
        self._context = ssl.create_default_context()
        if settings.tls_authorities:
            try:
                self._context.load_verify_locations(settings.tls_authorities)
            except OSError as error:
                raise SettingsError(
                    f"setting tls_authorities: {settings.tls_authorities} cannot be used: {error}"
                ) from error

    async def issuer(self, domain: str, addresses: Sequence[str]) -> str | None:
        """The issuing organisation, `UNTRUSTED`, or None if nothing answers in TLS.

        Args:
            domain: the name to ask for (SNI).
            addresses: of the domain; those that the guard refuses are left out.
        """
        if self._only is not None:
            return await self._look(domain, *self._only)
        allowed = [a for a in addresses if self._permit.why_refused(a) is None]
        return await self._look(domain, allowed[0], _PORT) if allowed else None

    async def _look(self, domain: str, address: str, port: int) -> str | None:
        try:
            async with asyncio.timeout(self._settings.tls_timeout_s):
                _, writer = await asyncio.open_connection(
                    address, port, ssl=self._context, server_hostname=domain
                )
        except ssl.SSLCertVerificationError:
            return UNTRUSTED
        except (OSError, TimeoutError):
            return None
        certificate = writer.get_extra_info("peercert")
        writer.transport.abort()  # nothing was said, so there is nothing to say goodbye for
        return _organisation(certificate)


def _organisation(certificate: dict[str, Any]) -> str:
    parts = {name: value for pairs in certificate.get("issuer", ()) for name, value in pairs}
    return str(parts.get("organizationName") or parts.get("commonName") or UNTRUSTED)
