"""Webhooks reach public addresses only, however an address is written."""

import pytest

from shared.webhooks.addresses import (
    AddressRefused,
    NameNotFound,
    checked_addresses,
    parse,
    resolve,
    why_not_public,
)

SPELLINGS_OF_LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1.",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "0",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "[::]",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
]


@pytest.mark.parametrize("host", SPELLINGS_OF_LOOPBACK)
def test_no_spelling_of_the_loopback_address_is_accepted(host: str) -> None:
    with pytest.raises((AddressRefused, NameNotFound)):
        checked_addresses(parse(f"https://{host}/hook", allow_private=False), allow_private=False)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.254",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.19.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::ffff:169.254.169.254",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "5f00::1",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert why_not_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "198.20.0.1",
        "223.255.255.254",
        "2a02:6b8::1",
        "2606:4700:4700::1111",
        "::ffff:1.1.1.1",
    ],
)
def test_public_addresses_are_accepted(address: str) -> None:
    assert why_not_public(address) is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://hooks.example/", "must begin with https://"),
        ("ftp://hooks.example/", "must begin with https://"),
        ("hooks.example", "must begin with https://"),
        ("https://", "host name"),
        ("https:///path", "host name"),
        ("https://user@hooks.example/", "user name"),
        ("https://hooks.example@127.0.0.1/", "user name"),
        ("https://hooks.example\\@127.0.0.1/", "must be a URL"),
        ("https://hooks.example/a b", "must be a URL"),
        ("https://hooks.example/\r\nX-Header: 1", "must be a URL"),
        ("https://hooks.exam\tple/", "must be a URL"),
        ("https://hooks.example/#part", "fragment"),
        ("https://hooks.example:0/", "port"),
        ("https://hooks.example:65536/", "must be a URL"),
        ("https://hooks.example:x/", "must be a URL"),
        ("https://[::1/", "must be a URL"),
        ("https://[fe80::1%25eth0]/", "host name"),
        ("https://a..example/", "host name"),
        (f"https://{'a' * 64}.example/", "host name"),
        ("https://hooks.example/\u043f\u0443\u0442\u044c", "percent-encoded"),
        (f"https://hooks.example/{'a' * 2000}", "at most 2000 characters"),
    ],
)
def test_a_url_that_is_no_https_url_is_refused_with_the_reason(url: str, message: str) -> None:
    with pytest.raises(AddressRefused, match=message):
        parse(url, allow_private=False)


def test_a_url_is_taken_apart() -> None:
    target = parse("https://Hooks.Example:8443/a?b=c", allow_private=False)
    assert (target.host, target.port, target.path) == ("hooks.example", 8443, "/a?b=c")
    assert target.authority == "hooks.example:8443"


def test_an_international_name_is_encoded() -> None:
    target = parse("https://b\u00fccher.example/", allow_private=False)
    assert target.host == "xn--bcher-kva.example"


def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    target = parse("https://hooks.example/", allow_private=False)
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1, to which hooks\.example resolves"):
        checked_addresses(target, allow_private=False, resolver=lambda *_: ["1.1.1.1", "10.0.0.1"])


def test_the_local_cloud_may_allow_http_and_the_loopback() -> None:
    target = parse("http://127.0.0.1:8000/hook", allow_private=True)
    assert checked_addresses(target, allow_private=True) == ["127.0.0.1"]


def test_a_name_that_does_not_exist_is_named() -> None:
    with pytest.raises(NameNotFound, match=r"nowhere\.invalid"):
        resolve("nowhere.invalid", 443, 30)
