"""What postqueue, postsuper and postcat share: options as getopt(3) reads them, fatal ends, lines into the log."""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Sequence

from posthouse.commands import command_log
from posthouse.config.settings import Settings
from posthouse.errors import ConfigError


class Fatal(Exception):
    """The command ends with this text and exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text, self.code = text, code


class Command:
    """One command under its name, with its configuration once that is loaded."""

    def __init__(self, name: str, usage: str, usage_code: int) -> None:
        self.name, self._usage, self._usage_code = name, usage, usage_code
        self._settings: Settings | None = None

    def options(self, words: Sequence[str], letters: str) -> tuple[list[tuple[str, str]], list[str]]:
        """Options in their order, and the other words. Raises Fatal with the usage."""
        try:
            return getopt.getopt(list(words), letters)
        except getopt.GetoptError as wrong:
            without = "requires argument" in wrong.msg
            says = "option requires an argument" if without else "invalid option"
            print(f"{self.name}: {says} -- '{wrong.opt}'", file=sys.stderr)
            raise self.usage() from None

    def usage(self) -> Fatal:
        return Fatal(f"usage: {self._usage}", self._usage_code)

    def load(self, directory: str | None) -> Settings:
        """main.cf. Raises Fatal."""
        from posthouse.config.settings import load

        try:
            self._settings = load(directory)
        except ConfigError as problem:
            raise Fatal(str(problem)) from None
        return self._settings

    def log(self, severity: str, text: str) -> None:
        """Into the log of the mail system; postcat only reads, and says nothing there."""
        if self._settings is not None and self.name != "postcat":
            command_log.log(self._settings, self.name, severity, text)

    def tell(self, text: str) -> None:
        """To standard error and to the log."""
        print(f"{self.name}: {text}", file=sys.stderr)
        self.log("info", text)

    def warn(self, text: str) -> None:
        print(f"{self.name}: warning: {text}", file=sys.stderr)
        self.log("warning", f"warning: {text}")

    def die(self, fatal: Fatal) -> int:
        """Say why, and give the exit code."""
        print(f"{self.name}: fatal: {fatal.text}", file=sys.stderr)
        self.log("fatal", f"fatal: {fatal.text}")
        return fatal.code


def is_superuser() -> bool:
    return os.geteuid() == 0
