import pytest

from posthouse.config.settings import load
from posthouse.lookup import notices
from posthouse.lookup.maps import forget_maps
from posthouse.lookup.table import forget_tables


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmyhostname = mail.example.com\n")
    forget_tables()
    forget_maps()
    return load(str(tmp_path))


@pytest.fixture
def said():
    lines = []
    notices.report_to(None)
    notices._kept.clear()
    notices.report_to(lambda severity, text: lines.append(f"{severity}: {text}"))
    yield lines
    notices.report_to(None)
