"""A message shows only the cabinet that sent it to be online."""

from tests.support.service import Service


def test_a_cabinet_whose_accumulator_is_reported_by_another_one_does_not_become_online(
    service: Service,
) -> None:
    service.add_cabinet("C-1", charges=[95])
    other = service.add_cabinet("C-2")
    service.advance_time(200)
    before = service.get("/v1/cabinets/C-1")
    assert not before["online"]

    moved = service.cabinets["C-1"].cells[1].accumulator
    assert moved is not None
    other.pry_open(3)
    service.put(3, moved, "C-2")

    after = service.get("/v1/cabinets/C-1")
    assert (after["online"], after["last_seen_at"]) == (False, before["last_seen_at"])
    assert service.get("/v1/cabinets/C-2")["online"]
    assert (
        service.cell(3, "C-2")["accumulator_id"] == "C-1.A-1"
    )  # the message concerned both cabinets
    service.check_invariants()


def test_after_a_batch_exactly_the_cabinets_that_sent_its_messages_are_online(
    service: Service,
) -> None:
    cabinets = {id_: service.add_cabinet(id_, charges=[95]) for id_ in ("C-1", "C-2", "C-3")}
    service.advance_time(200)
    cabinets["C-2"].cells[4].accumulator = cabinets["C-1"].cells[1].accumulator

    service.deliver(*[(id_, cabinets[id_].state_report()) for id_ in ("C-2", "C-3")])

    online = {id_: service.get(f"/v1/cabinets/{id_}")["online"] for id_ in cabinets}
    assert online == {"C-1": False, "C-2": True, "C-3": True}
