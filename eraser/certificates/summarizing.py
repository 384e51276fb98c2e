"""Makes a lot's summary of what the ledger has on record and of the certificates themselves."""

import asyncio
from collections.abc import Iterable

from eraser.certificates.filed import FiledCertificates
from eraser.certificates.keys import TrustedKeys, station_keys
from eraser.certificates.lot_summary import FORMAT, VERSION, Listed, LotSummary, Standing
from eraser.certificates.verifying import verify
from eraser.domain.certificate import Certificate
from eraser.domain.custody import own_serial, world_wide_name
from eraser.domain.drive import Identity
from eraser.ledger.certificate_index import MAX_PAGE, Indexed, Search
from eraser.ledger.lots import Lots


async def summarize(filed: FiledCertificates, lots: Lots, lot_id: str, station: str, made_at: str) -> LotSummary:
    """The lot as the ledger and the files have it; each certificate is verified with the station's trusted keys.

    Raises UsageError for a lot that is not there, CertificateError for a certificate that is not, or not to be believed: a
    summary that leaves one out would say something else.
    """
    arrivals = await lots.arrivals(lot_id)
    await filed.index.refresh()
    items = await _found(filed, lot_id)
    trusted = await asyncio.to_thread(station_keys, filed.folders.keys)
    certificates = [(item, await asyncio.to_thread(_verified, filed, item, trusted)) for item in items]
    listed = tuple(_listed(certificates))
    drives = {_drive_of(certificate.drive.identity, item.certificate_id) for item, certificate in certificates}
    host = certificates[-1][1].station.id if certificates else station  # as the plant calls it
    without = max(0, arrivals.arrived - len(drives))
    return LotSummary(FORMAT, VERSION, lot_id, host, made_at, arrivals.arrived, without, listed)


async def _found(filed: FiledCertificates, lot_id: str) -> list[Indexed]:
    """In the log's order."""
    found: list[Indexed] = []
    after: int | None = None
    while True:
        page = await filed.index.search(Search(lot_id=lot_id), after=after, limit=MAX_PAGE)
        found += page.found
        after = page.after
        if after is None:
            return found[::-1]


def _verified(filed: FiledCertificates, item: Indexed, trusted: TrustedKeys) -> Certificate:
    return verify(filed.read(item), trusted).certificate


def _listed(certificates: list[tuple[Indexed, Certificate]]) -> Iterable[Listed]:
    newest = {
        _drive_of(certificate.drive.identity, item.certificate_id): item.number
        for item, certificate in certificates
        if item.withdrawn is None
    }
    for item, certificate in certificates:
        done, drive = certificate.sanitization, certificate.drive
        standing = Standing(certificate.outcome.value)
        if item.withdrawn is not None:
            standing = Standing.WITHDRAWN
        elif newest[_drive_of(drive.identity, item.certificate_id)] != item.number:
            standing = Standing.REPLACED
        yield Listed(
            certificate_id=item.certificate_id,
            digest=item.digest,
            index=item.number,
            standing=standing,
            outcome=certificate.outcome,
            serial=drive.identity.serial,
            model=drive.identity.model or drive.path,
            property_tag=certificate.provenance.property_tag,
            capacity_bytes=drive.geometry.capacity_bytes,
            standard=done.standard,
            level=done.level_reached.value if done.level_reached is not None else "",
            passes=len(certificate.passes),
            verification=done.verification_asked.value,
            rulebooks=tuple(claim.rulebook for claim in certificate.rulebooks.claims if claim.holds),
            issued_at=certificate.issued_at,
        )


def _drive_of(identity: Identity, otherwise: str) -> str:
    """One name for one drive; a drive that does not say who it is stands for itself."""
    return own_serial(identity) or world_wide_name(identity) or otherwise
