"""amavisd.conf texts read, and rules made of them and of main.cf lines."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.config.settings import from_text
from posthouse.filters.scanner.amavisd_conf import AmavisdConf, parse
from posthouse.filters.scanner.rules import scan_rules


@dataclass
class Machine:
    files: dict
    hostname: str = "mx.example.com"
    domain: str = "example.com"

    def read(self, path):
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path]


def conf_of(text, **files):
    conf = AmavisdConf()
    parse(text, "amavisd.conf", conf, Machine({name.replace("_", "/"): content for name, content in files.items()}))
    return conf


def rules_of(tmp_path, conf="", **settings):
    lines = {"myhostname": "mx.example.com", **settings}
    if conf:
        (tmp_path / "amavisd.conf").write_text(conf)
        lines["posthouse_scan_amavisd_conf"] = str(tmp_path / "amavisd.conf")
    return scan_rules(from_text("".join(f"{name} = {value}\n" for name, value in lines.items())))
