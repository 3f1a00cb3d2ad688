"""Virtual Private Cloud in the fake: networks, subnets, security groups, addresses."""

import pytest
from grpc import StatusCode

from local.yandex_cloud.service import FOLDER_ID
from tests.support.yandex_api import Api, refused


def test_network_reads_back_as_it_was_written(api: Api) -> None:
    made = api.create("Network", name="net", description="ours", labels={"a": "b"})

    assert api.call("Network", "Get", network_id=made.id) == made
    assert (made.name, made.description, dict(made.labels)) == ("net", "ours", {"a": "b"})
    assert (len(made.id), made.id[:3], made.default_security_group_id[:3]) == (20, "enp", "enp")
    assert [one.id for one in api.call("Network", "List", folder_id=FOLDER_ID).networks] == [
        made.id
    ]


def test_second_network_of_a_name_is_refused(api: Api) -> None:
    api.create("Network", name="net")

    with refused(StatusCode.ALREADY_EXISTS, "Network with name net already exists"):
        api.create("Network", name="net")


def test_network_beyond_the_quota_is_refused(api: Api) -> None:
    for name in ("one", "two"):
        api.create("Network", name=name)

    with refused(StatusCode.RESOURCE_EXHAUSTED, "Quota limit vpc.networks.count exceeded"):
        api.create("Network", name="three")


def test_name_of_a_form_that_the_platform_refuses(api: Api) -> None:
    with refused(
        StatusCode.INVALID_ARGUMENT, "Request validation error: Name: invalid resource name"
    ):
        api.create("Network", name="net work")


def test_update_changes_what_the_mask_names_and_nothing_else(api: Api) -> None:
    made = api.create("Network", name="net", description="ours", labels={"a": "b"})

    api.call(
        "Network", "Update", network_id=made.id, update_mask={"paths": ["labels"]},
        description="ignored", labels={"c": "d"},
    )  # fmt: skip

    found = api.call("Network", "Get", network_id=made.id)
    assert (found.description, dict(found.labels)) == ("ours", {"c": "d"})


def test_update_of_an_unknown_field_is_refused(api: Api) -> None:
    made = api.create("Network", name="net")

    with refused(StatusCode.INVALID_ARGUMENT, "unknown field colour"):
        api.call("Network", "Update", network_id=made.id, update_mask={"paths": ["colour"]})


def test_network_with_a_subnet_cannot_be_deleted(api: Api) -> None:
    network, subnet = api.network()

    with refused(StatusCode.FAILED_PRECONDITION, f"Network with id {network.id} not empty"):
        api.call("Network", "Delete", network_id=network.id)

    api.call("Subnet", "Delete", subnet_id=subnet.id)
    api.call("Network", "Delete", network_id=network.id)
    with refused(StatusCode.NOT_FOUND, f"Network {network.id} not found"):
        api.call("Network", "Get", network_id=network.id)


@pytest.mark.parametrize(
    ("cidr", "words"),
    [
        ("10.1.0.1/24", "Illegal argument Cannot parse CIDR: 10.1.0.1/24"),
        ("10.1.0.0/33", "Illegal argument Cannot parse CIDR: 10.1.0.0/33"),
        ("10.0.0.0/8", "must be /16 to /28"),
        ("8.8.8.0/24", "is not in a private range"),
        ("10.1.0.128/25", "overlaps with 10.1.0.0/24"),
    ],
)
def test_subnet_with_a_wrong_range_is_refused(api: Api, cidr: str, words: str) -> None:
    network, _ = api.network()

    with refused(StatusCode.INVALID_ARGUMENT, words):
        api.create("Subnet", network_id=network.id, zone_id="ru-central1-b", v4_cidr_blocks=[cidr])


def test_subnet_in_an_unknown_zone_or_network_is_refused(api: Api) -> None:
    network, _ = api.network()

    with refused(StatusCode.NOT_FOUND, "Zone ru-central1-c not found"):
        api.create(
            "Subnet", network_id=network.id, zone_id="ru-central1-c", v4_cidr_blocks=["10.2.0.0/24"]
        )
    with refused(StatusCode.NOT_FOUND, "Network enpx not found"):
        api.create(
            "Subnet", network_id="enpx", zone_id="ru-central1-a", v4_cidr_blocks=["10.2.0.0/24"]
        )


def test_security_group_gives_each_rule_an_id_and_keeps_those_that_stay(api: Api) -> None:
    network, _ = api.network()
    rule = {
        "direction": "INGRESS", "protocol_name": "TCP", "ports": {"from_port": 22, "to_port": 22},
        "cidr_blocks": {"v4_cidr_blocks": ["10.0.0.0/8"]},
    }  # fmt: skip
    group = api.create("SecurityGroup", network_id=network.id, rule_specs=[rule, rule])
    first, second = group.rules

    api.call(
        "SecurityGroup", "UpdateRules", security_group_id=group.id,
        deletion_rule_ids=[first.id], addition_rule_specs=[{**rule, "description": "new"}],
    )  # fmt: skip

    found = api.call("SecurityGroup", "Get", security_group_id=group.id).rules
    assert found[0].id == second.id
    assert [one.description for one in found] == ["", "new"]
    assert all(one.protocol_number == 6 for one in found)


def test_security_group_rule_with_a_wrong_range_is_refused(api: Api) -> None:
    network, _ = api.network()
    rule = {"direction": "EGRESS", "cidr_blocks": {"v4_cidr_blocks": ["anywhere"]}}

    with refused(StatusCode.INVALID_ARGUMENT, "Cannot parse CIDR: anywhere"):
        api.create("SecurityGroup", network_id=network.id, rule_specs=[rule])


def test_protected_address_is_kept(api: Api) -> None:
    address = api.create(
        "Address", name="broker", external_ipv4_address_spec={"zone_id": "ru-central1-a"},
        deletion_protection=True,
    )  # fmt: skip
    assert address.external_ipv4_address.address

    with refused(StatusCode.FAILED_PRECONDITION, "has deletion protection enabled"):
        api.call("Address", "Delete", address_id=address.id)

    mask = {"paths": ["deletion_protection"]}
    api.call("Address", "Update", address_id=address.id, update_mask=mask)
    api.call("Address", "Delete", address_id=address.id)
