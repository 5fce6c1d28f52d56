"""master.cf: columns, -o settings, continuation lines, and what is said about a line that makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.config.master_cf import ColumnError, parse_entries, read_master_cf, split_words
from posthouse.errors import ConfigError


def services(tmp_path: Path, text: str) -> dict[str, object]:
    (tmp_path / "master.cf").write_text(text)
    return {service.name: service for service in read_master_cf(str(tmp_path))}


def test_dashes_have_their_defaults(tmp_path: Path) -> None:
    found = services(
        tmp_path, "smtp inet n - y - - smtpd\nflush unix n - n 1000? 0 flush\nlocal unix - n n - - local\n"
    )
    smtp, flush, local = found["smtp"], found["flush"], found["local"]
    assert (smtp.private, smtp.unprivileged, smtp.chroot, smtp.wakeup, smtp.maxproc) == (False, True, True, 0, 100)
    assert (flush.wakeup, flush.wakeup_on_use, flush.maxproc) == (1000, True, 0)
    assert (local.private, local.unprivileged) == (True, False)


def test_overrides_are_read_across_comments(tmp_path: Path) -> None:
    text = "sub inet n - n - - smtpd\n\t-o a=b -o syslog_name=x\n\n# in\n  -o { c = d e } -v\n  -oq=r\n"
    service = services(tmp_path, text)["sub"]
    assert service.options == {"a": "b", "syslog_name": "x", "c": "d e", "q": "r"}
    assert service.args == ("-v",)
    assert service.line == 1


def test_the_words_of_a_pipe_keep_their_braces_together(tmp_path: Path) -> None:
    text = "p unix - n n - - pipe\n flags=Rq user=nobody argv=/bin/x -o { a b } ${recipient}\n"
    assert services(tmp_path, text)["p"].args == ("flags=Rq", "user=nobody", "argv=/bin/x", "-o", "a b", "${recipient}")


def test_of_two_lines_for_a_service_the_later_counts(tmp_path: Path) -> None:
    assert services(tmp_path, "a inet n - n - 1 smtpd\na inet n - n - 2 smtpd\n")["a"].maxproc == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("spf unix - n n -- spawn user=nobody\n argv=/bin/true",
         'invalid wakeup field "--" in "spf unix - n n -- spawn user=nobody argv=/bin/true"'),
        ("a foo n - n - - smtpd", 'invalid type field "foo" in "a foo n - n - - smtpd"'),
        ("a inet x - n - - smtpd", 'invalid private field "x" in "a inet x - n - - smtpd"'),
        ("a inet n x n - - smtpd", 'invalid unprivileged field "x" in "a inet n x n - - smtpd"'),
        ("a inet n n x - - smtpd", 'invalid chroot field "x" in "a inet n n x - - smtpd"'),
        ("a inet n n n - x smtpd", 'invalid process_limit field "x" in "a inet n n n - x smtpd"'),
        ("a inet n n n - -", "bad field count"),
    ],
)  # fmt: skip
def test_a_line_with_slipped_columns_is_refused_and_explained(line: str, text: str) -> None:
    with pytest.raises(ColumnError) as caught:
        parse_entries(f"# head\n{line}\n", "/etc/postfix/master.cf")
    assert caught.value.text == text
    assert caught.value.line == 2
    assert "columns" in caught.value.hint


def test_an_override_without_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name=value"):
        services(tmp_path, "a inet n - n - - smtpd -o what\n")


def test_a_brace_must_close() -> None:
    assert split_words("a {b c} d{e") == ["a", "{b c}", "d{e"]
    with pytest.raises(ValueError, match="missing '}'"):
        split_words("a { b")
