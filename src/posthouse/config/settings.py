"""The configuration as one service sees it: main.cf, Postfix's defaults, the service's own -o lines (postconf(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from posthouse.config import computed, main_cf, types
from posthouse.config.expand import ExpansionError, expand
from posthouse.config.main_cf import Place, Setting
from posthouse.config.parameters import PARAMETERS
from posthouse.config.transports import default_of
from posthouse.config.types import Kind, Parameter
from posthouse.errors import ConfigError

__all__ = ["Place", "Settings", "load"]

_UNIT: Final = re.compile(r"[a-zA-Z]")


class Settings:
    """A view of the configuration; answers are cached, so asking is cheap. Names are those of postconf(5)."""

    __slots__ = (
        "_expanding",
        "_flags",
        "_integers",
        "_items",
        "_seconds",
        "_set",
        "_texts",
        "config_directory",
        "service",
    )

    config_directory: str
    service: str  # name of the service in master.cf ("submission", "relay"), or ""

    def __init__(self, config_directory: str, settings: Mapping[str, Setting], service: str = "") -> None:
        self.config_directory, self.service = config_directory, service
        self._set = settings
        self._texts: dict[str, str] = {}
        self._integers: dict[str, int] = {}
        self._flags: dict[str, bool] = {}
        self._seconds: dict[str, int] = {}
        self._items: dict[str, tuple[str, ...]] = {}
        self._expanding: list[str] = []

    def text(self, name: str) -> str:
        """The value with $names expanded. KeyError for a name that neither Postfix nor main.cf knows."""
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = self._checked_text(name)
        return found

    def raw(self, name: str) -> str:
        """The value as written (default text where not set), nothing expanded."""
        setting = self._set.get(name)
        if setting is not None:
            return setting.value
        if name == "config_directory":
            return self.config_directory
        return self.default(name)

    def default(self, name: str) -> str:
        """The text of the default, nothing expanded. KeyError for a name that Postfix does not know."""
        parameter = PARAMETERS.get(name)
        if parameter is None:
            return default_of(name)
        return computed.default_value(self, name) if parameter.kind is Kind.COMPUTED else parameter.default

    def expanded(self, value: str, name: str = "") -> str:
        """Another text with its $names replaced by their values here. ConfigError where it is not well formed.

        name is the parameter that has this value, for the place in the error.
        """
        try:
            return expand(value, self._named)
        except ExpansionError as error:
            raise self._wrong(name, str(error)) from None

    def integer(self, name: str) -> int:
        """A number (of bytes, where it is a size). ConfigError where the value is none, or out of bounds."""
        found = self._integers.get(name)
        if found is None:
            try:
                found = types.parse_integer(self._parameter(name), self.text(name))
            except ValueError as error:
                raise self._wrong(name, str(error)) from None
            self._integers[name] = found
        return found

    def flag(self, name: str) -> bool:
        """Yes or no. ConfigError for anything else."""
        found = self._flags.get(name)
        if found is None:
            try:
                found = types.parse_flag(name, self.text(name))
            except ValueError as error:
                raise self._wrong(name, str(error)) from None
            self._flags[name] = found
        return found

    def seconds(self, name: str) -> int:
        """A time value in seconds, whatever unit it was written in."""
        found = self._seconds.get(name)
        if found is None:
            try:
                found = types.parse_time(self._parameter(name), self.text(name), self._unit(name))
            except ValueError as error:
                raise self._wrong(name, str(error)) from None
            self._seconds[name] = found
        return found

    def items(self, name: str) -> tuple[str, ...]:
        """A list split at commas and white space; {text with spaces} stays one item, without its outer braces."""
        found = self._items.get(name)
        if found is None:
            found = self._items[name] = types.split_items(self.text(name))
        return found

    def is_set(self, name: str) -> bool:
        """Whether main.cf or -o gives the parameter a value."""
        return name in self._set

    def knows(self, name: str) -> bool:
        """Whether text(name) has an answer: a parameter of Postfix, or a name that main.cf defines."""
        if name in self._set or name in PARAMETERS:
            return True
        try:
            default_of(name)
        except KeyError:
            return False
        return True

    def place(self, name: str) -> Place | None:
        """Where it was set; None for a default."""
        setting = self._set.get(name)
        return setting.place if setting is not None and setting.place.file else None

    def set_values(self) -> Mapping[str, Setting]:
        """What main.cf and -o set, by name."""
        return self._set

    def place_of_file(self) -> str:
        """The name of main.cf."""
        return os.path.join(self.config_directory, "main.cf")

    def names(self) -> tuple[str, ...]:
        """The names that main.cf or -o set, in their order."""
        return tuple(self._set)

    def for_transport(self, transport: str, suffix: str) -> str:
        """<transport>_<suffix> where set, else default_<suffix> ("destination_concurrency_limit") as text, expanded."""
        return self.text(f"{transport}_{suffix}")

    def with_overrides(
        self, overrides: Mapping[str, str], service: str = "", file: str = "", line: int = 0
    ) -> Settings:
        """The view of a service with these -o settings on top."""
        place = Place(file, line)
        added = {name: Setting(name, value, place) for name, value in overrides.items()}
        return Settings(self.config_directory, {**self._set, **added}, service or self.service)

    def _parameter(self, name: str) -> Parameter:
        parameter = PARAMETERS.get(name)
        return parameter if parameter is not None else Parameter(name, Kind.TEXT, "", "")

    def _checked_text(self, name: str) -> str:
        value = self.raw(name)
        parameter = PARAMETERS.get(name)
        if parameter is not None and parameter.kind is Kind.TEMPLATE:
            return value
        if name in self._expanding:
            raise self._wrong(name, f'unreasonable macro call nesting: "{value}"')
        self._expanding.append(name)
        try:
            value = expand(value, self._named)
            if parameter is not None and parameter.least and parameter.kind in types.TEXTUAL:
                types.parse_text(parameter, value)
        except ExpansionError as error:
            raise self._wrong(name, str(error)) from None
        except ValueError as error:
            raise self._wrong(name, str(error)) from None
        finally:
            self._expanding.pop()
        return first_line(value) if name == "myorigin" and value.startswith("/") else value

    def _named(self, name: str) -> str | None:
        """The value of a $name within another value."""
        return self.text(name) if self.knows(name) else None

    def _unit(self, name: str) -> str:
        """The unit of a time without one: that of the default."""
        try:
            default = expand(self.default(name), self._named)
        except KeyError:
            default = ""
        unit = _UNIT.search(default)
        return unit.group() if unit else "s"

    def _wrong(self, name: str, text: str) -> ConfigError:
        place = self.place(name)
        if place is None:
            return ConfigError(text, parameter=name)
        return ConfigError(text, file=place.file, line=place.line, parameter=name)


def first_line(file: str) -> str:
    """The first line of a file: Debian lets myorigin name one (/etc/mailname)."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.readline().strip()
    except OSError as error:
        raise ConfigError(f"open {file}: {error.strerror}", parameter="myorigin") from error


def directory_of(config_directory: str | None = None) -> str:
    """The configuration directory: the argument, else MAIL_CONFIG, else /etc/postfix."""
    return config_directory or os.environ.get("MAIL_CONFIG") or "/etc/postfix"


def load(config_directory: str | None = None) -> Settings:
    """Read main.cf. Directory: the argument, else MAIL_CONFIG, else /etc/postfix. Raises ConfigError."""
    directory = directory_of(config_directory)
    return from_lines(main_cf.read_main_cf(os.path.join(directory, "main.cf")), directory)


def from_lines(lines: list[Setting], directory: str) -> Settings:
    """The view that these lines of a main.cf give; of two settings of a name the later one counts."""
    return Settings(directory, {setting.name: setting for setting in lines})


def from_text(text: str, directory: str = "/etc/postfix") -> Settings:
    """The view that the text of a main.cf gives."""
    return from_lines(main_cf.parse_main_cf(text, os.path.join(directory, "main.cf")), directory)
