"""Where addresses that callers name may lead."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dirigent.core.errors import Invalid
from dirigent.core.ports import Origin
from dirigent.net import guard
from dirigent.net.address import Address, harmless, public


class Names:
    """A resolver that gives the same for every name, and remembers for which it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.addresses


async def nobody(host: str, port: int) -> Sequence[str]:
    raise OSError(f"{host} is unknown")


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
        await guard(url, nobody)


async def test_a_public_address_is_returned_with_where_to_connect() -> None:
    found = await guard("https://8.8.8.8/a/b?c=d#e", nobody)

    assert found.origin == Origin("8.8.8.8", 443, tls=True)
    assert found.path == "/a/b?c=d"
    assert found.addresses == ("8.8.8.8",)


async def test_a_public_address_of_the_sixth_version_keeps_its_port() -> None:
    found = await guard("http://[2001:4860:4860::8888]:8080", nobody)

    assert found.origin == Origin("2001:4860:4860::8888", 8080, tls=False)
    assert found.path == "/"


# --- addresses --------------------------------------------------------------------------------------------------------

PUBLIC = ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"]
PUBLIC += ["128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255"]
PUBLIC += ["192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"]
PUBLIC += ["2001:200::", "2001:4860:4860::8888", "2606:4700::1111", "2a00::1", "3ffe::1"]
PUBLIC += ["::ffff:8.8.8.8", "64:ff9b::808:808"]

PRIVATE = ["10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.0", "127.255.255.255"]
PRIVATE += ["172.16.0.0", "172.31.255.255", "192.0.2.1", "192.168.0.0", "192.168.255.255"]
PRIVATE += ["198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1"]
PRIVATE += ["::1", "fc00::", "fd12:3456::1", "fdff::1", "2001:db8::1", "3fff::1", "2001:20::1", "2001:2::1"]
PRIVATE += ["::ffff:10.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "64:ff9b::c0a8:1"]

HARMFUL = ["0.0.0.0", "0.255.255.255", "100.100.100.200", "168.63.129.16", "169.254.0.0", "169.254.169.254"]  # noqa: S104  nobody binds to it
HARMFUL += ["169.254.255.255", "192.0.0.192", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"]
HARMFUL += ["255.255.255.255", "::", "::7f00:1", "100::1", "5f00::1", "fe80::1", "febf::1", "fec0::1", "ff02::1"]
HARMFUL += [
    "2001::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "64:ff9b:1::1",
    "64:ff9b::a9fe:a9fe",
    "::ffff:169.254.169.254",
]
HARMFUL += ["::ffff:0:127.0.0.1", "fd00:ec2::254", "fd20:ce::254", "4000::1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_what_stands_in_the_internet_may_be_asked(address: str) -> None:
    assert public(ipaddress.ip_address(address))
    assert harmless(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_what_stands_in_a_private_network_may_be_asked_only_where_the_operator_says_so(address: str) -> None:
    assert not public(ipaddress.ip_address(address))
    assert harmless(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", HARMFUL)
def test_where_a_machines_credentials_are_nobody_asks_whatever_the_operator_says(address: str) -> None:
    assert not public(ipaddress.ip_address(address))
    assert not harmless(ipaddress.ip_address(address))


@given(st.ip_addresses())
@example(ipaddress.ip_address("2001:db8::"))
def test_nothing_is_public_of_which_the_standard_library_knows_better(address: Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    meant = mapped or address
    special = (
        meant.is_private,
        meant.is_loopback,
        meant.is_link_local,
        meant.is_multicast,
        meant.is_unspecified,
        meant.is_reserved and meant not in ipaddress.IPv6Network("64:ff9b::/96"),
    )

    assert not (public(address) and any(special))
    assert harmless(address) or not public(address)


@given(st.ip_addresses(v=4))
def test_an_address_of_the_fourth_version_is_judged_the_same_in_each_form_that_means_it(
    address: ipaddress.IPv4Address,
) -> None:
    number = int(address)
    mapped = ipaddress.IPv6Address(0xFFFF_0000_0000 | number)
    translated = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | number)
    local = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b:1::")) | number)

    assert public(mapped) is public(translated) is public(address)
    assert harmless(mapped) is harmless(translated) is harmless(address)
    assert not harmless(ipaddress.IPv6Address(number << 80 | 0x2002 << 112))
    assert not harmless(local)


# --- URLs -------------------------------------------------------------------------------------------------------------


@given(st.ip_addresses(v=4), st.sampled_from(["d", "x", "o", "xxxx", "oooo", "ddd", "dx", "padded"]))
async def test_another_spelling_of_a_number_never_gets_as_far_as_a_resolver(
    address: ipaddress.IPv4Address, form: str
) -> None:
    number, (a, b, c, d) = int(address), address.packed
    spelled = {
        "d": f"{number}",
        "x": f"0x{number:x}",
        "o": f"0{number:o}",
        "xxxx": f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        "oooo": f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        "ddd": f"{a}.{b}.{c << 8 | d}",
        "dx": f"{a}.0x{number & 0xFFFFFF:x}",
        "padded": f"{a:04}.{b:04}.{c:04}.{d:04}",
    }
    names = Names("8.8.8.8")

    with pytest.raises(Invalid):
        await guard(f"http://{spelled[form]}/", names)

    assert names.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://user@example.org/",
        "http://:pass@example.org/",
        "http://@example.org/",
        "http://example.org:0/",
        "http://example.org:22/",
        "http://example.org:25/",
        "http://example.org:6379/",
        "http://example.org:6667/",
        "http://example.org:65536/",
        "http://example.org:-1/",
        "http://example.org:8_0/",
        "http://example.org\\@127.0.0.1/",
        "http://example.org\r\nHost: x/",
        "http://example.org/a b",
        "http://exam\tple.org/",
        " http://example.org/",
        "http://[fe80::1%25eth0]/",
        "http://[v1.x]/",
        "http://%31%32%37.0.0.1/",
        "http://127.0.0.1%00.example.org/",
        "http://example..org/",
        "http://.example.org/",
        "http://example.org../",
        "http://-example.org/",
        "http://exa$mple.org/",
        "http://" + "a" * 64 + ".org/",
        "http://straße.de/",
        "http://a\u200db.org/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://①.org." + "x" * 300 + "/",
        "http://localhost./",
        "http://a.LOCALHOST/",
        "http://printer.local/",
        "http://metadata.google.internal/",
        "http://example.1/",
        "http://example.0x/",
        "ftp://example.org/",
        "data:text/plain,x",
        "https:example.org",
        "https:///example.org",
        "http://example.org/" + "a" * 9000,
    ],
)
async def test_an_odd_address_is_refused_before_anybody_is_asked_for_it(url: str) -> None:
    names = Names("8.8.8.8")

    with pytest.raises(Invalid):
        await guard(url, names)

    assert names.asked == []


@given(st.text(max_size=60) | st.from_regex(r"https?://[\[\]0-9a-fx.:@%/\\。１]{1,40}", fullmatch=True))
async def test_whatever_is_written_it_is_refused_or_leads_where_the_guard_looked(url: str) -> None:
    names = Names("8.8.8.8")

    try:
        found = await guard(url, names)
    except Invalid:
        return

    assert found.addresses == (("8.8.8.8",) if names.asked else (found.origin.host,))
    assert public(ipaddress.ip_address(found.addresses[0]))
    assert found.path.startswith("/")
    assert found.path.isascii()
    assert found.path.isprintable()
    assert " " not in found.path


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(Invalid, match=r"^the host pictures\.example is not on the public internet$"):
        await guard("https://pictures.example/", Names("8.8.8.8", "10.0.0.1"))


async def test_an_unknown_host_and_a_forbidden_one_get_the_same_words() -> None:
    with pytest.raises(Invalid) as unknown:
        await guard("http://db.example/", nobody)
    with pytest.raises(Invalid) as forbidden:
        await guard("http://db.example/", Names("10.0.0.7"))

    assert unknown.value.message == forbidden.value.message


@pytest.mark.parametrize(
    ("written", "host", "path"),
    [
        ("https://PICTURES.example./a", "pictures.example", "/a"),
        ("https://bücher.example/ä?q=ü&r=%20#x", "xn--bcher-kva.example", "/%C3%A4?q=%C3%BC&r=%20"),
        ("https://bücher。example", "xn--bcher-kva.example", "/"),
        ("https://a_b.example/'\"<>", "a_b.example", "/'%22%3C%3E"),
        ("https://pictures.example?x", "pictures.example", "/?x"),
    ],
)
async def test_a_name_and_a_path_are_sent_in_the_one_form_that_all_understand(
    written: str, host: str, path: str
) -> None:
    names = Names("8.8.8.8", "2606:4700::1111", "8.8.8.8")

    found = await guard(written, names)

    assert (found.origin, found.path) == (Origin(host, 443, tls=True), path)
    assert found.addresses == ("8.8.8.8", "2606:4700::1111")
    assert names.asked == [(host, 443)]


async def test_what_the_operator_allows_is_not_told_to_be_public() -> None:
    found = await guard("http://wiki.intranet:8080/a", Names("10.0.0.7"), harmless)

    assert found.addresses == ("10.0.0.7",)
    assert not found.public
