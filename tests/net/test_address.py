"""Where addresses that callers name may lead."""

from __future__ import annotations

import pytest

from dirigent.core.errors import Invalid
from dirigent.core.ports import Origin
from dirigent.net import guard


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8080/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://172.16.5.4/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[ff02::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "https://no.such.host.invalid/",
        "https://user@8.8.8.8/",
        "https://:secret@8.8.8.8/",
        "file:///etc/passwd",
        "gopher://8.8.8.8/",
        "//8.8.8.8/",
        "http:///x",
        "http://8.8.8.8:99999/",
        "http://[::1/",
        "nonsense",
        "",
    ],
)
async def test_an_address_that_does_not_lead_into_the_internet_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        await guard(url)


async def test_a_public_address_is_returned_with_where_to_connect() -> None:
    found = await guard("https://8.8.8.8/a/b?c=d#e")

    assert found.origin == Origin("8.8.8.8", 443, tls=True)
    assert found.path == "/a/b?c=d"
    assert found.addresses == ("8.8.8.8",)


async def test_a_public_address_of_the_sixth_version_keeps_its_port() -> None:
    found = await guard("http://[2001:4860:4860::8888]:8080")

    assert found.origin == Origin("2001:4860:4860::8888", 8080, tls=False)
    assert found.path == "/"
