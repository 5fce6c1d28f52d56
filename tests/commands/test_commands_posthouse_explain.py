"""posthouse explain: the decision on a mail that nobody has sent, and the story of one that came."""

from __future__ import annotations

import json

import pytest

from posthouse.commands import posthouse_explain

MASTER = """\
smtp      inet  n       -       n       -       -       smtpd
submission inet n       -       n       -       -       smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
smtp      unix  -       -       n       -       -       smtp
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
"""
MAIN = """\
compatibility_level = 3.6
myhostname = mail.example.com
mydestination = $myhostname, localhost
mynetworks = 10.0.0.0/8
inet_interfaces = 127.0.0.1
maillog_file = @CONF@/maillog
maillog_file_prefixes = @CONF@
virtual_mailbox_domains = example.org
virtual_mailbox_base = /srv/mail
virtual_mailbox_maps = inline:{info@example.org=example.org/info/}
virtual_alias_maps = inline:{ {list@example.org = info@example.org, root@localhost} }
alias_maps = inline:{ {root = "|/bin/false", nobody} }
smtpd_restriction_classes = careful
careful = check_helo_access inline:{bad.test=REJECT}
smtpd_recipient_restrictions =
 permit_mynetworks
# whom we know
 reject_unauth_destination
 check_recipient_access texthash:@CONF@/recipients
"""
LOG = """\
Nov 22 10:00:01 mail postfix/smtpd[77]: connect from bad.test[198.51.100.7]
Nov 22 10:00:02 mail postfix/smtpd[77]: NOQUEUE: reject: RCPT from bad.test[198.51.100.7]: 554 5.7.1 <bad.test>: Helo command rejected: Access denied; from=<a@b.test> to=<info@example.org> proto=ESMTP helo=<bad.test>
Nov 22 10:00:03 mail postfix/smtpd[78]: 4hAbC1: client=good.test[198.51.100.8]
Nov 22 10:00:03 mail postfix/qmgr[79]: 4hAbC1: from=<a@b.test>, size=310, nrcpt=1 (queue active)
Nov 22 10:00:04 mail postfix/virtual[80]: 4hAbC1: to=<info@example.org>, relay=virtual, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (delivered to maildir)
Nov 22 10:00:04 mail postfix/qmgr[79]: 4hAbC1: removed
"""


@pytest.fixture
def explain(tmp_path, capsys):
    (tmp_path / "main.cf").write_text(MAIN.replace("@CONF@", str(tmp_path)))
    (tmp_path / "master.cf").write_text(MASTER)
    (tmp_path / "recipients").write_text("# careful with these\nexample.org careful\n")
    (tmp_path / "maillog").write_text(LOG)

    def explained(*words: str) -> tuple[int, str]:
        code = posthouse_explain.main(["-c", str(tmp_path), *words])
        done = capsys.readouterr()
        return code, done.out + done.err

    return explained


def test_a_refusal_names_list_rule_line_key_and_reply(explain, tmp_path):
    code, text = explain(
        "--client", "198.51.100.7", "--client-name", "bad.test", "--from", "a@b.test", "--to", "info@example.org"
    )
    assert code == 1
    recipients = f"texthash:{tmp_path}/recipients"
    assert text.splitlines()[4:-1] == [
        "C: MAIL FROM:<a@b.test>",
        "S: 250",
        "C: RCPT TO:<info@example.org>",
        "   default: smtpd_relay_restrictions: permit_mynetworks: no opinion",
        "   default: smtpd_relay_restrictions: permit_sasl_authenticated: no opinion",
        "   default: smtpd_relay_restrictions: defer_unauth_destination: no opinion",
        f"   {tmp_path}/main.cf, line 16: smtpd_recipient_restrictions: permit_mynetworks: no opinion",
        f"   {tmp_path}/main.cf, line 18: smtpd_recipient_restrictions: reject_unauth_destination: no opinion",
        (
            f"   {tmp_path}/main.cf, line 19: smtpd_recipient_restrictions: check_recipient_access {recipients}: "
            "refuse: 554 5.7.1 <bad.test>: Helo command rejected: Access denied"
        ),
        f"      table {recipients}: info@example.org: nothing found",
        f"      table {recipients}: example.org: careful ({tmp_path}/recipients, line 2)",
        "      careful: refuse: 554 5.7.1 <bad.test>: Helo command rejected: Access denied",
        (
            "         check_helo_access inline:{bad.test=REJECT}: "
            "refuse: 554 5.7.1 <bad.test>: Helo command rejected: Access denied"
        ),
        "            table inline:{bad.test=REJECT}: bad.test: REJECT",
        "S: 554 5.7.1 <bad.test>: Helo command rejected: Access denied",
    ]


def test_mail_that_comes_in_is_followed_to_its_mailboxes(explain):
    code, text = explain("--client", "198.51.100.8", "--client-name", "good.test", "--to", "list@example.org")
    assert code == 0
    assert text.partition("The mail comes in.\n")[2].splitlines() == [
        "   virtual_alias_maps: list@example.org -> info@example.org, root@localhost",
        "      info@example.org: address class virtual mailbox, transport virtual, next hop example.org",
        "      virtual_mailbox_maps: info@example.org -> example.org/info/: Maildir /srv/mail/example.org/info/",
        "      root@localhost: address class local, transport local, next hop mail.example.com",
        '      alias_maps: root -> "|/bin/false", nobody',
        "         given to the command /bin/false",
        "         nobody@mail.example.com: address class local, transport local, next hop mail.example.com",
        "         mbox /var/mail/nobody",
    ]


def test_a_setting_can_be_tried_and_another_service_asked(explain):
    question = ("--client", "198.51.100.8", "--client-name", "good.test", "--to", "info@example.org")
    code, text = explain(*question, "-o", "smtpd_helo_restrictions=reject")
    assert (code, "smtpd_helo_restrictions: reject: refuse: 554 5.7.1" in text) == (1, True)
    code, text = explain(*question, "--service", "submission")
    assert (code, "smtpd_relay_restrictions: reject: refuse: 554" in text) == (1, True)
    code, _ = explain(*question, "--service", "submission", "--sasl", "me")
    assert code == 0


def test_an_unknown_address_is_told_from_a_rule(explain):
    code, text = explain("--client", "10.1.1.1", "--client-name", "desk.example.com", "--to", "nobody@example.org")
    assert code == 1
    assert "   does the address exist? table virtual_mailbox_maps: nobody@example.org: nothing found" in text
    assert (
        "S: 550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown in virtual mailbox table" in text
    )


def test_programs_get_the_same_as_json(explain):
    code, text = explain("--client", "10.1.1.1", "--client-name", "desk", "--to", "info@example.org", "--json")
    told = json.loads(text)
    assert (code, told["accepted"]) == (0, True)
    at_rcpt = next(stage for stage in told["stages"] if stage["command"].startswith("RCPT"))
    assert at_rcpt["rules"][0]["answer"] == "permit"
    assert told["route"][-1]["text"].endswith("Maildir /srv/mail/example.org/info/")


def test_a_message_in_the_log(explain):
    code, text = explain("4hAbC1")
    assert code == 0
    assert "virtual: <info@example.org> delivered (virtual): delivered to maildir" in text
    assert "bad.test" not in text


def test_a_client_in_the_log_with_the_question_to_ask_next(explain):
    code, text = explain("--log", "198.51.100.7")
    assert code == 1
    assert (
        "refused at RCPT from bad.test[198.51.100.7], from <a@b.test> to <info@example.org>: 554 5.7.1 <bad.test>"
        in text
    )
    question = "posthouse explain --client 198.51.100.7 --client-name bad.test --helo bad.test --from 'a@b.test' --to 'info@example.org'"
    assert question in text
    assert explain("--log", "203.0.113.9")[0] == 1


def test_wrong_questions_are_told(explain):
    assert explain("--client", "nonsense", "--to", "x@example.org")[0] == 78
    assert explain("--to", "x@example.org")[0] == 64
    assert explain("--client", "10.0.0.1", "--to", "x@example.org", "--service", "smpt")[0] == 78


def test_it_tells_whose_address_may_stand_in_from(explain):
    words = (
        "--client", "198.51.100.7", "--client-name", "laptop.test", "--sasl", "joe", "--from", "joe@example.org",
        "--to", "friend@elsewhere.test", "--service", "submission",
        "-o", "smtpd_sender_login_maps=inline:{ joe@example.org=joe, info@example.org=ann }",
        "-o", "smtpd_recipient_restrictions=",
        "-o", "smtpd_end_of_data_restrictions=reject_header_sender_login_mismatch",
    )  # fmt: skip
    code, text = explain(*words)
    assert (code, "S: 354" in text) == (0, True)
    code, text = explain(*words, "--header-from", "Us <info@example.org>")
    assert code == 1
    assert "reject_header_sender_login_mismatch: refuse: 550 5.7.1 <info@example.org>: Header From rejected" in text
    assert "table smtpd_sender_login_maps: info@example.org: ann" in text
