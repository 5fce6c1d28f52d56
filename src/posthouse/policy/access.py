"""Asks an access table about a client, a name or an address, and does what it says (access(5))."""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.errors import ConfigError, LookupFailed
from posthouse.lookup.address_keys import access_keys, domain_keys
from posthouse.lookup.client_keys import network_keys
from posthouse.lookup.table import failure_warnings
from posthouse.mail.address import fold_address
from posthouse.mail.status import Status
from posthouse.maillog import policy as texts
from posthouse.policy.access_action import AccessAction, Word, parse_action
from posthouse.policy.answer import PERMIT, Answer, Permit, Postpone, Refuse, Unless, server_error
from posthouse.policy.check import RECIPIENT, Check
from posthouse.policy.destinations import has_sender_given_route
from posthouse.policy.enhanced_codes import fit_dsn
from posthouse.policy.tables import AccessTable
from posthouse.policy.verdict import Action, Effect, Note

NOT_FOUND = object()


async def look_up_address(check: Check, table: AccessTable, address: str, what: str) -> Answer:
    """A sender or recipient: whole address, domain and parents, local part."""
    resolved = await check.resolve(address)
    if "@" not in resolved.recipient:
        check.means.log.warning(f"check_mail_access: no @domain in address: {resolved.recipient}")
        return None
    settings = check.means.settings
    keys = (
        key.text
        for key in access_keys(
            resolved.recipient, settings.text("recipient_delimiter"), parents_match=check.means.access_parents_match
        )
    )
    answer = await first_answer(check, table, keys, (address, what))
    if isinstance(answer, Permit) and what is RECIPIENT and has_sender_given_route(check, resolved):
        return None
    return None if answer is NOT_FOUND else answer  # type: ignore[return-value]


async def look_up_domain(check: Check, table: AccessTable, name: str, subject: tuple[str, str]) -> object:
    """A host or domain name and its parents."""
    # A pattern sees the name as it is: what $1 stands for keeps its case.
    keys = domain_keys(name if table.is_pattern else fold_address(name), parents_match=check.means.access_parents_match)
    return await first_answer(check, table, keys, subject)


async def look_up_host(check: Check, table: AccessTable, host: tuple[str, str], subject: tuple[str, str]) -> Answer:
    """A host's (name, address): the name and its parents, then the address and its networks."""
    name, address = host
    answer = await look_up_domain(check, table, name, subject)
    if answer is NOT_FOUND:
        answer = await first_answer(check, table, network_keys(address), subject)
    return None if answer is NOT_FOUND else answer  # type: ignore[return-value]


async def first_answer(check: Check, table: AccessTable, keys: Iterable[str], subject: tuple[str, str]) -> object:
    """What the first key that the table knows leads to, or NOT_FOUND. Patterns are tried on the first key only."""
    for key in keys:
        try:
            value = await table.find(key)
        except LookupFailed as problem:
            for text in failure_warnings(problem, key):
                check.means.log.warning(text)
            value = "451 4.3.5 Server configuration error"
        if check.trace is not None:
            check.learn("table", table.spec, key, value)
        if value is not None:
            return await apply_value(check, value, subject, (table.spec, key))
        if table.is_pattern:
            break
    return NOT_FOUND


async def apply_value(check: Check, value: str, subject: tuple[str, str], source: tuple[str, str]) -> Answer:
    """Do what a table or policy server answered. subject is (name, its class) for texts; source is (table, key)."""
    if not value.strip():
        check.means.log.warning(texts.empty_value(source[0], value))
        return None
    action = parse_action(value)
    match action.word:
        case Word.OK:
            return PERMIT
        case Word.DUNNO:
            return None
        case Word.RESTRICTIONS:
            return await _ask_restrictions(check, action.argument, subject, source)
        case Word.REJECT | Word.DEFER | Word.CODE | Word.DEFER_IF_PERMIT | Word.DEFER_IF_REJECT:
            return _refusal(check, action, subject)
        case Word.WARN | Word.INFO:
            check.notes.append(Note(action.word.value.lower(), action.argument))
            return None
        case _:
            return _act(check, action, subject, source)


def _refusal(check: Check, action: AccessAction, subject: tuple[str, str]) -> Answer:
    name, what = subject
    match action.word:
        case Word.CODE:
            code, dsn, words = action.code, f"{action.code // 100}.7.1", "Access denied"
        case Word.REJECT:
            code, dsn, words = check.means.code("access_map_reject_code"), "5.7.1", "Access denied"
        case Word.DEFER:
            code, dsn, words = check.means.code("access_map_defer_code"), "4.7.1", "Access denied"
        case _:
            code, dsn, words = check.means.code("access_map_defer_code"), "4.7.1", "Service unavailable"
    dsn = fit_dsn(check, action.dsn or dsn, what)
    status = Status(dsn, code, f"<{name}>: {what} rejected: {action.text or words}")
    match action.word:
        case Word.DEFER_IF_PERMIT:
            return Postpone(Unless.PERMIT, status)
        case Word.DEFER_IF_REJECT:
            return Postpone(Unless.REJECT, status)
        case _:
            return Refuse(status)


def _act(check: Check, action: AccessAction, subject: tuple[str, str], source: tuple[str, str]) -> Answer:
    """An action on the message; what is wrong with its argument goes to the log, and the action is not done."""
    effect, argument = Effect(action.word.value), action.argument
    problem = _argument_problem(check, effect, argument, source)
    if problem:
        check.means.log.warning(problem)
        return None
    if effect is Effect.HOLD:
        if check.request.memory.get("held"):
            return None  # said already
        check.request.memory["held"] = True
    name, what = subject
    if effect in (Effect.HOLD, Effect.DISCARD):
        said = argument or f"triggers {effect.value} action"
    else:
        said = f"triggers {effect.value} {argument}"
    check.actions.append(Action(effect, argument))
    if effect is not Effect.PREPEND:
        check.notes.append(Note(effect.value.lower(), f"<{name}>: {what} {said}"))
    if effect is Effect.DISCARD:
        check.discarded = True
        return PERMIT
    return None


def _argument_problem(check: Check, effect: Effect, argument: str, source: tuple[str, str]) -> str:
    table, key = source
    unavailable = _unavailable(check, effect, table)
    if unavailable:
        return unavailable
    entry = f'access table {table} entry "{key}"'
    match effect:
        case Effect.FILTER if not argument:
            return f"{entry} has FILTER entry without value"
        case Effect.FILTER if ":" not in argument:
            return f"{entry} requires transport:destination"
        case Effect.REDIRECT | Effect.BCC if "@" not in argument:
            return f"{entry} requires user@domain target"
        case Effect.PREPEND if not _is_header(argument):
            return f"{entry} requires header: text"
        case _:
            return ""


def _unavailable(check: Check, effect: Effect, table: str) -> str:
    """Why the action cannot be done at this stage, or ""."""
    where = check.request.protocol_state
    if effect is Effect.PREPEND:
        if where == "END-OF-MESSAGE":
            return f"access table {table}: action PREPEND must be used before smtpd_end_of_data_restrictions"
    elif check.means.settings.text("smtpd_proxy_filter"):
        return f"access table {table}: with smtpd_proxy_filter specified, action {effect.value} is unavailable"
    elif where == "ETRN":
        return f"access table {table}: action {effect.value} is unavailable in smtpd_etrn_restrictions"
    if check.request.sender is None:
        return (
            f"access table {table}: with smtpd_delay_reject=no, action {effect.value} is always skipped in "
            "Client host or Helo command restrictions"
        )
    return ""


def _is_header(text: str) -> bool:
    name, colon, _ = text.partition(":")
    name = name.rstrip(" \t")
    return bool(colon and name) and all(33 <= ord(character) <= 126 for character in name)


async def _ask_restrictions(check: Check, words: str, subject: tuple[str, str], source: tuple[str, str]) -> Answer:
    """A list of restrictions in place of an action. What they refuse is whom the table was asked about."""
    from posthouse.policy.evaluate import ask_members

    if ":" in words:
        for text in texts.table_within_table(source[0], words):
            check.means.log.warning(text)
        raise server_error()
    try:
        rules = check.means.rules_in_table(words, check.default_access)
    except ConfigError as problem:
        check.means.log.warning(f'access table {source[0]} entry "{source[1]}": {problem}')
        raise server_error() from problem
    outer = check.subject, check.subject_class
    check.subject, check.subject_class = subject
    try:
        return await ask_members(rules, check, (source[0], words))
    finally:
        check.subject, check.subject_class = outer
