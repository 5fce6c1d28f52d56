"""postfix(1): start, stop, reload and look after the mail system."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from posthouse.errors import ConfigError, PosthouseError
from posthouse.maillog import master as says
from posthouse.system.log import DaemonLog

if TYPE_CHECKING:
    from posthouse.config.settings import Settings
    from posthouse.master.setup import Setup

COMMANDS = (
    "start, start-fg, stop, reload, abort, flush, check, status, set-permissions, upgrade-configuration, logrotate, tls"
)
USAGE = "usage: postfix [-c config_dir] [-Dv] command"
STOP_LIMIT_S = 25.0
ABORT_LIMIT_S = 5.0
CURRENT_LEVEL = [3, 6]


class Postfix:
    """One run of the command. Lines go to the log of the mail system, problems to standard error as well."""

    def __init__(self, settings: Settings, config_directory: str | None) -> None:
        from posthouse.master import logs

        self.settings, self.config_directory = settings, config_directory
        self.queue_directory = settings.text("queue_directory")
        self.sink = logs.open_sink(settings)
        self.log = DaemonLog(f"{settings.text('syslog_name')}/postfix-script", self.sink)

    def say(self, text: str) -> None:
        """Something that went as it should: for the log, and for a person who watches."""
        self.log.info(text)
        if sys.stderr.isatty():
            print(f"postfix/postfix-script: {text}", file=sys.stderr)

    def fatal(self, text: str) -> int:
        """The command did not do what was asked."""
        self.log.fatal(text)
        print(f"postfix/postfix-script: fatal: {text}", file=sys.stderr)
        return 1

    def running_pid(self) -> int:
        from posthouse.master import opening

        return opening.running_pid(self.queue_directory)

    # The commands

    def start(self, *, foreground: bool = False) -> int:
        from posthouse.master import opening, pid_file

        if self.running_pid():
            return self.fatal(says.ALREADY_RUNNING)
        setup = self._read_setup()
        if setup is None:
            return 1
        self.say(says.STARTING)
        try:
            return opening.open_house(setup, self.sink, foreground=foreground)
        except pid_file.AlreadyRunning:
            return self.fatal(says.ALREADY_RUNNING)
        except ConfigError as trouble:
            return self.fatal(str(trouble))

    def _read_setup(self) -> Setup | None:
        from posthouse.master import setup

        try:
            found = setup.read(self.config_directory, 1)
        except ConfigError as trouble:
            self.fatal(str(trouble))
            return None
        self._warn_of_unused()
        self._tell_of_old_defaults()
        for text in found.warnings:
            self.log.warning(text)
            if sys.stderr.isatty():
                print(f"postfix/postfix-script: warning: {text}", file=sys.stderr)
        return found

    def _tell_of_old_defaults(self) -> None:
        """A low compatibility_level keeps defaults of old releases in force (COMPATIBILITY_README)."""
        numbers = re.findall(r"\d+", self.settings.text("compatibility_level"))[:2]
        if [int(number) for number in numbers] >= CURRENT_LEVEL:
            return
        log = self.log.named(self.settings.text("syslog_name"))
        for text in says.OLD_DEFAULTS:
            log.info(text)
            if sys.stderr.isatty():
                print(f"postfix: {text}", file=sys.stderr)

    def _warn_of_unused(self) -> None:
        """Say which names of main.cf nothing knows, as postconf does when Postfix starts."""
        from posthouse.config import known, main_cf, master_cf

        folder = self.settings.config_directory
        main, master = os.path.join(folder, "main.cf"), os.path.join(folder, "master.cf")
        lines = {line.name: line for line in main_cf.read_main_cf(main)}
        names = known.survey(lines, master_cf.read_entries(folder), main, master)
        postconf = os.path.join(self.settings.text("command_directory"), "postconf")
        for name, line in lines.items():
            if not names.knows(name):
                print(f"{postconf}: warning: {main}: unused parameter: {name}={line.value}", file=sys.stderr)

    def start_fg(self) -> int:
        return self.start(foreground=True)

    def stop(self) -> int:
        return self._end(says.STOPPING, signal.SIGTERM, STOP_LIMIT_S)

    def abort(self) -> int:
        return self._end(says.ABORTING, signal.SIGABRT, ABORT_LIMIT_S)

    def _end(self, text: str, number: signal.Signals, limit: float) -> int:
        from posthouse.master import opening

        pid = self.running_pid()
        if not pid:
            return self.fatal(says.NOT_RUNNING)
        self.say(text)
        try:
            os.kill(pid, number)
        except PermissionError:
            return self.fatal(f"no right to end process {pid}")
        if opening.wait_until_gone(self.queue_directory, pid, limit):
            return 0
        os.kill(pid, signal.SIGKILL)
        self.log.warning(f"process {pid} did not end in {limit:.0f} s and was killed")
        return 0 if opening.wait_until_gone(self.queue_directory, pid, limit) else 1

    def reload(self) -> int:
        pid = self.running_pid()
        if not pid:
            return self.fatal(says.NOT_RUNNING)
        # Differs from Postfix: a configuration that does not check is refused here, and the old one goes on.
        if self._read_setup() is None:
            return 1
        self.say(says.REFRESHING)
        os.kill(pid, signal.SIGHUP)
        return 0

    def status(self) -> int:
        pid = self.running_pid()
        if not pid:
            self.say(says.NOT_RUNNING)
            return 1
        self.say(says.running(pid))
        return 0

    def check(self) -> int:
        from posthouse.master import setup

        checked = self._read_setup()
        if checked is None:
            return 1
        try:
            setup.prepare_folders(checked)
        except ConfigError as trouble:
            return self.fatal(str(trouble))
        return 0

    def flush(self) -> int:
        from posthouse.commands import postqueue

        return _exit_code(lambda: postqueue.main(["-c", self.settings.config_directory, "-f"]))

    def logrotate(self) -> int:
        """Rename maillog_file, let the house go on in a new one, compress the old one."""
        from posthouse.master import logs

        path = logs.file_name(self.settings)
        if not path or path.startswith("/dev/"):
            return self.fatal("cannot rotate the log: maillog_file is not the name of a file")
        suffix = time.strftime(self.settings.text("maillog_file_rotate_suffix"))
        rotated = f"{path}.{suffix}"
        try:
            os.rename(path, rotated)
        except OSError as trouble:
            return self.fatal(f"rename {path}: {trouble.strerror}")
        if pid := self.running_pid():
            os.kill(pid, signal.SIGUSR1)
            time.sleep(1.0)
        compressor = self.settings.text("maillog_file_compressor")
        if compressor and subprocess.run([compressor, rotated], check=False).returncode:
            return self.fatal(f"{compressor} {rotated} failed")
        return 0

    def set_permissions(self) -> int:
        """Owners and modes of the queue directory; Posthouse has no set-gid programs that could lose theirs."""
        return self.check()

    def upgrade_configuration(self) -> int:
        self.say("the configuration needs no upgrade: Posthouse reads main.cf and master.cf as they are")
        return 0

    def tls(self) -> int:
        return self.fatal("postfix tls is not built in Posthouse; make keys and certificates with openssl")

    def quick_start(self) -> int:
        return self.start()


ACTIONS: dict[str, Callable[[Postfix], int]] = {
    "start": Postfix.start,
    "start-fg": Postfix.start_fg,
    "quick-start": Postfix.quick_start,
    "stop": Postfix.stop,
    "quick-stop": Postfix.stop,
    "drain": Postfix.stop,
    "abort": Postfix.abort,
    "reload": Postfix.reload,
    "status": Postfix.status,
    "check": Postfix.check,
    "flush": Postfix.flush,
    "logrotate": Postfix.logrotate,
    "set-permissions": Postfix.set_permissions,
    "upgrade-configuration": Postfix.upgrade_configuration,
    "tls": Postfix.tls,
}


def _exit_code(run: Callable[[], int | None]) -> int:
    try:
        return run() or 0
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)


def _parse(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Config directory and the words left. Raises ValueError for an unknown option."""
    import getopt

    options, words = getopt.getopt(arguments, "c:Dv")
    directory = next((value for name, value in reversed(options) if name == "-c"), None)
    return directory, words


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when done, 1 when not."""
    import getopt

    try:
        directory, words = _parse(sys.argv[1:] if argv is None else argv)
    except getopt.GetoptError as problem:
        print(f"postfix: {problem.msg}\npostfix: fatal: {USAGE}", file=sys.stderr)
        return 1
    if not words:
        print(f"postfix: fatal: {USAGE}", file=sys.stderr)
        return 1
    return _run(directory, words)


def _run(directory: str | None, words: list[str]) -> int:
    from posthouse.config.settings import directory_of, load

    directory = os.path.abspath(directory_of(directory))
    os.environ["MAIL_CONFIG"] = directory
    try:
        command = Postfix(load(directory), directory)
    except PosthouseError as trouble:
        print(f"postfix: fatal: {trouble}", file=sys.stderr)
        return 1
    action = ACTIONS.get(words[0])
    if action is None:
        return command.fatal(f"unknown command: '{' '.join(words)}'. Usage: postfix {COMMANDS}")
    try:
        return action(command)
    except PosthouseError as trouble:
        return command.fatal(str(trouble))


if __name__ == "__main__":
    sys.exit(main())
