"""posthouse check: mistakes with their lines, no false alarm, and the proof that the relay is closed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from realistic_configurations import CONFIGURATIONS

import certificates
from posthouse.commands import posthouse_check

STOCK = Path("/usr/share/postfix")
MASTER = """\
smtp      inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
"""
HEAD = "compatibility_level = 3.6\nmyhostname = mail.example.com\nalias_maps = inline:{x=y}\n"


@pytest.fixture
def check(tmp_path, capsys):
    def checked(main: str, master: str = "", files: dict[str, str] | None = None, head: str = HEAD):
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text.replace("@CONF@", str(tmp_path)))
        (tmp_path / "main.cf").write_text(head + main.replace("@CONF@", str(tmp_path)))
        (tmp_path / "master.cf").write_text(MASTER + master)
        code = posthouse_check.main(["-c", str(tmp_path), "--json", "--quiet"])
        told = json.loads(capsys.readouterr().out)
        return code, [f"{one['line']} {one['severity']}: {one['text']}" for one in told["findings"]], told["relay"]

    return checked


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_realistic_configuration_raises_no_alarm(check, name):
    code, findings, relay = check(*CONFIGURATIONS[name])
    assert findings == []
    assert code == 0
    assert {proof["state"] for proof in relay} <= {"closed"}


@pytest.mark.parametrize("name", ["main.cf.debian", "main.cf.dist"])
def test_the_stock_configuration_raises_no_alarm(check, name):
    if not (STOCK / name).exists():
        pytest.skip("Postfix's own files are not on this machine")
    text = (
        (STOCK / name)
        .read_text()
        .replace("hash:/etc/aliases", "inline:{x=y}")
        .replace("/etc/mailname", "/etc/hostname")
    )
    text = re.sub(r"(?m)^(\w+) =\s*$", "", text)  # what the installation fills in
    code, findings, _ = check(text, head="myhostname = mail.example.com\n")
    assert findings == []
    assert code == 0


# Every slip in the guide's printed text: a configuration with it, and what is said, once.
GUIDE = {
    "permit mynetworks, in front of others": (
        "smtpd_recipient_restrictions =\n permit mynetworks\n reject_unauth_destination\n", "",
        '5 error: "permit mynetworks" is two words; write permit_mynetworks'),
    "check_policy_access": (
        "smtpd_restriction_classes = greylist\ngreylist = check_policy_access inet:127.0.0.1:10023\n", "",
        '5 error: "check_policy_access" is no restriction: did you mean check_policy_service?'),
    "a comment after reject_unknown_hostname": (
        "smtpd_helo_restrictions =\n permit_mynetworks\n reject_unknown_hostname # costs DNS access\n permit\n", "",
        '6 error: a comment must be on a line of its own: "# costs DNS access" is taken for restrictions'),
    "a comment after reject_non_fqdn_hostname": (
        "smtpd_helo_restrictions =\n reject_non_fqdn_hostname # test before using\n", "",
        '5 error: a comment must be on a line of its own: "# test before using"'),
    "a comment after reject_unknown_sender_domain": (
        "smtpd_sender_restrictions =\n permit_mynetworks\n reject_unknown_sender_domain # costs DNS access\n reject_non_fqdn_sender\n", "",
        '6 error: a comment must be on a line of its own: "# costs DNS access"'),
    "a comment after smtpd_delay_reject = no": (
        "smtpd_delay_reject = no # required for all restrictions\n", "",
        "4 fatal: bad boolean configuration: smtpd_delay_reject = no # required for all restrictions (a comment must be on a line"),
    "smtpd_sasl_options": (
        "smtpd_sasl_options = noanonymous\n", "",
        "4 error: unused parameter: smtpd_sasl_options=noanonymous; did you mean smtpd_sasl_security_options?"),
    "smptd_sender_restrictions": (
        "smptd_sender_restrictions = reject_non_fqdn_sender\n", "",
        "4 error: unused parameter: smptd_sender_restrictions=reject_non_fqdn_sender; did you mean smtpd_sender_restrictions?"),
    "spawn with two columns grown together": (
        "", "spf unix - n n -- spawn user=nobody\n argv=/usr/local/sbin/postfix-policyd-spf\n",
        '16 fatal: invalid wakeup field "--"'),
    "smtp_date_done_timeout": (
        "", "smtp-amavis unix - - - - 2 smtp\n -o smtp_date_done_timeout=1200\n",
        "16 error: unused parameter: smtp_date_done_timeout=1200; did you mean smtp_data_done_timeout?"),
    "a domain in permit_mx_backup_networks": (
        "relay_domains = $mydestination backed-updomain.name\npermit_mx_backup_networks = backed-updomain.name\n", "",
        "5 error: permit_mx_backup_networks = backed-updomain.name: it lists networks of primary mail exchangers, not domains"),
    "/usr/local/etc/postix": (
        "virtual_alias_maps = hash:@CONF@/postix/virtual\n", "", "did you mean @CONF@/postfix?"),
    "FILTER script:dummy without a service script": (
        "smtpd_recipient_restrictions = reject_unauth_destination, check_recipient_access hash:@CONF@/filter_stuff\n",
        "support unix - n n - - pipe\n flags=Rq user=www argv=/bin/true\n",
        "2 error: FILTER script:dummy (for sales@example.com): there is no service script in master.cf"),
    "check_policy_service without a service": (
        "smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/spf\n", "",
        "4 error: unix:private/spf: there is no service spf in master.cf"),
    "content_filter without a service": (
        "content_filter=smtp-amavis:[127.0.0.1]:10024\n", "",
        "4 error: content_filter = smtp-amavis:[127.0.0.1]:10024: there is no service smtp-amavis in master.cf"),
    "dots for what was left out": (
        "smtpd_recipient_restrictions =\n permit_mynetworks\n .....\n reject_unauth_destination\n", "",
        '6 error: "....." stands where restrictions have been left out'),
    "classes of one parameter defined without the other": (
        "greylist = check_policy_service inet:127.0.0.1:10023\nsmtpd_recipient_restrictions = reject_unauth_destination, greylist\n", "",
        '5 error: "greylist" is no restriction; to be a class of restrictions it must be named in smtpd_restriction_classes'),
    "one account for all": (
        "default_privs = nobody\nmail_owner = nobody\n", "",
        "4 error: parameters default_privs and mail_owner specify the same user nobody"),
    "mailboxes that nobody owns": (
        "virtual_mailbox_domains = example.org\nvirtual_mailbox_maps = inline:{a=b}\nvirtual_gid_maps = static:1\n", "",
        "4 error: virtual_uid_maps is empty: mail for virtual_mailbox_domains stays in the queue"),
}  # fmt: skip


@pytest.mark.parametrize("name", GUIDE)
def test_a_slip_of_the_guide_is_found_once_with_its_line_and_cure(check, tmp_path, name):
    main, master, told = GUIDE[name]
    (tmp_path / "postfix").mkdir()
    files = {"filter_stuff": "# general format\nsales@example.com FILTER script:dummy\nexample.net OK\n"}
    code, findings, _ = check(main, master, files)
    about = [one for one in findings if told.replace("@CONF@", str(tmp_path)) in one]
    assert len(about) == 1, findings
    assert code in {1, 2}
    others = [one for one in findings if one not in about]
    assert not others or (
        name == "classes of one parameter defined without the other" and "unused parameter" in others[0]
    )


def test_a_parameter_set_again_is_noted(tmp_path, capsys):
    (tmp_path / "main.cf").write_text(HEAD + "smtpd_helo_required = yes\nsmtpd_helo_required = no\n")
    (tmp_path / "master.cf").write_text(MASTER)
    assert posthouse_check.main(["-c", str(tmp_path)]) == 0
    assert "line 4    note   smtpd_helo_required is set again in line 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("main", "told"),
    [
        ("smtpd_relay_restrictions = permit_mynetwork, reject_unauth_destination", "did you mean permit_mynetworks?"),
        ("smtpd_recipient_restrictions = reject_unauth_destination, permit, reject_non_fqdn_sender",
         '"reject_non_fqdn_sender" is never reached: "permit" before it ends smtpd_recipient_restrictions'),
        ("smtpd_recipient_restrictions = reject_unauth_destination, check_sender_access /etc/senders", "needs a table after it"),
        ("smtpd_recipient_restrictions = reject_unauth_destination, check_sender_access hahs:/etc/senders", "did you mean hash:?"),
        ("smtpd_recipient_restrictions = reject_unauth_destination, reject_rbl_client", "needs the domain of a DNS list"),
        ("smtpd_recipient_restrictions = reject_unauth_destination, check_sender_access inline:{x=REJCET}", "did you mean REJECT?"),
        ("smtpd_delay_reject = no\nsmtpd_client_restrictions = check_recipient_access inline:{x=OK}", "it is not known at connect"),
        ("mynetworks = 192.168.2.1/28", 'non-null host address bits in "192.168.2.1/28"'),
        ("transport_maps = inline:{example.org=smpt:[10.0.0.1]}", "there is no service smpt in master.cf; did you mean smtp?"),
        ("mydestination = example.org\nvirtual_mailbox_domains = example.org\nvirtual_transport = lmtp:unix:x",
         "do not list domain example.org in BOTH mydestination and virtual_mailbox_domains"),
        ("header_checks = regexp:@CONF@/broken", "no closing regexp delimiter"),
        ("message_size_limit = lots", "bad numerical configuration"),
    ],
)  # fmt: skip
def test_other_mistakes_are_told_with_a_cure(check, main, told):
    code, findings, _ = check(main + "\n", "", {"broken": "/^Subject OK\n"})
    assert code in {1, 2}
    assert any(told in one for one in findings), findings


def test_an_open_relay_is_fatal_and_shown(tmp_path, capsys):
    (tmp_path / "main.cf").write_text(HEAD + "smtpd_relay_restrictions =\n permit_mynetworks\n permit\n reject\n")
    (tmp_path / "master.cf").write_text(MASTER)
    assert posthouse_check.main(["-c", str(tmp_path), "-q"]) == 2
    out = capsys.readouterr().out
    assert "line 6    fatal  open relay: service smtp lets strangers send mail to anybody" in out
    assert "C: RCPT TO:<somebody@elsewhere-from-us.example>" in out
    assert f"{tmp_path}/main.cf, line 6: smtpd_relay_restrictions: permit: permit" in out


SCAN = "127.0.0.1:10024 inet n - n - 2 scan\n"


@pytest.mark.parametrize(
    ("main", "conf", "told"),
    [
        ("", "$a = 1;\nif ($a) { 1 }\n", "2 error: not understood, has no effect: if"),
        (
            "",
            "$final_spam_destiny = 'gone';\n",
            "16 fatal: service 127.0.0.1:10024: amavisd.conf: $final_spam_destiny = gone",
        ),
        ("posthouse_scan_transport = scanned\n", "", "16 fatal: service 127.0.0.1:10024: there is no service scanned"),
        ("posthouse_scan_clamd_down = quarantine\n", "", "5 error: posthouse_scan_clamd_down = quarantine, but"),
    ],
)
def test_a_scanner_that_cannot_do_what_it_should_is_told_of(check, main, conf, told):
    main = f"posthouse_scan_amavisd_conf = @CONF@/amavisd.conf\n{main}"
    code, findings, _ = check(main, SCAN, {"amavisd.conf": conf})
    assert code == (2 if "fatal" in told else 1)
    assert [one.startswith(told) for one in findings] == [True], findings


def test_what_of_amavisd_is_not_done_here_is_a_note(check, tmp_path, capsys):
    check(
        "posthouse_scan_amavisd_conf = @CONF@/amavisd.conf\n", SCAN, {"amavisd.conf": "\n@score_sender_maps = (1);\n"}
    )
    assert posthouse_check.main(["-c", str(tmp_path)]) == 0
    assert "line 2    note   @score_sender_maps has no effect here" in capsys.readouterr().out


def test_who_wants_an_open_relay_says_so(check):
    main = "smtpd_relay_restrictions = permit\nposthouse_open_relay = strangers_may_send_through_this_host\n"
    code, findings, relay = check(main)
    assert code == 1
    assert relay[0]["state"] == "open"
    assert [one.split(":")[0] for one in findings] == ["4 error"]


def test_all_may_not_claim_to_be_others(check):
    code, findings, _ = check("smtpd_authorized_xclient_hosts = 0.0.0.0/0\n")
    assert code == 2
    assert "open relay: smtpd_authorized_xclient_hosts lets anybody" in findings[0]


@pytest.mark.parametrize(
    ("port", "proxies", "told"),
    [
        ("2525", "", True),
        ("2525", "192.0.2.7", False),
        ("127.0.0.1:2525", "", False),
    ],
)  # fmt: skip
def test_a_port_where_everybody_may_claim_an_address_is_named(check, port, proxies, told):
    options = f"  -o smtpd_upstream_proxy_protocol=haproxy -o posthouse_upstream_proxy_networks={proxies}\n"
    _, findings, relay = check("", f"{port} inet n - n - - smtpd\n{options}")
    text = "whoever reaches service 2525 can say that he is one of mynetworks: name the load balancers"
    assert [text in finding for finding in findings] == [True] * told
    assert {proof["state"] for proof in relay} == {"closed"}


def test_a_protocol_of_load_balancers_that_nobody_knows_is_named(check):
    code, findings, _ = check("", "2525 inet n - n - - smtpd\n  -o smtpd_upstream_proxy_protocol=nginx\n")
    assert code == 2
    assert "bad value: smtpd_upstream_proxy_protocol = nginx (expected one of: haproxy)" in findings[0]


LOGINS = "smtpd_sasl_auth_enable = yes\nsmtpd_end_of_data_restrictions = {}\n"
MAPS = "smtpd_sender_login_maps = inline:{joe@example.com=joe}\n"
HOLD = "hold_header_sender_login_mismatch"


@pytest.mark.parametrize(
    ("main", "findings"),
    [
        (LOGINS.format("reject_header_sender_login_mismatch") + MAPS, []),
        (LOGINS.format(HOLD) + MAPS, []),
        (
            LOGINS.format("reject_header_sender_login_mismatch"),
            ["reject_header_sender_login_mismatch stops all mail of logins: smtpd_sender_login_maps is empty"],
        ),
        (
            LOGINS.format("reject_known_header_sender_login_mismatch"),
            ["reject_known_header_sender_login_mismatch does nothing: smtpd_sender_login_maps is empty"],
        ),
        (
            LOGINS.format(HOLD) + MAPS + "smtpd_proxy_filter = 127.0.0.1:10025\n",
            [f"{HOLD}: mail cannot be held with smtpd_proxy_filter, and gets 451; use reject_{HOLD[5:]}"],
        ),
        (
            "smtpd_sasl_auth_enable = yes\n" + MAPS + "smtpd_recipient_restrictions = " + HOLD + "\n",
            [f"{HOLD} has no effect in smtpd_recipient_restrictions: it is not known at that stage"],
        ),
        (
            "posthouse_sasl_login_message_rate_limit = 10\nsmtpd_proxy_filter = 127.0.0.1:10025\n",
            ["posthouse_sasl_login_rate_action = hold: with smtpd_proxy_filter, service smtp defers such mail instead"],
        ),
    ],
)  # fmt: skip
def test_restrictions_about_logins_that_cannot_do_what_they_are_for(check, main, findings):
    assert [text.partition(": ")[2] for text in check(main)[1]] == findings


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovcot", "fatal: smtpd_sasl_type = dovcot: there are cyrus, dovecot, posthouse; did you mean dovecot?"),
        ("smtpd_sasl_security_options = noplaintxt", 'fatal: smtpd_sasl_security_options: "noplaintxt" is no option; did you mean noplaintext?'),
        ("smtp_sasl_tls_security_options = noanonymus", 'fatal: smtp_sasl_tls_security_options: "noanonymus" is no option; did you mean noanonymous?'),
        ("smtpd_tls_protocols = >=TLSv1.9", "error: smtpd_tls_protocols: unknown TLS protocol >=TLSv1.9; without that TLS does not work here"),
        ("smtp_tls_mandatory_ciphers = hihg", "error: smtp_tls_mandatory_ciphers = hihg: this is no grade; did you mean high?; TLS does not work so"),
        ("smtpd_tls_fingerprint_digest = sha257", "fatal: smtpd_tls_fingerprint_digest = sha257: this is no digest algorithm; did you mean sha256?"),
        ("posthouse_header_sender_login_fields = Form, Sender", 'error: posthouse_header_sender_login_fields: "Form" is no field with addresses; did you mean From?'),
        ("smtp_tls_security_level = dane", "error: smtp_tls_security_level = dane: DANE is not built yet; verify or secure are"),
        ("smtpd_sasl_security_options = noanonymous, noplaintext, mutual_auth\nsmtpd_tls_protocols = >=TLSv1.2", None),
    ],
)  # fmt: skip
def test_misspelt_words_about_logins_and_tls(check, line, finding):
    code, findings, _ = check(line + "\n")
    assert [text.partition(" ")[2] for text in findings] == ([finding] if finding else [])
    assert code == (0 if finding is None else 2 if finding.startswith("fatal") else 1)


def test_a_submission_service_that_uses_what_is_not_defined(check):
    master = "submission inet n - n - - smtpd\n  -o smtpd_client_restrictions=$mua_client_restrictions\n"
    text = "undefined parameter: mua_client_restrictions; it is for you to define in main.cf (empty until then)"
    assert text in check("", master)[1][0]


@pytest.mark.parametrize(
    ("mode", "text"),
    [(0o600, ""), (0o640, ""), (0o644, "everybody may read the private key"), (0o660, "may change this")],
)
def test_keys_that_are_others_too_and_certificates_for_another_name_are_told(tmp_path, capsys, mode, text):
    pair = certificates.make(tmp_path, "server", "www.example.com")
    pair.key.chmod(mode)
    chain = f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pair.key}, {pair.certificate}\n"
    (tmp_path / "main.cf").write_text(HEAD + chain)
    (tmp_path / "master.cf").write_text(MASTER)
    assert posthouse_check.main(["-c", str(tmp_path)]) == (1 if mode == 0o644 else 0)
    told = capsys.readouterr().out
    assert ("private key" in told) == bool(text)
    assert text in told
    assert "the certificate is for www.example.com, not for mail.example.com (myhostname)" in told


def test_a_key_that_does_not_belong_to_its_certificate_is_an_error(check, tmp_path):
    one, other = certificates.make(tmp_path, "one", "a.test"), certificates.make(tmp_path, "other", "b.test")
    chain = f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {one.key}, {other.certificate}\n"
    code, findings, _ = check(chain)
    assert code == 1
    assert findings[0].endswith("the private key does not belong to the certificate")


def test_a_class_without_a_list_is_fatal(check):
    code, findings, _ = check("smtpd_restriction_classes = gone\nsmtpd_sender_restrictions = gone\n")
    assert code == 2
    assert any(one.endswith("fatal: restriction class `gone' needs a definition") for one in findings)
