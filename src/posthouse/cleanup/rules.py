"""What one cleanup service's configuration says, read once (cleanup(8))."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.filters.milters import plan_of
from posthouse.lookup.maps import Maps, open_maps
from posthouse.mail.mime_lines import MimeRules
from posthouse.rewrite.address_class import AddressClasses
from posthouse.system.log import DaemonLog


class CanonicalRule:
    """One canonical parameter: its tables and the places it applies to ("envelope_sender", "header_recipient" ...)."""

    __slots__ = ("classes", "maps", "name")

    def __init__(self, settings: Settings, prefix: str) -> None:
        self.name = f"{prefix}canonical_maps"
        self.maps = open_maps(settings, self.name)
        self.classes = frozenset(settings.items(f"{prefix}canonical_classes"))

    def applies_to(self, place: str) -> bool:
        return not self.maps.empty and place in self.classes


class Checks:
    """The four parameters of header_checks(5)."""

    __slots__ = ("any", "body", "header", "mime", "nested", "reads_body")

    def __init__(self, settings: Settings) -> None:
        self.header = open_maps(settings, "header_checks")
        self.mime = open_maps(settings, "mime_header_checks")
        self.nested = open_maps(settings, "nested_header_checks")
        self.body = open_maps(settings, "body_checks")
        self.reads_body = not (self.mime.empty and self.nested.empty and self.body.empty)
        self.any = self.reads_body or not self.header.empty


class Rules:
    """The settings of one cleanup service, compiled."""

    def __init__(self, settings: Settings, log: DaemonLog) -> None:
        self.settings = settings
        self.local = AddressClasses(settings, log)
        self.myhostname = settings.text("myhostname")
        self.myorigin = settings.text("myorigin").lower()
        self.null_recipient = settings.text("empty_address_recipient")
        self.delimiters = settings.text("recipient_delimiter")
        self.propagated = frozenset(settings.items("propagate_unmatched_extensions"))
        self.recipient_canonical = CanonicalRule(settings, "recipient_")
        self.sender_canonical = CanonicalRule(settings, "sender_")
        self.canonical = CanonicalRule(settings, "")
        self.virtual_alias = open_maps(settings, "virtual_alias_maps")
        self.alias_recursion_limit = settings.integer("virtual_alias_recursion_limit")
        self.alias_expansion_limit = settings.integer("virtual_alias_expansion_limit")
        self.alias_address_limit = settings.integer("virtual_alias_address_length_limit")
        self.masquerade_domains = settings.items("masquerade_domains")
        self.masquerade_classes = frozenset(settings.items("masquerade_classes"))
        self.masquerade_exceptions = frozenset(name.lower() for name in settings.items("masquerade_exceptions"))
        mapped = (self.recipient_canonical, self.sender_canonical, self.canonical)
        self.maps_header_addresses = bool(self.masquerade_domains) or any(not rule.maps.empty for rule in mapped)
        self.sender_bcc: Maps = open_maps(settings, "sender_bcc_maps")
        self.recipient_bcc: Maps = open_maps(settings, "recipient_bcc_maps")
        self.always_bcc = settings.text("always_bcc")
        self.keeps_original = settings.flag("enable_original_recipient")
        self.duplicate_limit = settings.integer("duplicate_filter_limit")
        self.checks = Checks(settings)
        self.milter_header_checks = open_maps(settings, "milter_header_checks")
        self.milters = plan_of(settings, "non_smtpd_milters")
        self._read_header_settings(settings)

    def _read_header_settings(self, settings: Settings) -> None:
        self.always_adds_headers = settings.flag("always_add_missing_headers")
        self.remote_domain = settings.text("remote_header_rewrite_domain")
        self.from_format = settings.text("header_from_format")
        self.undisclosed = settings.text("undisclosed_recipients_header")
        self.dropped_names = frozenset(name.lower().encode() for name in settings.items("message_drop_headers"))
        self.header_size_limit = settings.integer("header_size_limit")
        self.detects_eight_bit = settings.flag("detect_8bit_encoding_header")
        classes = {name.lower() for name in settings.items("smtputf8_autodetect_classes")}
        everything = {"sendmail", "smtpd", "forward", "bounce", "notify", "verify"} if "all" in classes else classes
        self.utf8_classes = frozenset(everything if settings.flag("smtputf8_enable") else ())
        self.token_limit = settings.integer("header_address_token_limit")
        self.hopcount_limit = settings.integer("hopcount_limit")
        self.message_size_limit = settings.integer("message_size_limit")
        self.long_queue_ids = settings.flag("enable_long_queue_ids")
        self.rejected_bytes = unescape(settings.text("message_reject_characters"))
        self.stripped_bytes = unescape(settings.text("message_strip_characters"))
        self.mime = MimeRules(
            settings.integer("mime_nesting_limit"),
            settings.integer("mime_boundary_length_limit"),
            settings.integer("body_checks_size_limit"),
            follows=not settings.flag("disable_mime_input_processing"),
            strict=_strictness(settings),
        )

    async def is_local(self, domain: str) -> bool:
        """Whether tables are asked for the bare user of a domain: myorigin, mydestination, this host's addresses."""
        return domain.lower() == self.myorigin or await self.local.is_local(domain)


def _strictness(settings: Settings) -> frozenset[str]:
    """The strict settings that are on; strict_8bitmime stands for two."""
    names = ("strict_7bit_headers", "strict_8bitmime_body", "strict_mime_encoding_domain")
    chosen = {name for name in names if settings.flag(name)}
    return frozenset(chosen | (set(names[:2]) if settings.flag("strict_8bitmime") else set()))


def unescape(text: str) -> bytes:
    r"""The bytes that a setting like "\0" names (C's escapes)."""
    return text.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1", "replace") if text else b""
