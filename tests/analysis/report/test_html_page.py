"""Pages are the same whether their templates are compiled or found compiled."""

from pathlib import Path

import pytest

from analysis.report import html_page as pages


def test_templates_are_compiled_once_or_each_time_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, kept in ((tmp_path, 1), (tmp_path, 1), (tmp_path / "missing", 0)):
        monkeypatch.setattr(pages, "KEPT_IN", folder)
        template = pages._environment.__wrapped__().get_template("parts.html")
        assert template.module is not None
        assert len(list(folder.glob("template-*"))) == kept
