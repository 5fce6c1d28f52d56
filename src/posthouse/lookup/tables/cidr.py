"""cidr: tables: networks in order, with if and endif (cidr_table(5)); a key is an IP address."""

from __future__ import annotations

from collections.abc import Callable

from posthouse.lookup.network_set import BITS, BadNetwork, address_bits, parse_network
from posthouse.lookup.rule_table import BadRule, EndIf, If, Rule, RuleTable, Statement
from posthouse.lookup.table import Options
from posthouse.lookup.text_map import divide_word


def open_table(name: str, options: Options) -> RuleTable:
    """The table in the file of that name, or in braces."""
    return RuleTable(name, options, _parse, "ENDIF without IF: skipping this rule")


def _parse(line: str, _say: Callable[[str], None]) -> Statement:
    word, rest = divide_word(line)
    match word.lower():
        case "endif":
            if rest:
                raise BadRule("garbage after ENDIF: skipping this rule")
            return EndIf()
        case "if":
            return If(_condition(rest))
    pattern = word
    if word == "!" and rest:
        pattern, _, rest = rest.partition(" ")
        pattern, rest = "!" + pattern, rest.strip()
    if not rest:
        raise BadRule("no lookup result: skipping this rule")
    return _rule(_condition(pattern), rest)


def _rule(condition: Callable[[str], bool], value: str) -> Rule:
    return lambda key: value if condition(key) else None


def _condition(text: str) -> Callable[[str], bool]:
    negated = False
    while text.startswith("!"):
        negated, text = not negated, text[1:].lstrip()
    if not text:
        raise BadRule("no address pattern: skipping this rule")
    try:
        version, length, prefix = parse_network(text)
    except BadNetwork as problem:
        raise BadRule(f"{problem}: skipping this rule") from None
    shift = BITS[version] - length

    def matches(key: str) -> bool:
        bits = address_bits(key)
        if bits is None or bits[0] != version:
            return False  # what is no address of this kind matches nothing, not even what is negated
        return (bits[1] >> shift == prefix) is not negated

    return matches
