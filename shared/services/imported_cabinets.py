"""The cabinets of an import: which are new, what changes of the others, and what fails."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.config import Settings
from shared.db import Row, Tx
from shared.errors import DeviceExists, InvalidRequest
from shared.models.cabinets import CabinetChange, CabinetRequest
from shared.models.imports import Outcomes
from shared.repo import cabinets as repo
from shared.services import cabinets
from shared.services.cabinets import Change


class Plan(NamedTuple):
    """What becomes of each cabinet, and what has to be written for it."""

    outcomes: Outcomes
    new: list[Row]
    changes: list[Change]

    def save(self, tx: Tx) -> None:
        """Write it. The lock on devices keeps others from registering the new cabinets."""
        cabinets.save(tx, self.changes)  # first: it may free devices that new cabinets get
        repo.insert(tx, self.new)


def plan(
    tx: Tx, requests: Sequence[CabinetRequest], locked: Mapping[str, Row], settings: Settings
) -> Plan:
    """Decide what becomes of each cabinet. `locked`: those that exist, by id.

    The caller has locked the devices, too.
    """
    outcomes: Outcomes = {}
    new: dict[str, Row] = {}
    changes: dict[str, Change] = {}
    for request in requests:
        id_ = request.cabinet_id
        try:
            cabinets.check_protocol(request.protocol)
            if id_ in locked:
                change = cabinets.planned(locked[id_], _change_of(request))
                if change.device_id is not None:
                    cabinets.check_device_id(change.device_id, settings)
                changes[id_] = change
            else:
                row = cabinets.new_row(request)
                cabinets.check_device_id(row["device_id"], settings)
                new[id_] = row
        except InvalidRequest as error:
            outcomes[id_] = error
    outcomes |= cabinets.cells_in_use(tx, changes.values())
    claims = [
        _claim_of(r.cabinet_id, new, changes) for r in requests if r.cabinet_id not in outcomes
    ]
    granted, refused = _grant_devices(tx, [claim for claim in claims if claim is not None])
    outcomes |= refused
    outcomes |= {id_: "created" for id_ in new if id_ not in outcomes}
    outcomes |= {
        id_: "unchanged" if change.after == change.before else "updated"
        for id_, change in changes.items()
        if id_ not in outcomes
    }
    order = [*(id_ for id_ in changes if id_ not in granted), *granted]
    return Plan(
        outcomes,
        [row for id_, row in new.items() if outcomes[id_] == "created"],
        [changes[id_] for id_ in order if id_ in changes and outcomes[id_] == "updated"],
    )


def _change_of(request: CabinetRequest) -> CabinetChange:
    """Return the change to the values that the item names; null says nothing of a device."""
    named = request.model_fields_set - {"cabinet_id"}
    return CabinetChange(**{name: getattr(request, name) for name in named})


class _Claim(NamedTuple):
    """A cabinet that is to get a device, and the one that it would give up for it."""

    cabinet_id: str
    device_id: str
    given_up: str | None


def _claim_of(id_: str, new: Mapping[str, Row], changes: Mapping[str, Change]) -> _Claim | None:
    if id_ in new:
        return _Claim(id_, new[id_]["device_id"], given_up=None)
    wanted = changes[id_].device_id
    return _Claim(id_, wanted, given_up=changes[id_].before["device_id"]) if wanted else None


def _grant_devices(tx: Tx, claims: list[_Claim]) -> tuple[list[str], Outcomes]:
    """Return the cabinets that get the device which they claim, in this order, and the others.

    The first that can have a device gets it. A device that another cabinet of the import gives up
    is free, wherever in the import that is: so the same import again changes nothing.
    """
    if not claims:
        return [], {}
    wanted = {claim.device_id for claim in claims}
    owners = {row["device_id"]: row["cabinet_id"] for row in repo.of_devices(tx, wanted)}
    granted: list[str] = []
    waiting, freed = claims, True
    while freed:
        freed, refused = False, []
        for claim in waiting:
            if claim.device_id in owners:
                refused.append(claim)
                continue
            owners[claim.device_id] = claim.cabinet_id
            granted.append(claim.cabinet_id)
            freed |= owners.pop(claim.given_up or "", None) is not None
        waiting = refused
    return granted, {
        claim.cabinet_id: DeviceExists(
            detail=f"Cabinet {owners[claim.device_id]} has the device {claim.device_id}."
        )
        for claim in waiting
    }
