import pytest

from posthouse.errors import LookupFailed
from posthouse.lookup.address_keys import (
    Found,
    access_keys,
    find_address,
    lookup_address,
    mailbox_keys,
    rewriting_keys,
    transport_keys,
    with_extension,
)
from posthouse.lookup.client_keys import hostname_keys, network_keys
from posthouse.lookup.maps import open_maps_from
from posthouse.lookup.match_list import AddressList, HostList, MatchList, StringList


def texts(keys):
    return [key.text for key in keys]


def test_virtual_and_canonical_ask_from_the_whole_to_the_domain():
    assert texts(rewriting_keys("user+ext@example.com", "+", lambda domain: domain == "example.com")) == [
        "user+ext@example.com", "user@example.com", "user+ext", "user", "@example.com",
    ]  # fmt: skip
    assert texts(rewriting_keys("user@example.net", "+", lambda domain: False)) == ["user@example.net", "@example.net"]
    assert texts(rewriting_keys("a b@example.net", "", lambda domain: False))[0] == '"a b"@example.net'


def test_access_asks_for_the_domain_before_the_user():
    assert texts(access_keys("user+e@a.b.c", "+", parents_match=True)) == [
        "user+e@a.b.c", "user@a.b.c", "a.b.c", "b.c", "c", "user+e@", "user@",
    ]  # fmt: skip
    assert texts(access_keys("u@a.b.c", "", parents_match=False)) == ["u@a.b.c", "a.b.c", ".b.c", ".c", "u@"]


def test_transport_and_mailboxes():
    assert texts(transport_keys("u+e@a.b", "+", parents_match=False)) == ["u+e@a.b", "u@a.b", "a.b", ".b"]
    assert texts(mailbox_keys("u+e@a.b", "+")) == ["u+e@a.b", "u@a.b", "@a.b"]


def test_networks_lose_their_ends():
    assert list(network_keys("198.51.100.7")) == ["198.51.100.7", "198.51.100", "198.51", "198"]
    assert list(network_keys("2001:db8:1::7"))[:3] == ["2001:db8:1::7", "2001:db8:1:", "2001:db8:1"]
    assert list(hostname_keys("a.client.test", parents_match=True)) == ["a.client.test", "client.test", "test"]


async def test_what_was_left_out_comes_back_as_extension(settings):
    maps = open_maps_from(settings, ["inline:{ {user@example.com = other@example.net} }"])
    found = Found("other@example.net", "+ext", "user@example.com")
    assert lookup_address(maps, "user+ext@example.com", delimiters="+") == found
    assert await find_address(maps, "user+ext@example.com", delimiters="+") == found
    assert await find_address(maps, "user+ext@example.com") is None
    assert with_extension("other@example.net", "+ext") == "other+ext@example.net"


def view(settings, **values):
    return settings.with_overrides(values)


def test_the_first_match_of_a_list_decides(settings):
    own = HostList(view(settings, mynetworks="127.0.0.0/8 [::1]/128 !10.0.0.5 10.0.0.0/8 example.com"), "mynetworks")
    answers = [
        own.contains("unknown", address) for address in ("127.0.0.1", "::1", "10.0.0.5", "10.0.0.6", "192.0.2.1")
    ]
    assert answers == [True, True, False, True, False]
    assert own.contains("example.com", "192.0.2.1")


def test_parents_match_as_the_parameter_says(settings):
    both = {
        "relay_domains": "a.com .b.com",
        "mydestination": "a.com .b.com",
        "parent_domain_matches_subdomains": "relay_domains",
    }
    names = ("A.com", "s.a.com", "b.com", "s.b.com")
    assert [MatchList(view(settings, **both), "relay_domains").contains(name) for name in names] == [
        True,
        True,
        False,
        False,
    ]
    assert [MatchList(view(settings, **both), "mydestination").contains(name) for name in names] == [
        True,
        False,
        False,
        True,
    ]


async def test_lists_name_tables_and_files(settings, tmp_path):
    (tmp_path / "list").write_text("# c\nfile.example, !no.example\nother.example\n")
    some = MatchList(view(settings, mydestination=f"{tmp_path}/list inline:{{in.example=x}}"), "mydestination")
    assert [some.contains(name) for name in ("file.example", "no.example", "in.example", "x.example")] == [
        True, False, True, False,
    ]  # fmt: skip
    assert await some.matches("in.example")


def test_a_list_that_cannot_be_understood_fails(settings, tmp_path):
    with pytest.raises(LookupFailed, match="non-null host address bits"):
        HostList(view(settings, mynetworks="10.0.0.1/8"), "mynetworks").contains("x", "192.0.2.1")
    with pytest.raises(LookupFailed):
        MatchList(view(settings, mydestination=f"{tmp_path}/absent"), "mydestination").contains("x")
    with pytest.raises(LookupFailed):
        AddressList(view(settings, permit_mx_backup_networks="name"), "permit_mx_backup_networks").contains(
            "", "1.2.3.4"
        )


def test_strings_are_compared_as_a_whole(settings):
    users = StringList(view(settings, authorized_submit_users="!root, static:all"), "authorized_submit_users")
    assert not users.contains("root")
    assert users.contains("joe")
