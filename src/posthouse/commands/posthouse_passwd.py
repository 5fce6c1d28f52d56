"""posthouse passwd: keeps the logins of smtpd_sasl_type = posthouse: add, change, remove, list."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile


def main(argv: list[str]) -> int:
    """The exit code: 0, or 1 where nothing was done."""
    arguments = _parser().parse_args(argv)
    from posthouse.config.settings import load
    from posthouse.errors import PosthouseError
    from posthouse.sasl.posthouse import passwords_path

    try:
        settings = load(arguments.config_directory)
        path = arguments.file or passwords_path(settings)
        owner = settings.text("mail_owner")
    except PosthouseError as error:
        return _fail(str(error))
    if ":" in path:
        return _fail(f"smtpd_sasl_path is the table {path}; edit that, or name a file with --file")
    try:
        return int(_COMMANDS[arguments.command](arguments, path, owner))
    except (OSError, ValueError) as error:
        return _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("posthouse passwd", description="Keep the logins of smtpd_sasl_type = posthouse.")
    parser.add_argument("-c", dest="config_directory", default=None, metavar="DIR", help="configuration directory")
    parser.add_argument("--file", default="", help="the file of logins, if not the one that smtpd_sasl_path names")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("add", "a new login"), ("change", "another password for a login")):
        command = commands.add_parser(
            name, help=text, description=f"{text}; the password is asked for, or read from standard input"
        )
        command.add_argument("user", help="the login, as user@domain")
        command.add_argument("--scheme", default="ARGON2ID", help="ARGON2ID, SCRAM-SHA-256, BLF-CRYPT, SHA512-CRYPT")
    command = commands.add_parser("remove", help="a login ends")
    command.add_argument("user")
    commands.add_parser("list", help="the logins and how their passwords are stored")
    return parser


def _add(arguments: argparse.Namespace, path: str, owner: str) -> int:
    from posthouse.protocols.password_file import is_fit_name

    if not is_fit_name(arguments.user):
        return _fail(f"{arguments.user!r} cannot be a login: no white space, no colon, no #")
    if arguments.user.lower() in _known(path):
        return _fail(f"{arguments.user} is there already; posthouse passwd change sets another password")
    return _set(arguments, path, owner)


def _change(arguments: argparse.Namespace, path: str, owner: str) -> int:
    if arguments.user.lower() not in _known(path):
        return _fail(f"there is no {arguments.user} in {path}; posthouse passwd add makes one")
    return _set(arguments, path, owner)


def _set(arguments: argparse.Namespace, path: str, owner: str) -> int:
    from posthouse.protocols.password_file import with_entry
    from posthouse.sasl.password_hash import NEW_SCHEMES, hash_password

    scheme = arguments.scheme.upper()
    if scheme not in NEW_SCHEMES:
        return _fail(f"unknown scheme {arguments.scheme}; there are {', '.join(NEW_SCHEMES)}")
    password = _ask(arguments.user)
    if not password:
        return _fail("no password, nothing changed")
    _write(path, with_entry(_read(path), arguments.user, hash_password(password, scheme)), owner)
    return 0


def _remove(arguments: argparse.Namespace, path: str, owner: str) -> int:
    from posthouse.protocols.password_file import with_entry

    if arguments.user.lower() not in _known(path):
        return _fail(f"there is no {arguments.user} in {path}")
    _write(path, with_entry(_read(path), arguments.user, None), owner)
    return 0


def _list(arguments: argparse.Namespace, path: str, owner: str) -> int:  # noqa: ARG001
    from posthouse.sasl.password_hash import split_scheme

    for user, stored in sorted(_known(path).items()):
        print(f"{user}\t{split_scheme(stored)[0]}")
    return 0


_COMMANDS = {"add": _add, "change": _change, "remove": _remove, "list": _list}


def _ask(user: str) -> str:
    """The password: typed twice without echo, or the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    import getpass

    first = getpass.getpass(f"Password for {user}: ")
    if first != getpass.getpass("Again: "):
        print("posthouse passwd: these are two different passwords", file=sys.stderr)
        return ""
    return first


def _known(path: str) -> dict[str, str]:
    from posthouse.protocols.password_file import entries

    return entries(_read(path))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str, owner: str) -> None:
    """Whole or not at all; for root and the mail system's group alone."""
    fd, new = tempfile.mkstemp(prefix=os.path.basename(path), dir=os.path.dirname(path) or ".")
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            _give_to_group(file.fileno(), owner)
        os.rename(new, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        raise


def _give_to_group(fd: int, owner: str) -> None:
    if os.geteuid() != 0:
        return
    import pwd

    try:
        group = pwd.getpwnam(owner).pw_gid
    except KeyError as error:
        raise ValueError(f"there is no user {owner} (mail_owner)") from error
    os.fchown(fd, -1, group)
    os.fchmod(fd, 0o640)


def _fail(text: str) -> int:
    print(f"posthouse passwd: {text}", file=sys.stderr)
    return 1
