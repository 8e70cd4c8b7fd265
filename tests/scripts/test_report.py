"""The report command refuses to replace a document by one of nothing."""

import pytest

from scripts import report


@pytest.mark.parametrize("given", [[], ["RUNS"]])
def test_without_a_run_and_a_record_nothing_is_written(given, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUNS" / "unfinished").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("the good one")
    assert report.main([*given, "--out", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is nothing to report: no complete run in " in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["README.md"]
    assert (tmp_path / "out" / "README.md").read_text() == "the good one"
