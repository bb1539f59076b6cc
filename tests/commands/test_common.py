"""The flags and configs of all sub-commands: nothing that is given is lost."""

import pytest

from alphadia_tl import cli
from alphadia_tl.commands.common import read_config
from alphadia_tl.errors import SettingsError


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1,", None])
def test_an_unreadable_config_is_an_error(tmp_path, content):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"config\.yaml"):
        read_config(path)


def test_yaml_objects_are_not_constructed(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path}/executed']\n")
    with pytest.raises(SettingsError, match="is no valid YAML"):
        read_config(path)
    assert not (tmp_path / "executed").exists()


OUT = ["-o", "out"]
REFUSED = {
    "a folder twice": (["compare", "a", "b", *OUT, "-o", "other"], "given twice"),
    "a config twice": (["finetune", "--quant-dir", "q", *OUT, "-c", "a.yaml", "-c", "a.yaml"], "given twice"),
    "a library twice": (["finetune", "--transfer-library", "a", "--transfer-library", "b", *OUT], "given twice"),
    "a seed twice": (["entrapment", "-f", "a", "-f", "b", *OUT, "--seed", "1", "--seed", "1"], "given twice"),
    "a workflow's output twice": (["workflow", "--config", "c", *OUT, "--output=b"], "given twice"),
    "a regex twice": (["compare", "-c", "c", *OUT, "-r", "a", "-r", "b"], "given twice"),
    "an empty path": (["compare", "a", "b", "-o", ""], "path is empty"),
    "nothing to compare": (["compare", *OUT], "give output folders of searches, or --config"),
    "folders and a config": (["compare", "a", "b", "-c", "c", *OUT], "--config is for a search"),
    "folders and keys": (["compare", "a", "b", "--config-dict", "{}", *OUT], "--config-dict is for a search"),
    "an unknown flag": (["compare", "a", "b", *OUT, "--threads", "3"], "--threads"),
    "another folder where it would be alphaDIA's": (["compare", "-c", "c", *OUT, "--output-directory", "b"], "twice"),
    "raw files to tune on": (["finetune", "--quant-dir", "q", *OUT, "--file", "a.raw"], "--file"),
    "FASTA files to tune on": (["finetune", "--quant-dir", "q", *OUT, "--fasta", "a.fasta"], "--fasta"),
    "two sources to tune on": (["finetune", "--quant-dir", "q", "--transfer-library", "t", *OUT], "not allowed"),
    "two searches to report": (["report", "a", "b"], "b"),
    "a config to report": (["report", "a", "--config", "c"], "--config"),
    "a file to print": (["config", "c.yaml"], "c.yaml"),
    "a job's step twice": (["job", "combine", "-c", "c", *OUT, "--step", "mbr", "--step", "library"], "given twice"),
}


@pytest.mark.parametrize(("arguments", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_taken_ends_with_alphadias_exit_code_for_wrong_flags(
    tmp_path, monkeypatch, capsys, arguments, named
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 126
    assert named in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


WRONG = {
    "no raw file": ([], "names no raw files"),
    "a raw file that is not there": (["-f", "none.raw"], "none.raw"),
    "a folder that is not there": (["-d", "none"], "there is no folder"),
    "a pattern of nothing": (["-f", "a.raw", "--regex", "b"], "no raw file's name matches"),
    "no pattern": (["-f", "a.raw", "--regex", "("], "no regular expression"),
    "no JSON": (["--config-dict", "{'a': 1}"], "Keys and texts stand in double quotes"),
    "a folder of all searches": (["-f", "a.raw", "--quant-dir", "q"], "'quant_directory'"),
}


@pytest.mark.parametrize(("flags", "named"), WRONG.values(), ids=WRONG.keys())
def test_inputs_that_cannot_be_searched_are_told_before_a_search(tmp_path, monkeypatch, capsys, flags, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.raw").touch()
    (tmp_path / "c.yaml").write_text("alphadia_tl: {enabled: true}\n")
    assert cli.main(["compare", "-c", "c.yaml", *OUT, *flags]) == 1
    told = capsys.readouterr().err
    assert named in told
    assert told.count("TL_CONFIG: ") == 1
    assert not (tmp_path / "out").exists()
