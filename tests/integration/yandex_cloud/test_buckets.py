"""Buckets, their settings and objects."""

from pathlib import Path

import pytest
from grpc import StatusCode

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.cloud import TOKEN
from local.yandex_cloud.http import buckets
from tests.support.yandex_api import Api, refused
from tests.support.yandex_http import HttpApi, code, texts

BUCKET = "console-b1gfolder00000000001"
_GRANTS = """\
<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><AccessControlList><Grant>\
<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">\
<ID>ajeconsole0000000001</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList>\
<Owner><ID>b1gfolder00000000001</ID></Owner></AccessControlPolicy>"""


@pytest.fixture
def http(cloud: YandexCloud, api: Api) -> HttpApi:
    api.create("Bucket", name=BUCKET, anonymous_access_flags={"read": {"value": False}})
    return HttpApi(cloud)


def test_bucket_is_read_back_as_it_was_written(api: Api, http: HttpApi) -> None:
    found = api.call("Bucket", "Get", name=BUCKET)

    assert (found.name, found.default_storage_class) == (BUCKET, "STANDARD")
    assert found.anonymous_access_flags.HasField("read")
    assert not found.anonymous_access_flags.HasField("list")
    assert http.storage("HEAD", BUCKET).status_code == 200
    with refused(StatusCode.NOT_FOUND, "HTTPS configuration"):
        api.call("Bucket", "GetHTTPSConfig", name=BUCKET)


@pytest.mark.parametrize("name", ["Console", "a", "10.0.0.1", "a..b", "-console", "c" * 64])
def test_name_that_no_bucket_can_have_is_refused(api: Api, name: str) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, name):
        api.create("Bucket", name=name)


def test_second_bucket_of_one_name_is_refused(api: Api, http: HttpApi) -> None:
    with refused(StatusCode.ALREADY_EXISTS, "bucket name is not available"):
        api.create("Bucket", name=BUCKET)


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("policy", "NoSuchBucketPolicy"),
        ("cors", "NoSuchCORSConfiguration"),
        ("website", "NoSuchWebsiteConfiguration"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
    ],
)
def test_setting_that_was_not_written_is_an_error_with_its_code(
    http: HttpApi, setting: str, error: str
) -> None:
    assert code(http.storage("GET", BUCKET, f"?{setting}")) == (404, error)


def test_setting_is_read_as_it_was_written_until_it_is_deleted(http: HttpApi) -> None:
    document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert not texts(http.storage("GET", BUCKET, "?versioning"), "Status")

    http.storage("PUT", BUCKET, "?versioning", body=document)
    assert http.storage("GET", BUCKET, "?versioning").text == document

    assert http.storage("DELETE", BUCKET, "?versioning").status_code == 204
    assert not texts(http.storage("GET", BUCKET, "?versioning"), "Status")


def test_grants_are_read_as_they_were_written(cloud: YandexCloud, http: HttpApi) -> None:
    assert texts(http.storage("GET", BUCKET, "?acl"), "Permission") == ["FULL_CONTROL"]

    assert http.storage("PUT", BUCKET, "?acl", body=_GRANTS).status_code == 200

    assert http.storage("GET", BUCKET, "?acl").text == _GRANTS
    grant = {"id": "ajeconsole0000000001", "uri": "", "type": "CanonicalUser", "permission": "READ"}
    assert buckets.grants(cloud.state, BUCKET) == [grant]


def test_predefined_acl_replaces_the_grants(cloud: YandexCloud, http: HttpApi) -> None:
    http.storage("PUT", BUCKET, "?acl", body=_GRANTS)
    http.storage("PUT", BUCKET, "?acl", x_amz_acl="public-read")
    everybody = "http://acs.amazonaws.com/groups/global/AllUsers"
    found = http.storage("GET", BUCKET, "?acl")
    assert texts(found, "URI") == [everybody]
    # Where the provider's library finds the type, which no parser would require.
    space = "http://www.w3.org/2001/XMLSchema-instance"
    assert f'<Grantee xmlns:xsi="{space}" xsi:type="Group">' in found.text

    http.storage("PUT", BUCKET, "?acl", x_amz_acl="private")
    assert buckets.grants(cloud.state, BUCKET) == []


@pytest.mark.parametrize(
    ("body", "acl", "error"),
    [
        (_GRANTS.replace("READ", "READ_ALL"), "", "MalformedACLError"),
        ("<AccessControlPolicy>", "", "MalformedXML"),
        ("", "public", "InvalidArgument"),
    ],
)
def test_acl_that_is_not_valid_is_refused(
    cloud: YandexCloud, http: HttpApi, body: str, acl: str, error: str
) -> None:
    headers = {"x_amz_acl": acl} if acl else {}

    assert code(http.storage("PUT", BUCKET, "?acl", body=body, **headers)) == (400, error)
    assert buckets.grants(cloud.state, BUCKET) == []


def test_object_has_its_content_and_headers(http: HttpApi) -> None:
    put = http.storage(
        "PUT", BUCKET, "1f/app/main.js", body=b"let a", Content_Type="text/javascript",
        Cache_Control="no-cache",
    )  # fmt: skip
    found = http.storage("GET", BUCKET, "1f/app/main.js")

    assert found.content == b"let a"
    names = ("Content-Type", "Cache-Control", "ETag")
    assert [found.headers[name] for name in names] == [
        "text/javascript",
        "no-cache",
        put.headers["ETag"],
    ]
    assert texts(http.storage("GET", BUCKET, "?list-type=2&prefix=1f/"), "Key") == [
        "1f/app/main.js"
    ]
    assert code(http.storage("GET", BUCKET, "1f/app/other.js")) == (404, "NoSuchKey")


def test_tags_of_an_object_are_its_own(http: HttpApi) -> None:
    http.storage("PUT", BUCKET, "a", body=b"1")
    tags = "<Tagging><TagSet><Tag><Key>by</Key><Value>hand</Value></Tag></TagSet></Tagging>"
    http.storage("PUT", BUCKET, "a?tagging", body=tags)

    assert texts(http.storage("GET", BUCKET, "a?tagging"), "Value") == ["hand"]
    http.storage("DELETE", BUCKET, "a?tagging")
    assert not texts(http.storage("GET", BUCKET, "a?tagging"), "Value")


def test_bucket_with_objects_is_not_deleted(api: Api, http: HttpApi) -> None:
    http.storage("PUT", BUCKET, "a", body=b"1")
    assert code(http.storage("DELETE", BUCKET)) == (409, "BucketNotEmpty")
    with refused(StatusCode.FAILED_PRECONDITION, "not empty"):
        api.call("Bucket", "Delete", name=BUCKET)

    assert texts(http.storage("GET", BUCKET, "?versions"), "VersionId") == ["null"]
    objects = "<Delete><Object><Key>a</Key><VersionId>null</VersionId></Object></Delete>"
    http.storage("POST", BUCKET, "?delete", body=objects)

    assert http.storage("DELETE", BUCKET).status_code == 204
    assert http.storage("HEAD", BUCKET).status_code == 404
    with refused(StatusCode.NOT_FOUND, BUCKET):
        api.call("Bucket", "Get", name=BUCKET)


def test_settings_of_a_deleted_bucket_are_not_those_of_the_next(api: Api, http: HttpApi) -> None:
    http.storage("PUT", BUCKET, "?acl", body=_GRANTS)
    http.storage("DELETE", BUCKET)
    api.create("Bucket", name=BUCKET)

    assert texts(http.storage("GET", BUCKET, "?acl"), "Permission") == ["FULL_CONTROL"]


def test_object_is_there_after_a_restart(directory: Path) -> None:
    with YandexCloud(directory) as cloud:
        Api(cloud).create("Bucket", name=BUCKET)
        HttpApi(cloud).storage("PUT", BUCKET, "index.html", body=b"<p>")

    with YandexCloud(directory) as cloud:
        assert HttpApi(cloud).storage("GET", BUCKET, "index.html").content == b"<p>"


def test_request_without_a_token_or_with_an_unknown_key_is_refused(http: HttpApi) -> None:
    url = f"http://{BUCKET}.storage.yandexcloud.net/?acl"
    signed = "AWS4-HMAC-SHA256 Credential=YCAJEnone/20261201/ru-central1/s3/aws4_request"

    assert code(http.get(url)) == (403, "AccessDenied")
    assert code(http.get(url, Authorization=signed)) == (403, "InvalidAccessKeyId")
    assert http.get(url, Authorization=f"Bearer {TOKEN}").status_code == 200


@pytest.mark.parametrize("path", ["?replication", "?inventory", "a?acl", "a?uploads"])
def test_request_that_the_fake_does_not_know_is_named(http: HttpApi, path: str) -> None:
    response = http.storage("GET", BUCKET, path)

    assert code(response) == (501, "NotImplemented")
    assert path.partition("?")[2] in response.text


def test_host_that_the_fake_does_not_serve_is_named(http: HttpApi) -> None:
    response = http.get("http://registry.example/v1")

    assert (response.status_code, response.text) == (502, "registry.example is not in this fake\n")
