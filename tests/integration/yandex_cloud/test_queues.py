"""Queues, by the calls that manage them."""

from pathlib import Path

import pytest

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.service import CLOUD_ID, FOLDER_ID
from tests.support.yandex_api import Api
from tests.support.yandex_http import QUEUES, HttpApi, code, texts

QUEUE = "events-dead-letters"


def _key(api: Api, *roles: str) -> str:
    """Return a static key of a new service account with these roles in the folder."""
    account = api.create("ServiceAccount", name=f"queues-{len(roles)}")
    deltas = [
        {
            "action": "ADD",
            "access_binding": {
                "role_id": role,
                "subject": {"id": account.id, "type": "serviceAccount"},
            },
        }
        for role in roles
    ]
    if deltas:
        api.call(
            "Folder", "UpdateAccessBindings", resource_id=FOLDER_ID, access_binding_deltas=deltas
        )
    made = api.call("AccessKey", "Create", service_account_id=account.id)
    return str(made.access_key.key_id)


@pytest.fixture
def http(cloud: YandexCloud) -> HttpApi:
    return HttpApi(cloud)


@pytest.fixture
def key(api: Api) -> str:
    return _key(api, "ymq.admin")


def _attributes(http: HttpApi, key: str, url: str) -> dict[str, str]:
    found = http.queues(key, "GetQueueAttributes", QueueUrl=url, AttributeName__1="All")
    return dict(zip(texts(found, "Name"), texts(found, "Value"), strict=True))


def test_queue_has_the_attributes_that_were_given_and_the_defaults(http: HttpApi, key: str) -> None:
    made = http.queues(
        key, "CreateQueue", QueueName=QUEUE, Attribute__1__Name="MessageRetentionPeriod",
        Attribute__1__Value="1209600",
    )  # fmt: skip
    (url,) = texts(made, "QueueUrl")
    prefix, queue_id, name = url.rsplit("/", 2)

    assert (prefix, name) == (f"https://{QUEUES}/{CLOUD_ID}", QUEUE)
    assert queue_id.startswith("dj6")
    assert _attributes(http, key, url) == {
        "DelaySeconds": "0",
        "MaximumMessageSize": "262144",
        "MessageRetentionPeriod": "1209600",
        "QueueArn": f"yrn:yc:ymq:ru-central1:{FOLDER_ID}:{QUEUE}",
        "ReceiveMessageWaitTimeSeconds": "0",
        "VisibilityTimeout": "30",
    }


def test_attributes_and_tags_change(http: HttpApi, key: str) -> None:
    (url,) = texts(http.queues(key, "CreateQueue", QueueName=QUEUE), "QueueUrl")
    http.queues(
        key, "SetQueueAttributes", QueueUrl=url, Attribute__1__Name="DelaySeconds",
        Attribute__1__Value="5",
    )  # fmt: skip
    http.queues(key, "TagQueue", QueueUrl=url, Tag__1__Key="by", Tag__1__Value="hand")

    assert _attributes(http, key, url)["DelaySeconds"] == "5"
    assert texts(http.queues(key, "ListQueueTags", QueueUrl=url), "Value") == ["hand"]
    http.queues(key, "UntagQueue", QueueUrl=url, TagKey__1="by")
    assert not texts(http.queues(key, "ListQueueTags", QueueUrl=url), "Value")


def test_same_queue_again_is_the_queue_and_another_of_its_name_is_refused(
    http: HttpApi, key: str
) -> None:
    (url,) = texts(http.queues(key, "CreateQueue", QueueName=QUEUE), "QueueUrl")
    assert texts(http.queues(key, "CreateQueue", QueueName=QUEUE), "QueueUrl") == [url]

    other = http.queues(
        key, "CreateQueue", QueueName=QUEUE, Attribute__1__Name="DelaySeconds",
        Attribute__1__Value="5",
    )  # fmt: skip
    assert code(other) == (400, "QueueAlreadyExists")


def test_deleted_queue_does_not_exist(http: HttpApi, key: str) -> None:
    (url,) = texts(http.queues(key, "CreateQueue", QueueName=QUEUE), "QueueUrl")
    assert http.queues(key, "DeleteQueue", QueueUrl=url).status_code == 200

    gone = (400, "AWS.SimpleQueueService.NonExistentQueue")
    assert code(http.queues(key, "GetQueueAttributes", QueueUrl=url)) == gone
    assert code(http.queues(key, "GetQueueUrl", QueueName=QUEUE)) == gone


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"QueueName": "dead letters"}, "InvalidParameterValue"),
        ({"QueueName": "q" * 81}, "InvalidParameterValue"),
        (
            {"Attribute__1__Name": "MessageRetentionPeriod", "Attribute__1__Value": "1209601"},
            "InvalidAttributeValue",
        ),
        ({"Attribute__1__Name": "Retention", "Attribute__1__Value": "1"}, "InvalidAttributeName"),
    ],
)
def test_queue_that_cannot_be_is_refused(
    http: HttpApi, key: str, fields: dict[str, str], error: str
) -> None:
    response = http.queues(key, "CreateQueue", **{"QueueName": QUEUE, **fields})

    assert code(response) == (400, error)
    assert code(http.queues(key, "GetQueueUrl", QueueName=QUEUE))[0] == 400


def test_account_without_the_role_may_not_manage_queues(api: Api, http: HttpApi) -> None:
    response = http.queues(_key(api), "CreateQueue", QueueName=QUEUE)

    assert code(response) == (403, "AccessDeniedException")
    assert "queues-0 needs the role ymq.admin" in response.text


def test_key_that_does_not_exist_is_refused(http: HttpApi) -> None:
    response = http.queues("YCAJEnone", "CreateQueue", QueueName=QUEUE)

    assert code(response) == (403, "InvalidAccessKeyId")


def test_call_that_the_fake_does_not_know_is_named(http: HttpApi, key: str) -> None:
    response = http.queues(key, "ReceiveMessage", QueueUrl="none")

    assert code(response) == (501, "NotImplemented")
    assert "ReceiveMessage" in response.text


def test_queue_is_there_after_a_restart(directory: Path) -> None:
    with YandexCloud(directory) as cloud:
        key = _key(Api(cloud), "ymq.admin")
        (url,) = texts(HttpApi(cloud).queues(key, "CreateQueue", QueueName=QUEUE), "QueueUrl")

    with YandexCloud(directory) as cloud:
        found = HttpApi(cloud).queues(key, "GetQueueUrl", QueueName=QUEUE)
        assert texts(found, "QueueUrl") == [url]
