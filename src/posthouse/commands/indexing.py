"""What postmap and postalias have in common: make an index from a text, and add, ask for, delete and list entries."""

from __future__ import annotations

import contextlib
import fcntl
import getopt
import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from posthouse.commands import command_log
from posthouse.errors import ConfigError, LookupFailed
from posthouse.lookup import notices
from posthouse.lookup.table import BadTable, Options, Table, make_table, table_types
from posthouse.lookup.text_map import Entry, Problem

if TYPE_CHECKING:
    from posthouse.config.settings import Settings
    from posthouse.lookup.index import IndexWriter

INDEXED_TYPES = ("btree", "hash", "lmdb")
Reader = Callable[..., Iterable["Entry | Problem"]]


class Fatal(Exception):
    """The command ends here, with this text and exit code 1."""


@dataclass(slots=True)
class Request:
    """A command line, taken apart."""

    flags: set[str] = field(default_factory=set)
    directory: str | None = None
    query: str | None = None
    delete: str | None = None
    specs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Command:
    """How the two commands differ. read yields the entries of a text; finish adds what the command itself adds."""

    name: str
    letters: str
    usage: str
    read: Reader
    shown: Callable[[str, str], str]
    is_aliases: bool = False
    finish: Callable[[IndexWriter, Settings], None] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation."""

    command: Command
    request: Request
    settings: Settings

    @property
    def utf8(self) -> bool:
        return "u" not in self.request.flags and self.settings.flag("smtputf8_enable")

    @property
    def folds(self) -> bool:
        return "f" not in self.request.flags

    def fold(self, key: str) -> str:
        if not self.folds:
            return key
        return key.lower() if key.isascii() else key.casefold()

    def options(self, spec: str, *, utf8: bool | None = None) -> Options:
        return Options(spec, self.settings, self.folds, self.utf8 if utf8 is None else utf8, self.command.is_aliases)


def run(command: Command, arguments: Sequence[str], act: Callable[[Run], int]) -> int:
    """Parse the command line, read main.cf, act; the exit code. What goes wrong stands on standard error."""
    loaded: list[Settings] = []

    def say(severity: str, text: str) -> None:
        tell(command, f"{severity}: {text}")
        if loaded:
            command_log.log(loaded[0], command.name, severity, f"{severity}: {text}")

    notices.report_to(say)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        request = parse(command, arguments)
        loaded.append(load_settings(request.directory))
        return act(Run(command, request, loaded[0]))
    except Fatal as fatal:
        sys.stdout.flush()
        say("fatal", str(fatal))
        return 1
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is still buffered has nowhere to go
        return 1
    finally:
        notices.report_to(None)


def tell(command: Command, text: str) -> None:
    """A line on standard error."""
    sys.stdout.flush()
    print(f"{command.name}: {text}", file=sys.stderr)


def parse(command: Command, arguments: Sequence[str]) -> Request:
    """Take a command line apart. Fatal for what makes no sense."""
    try:
        options, specs = getopt.getopt(list(arguments), command.letters)
    except getopt.GetoptError as error:
        missing = "requires argument" in str(error)
        tell(
            command, f"option requires an argument -- '{error.opt}'" if missing else f"invalid option -- '{error.opt}'"
        )
        raise Fatal(command.usage) from None
    request = Request(specs=specs)
    for option, value in options:
        match option:
            case "-c":
                request.directory = value
            case "-q" | "-d" if request.query is not None or request.delete is not None or "s" in request.flags:
                raise Fatal("specify only one of -s or -q or -d" if "s" in request.flags else _ONE_OF)
            case "-q":
                request.query = value
            case "-d":
                request.delete = value
            case "-s" if request.query is not None or request.delete is not None:
                raise Fatal("specify only one of -s or -q or -d")
            case _:
                request.flags.add(option[1])
    if not specs:
        raise Fatal(command.usage)
    return request


_ONE_OF = "specify only one of -s -q or -d"


def load_settings(directory: str | None) -> Settings:
    """main.cf. Fatal where it cannot be read."""
    from posthouse.config.settings import load

    try:
        return load(directory)
    except ConfigError as error:
        raise Fatal(error.text) from None


def full_spec(spec: str, settings: Settings) -> str:
    """type:name, with default_database_type where no type is given."""
    return spec if ":" in spec else f"{settings.text('default_database_type')}:{spec}"


# -- asking


def open_for_query(run: Run, spec: str) -> Table:
    """The table. Fatal where it cannot be opened."""
    try:
        table = make_table(run.options(full_spec(spec, run.settings)))
    except BadTable as failed:
        raise Fatal(failed.text) from None
    return table


def ask(table: Table, key: str) -> str | None:
    """The table's value for a key. Fatal where it cannot answer."""
    try:
        value = table.lookup(key)
    except LookupFailed as failed:
        raise Fatal(_query_error(table, failed)) from None
    if value == "":
        notices.warn(f"table {table.spec}: key {key}: empty string result is not allowed")
        notices.warn(f"table {table.spec} should return NO RESULT in case of NOT FOUND")
    return value


def _query_error(table: Table, failed: LookupFailed) -> str:
    from posthouse.lookup.table import TableUnavailable

    if isinstance(failed, TableUnavailable):
        return failed.text
    return f"table {table.spec}: query error: {failed.text}" if failed.text else f"table {table.spec}: query error"


def query(run: Run, key: str) -> int:
    """Print the first value that a table has for the key; 1 where none has one."""
    for spec in run.request.specs:
        value = ask(open_quietly(run, spec), key)
        if value is not None:
            print(shown_value(run, value))
            return 0
    return 1


def open_quietly(run: Run, spec: str) -> Table:
    """open_for_query, without saying twice (once as an error, once as fatal) that a table cannot be opened."""
    said: list[tuple[notices.Severity, str]] = []
    notices.report_to(lambda severity, text: said.append((severity, text)))
    try:
        table = open_for_query(run, spec)
        unavailable = table.unavailable
    finally:
        notices.report_to(lambda severity, text: tell(run.command, f"{severity}: {text}"))
    for severity, text in said:
        if severity == "warning":
            notices.warn(text)
    if unavailable:
        raise Fatal(unavailable)
    return table


def shown_value(run: Run, value: str) -> str:
    """A value as it is printed: with -F, what its base64 text says."""
    if "F" not in run.request.flags:
        return value
    import base64
    import binascii

    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        raise Fatal(f"table value is not base64-encoded: {value[:60]}") from None


def query_all(run: Run, keys: Iterable[str]) -> int:
    """Print a line for each key that a table has; 1 where none has any."""
    tables = [open_quietly(run, spec) for spec in run.request.specs]
    code = 1
    for key in keys:
        for table in tables:
            value = ask(table, key)
            if value is not None:
                print(run.command.shown(key, shown_value(run, value)))
                code = 0
                break
    return code


def lines_of_input() -> Iterator[str]:
    """The lines of standard input, without their ends."""
    for line in sys.stdin:
        yield line.rstrip("\r\n")


def list_all(run: Run) -> int:
    """Print every entry of the first table."""
    table = open_quietly(run, run.request.specs[0])
    try:
        for key, value in table.entries():
            print(run.command.shown(key, shown_value(run, value)))
    except LookupFailed as failed:
        raise Fatal(f"table {table.spec}: {failed.text}") from None
    return 0


# -- changing


@dataclass(frozen=True, slots=True)
class Place:
    """An indexed table: its text, its index, its type."""

    spec: str
    kind: str
    path: str
    index: str


def place_of(run: Run, spec: str, *, creates: bool) -> Place:
    """Where the table's files are. Fatal for a type that has no index."""
    spec = full_spec(spec, run.settings)
    kind, _, path = spec.partition(":")
    if not kind or not path:
        raise Fatal(f'open dictionary: expecting "type:name" form instead of "{spec}"')
    if kind in INDEXED_TYPES:
        suffix: str = import_module(f"posthouse.lookup.tables.{kind}").SUFFIX
        return Place(spec, kind, path, path + suffix)
    if kind == "fail":
        raise Fatal(f"table {spec}: write error: Application error")
    if kind not in table_types():
        from posthouse.lookup.missing_types import explain_missing

        raise Fatal(f"{explain_missing(kind)}. Is the postfix-{kind} package installed?")
    if creates:
        raise Fatal(f"unsupported dictionary type: {kind} does not support bulk-mode creation.")
    raise Fatal(f"table {spec}: delete operation is not supported" if kind == "static" else _read_only(spec))


def _read_only(spec: str) -> str:
    return f"{spec} map requires O_RDONLY access mode"


def build(run: Run, spec: str) -> None:
    """Make the index of a text anew."""
    place = place_of(run, spec, creates=True)
    try:
        with open(place.path, "rb") as file:
            status = os.fstat(file.fileno())
            content = b"" if stat.S_ISDIR(status.st_mode) else file.read()
    except IsADirectoryError:
        raise Fatal(f"read {place.path}: Is a directory") from None
    except OSError as error:
        raise Fatal(f"open {place.path}: {error.strerror}") from None
    with as_owner(run, status), new_index(run, place, len(content), status) as writer:
        add_text(run, writer, place, content, place.path)
        if run.command.finish is not None:
            run.command.finish(writer, run.settings)


def add_from_input(run: Run, spec: str) -> None:
    """-i: add the entries of standard input to an index, made where there is none."""
    place = place_of(run, spec, creates=True)
    content = sys.stdin.buffer.read()
    status = _status(place.path)
    with as_owner(run, status), _locked(place), new_index(run, place, len(content), status) as writer:
        copy_index(place, writer)
        add_text(run, writer, place, content, "<stdin>")
        if run.command.finish is not None:
            run.command.finish(writer, run.settings)


def delete_keys(run: Run, keys: Iterable[str]) -> int:
    """-d: remove keys from every index; 1 where none had any."""
    wanted = [run.fold(key) for key in keys if key]
    code = 1
    for spec in run.request.specs:
        place = place_of(run, spec, creates=False)
        try:
            os.stat(place.index)
        except OSError as error:
            raise Fatal(f"open database {place.index}: {error.strerror}") from None
        with _locked(place), new_index(run, place, 0, _status(place.path)) as writer:
            copy_index(place, writer)
            for key in wanted:
                if writer.remove(key):
                    code = 0
    return code


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def copy_index(place: Place, writer: IndexWriter) -> None:
    """Put the entries of the index as it is, or of the text where there is no index of ours, into the new one."""
    import lmdb

    from posthouse.lookup.index import IndexReader, is_index

    with contextlib.suppress(FileNotFoundError):
        if not is_index(place.index):
            raise Fatal(f"open database {place.index}: not an index of this mail system; make it anew first")
        try:
            writer.add_all(IndexReader(place.index).entries())
        except lmdb.Error as error:
            raise Fatal(f"open database {place.index}: damaged: {error}") from None


def add_text(run: Run, writer: IndexWriter, place: Place, content: bytes, path: str) -> None:
    """Put the entries of a text into an index. Of entries with one key the first is kept, and a warning printed."""
    from posthouse.lookup.text_map import decode

    flags = run.request.flags
    for entry in run.command.read(decode(content), utf8=run.utf8):
        if isinstance(entry, Problem):
            notices.warn(entry.shown(path))
            continue
        value = _from_files(entry, path) if "F" in flags else entry.value
        if value is None:
            continue
        key = run.fold(entry.key)
        if not writer.add(key, value, replace="r" in flags) and "w" not in flags:
            notices.warn(f'{place.index}: duplicate entry: "{key}"')


def _from_files(entry: Entry, path: str) -> str | None:
    """-F: the files that the value names, joined with line ends and in base64."""
    import base64

    contents: list[bytes] = []
    for name in entry.value.replace(",", " ").split():
        try:
            with open(name, "rb") as file:
                contents.append(file.read())
        except OSError as error:
            notices.warn(f"{path}, line {entry.number}: open {name}: {error.strerror}: skipping this entry")
            return None
    return base64.b64encode(b"\n".join(contents)).decode()


@contextlib.contextmanager
def new_index(run: Run, place: Place, size: int, status: os.stat_result | None) -> Iterator[IndexWriter]:
    """The index that takes the old one's place. An old one's mode and owner are kept, else the text's apply."""
    import lmdb

    from posthouse.lookup.index import IndexWriter

    old = _status(place.index)
    mode = 0o644 if status is None or "p" in run.request.flags else 0o644 & (status.st_mode | 0o600)
    if old is not None:
        mode, size = stat.S_IMODE(old.st_mode), size + old.st_size
        if not os.access(place.index, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise Fatal(f"open {place.index}: Permission denied")
    try:
        with IndexWriter(place.index, content_bytes=size, mode=mode, with_null="N" in run.request.flags) as writer:
            yield writer
            if old is not None and os.geteuid() == 0:
                writer.give_to(old.st_uid, old.st_gid)
    except OSError as error:
        raise Fatal(f"open database {place.index}: {error.strerror}") from None
    except lmdb.Error as error:
        raise Fatal(f"error updating {place.spec}: {error}") from None


@contextlib.contextmanager
def as_owner(run: Run, status: os.stat_result | None) -> Iterator[None]:
    """Write as the owner of the text, so that a user's directory never makes root write elsewhere (-o: do not)."""
    if status is None or os.geteuid() != 0 or status.st_uid == 0 or "o" in run.request.flags:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    """One command at a time changes an index; it waits for the other, then looks at the new file."""
    while True:
        try:
            descriptor = os.open(place.index, os.O_RDONLY)
        except FileNotFoundError:
            yield
            return
        except OSError as error:
            raise Fatal(f"open database {place.index}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            now = _status(place.index)
            if now is not None and now.st_ino == os.fstat(descriptor).st_ino:
                yield
                return
        finally:
            os.close(descriptor)
