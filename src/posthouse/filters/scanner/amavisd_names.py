"""The variables of an amavisd.conf: which have an effect here, and which mean nothing to a scanner without unpackers,
processes and a log of its own (amavisd.conf-default).
"""

from __future__ import annotations

KINDS = ("virus", "banned", "spam", "bad_header", "unchecked")
LOVERS = {
    "virus": "virus_lovers", "banned": "banned_files_lovers", "spam": "spam_lovers",
    "bad_header": "bad_header_lovers", "unchecked": "unchecked_lovers",
}  # fmt: skip
BYPASSES = {
    "virus": "bypass_virus_checks", "banned": "bypass_banned_checks", "spam": "bypass_spam_checks",
    "bad_header": "bypass_header_checks",
}  # fmt: skip
QUARANTINE_METHODS = {
    "virus": "virus_quarantine_method", "banned": "banned_files_quarantine_method",
    "spam": "spam_quarantine_method", "bad_header": "bad_header_quarantine_method",
    "unchecked": "unchecked_quarantine_method",
}  # fmt: skip
LEVELS = {
    "spam_tag_level_maps": "sa_tag_level_deflt", "spam_tag2_level_maps": "sa_tag2_level_deflt",
    "spam_kill_level_maps": "sa_kill_level_deflt", "spam_dsn_cutoff_level_maps": "sa_dsn_cutoff_level",
    "spam_quarantine_cutoff_level_maps": "sa_quarantine_cutoff_level",
}  # fmt: skip

_legacy = [*LOVERS.values(), *BYPASSES.values(), "local_domains"]
# Where a list of tables is not set, these are what it holds.
DEFAULT_MAPS: dict[str, tuple[str, ...]] = (
    {f"{name}_maps": (f"%{name}", f"@{name}_acl", f"${name}_re") for name in _legacy}
    | {name: (f"${level}",) for name, level in LEVELS.items()}
    | {f"{kind}_admin_maps": (f"%{kind}_admin", f"${kind}_admin") for kind in KINDS}
    | {"spam_subject_tag_maps": ("$sa_spam_subject_tag1",), "spam_subject_tag2_maps": ("$sa_spam_subject_tag",)}
    | {"sa_username_maps": (), "banned_filename_maps": ("$banned_filename_re",)}
)

_OTHERS = """
$mydomain $myhostname $MYHOME $TEMPBASE $QUARANTINEDIR $forward_method $X_HEADER_TAG $X_HEADER_LINE
$sa_mail_body_size_limit $sa_timeout $sa_spam_level_char $sa_spam_modifies_subj
$undecipherable_subject_tag $mailfrom_notify_admin $mailfrom_notify_spamadmin $mailfrom_to_quarantine
$MAXLEVELS $MAXFILES $MIN_EXPANSION_QUOTA $MAX_EXPANSION_QUOTA $MIN_EXPANSION_FACTOR
$MAX_EXPANSION_FACTOR $remove_existing_x_scanned_headers $remove_existing_spam_headers $recipient_delimiter
@av_scanners @mynetworks %allowed_header_tests
"""
_EFFECTIVE = (
    frozenset(_OTHERS.split())
    | {f"@{name}" for name in DEFAULT_MAPS}
    | {name for names in DEFAULT_MAPS.values() for name in names}
    | {f"$final_{kind}_destiny" for kind in KINDS}
    | {f"${kind}_quarantine_to" for kind in KINDS}
    | {f"${name}" for name in QUARANTINE_METHODS.values()}
)

# Programs, processes, sockets and logs of amavisd's own; a mail is treated the same without them.
_HARMLESS_NAMES = """
$inet_socket_port $notify_method
$path $file $gzip $bzip2 $lzop $rpm2cpio $cabextract $uncompress $unfreeze $arc $unarj $unrar $zoo $lha $pax $cpio
$ar $ripole $dspam $daemon_user $daemon_group $daemon_chroot_dir $max_servers $max_requests $child_timeout
$log_level $log_recip_templ $log_templ $DO_SYSLOG $SYSLOG_LEVEL $LOGFILE $syslog_ident $syslog_facility
$syslog_priority $logline_maxlen $enable_db $enable_zmq $enable_global_cache $db_home $lock_file $pid_file
$helpers_home $nanny_details_level $snmp_contact $snmp_location $unix_socketname $unix_socket_mode
$inet_socket_bind @inet_acl @listen_sockets $protocol $insert_received_line $allow_disclaimers
$enable_dkim_verification $enable_dkim_signing @decoders @keep_decoded_original_maps $bypass_decode_parts
@viruses_that_fake_sender_maps $viruses_that_fake_sender_re $warnvirussender $warnspamsender $warnbannedsender
$warnbadhsender $sa_local_tests_only $sa_debug $sa_configpath $sa_siteconfigpath $sa_num_instances $sa_spawned
$quarantine_subdir_levels $release_format $attachment_password $defang_undecipherable $bdy_encoding $hdr_encoding
$OS_fingerprint_method $myproduct_name $myversion $sql_allow_8bit_address $timestamp_fmt_mysql $enable_ldap
$virus_check_negative_ttl $virus_check_positive_ttl $spam_check_negative_ttl $spam_check_positive_ttl
$prepend_header_fields_hdridx %ENV %interface_policy @client_ipaddr_policy $localhost_name
$trim_trailing_space_in_lookup_result_fields $localpart_is_case_sensitive $propagate_dsn_if_possible
$terminate_dsn_on_notify_success
"""
_HARMLESS = frozenset(_HARMLESS_NAMES.split())  # fmt: skip

HARMLESS_CALLS = frozenset(("read_l10n_templates", "umask", "return"))


def is_harmless(name: str) -> bool:
    """Whether a variable (with its sigil) may be passed over in silence."""
    return name in _HARMLESS


def has_effect(name: str) -> bool:
    """Whether what the variable says is done here; one of the administrator's own is only there for others to use."""
    return name in _EFFECTIVE or not _is_amavisds(name)


_PREFIXES = (
    "sa_", "sql_", "warn", "notify_", "banned_", "spam_", "virus_", "bypass_", "final_", "policy_bank", "score_",
    "addr_extension", "defang", "ldap_", "lookup_", "storage_", "dkim_", "white", "black", "bad_header_", "clean_",
    "archive_", "author_to_", "allowed_", "enable_", "newvirus", "mailfrom_", "hdrfrom_", "local_", "quarantine_",
    "whitelist", "blacklist", "per_recip", "trusted", "disclaimer", "signer", "smtp", "forward", "X_",
)  # fmt: skip


def _is_amavisds(name: str) -> bool:
    return name[1:].startswith(_PREFIXES)
