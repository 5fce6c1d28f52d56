"""The fields that mail gets, in a header at hand and as a milter's changes: both make the same mail."""

from __future__ import annotations

from filters.test_filters_scanner_judge import decide
from posthouse.filters.scanner.bad_header import BadHeader, Fault
from posthouse.filters.scanner.judge import Findings, Kind, Levels
from posthouse.filters.scanner.milter_changes import header_changes
from posthouse.filters.scanner.tagging import OWN_FIELDS, Additions, Marks, additions, tagged_header
from posthouse.protocols import milter
from posthouse.protocols.milter_server import Agreed, Field

HEADER = (
    b"Received: r\nX-Spam-Status: No,\n\tforged\nx-spam-flag : NO\nFrom: a\nSubject: hello\nX-Spam-Flag: NO\nTo: b\n"
)
MARKS = Marks(scanned_by="Posthouse at mx", quarantine_id="QID")
TAGS = {Kind.SPAMMY: "[SPAM] ", Kind.INFECTED: "***INFECTED*** "}


def test_spammy_mail_is_marked_and_forged_marks_go():
    decision = decide(score=6.5, subject_tags=TAGS, levels=Levels(2.0, 6.2, 6.9))
    added = additions(Findings(), decision, MARKS)
    assert tagged_header(HEADER, added, OWN_FIELDS) == (
        b"X-Quarantine-ID: <QID>\nX-Virus-Scanned: Posthouse at mx\nX-Spam-Flag: YES\nX-Spam-Score: 6.5\n"
        b"X-Spam-Level: ******\nX-Spam-Status: Yes, score=6.5 tagged_above=2 required=6.2 tests=[ONE]\n"
        b" autolearn=unavailable\nReceived: r\nFrom: a\nSubject: [SPAM] hello\nTo: b\n"
    )


def test_mail_for_others_domains_has_no_spam_fields_and_no_tag():
    added = additions(Findings(), decide(score=6.5, subject_tags=TAGS, is_local=False), Marks(scanned_by="x"))
    assert added == Additions((("X-Virus-Scanned", "x"),))


def test_between_the_levels_mail_has_its_score_only():
    added = additions(Findings(), decide(score=3.0, subject_tags=TAGS), Marks())
    assert [name for name, _ in added.fields] == ["X-Spam-Flag", "X-Spam-Score", "X-Spam-Level", "X-Spam-Status"]
    assert added.subject_tag == ""


def test_alerts():
    loved = decide(Findings(virus="V"), loves=frozenset([Kind.INFECTED]), subject_tags=TAGS)
    assert additions(Findings(virus="V"), loved, Marks()) == Additions(
        (("X-Amavis-Alert", "INFECTED, message contains virus: V"),), "***INFECTED*** "
    )
    bad = Findings(bad_header=BadHeader(Fault.LONG, "Header line longer than 998 characters: X-Long: xxxxxxxxxxxxxxx"))
    (alert,) = additions(bad, decide(bad), Marks()).fields
    assert alert[1] == "BAD HEADER SECTION, Header line longer than 998 characters:\n X-Long: xxxxxxxxxxxxxxx"


def test_notes_are_for_the_reader_to_see():
    added = additions(Findings(notes=("not checked for spam",)), decide(), Marks())
    assert added.fields == (("X-Posthouse-Scan-Note", "not checked for spam"),)


def test_a_thousand_points_have_64_stars():
    added = additions(Findings(), decide(score=1000.0, loves=frozenset([Kind.SPAM])), Marks())
    assert dict(added.fields)["X-Spam-Level"] == "*" * 64


def test_a_tag_makes_a_subject_where_there_is_none():
    assert tagged_header(b"From: a\n", Additions((), "[X] "), OWN_FIELDS) == b"From: a\nSubject: [X]\n"


def test_a_milters_changes_make_the_same_header():
    added = Additions((("X-Virus-Scanned", "me"), ("X-Spam-Flag", "YES")), "[SPAM] ")
    for steps in (milter.Steps(0), milter.Steps.LEADING_SPACE):
        agreed = Agreed(6, milter.ALL_ACTIONS, steps)
        space = b" " if agreed.leading_space else b""
        lines = HEADER.replace(b"\n\t", b" ").replace(b"x-spam-flag :", b"x-spam-flag:").splitlines()
        fields = [Field(name, space + value[1:]) for name, _, value in (line.partition(b":") for line in lines)]
        header = apply(fields, b"".join(header_changes(fields, added, OWN_FIELDS, agreed)), space)
        assert header == tagged_header(b"".join(line + b"\n" for line in lines), added, OWN_FIELDS)


def apply(fields, packets, space):
    """What a mail server does with the packets."""
    now = [(field.name, field.value) for field in fields]
    for letter, data in milter.PacketReader().feed(packets):
        match milter.read_response(letter, data, milter.Event.END_OF_MESSAGE):
            case milter.InsertHeader(index, name, value):
                now.insert(index, (name, value))
            case milter.ChangeHeader(index, name, value):
                at = [i for i, (known, _) in enumerate(now) if known.lower() == name.lower()][index - 1]
                now[at : at + 1] = [(name, value)] if value else []
            case other:
                raise AssertionError(other)
    return b"".join(name + b":" + (value if space else b" " + value) + b"\n" for name, value in now)
