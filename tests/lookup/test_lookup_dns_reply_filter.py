import pytest

from posthouse.config.settings import from_text
from posthouse.lookup.dns_reply_filter import DnsReplyFilter, FilteredResolver
from posthouse.lookup.maps import open_maps
from posthouse.system.dns_answers import BAD_FILTER, DROPS_ALL, Answer, DnsFailed, Missing, Mx, NotFound
from posthouse.system.log import DaemonLog, MemorySink

RULES = r"""
/^mx\.example\.org\. 60 IN A 192\.0\.2\.1$/ ignore
/^example\.org\. 60 IN MX 10 mx\.example\.org\.$/ IGNORE
/^example\.net\. [0-9]+ IN TXT secret/ IGNORE
/ IN AAAA / IGNORE
/^bad\.example\. / REJECT
"""


@pytest.fixture
def sink():
    return MemorySink()


@pytest.fixture
def dns_filter(tmp_path, sink):
    (tmp_path / "rules").write_text(RULES)
    settings = from_text(f"smtp_dns_reply_filter = regexp:{tmp_path}/rules\n")
    maps = open_maps(settings, "smtp_dns_reply_filter")
    return DnsReplyFilter("smtp_dns_reply_filter", maps, DaemonLog("postfix/smtp", sink))


async def test_records_that_the_table_ignores_are_left_out_and_logged(dns_filter, sink):
    answer = Answer("example.org", "MX", (Mx(10, "mx.example.org"), Mx(20, "mx2.example.org")), 60)
    assert (await dns_filter.apply(answer)).records == (Mx(20, "mx2.example.org"),)
    assert sink.lines == ["postfix/smtp: ignoring DNS RR: example.org. 60 IN MX 10 mx.example.org."]


async def test_an_answer_without_such_records_stays_what_it_is(dns_filter):
    for answer in (
        Answer("example.org", "A", ("192.0.2.1",), 60),
        Answer("example.net", "TXT", ("open",), 5),
        NotFound("example.org", "A", Missing.NO_NAME),
        DnsFailed("example.org", "A"),
    ):
        assert await dns_filter.apply(answer) is answer


async def test_an_answer_of_which_nothing_is_left_is_a_failure_for_now(dns_filter):
    result = await dns_filter.apply(Answer("example.net", "TXT", ("secret",), 5))
    assert result == DnsFailed("example.net", "TXT", DROPS_ALL)
    assert result.text == "Error looking up name=example.net type=TXT: DNS reply filter drops all results"


async def test_a_word_that_is_no_action_is_a_failure_for_now_and_named(dns_filter, sink):
    result = await dns_filter.apply(Answer("bad.example", "NS", ("ns.example",), 5))
    assert result == DnsFailed("bad.example", "NS", BAD_FILTER)
    assert sink.lines == ['postfix/smtp: warning: smtp_dns_reply_filter: unknown DNS filter action: "REJECT"']


async def test_a_table_that_fails_is_a_failure_for_now(sink):
    settings = from_text("smtp_dns_reply_filter = fail:trouble\n")
    broken = DnsReplyFilter("smtp_dns_reply_filter", open_maps(settings, "smtp_dns_reply_filter"), DaemonLog("x", sink))
    assert await broken.apply(Answer("a.example", "A", ("192.0.2.1",), 5)) == DnsFailed("a.example", "A", BAD_FILTER)
    assert len(sink.lines) == 1


class Fixed:
    """A resolver that knows one host of each kind."""

    async def lookup(self, name, record_type):
        found = {"A": ("192.0.2.7",), "AAAA": ("2001:db8::7",), "MX": (Mx(10, "mx.example.org"),)}
        return Answer(name, record_type, found[record_type], 60)


async def test_addresses_of_a_host_are_what_the_filter_leaves(dns_filter):
    resolver = FilteredResolver(Fixed(), dns_filter)
    assert (await resolver.addresses("host.example", ("all",))).texts == ("192.0.2.7",)
    assert (await resolver.addresses("host.example", ("ipv6",))).reason == DROPS_ALL
    assert (await resolver.mx("example.org")).reason == DROPS_ALL
    assert (await resolver.mx("example.com")).exchangers == (Mx(10, "mx.example.org"),)
