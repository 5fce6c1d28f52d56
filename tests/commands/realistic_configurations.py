"""Configurations as administrators have them: name -> (main.cf, lines for master.cf, files). Nothing is wrong with them."""

from __future__ import annotations

SUBMISSION = """
submission inet n - y - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
smtps inet n - y - - smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
"""
REINJECTION = """
smtp-amavis unix - - n - 2 smtp
  -o smtp_data_done_timeout=1200
  -o smtp_send_xforward_command=yes
127.0.0.1:10025 inet n - n - - smtpd
  -o content_filter=
  -o local_recipient_maps=
  -o relay_recipient_maps=
  -o smtpd_restriction_classes=
  -o smtpd_client_restrictions=
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o mynetworks=127.0.0.0/8
  -o strict_rfc821_envelopes=yes
  -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks
"""
POLICYD_SPF = """
policyd-spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf
"""
DOVECOT = """
dovecot unix - n n - - pipe
  flags=DRhu user=vmail:vmail argv=/usr/lib/dovecot/deliver -f ${sender} -d ${recipient}
"""
MAILMAN = """
mailman unix - n n - - pipe
  flags=FR user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py ${nexthop} ${user}
"""
VIRTUAL = """
virtual_mailbox_domains = example.org, example.net
virtual_mailbox_base = /var/mail/vhosts
virtual_mailbox_maps = hash:@CONF@/vmailbox
virtual_alias_maps = hash:@CONF@/virtual
virtual_uid_maps = static:5000
virtual_gid_maps = static:5000
"""
VFILES = {"vmailbox": "info@example.org example.org/info/\n", "virtual": "sales@example.org info@example.org\n"}

CONFIGURATIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "null client": (
        ("mydestination =\ninet_interfaces = loopback-only\nrelayhost = [smtp.example.com]:587\nlocal_transport = error:no local mail\n"
        "myorigin = $mydomain\n"), "", {}),
    "null client of old": ("mydestination =\nrelayhost = [mail.example.com]\ninet_interfaces = 127.0.0.1, ::1\nmynetworks = 127.0.0.0/8\n", "", {}),
    "one host": (
        ("mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain\nmynetworks = 127.0.0.0/8 [::1]/128\n"
        "home_mailbox = Maildir/\nrecipient_delimiter = +\nsmtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)\nbiff = no\n"
        "smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination\n"), "", {}),
    "the guide's virtual domains": (
        VIRTUAL + "mynetworks = 192.168.2.0/28, 10.5.0.0/16\nnotify_classes = resource,software\n"
        "smtpd_helo_required = yes\nsmtpd_helo_restrictions =\n permit_mynetworks\n reject_invalid_hostname\n reject_non_fqdn_hostname\n permit\n"
        "smtpd_sender_restrictions =\n permit_mynetworks\n reject_unknown_sender_domain\n reject_non_fqdn_sender\n permit\n"
        "smtpd_recipient_restrictions =\n permit_mynetworks\n reject_non_fqdn_recipient\n reject_unauth_destination\n"
        " check_recipient_access hash:@CONF@/filter_stuff\n permit\n", "",
        VFILES | {"filter_stuff": "example.net OK\nspam@example.org DISCARD\nold@example.org REJECT no longer here\n"}),
    "the guide's relay lists of old": (
        VIRTUAL + "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions =\n permit_mynetworks\n permit_sasl_authenticated\n"
        " reject_unauth_destination\n check_policy_service inet:127.0.0.1:10023\n permit\n", "", VFILES),
    "greylisting by class": (
        VIRTUAL + "smtpd_restriction_classes = greylist, spf\ngreylist = check_policy_service inet:127.0.0.1:10023\n"
        "spf = check_policy_service unix:private/policyd-spf\npolicyd-spf_time_limit = 3600\n"
        "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, check_recipient_access hash:@CONF@/grey\n",
        POLICYD_SPF, VFILES | {"grey": "example.org greylist\nexample.net greylist, spf\n"}),
    "submission with Dovecot": (
        VIRTUAL + "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\nsmtpd_sasl_auth_enable = yes\n"
        "smtpd_sasl_security_options = noanonymous\nbroken_sasl_auth_clients = yes\nsmtpd_tls_security_level = may\n"
        "smtpd_tls_auth_only = yes\nvirtual_transport = lmtp:unix:private/dovecot-lmtp\n"
        "smtpd_recipient_restrictions = permit_sasl_authenticated, permit_mynetworks, reject_unauth_destination,\n"
        "  reject_rbl_client zen.spamhaus.org=127.0.0.[2..11], check_policy_service unix:private/policyd-spf\n",
        SUBMISSION + POLICYD_SPF, VFILES),
    "panel hosting": (
        ("virtual_mailbox_domains = proxy:sqlite:@CONF@/domains.cf\nvirtual_mailbox_maps = proxy:sqlite:@CONF@/domains.cf\n"
        "virtual_alias_maps = proxy:sqlite:@CONF@/domains.cf\nvirtual_mailbox_base = /var/vmail\nvirtual_uid_maps = static:2000\n"
        "virtual_gid_maps = static:2000\nvirtual_transport = dovecot\ndovecot_destination_recipient_limit = 1\n"
        "smtpd_sender_login_maps = proxy:sqlite:@CONF@/domains.cf\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n"
        "smtpd_sender_restrictions = reject_authenticated_sender_login_mismatch, permit_mynetworks, permit_sasl_authenticated,\n"
        "  reject_unknown_sender_domain\n"
        "smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10031, permit_mynetworks, permit_sasl_authenticated,\n"
        "  reject_unauth_destination, reject_unlisted_recipient\n"
        "smtpd_client_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unknown_client_hostname\n"
        "content_filter = smtp-amavis:[127.0.0.1]:10024\n"), SUBMISSION + DOVECOT + REINJECTION,
        {"domains.cf": "dbpath = @CONF@/mail.sqlite\nquery = SELECT 1 FROM domain WHERE name = '%s'\n", "mail.sqlite": ""}),
    "relay for an office": (
        ("mydestination =\nmynetworks = 10.0.0.0/8, 192.168.0.0/16\nrelayhost = [smtp.provider.test]:587\nsmtp_sasl_auth_enable = yes\n"
        "smtp_sasl_password_maps = hash:@CONF@/sasl_passwd\nsmtp_sasl_security_options = noanonymous\nsmtp_tls_security_level = encrypt\n"
        "smtpd_relay_restrictions = permit_mynetworks, reject\n"), "", {"sasl_passwd": "[smtp.provider.test]:587 me:secret\n"}),
    "gateway before Exchange": (
        ("relay_domains = example.org, example.net\nrelay_recipient_maps = hash:@CONF@/recipients\ntransport_maps = hash:@CONF@/transport\n"
        "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, reject_unverified_recipient\n"
        "header_checks = regexp:@CONF@/headers\nmessage_size_limit = 52428800\n"), "",
        {"recipients": "info@example.org x\n", "transport": "example.org smtp:[10.0.0.5]\nexample.net relay:[10.0.0.6]:25\n",
         "headers": "/^X-Spam-Flag: YES/ DISCARD\n/^Subject: .*viagra/ REJECT\n"}),
    "backup MX": (
        ("relay_domains = example.org\nrelay_recipient_maps =\nsmtpd_relay_restrictions = permit_mynetworks, permit_mx_backup, reject_unauth_destination\n"
        "permit_mx_backup_networks = 192.0.2.0/24\nmaximal_queue_lifetime = 30d\ntransport_maps = hash:@CONF@/transport\n"), "",
        {"transport": "example.org smtp:mail.example.com\n"}),
    "mailing list host": (
        ("alias_maps = hash:@CONF@/aliases\nalias_database = hash:@CONF@/aliases\nrelay_domains = lists.example.org\n"
        "transport_maps = hash:@CONF@/transport\nmailman_destination_recipient_limit = 1\nowner_request_special = no\n"
        "recipient_delimiter = +\nunknown_local_recipient_reject_code = 550\n"), MAILMAN,
        {"aliases": 'list: "|/usr/lib/mailman/mail/mailman post list"\n', "transport": "lists.example.org mailman:\n"}),
    "mailing lists over LMTP": (
        "transport_maps = regexp:@CONF@/postfix_lmtp\nlocal_recipient_maps = regexp:@CONF@/postfix_lmtp\nrelay_domains = lists.example.org\n", "",
        {"postfix_lmtp": "/^dev(-.*)?@lists\\.example\\.org$/ lmtp:[127.0.0.1]:8024\n"}),
    "clients by address": (
        ("smtpd_relay_restrictions = permit_mynetworks, check_client_access hash:@CONF@/relay_clients, reject_unauth_destination\n"
        "smtpd_client_restrictions = check_client_access cidr:@CONF@/clients.cidr\n"), "",
        {"relay_clients": "203.0.113.25 OK\nprinter.example.net OK\n", "clients.cidr": "203.0.113.0/24 DUNNO\n198.18.0.0/15 REJECT\n"}),
    "relay for certificates": (
        ("smtpd_tls_ask_ccert = yes\nsmtpd_tls_security_level = may\nrelay_clientcerts = hash:@CONF@/certs\n"
        "smtpd_relay_restrictions = permit_mynetworks, permit_tls_clientcerts, reject_unauth_destination\n"), "",
        {"certs": "AA:BB:CC somebody\n"}),
    "whitelists after the relay check": (
        ("smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination\nsmtpd_recipient_restrictions =\n"
        "  check_sender_access hash:@CONF@/senders\n  check_helo_access pcre:@CONF@/helo\n  permit_dnswl_client list.dnswl.org\n"
        "  reject_rbl_client bl.spamcop.net\n  reject_rhsbl_sender dbl.spamhaus.org\n  permit\n"), "",
        {"senders": "friend@elsewhere.test OK\nspammer.test REJECT\n", "helo": "/^localhost$/ REJECT You are not me\n/^mail\\.example\\.com$/ 550 Nor you\n"}),
    "content filter and milters": (
        ("content_filter = smtp-amavis:[127.0.0.1]:10024\nsmtpd_milters = inet:localhost:8891, unix:opendmarc/opendmarc.sock\n"
        "non_smtpd_milters = $smtpd_milters\nmilter_default_action = accept\n"), REINJECTION, {}),
    "several addresses and ports": (
        "inet_interfaces = all\ninet_protocols = all\nmyorigin = $mydomain\nproxy_interfaces = 203.0.113.80\n",
        ("10026 inet n - n - - smtpd\n  -o smtpd_relay_restrictions=permit_mynetworks,reject\n192.0.2.7:2525 inet n - n - - smtpd\n"
        "  -o { smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination }\n"), {}),
    "macros of one's own": (
        ("mua_client_restrictions = permit_sasl_authenticated, reject\nconf = @CONF@\nvirtual_alias_domains = example.net\n"
        "virtual_alias_maps = hash:$conf/virtual\nsmtpd_client_restrictions = ${stress?reject_unknown_client_hostname}\n"),
        "submission inet n - n - - smtpd\n  -o smtpd_client_restrictions=$mua_client_restrictions\n  -o smtpd_sasl_auth_enable=yes\n", VFILES),
    "senders with relays of their own": (
        ("sender_dependent_relayhost_maps = hash:@CONF@/relayhosts\nsmtp_sender_dependent_authentication = yes\nsmtp_sasl_auth_enable = yes\n"
        "smtp_sasl_password_maps = hash:@CONF@/passwords\nsender_bcc_maps = hash:@CONF@/bcc\nalways_bcc = archive@example.org\n"), "",
        {"relayhosts": "me@example.org [smtp.one.test]:587\n", "passwords": "me@example.org me:x\n", "bcc": "boss@example.org copy@example.org\n"}),
    "postscreen before smtpd": (
        "mynetworks = 127.0.0.0/8\n", "smtpd pass - - n - - smtpd\n", {}),
}  # fmt: skip
